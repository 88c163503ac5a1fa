"""The formulas of docstrings: each is marked, can be read, and becomes the right TeX."""

import ast
import re
from pathlib import Path

import pytest
from by_path import load

ROOT = Path(__file__).parents[1]


FORMULAS = load(ROOT / "docs" / "formulas.py")

READ = {
    "a - b + 2 c": r"a - b + 2\,c",
    "a * b": r"a\cdot b",
    "a / b": r"\frac{a}{b}",
    "a / b * c": r"\frac{a}{b}\cdot c",
    "a / b / c": r"\frac{a}{b\,c}",
    "a / (b + c / d)": r"\dfrac{a}{b + \frac{c}{d}}",
    "huber_loss(x)": r"\operatorname{huber\_loss}\left(x\right)",
    "2 a b / (c + d)": r"\frac{2\,a\,b}{c + d}",
    "(a + b) / 2n": r"\frac{a + b}{2n}",
    "(a + b) c": r"\left(a + b\right)\,c",
    "-(a + b)": r"-\left(a + b\right)",
    "e^-x": "e^{-x}",
    "x**2 + y²": "x^{2} + y^{2}",
    "(a + b)**(1 / p)": r"\left(a + b\right)^{\frac{1}{p}}",
    "(a + b) // 2": r"\left\lfloor \frac{a + b}{2}\right\rfloor ",
    "f(x)": r"f\left(x\right)",
    "f (x)": r"f\,\left(x\right)",
    "softmax(x)": r"\operatorname{softmax}\left(x\right)",
    "log(x) + log y": r"\log\left(x\right) + \log \,y",
    "sqrt(v + eps)": r"\sqrt{v + \text{eps}}",
    "floor(a) + ceil(b)": r"\left\lfloor a\right\rfloor  + \left\lceil b\right\rceil ",
    "|x|^p": r"\left|x\right|^{p}",
    "abs(|x| - 1)": r"\left|\left|x\right| - 1\right|",
    "sum(w a) / sum(w)": r"\frac{\sum w\,a}{\sum w}",
    "sum(a + b)": r"\sum\left(a + b\right)",
    "sum over i, j of a[i, j]": r"\sum_{i,\; j} a_{i,\; j}",
    "W_ih x1": r"W_{\text{ih}}\,x_{1}",
    "h_0": "h_{0}",
    "T_max": r"T_{\max }",
    "x^T y": r"x^{T}\,y",
    "c' = f(c)": r"c'=f\left(c\right)",
    "k!": "k!",
    "1e-10 + 2e5": r"10^{-10} + 2 \cdot 10^{5}",
    "head_i out_h": r"\text{head}_{i}\,\text{out}_{h}",
    "sum(e^-x) - log softmax(x)[i]": (
        r"\sum e^{-x} - \log \,\operatorname{softmax}\left(x\right)_{i}"
    ),
    "0.5 pi": r"0.5\,\pi ",
    "in_features": r"\text{in_features}",
    "[0, 1)": None,
    "a <= b < c": r"a\le b<c",
    "p -= lr * g": r"p \leftarrow p - \text{lr}\cdot g",
    "v += g²": r"v \leftarrow v + g^{2}",
    "v = a v + g": r"v \leftarrow a\,v + g",
    "v = a v' + g": r"v=a\,v' + g",
    "y = x W^T + b": r"y=x\,W^{T} + b",
    "β1^t": "β_{1}^{t}",
    "1 - μ(t+1)": r"1 - μ\left(t + 1\right)",
    "p[0] x + ... + p[n-1]": r"p_{0}\,x + \ldots  + p_{n - 1}",
    "a +": None,
    "(a": None,
    "a b)": None,
    "sum over i a": None,
    "a = ": None,
    "§ 2": None,
}


@pytest.mark.parametrize("formula", READ)
def test_a_formula_is_read(formula):
    if READ[formula] is None:
        with pytest.raises(ValueError, match=re.escape(f"formula {formula!r}: expected")):
            FORMULAS.tex(formula)
    else:
        assert FORMULAS.tex(formula) == READ[formula]


def docstrings():
    for path in sorted((ROOT / "minigrad").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                text = (ast.get_docstring(node) or "").partition(">>>")[0]
                yield (
                    f"{path.relative_to(ROOT)}: {node.name}",
                    node.name[0] != "_" and "/kernels/" not in str(path),
                    text,
                )


MARKED = re.compile(r"``.*?``|:[\w:]+:`[^`]*`|`([^`]+)`", re.DOTALL)
#: What only formulas have. (A product alone is often a shape: N * C.)
SIGNS = re.compile(r"\w\^|\*\*|[²β]|\b(?:sqrt|exp|log)\(| [-+]= |\) / | / \(|\) \* | \* \(")


def test_every_formula_of_a_docstring_can_be_read():
    found = 0
    for where, _, text in docstrings():
        for match in MARKED.finditer(text):
            if match[1] is not None:
                found += 1
                try:
                    FORMULAS.tex(" ".join(match[1].split()))
                except ValueError as error:
                    pytest.fail(f"{where}: {error}")
    assert found > 200


def test_every_formula_of_a_public_docstring_is_marked():
    loose = {
        (where, line.strip())
        for where, public, text in docstrings()
        if public
        for line in MARKED.sub("code", text).splitlines()
        if SIGNS.search(line)
    }
    assert not loose
