"""Formulas of docstrings, which are written to be read in an editor, as the site sets them.

A docstring has `code` between two backticks and a formula between one: ``p -= lr * g``, for
example, or ``y = x W^T + b``. `tex` reads it as a sum of products of powers, and writes TeX. What
it understands beside names, numbers and Python's signs: a product without a sign (``2 a b``), a
power with ``^``, an index (``a[i, j]``, ``W_ih``, ``x1``), ``|x|``, ``x'``, ``k!``, Greek letters
and ``sum over i, j of a[i, j]``.
"""

import re
from typing import NamedTuple

TOKEN = re.compile(
    r"\s*(\d+(?:\.\d+)?(?:e-?\d+)?|[^\W\d_][^\W_²³]*(?:_\w+)*|\.\.\.|\*\*|//|[<>!=+\-*]=|\S)"
)
NAMES = {"pi": r"\pi", "inf": r"\infty", "...": r"\ldots", "sum": r"\sum"}
#: Functions that have a name of their own in TeX, or a pair of signs about what they are given.
FUNCTIONS = {"exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "min", "max", "det"}
PAIRS = {
    "sqrt": (r"\sqrt{", "}"),
    "abs": (r"\left|", r"\right|"),
    "norm": (r"\left\|", r"\right\|"),
    "floor": (r"\left\lfloor ", r"\right\rfloor "),
    "ceil": (r"\left\lceil ", r"\right\rceil "),
}
RELATIONS = {"=": "=", "<": "<", ">": ">", "<=": r"\le ", ">=": r"\ge ", "!=": r"\ne "}
CLOSING = {"(": ")", "[": "]", "{": "}"}
POWERS = {"²": "2", "³": "3"}


class Token(NamedTuple):
    text: str
    after_space: bool  # f(x) calls, f (x) multiplies


class Part(NamedTuple):
    tex: str
    inner: str = ""  # the same without its brackets, where it has any


def tex(formula: str) -> str:
    """The TeX of a formula; ValueError if it cannot be read.

    >>> tex("1 / sqrt(in_features)")
    '\\\\frac{1}{\\\\sqrt{\\\\text{in\\\\_features}}}'
    """
    reader = Reader(formula)
    found = reader.relation()
    if reader.next() is not None:
        raise reader.error("an operator or the end")
    return found


class Reader:
    """Reads a formula from left to right; each method takes one kind of expression."""

    def __init__(self, formula: str) -> None:
        self.formula = formula
        self.tokens = [Token(m[1], m[0] != m[1]) for m in TOKEN.finditer(formula)]
        self.place = 0
        self.bars = 0

    def error(self, expected: str) -> ValueError:
        return ValueError(f"formula {self.formula!r}: expected {expected}, got {self.next()!r}")

    def next(self) -> str | None:
        return self.tokens[self.place].text if self.place < len(self.tokens) else None

    def take(self, *texts: str) -> str | None:
        text = self.next()
        if text is None or (texts and text not in texts):
            return None
        self.place += 1
        return text

    def expect(self, text: str) -> None:
        if self.take(text) is None:
            raise self.error(f"{text!r}")

    def relation(self) -> str:
        left = self.listed()
        while (sign := self.take(*RELATIONS, "+=", "-=", "*=")) is not None:
            right = self.listed()
            if sign in RELATIONS:
                # v = a v + g is no equation for v, but gives it a new value.
                itself = rf"(?<![\w\\]){re.escape(left)}(?![\w'_{{])"
                moves = sign == "=" and re.search(itself, right)
                left += (r" \leftarrow " if moves else RELATIONS[sign]) + right
            else:
                left += rf" \leftarrow {left} {sign[0]} {right}"
        return left

    def listed(self) -> str:
        parts = [self.sum()]
        while self.take(","):
            parts.append(self.sum())
        return r",\; ".join(parts)

    def sum(self) -> str:
        found = self.product()
        while (sign := self.take("+", "-")) is not None:
            found += f" {sign} {self.product()}"
        return found

    def product(self) -> str:
        groups: list[tuple[list[Part], list[Part]]] = [([self.signed()], [])]
        signs = [""]
        while True:
            over, under = groups[-1]
            if self.take("/"):
                under.append(self.signed())
            elif self.take("//"):
                whole = fraction(over, [self.signed()])
                groups[-1] = ([Part(rf"\left\lfloor {whole}\right\rfloor ")], [])
            else:
                sign = self.take("*", "@", ".")
                if sign is None and not self.starts():
                    break
                part = self.signed()
                # A product goes on above the line until something is divided.
                thin = "" if over and over[-1].tex == NAMES["sum"] + " " else r"\,"
                joined = Part(r"\cdot " if sign in ("*", ".") else thin)
                if under:
                    groups.append(([part], []))
                    signs.append(joined.tex)
                else:
                    over += [joined, part]
        return "".join(s + fraction(*g) for s, g in zip(signs, groups, strict=True))

    def starts(self) -> bool:
        """Whether a factor begins here: a product without a sign."""
        text = self.next()
        if text is None or text in ("of", "over"):
            return False
        return text in ("(", "[", "...") or (text == "|" and not self.bars) or text[0].isalnum()

    def signed(self) -> Part:
        if self.take("-"):
            return Part("-" + self.power().tex)
        self.take("+")
        return self.power()

    def power(self) -> Part:
        part = self.atom()
        while (text := self.take("^", "**", "'", "!", *POWERS)) is not None:
            if text in ("^", "**"):
                power = self.signed()
                part = Part(f"{part.tex}^{{{power.inner or power.tex}}}")
            else:
                part = Part(f"{part.tex}^{{{POWERS[text]}}}" if text in POWERS else part.tex + text)
        return part

    def atom(self) -> Part:
        text = self.take()
        if text is None:
            raise self.error("a name or a number")
        if text == "|":
            self.bars += 1
            inner = self.sum()
            self.expect("|")
            self.bars -= 1
            return Part(rf"\left|{inner}\right|")
        if text in CLOSING:
            inner = self.inside(CLOSING[text])
            left, right = (rf"\{b}" if b in "{}" else b for b in (text, CLOSING[text]))
            return Part(rf"\left{left}{inner}\right{right}", inner if text == "(" else "")
        if text[0].isdigit():
            mantissa, _, exponent = text.partition("e")
            if exponent:
                power = f"10^{{{exponent}}}"
                return Part(power if mantissa == "1" else rf"{mantissa} \cdot {power}")
            near = (self.next() or " ")[0].isalpha() and not self.tokens[self.place].after_space
            return Part(text + self.power().tex) if near else Part(text)  # 1 / 2n
        if text == "sum" and self.take("over"):
            over = self.listed()
            self.expect("of")
            return Part(rf"\sum_{{{over}}} {self.product()}")
        if text != "..." and not text[0].isalpha():
            self.place -= 1
            raise self.error("a name or a number")
        if self.next() in ("(", "[") and not self.tokens[self.place].after_space:
            opening = self.take() or ""
            inner = self.inside(CLOSING[opening])
            if opening == "[":
                return Part(f"{name(text)}_{{{inner}}}")
            found = called(text, inner)
            if self.next() == "[" and not self.tokens[self.place].after_space:
                self.take()
                found += f"_{{{self.inside(']')}}}"
            return Part(found)
        return Part(name(text))

    def inside(self, closing: str) -> str:
        if self.take(closing):
            return ""
        bars, self.bars = self.bars, 0
        inner = self.relation()
        self.expect(closing)
        self.bars = bars
        return inner


def fraction(over: list[Part], under: list[Part]) -> str:
    above = "".join(part.tex for part in over)
    if not under:
        return above
    below = "".join(part.tex for part in under)
    if len(over) == 1:
        above = over[0].inner or above
    if len(under) == 1:
        below = under[0].inner or below
    else:
        below = r"\,".join(part.tex for part in under)
    # What stands inside a fraction is half as large, unless the outer one is set large.
    size = "dfrac" if "frac{" in above + below else "frac"
    return rf"\{size}{{{above}}}{{{below}}}"


def called(function: str, inner: str) -> str:
    if function in PAIRS:
        left, right = PAIRS[function]
        return f"{left}{inner}{right}"
    if function == "sum":
        terms = re.search("[-+]", re.sub(r"\{[^{}]*\}", "", inner))
        return rf"\sum\left({inner}\right)" if terms else rf"\sum {inner}"
    head = f"\\{function}" if function in FUNCTIONS else name(function)
    if head.startswith(r"\text"):
        head = head.replace(r"\text", r"\operatorname", 1).replace("_", r"\_")
    return rf"{head}\left({inner}\right)"


def name(text: str) -> str:
    """x1 has an index, and so has W_ih; the name of an argument stands as it is."""
    if text in NAMES or text in FUNCTIONS:
        return NAMES.get(text, f"\\{text}") + " "
    match = re.fullmatch(r"([^\W\d_]{1,2}?)_?(\d+)|(\w{1,2})_(\w{1,3})|([a-z]+)_([a-z])", text)
    if match:
        base, index = (one for one in match.groups() if one is not None)
        return f"{name(base).rstrip()}_{{{name(index) if index.isalpha() else index}}}"
    if len(text) == 1:
        return text
    return rf"\text{{{text}}}"
