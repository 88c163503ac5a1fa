"""Names that come from others: in pictures, pages and tables they are text and do nothing."""

import contextlib
import functools
import json
import linecache
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import PurePath

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.engine.node import Leaf
from minigrad.engine.printable import clean, shown_settings, visible
from minigrad.operators.declare import OPERATORS, RUN_BY

PLAIN = "plain"
NAMES = [
    '<> URL="javascript:alert(1)" x=<>', '" URL="javascript:alert(1)', "<!--", "<!-->", "-->", "]]>",
    "<![CDATA[", "<?xml", "<!DOCTYPE x>", "<b>", "</b>", "</FONT>", "<TABLE HREF='javascript:1'>",
    "</script><script>alert(1)</script>", "<!--<script>", "<svg onload=alert(1)>", "<img src=x>",
    "' onclick='alert(1)", '" onclick="alert(1)', "&#0;", "&bogus;", "&lt;b&gt;", "&#x41;", "&", "&amp;",
    "\\", "\\\\", "\\N\\G\\E\\T\\H\\n\\l", 'a\\"', "{|}", "[]; a -> b", "%s {0} ${x}", "/*DATA*/", "node",
    "a\nb", "a\r\nb", "a\tb", "a\u2028b", "\x1b[31mred\x1b]0;title\x07", "\x00", "\x7f\x9b2J", "\b\b",
    "\u202eevil\u202c", "\u2066x\u2069", "\ud800", "\ufffe", "é中🎉", "x" * 500, "__proto__",
    "constructor",
]  # fmt: skip
each_name = pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))


def class_named(name):
    made = type(PLAIN, (nn.Module,), {"forward": lambda self, x: self.parts[0](x) * self.weight})
    with contextlib.suppress(ValueError):  # Python's own classes cannot have every name
        made.__name__ = name
    return made


def things(name):
    """A model and a computation in which everything is called so."""
    model = class_named(name)()
    model.parts = [nn.Linear(2, 2)]
    model.weight = nn.Parameter(np.ones(2, np.float32))
    outer = nn.Sequential()
    outer.__dict__[name] = model
    outer._adopt(name, model)
    outer.forward = model
    x = mg.tensor(np.ones((1, 2), np.float32), requires_grad=True)
    filename = f"{name}.py" if "\0" not in name else "zero.py"
    text = f"y = model(x)  # {name}\n"
    linecache.cache[filename] = (len(text), None, [text], filename)
    space = {"model": model, "x": x}
    with mg.observe():
        exec(compile("y = model(x)\n", filename.encode("utf-8", "replace").decode(), "exec"), space)
    return outer, model, x, space["y"]


def pictures(name):
    """Pictures that show the names of modules, parameters, inputs, outputs, lines and classes."""
    _, model, x, y = things(name)
    given = {name: x, f"{name}.w": model.weight}
    for depth in (None, 0, 1):
        yield mg.make_dot({name: y}, given, depth=depth, show=("line", "shapes", "values"))


class Page(HTMLParser):
    """The elements and attributes of a page, and what stands in its scripts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements = []
        self.scripts = []
        self.texts = []
        self.comments = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(sorted(name for name, _ in attrs))))

    def handle_data(self, data):
        inside = self.elements and self.elements[-1][0] == "script"
        (self.scripts if inside else self.texts).append(data)

    def handle_comment(self, data):
        self.comments.append(data)

    handle_decl = unknown_decl = handle_pi = handle_comment


def parts_of(svg):
    """The elements and attributes of a picture, its texts and its tooltips."""
    root = ET.fromstring(svg)
    found = {(e.tag, *sorted(e.attrib)) for e in root.iter()}
    texts = [e.text or "" for e in root.iter() if e.tag.endswith("}text")]
    tips = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("}title")]
    return found, texts, tips


@functools.cache
def plain_parts():
    """What is in the pictures of a plain name, which the others may not add to."""
    return set().union(*(parts_of(one.pipe("svg"))[0] for one in pictures(PLAIN)))


@functools.cache
def plain_pages():
    return [Page(one.html) for one in pictures(PLAIN)]


@pytest.fixture(scope="module")
def engine():
    if shutil.which("dot") is None:
        pytest.importorskip("pygraphviz")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # pygraphviz repeats remarks of its engine
@each_name
def test_a_name_adds_nothing_to_a_picture_but_itself(engine, name):
    allowed = plain_parts()
    for i, one in enumerate(pictures(name)):
        found, texts, tips = parts_of(one.pipe("svg"))
        assert found <= allowed
        assert not any("href" in attribute for _, *attributes in found for attribute in attributes
                       if not attribute.endswith("}title"))  # fmt: skip
        lines = [" ".join(line.split()) for line in clean(name).splitlines()]
        texts, tips = ([" ".join(one.split()) for one in some] for some in (texts, tips))
        assert all(any(line in text for text in texts) for line in lines)
        if i == 0:
            assert " ".join(lines) in tips or len(name) > 100


@each_name
def test_every_text_in_dot_is_quoted(name):
    for one in pictures(name):
        assert "tooltip=<" not in one.source
        assert "URL=" not in one.source.replace("URL=&quot;", "").replace("URL=\\&quot;", "")
        one.source.encode()


@each_name
def test_a_name_adds_nothing_to_a_page_but_itself(name):
    for one, expected in zip(pictures(name), plain_pages(), strict=True):
        page = Page(one.html)
        assert page.elements == expected.elements
        assert page.comments == expected.comments
        assert page.texts == expected.texts
        assert page.scripts[1:] == expected.scripts[1:]
        data = json.loads(page.scripts[0])
        names = [found[key] for found in data["boxes"] for key in ("name", "full")]
        names += [found["name"] for found in data["groups"]]
        assert clean(name) in names
        for text in json.dumps(data, ensure_ascii=False):
            assert clean(text) == text
        one.html.encode()


def tables(name):
    """What a terminal shows, and what a notebook does."""
    outer, model, x, y = things(name)
    with mg.GradientTape() as tape:
        model(x)
    alone = mg.tensor([1.0], requires_grad=True)
    if isinstance(alone._node, Leaf):
        alone._node.name = name
    summary = mg.summary(outer, (2,))
    yield str(tape), tape._repr_html_()
    yield str(summary), summary._repr_html_()
    yield repr(outer), ""
    yield str(mg.explain(y, model.weight)), ""
    yield str(mg.explain(y, alone)), ""


@each_name
def test_a_name_does_nothing_in_a_table(name):
    for (text, html), (plain, plain_html) in zip(tables(name), tables(PLAIN), strict=True):
        assert all(line.replace("\xa0", " ").isprintable() for line in text.split("\n"))
        assert text.count("\n") == plain.count("\n")
        assert Page(html).elements == Page(plain_html).elements
        assert Page(html).comments == []
    text = str(mg.summary(things(name)[0], (2,)))
    assert visible(name).strip() in text


def test_an_anomaly_names_its_module_without_doing_anything():
    model = nn.Sequential()
    name = "\x1b[31mred\u202e"
    model.__dict__[name] = part = nn.Identity()
    model._adopt(name, part)
    part.forward = mg.log
    with pytest.raises(mg.AnomalyError) as caught, mg.detect_anomaly():
        part(mg.tensor([0.0], requires_grad=True))
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    assert r"\x1b[31mred\u202e" in str(caught.value)


def test_operators_are_shown_by_the_names_of_public_functions():
    public = {*mg.__all__, *mg.linalg.__all__, *dir(nn.functional)}
    for inner, shown in RUN_BY.items():
        assert shown in public, inner
        assert inner in OPERATORS
    x = mg.tensor([[1.0, 2.0]], requires_grad=True)
    results = {
        "cross_entropy": nn.functional.cross_entropy(x, mg.tensor([0])),
        "gelu": nn.functional.gelu(x, approximate="tanh"),
        "power": x**2.5,
        "norm": mg.norm(x, ord=2, axis=1),
    }
    for name, y in results.items():
        assert f"op={name})" in repr(y)
        assert name in mg.make_dot(y).source
    with mg.GradientTape() as tape:
        nn.functional.cross_entropy(x, mg.tensor([0]))
    assert " cross_entropy " in str(tape)
    assert "index_" not in str(tape)
    wide = mg.tensor([[3e38, -3e38]], requires_grad=True)
    with pytest.raises(mg.AnomalyError, match=r"^cross_entropy made"), mg.detect_anomaly():
        nn.functional.cross_entropy(wide, mg.tensor([1]))


class Shown:
    def __init__(self, value=0, other=None):
        self.value = value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, ""), (False, "value=False"), (None, "value=None"), ("a", "value='a'"),
        (len, "value=<built-in function len>"), (lambda: 0, "value=<lambda>"), (object(), "value=<object>"), ("b" * 58, f"value='{'b' * 58}'"),
        ("b" * 59, "value=<str>"), ([1, object()], "value=[1, <object>]"), ([0] * 8, f"value={[0] * 8}"),
        ([0] * 30, "value=<list>"), (np.zeros((2, 3)), "value=ndarray of shape (2, 3)"),
        (np.array([[1.5]])[0, 0], "value=np.float64(1.5)"), (np.array("x\ny"), "value=array('x\\ny', dtype='<U3')"),
        (PurePath("a"), "value='a'"),
    ],
)  # fmt: skip
def test_settings_are_shown_in_short(value, text):
    assert shown_settings(Shown(value)) == f"Shown({text})"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00e9\u4e2d", "plain \u00e9\u4e2d"), ("\u00e9\u4e2d\n", "\u00e9\u4e2d\\n"),
        ("a\N{NO-BREAK SPACE}b", "a\N{NO-BREAK SPACE}b"), ("\x1b[31m\N{NO-BREAK SPACE}", "\\x1b[31m\N{NO-BREAK SPACE}"),
        ("\u202e\u2066", "\\u202e\\u2066"), ("", ""),
    ],
)  # fmt: skip
def test_what_a_terminal_would_obey_is_spelled_out(text, shown):
    assert visible(text) == shown
    assert str(mg.AnomalyError("a\x1b", None, ["b"], "")) == "a\\x1b\n  b"


class Hidden:
    def __init__(self, hidden=0, value=0, other=1):
        self.value, self.other = value, other


def test_settings_after_one_that_is_not_kept_are_shown():
    assert shown_settings(Hidden(5, 2)) == "Hidden(value=2)"
    assert shown_settings(Hidden(other=3), "more") == "Hidden(other=3, more)"
    assert shown_settings(Hidden()) == "Hidden()"
