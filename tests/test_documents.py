"""Every Python block of the README, the guides and the docs runs, and prints what it says."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, executable
from by_path import load

import minigrad as mg
from minigrad import nn
from minigrad.operators import declare, on_demand

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
PICTURE = re.compile(r"\]\(\.\./images/learn/([^)]+)\)")


COURSE = load(ROOT / "docs" / "course.py")
CHAPTERS = sorted((ROOT / "docs" / "learn").glob("*.md"))


#: Pages whose code takes seconds: it runs with the slow tests.
LONG = {
    "deep-convnet.md",
    "family.md",
    "gradient-checking.md",
    "initialisation.md",
    "optimizers.md",
    "regularisation.md",
}


def pages(torch=False):
    """Those with Python in them, or with Python that needs PyTorch."""
    found = []
    for path in DOCUMENTS:
        if path.parent.name == "ko":  # the same code as in English, as a test below shows
            continue
        kinds = {kind for _, kind, _ in COURSE.blocks(path, torch)}
        slow = path.name in LONG and path.parent.name in ("learn", "docs")
        if "torch" in kinds or (kinds and not torch):
            marks = pytest.mark.slow if slow else ()
            found.append(pytest.param(path, id=str(path.relative_to(ROOT)), marks=marks))
    return found


@pytest.fixture
def undeclared():
    """Takes out again what a page declares, as other tests look at all operators."""
    list(on_demand.modules())  # whose operators stay, whichever page asks for them first
    tables = (declare.OPERATORS, declare.COMPOSITES, declare.CONSTANTS, declare.NUMPY)
    before = [{**table} for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.mark.usefixtures("undeclared")
@pytest.mark.parametrize("path", pages())
def test_blocks_run(path, tmp_path, monkeypatch):
    """And in the course, the pictures that a chapter shows are those that its code saves.

    Those with words in them are saved in Korean too; a label that has no Korean is an error.
    """
    if path.name == "onnx.md":
        pytest.importorskip("onnxruntime")
    if path.name == "scipy.md":
        pytest.importorskip("scipy", reason="SciPy is not installed")
    monkeypatch.chdir(tmp_path)
    COURSE.run(path)
    korean = ROOT / "docs" / "ko" / path.name
    pages = [path, korean] if path in CHAPTERS and korean.exists() else [path]
    for name in [
        name for page in pages for name in PICTURE.findall(page.read_text(encoding="utf-8"))
    ]:
        assert (tmp_path / name).is_file(), f"no block saves {name}"
        assert (ROOT / "docs" / "images" / "learn" / name).is_file(), "run docs/course.py"


@pytest.mark.parity
@pytest.mark.parametrize("path", pages(torch=True))
def test_blocks_with_pytorch_run(path, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    COURSE.run(path, torch=True)


def test_the_long_pages_are_there():
    assert {path.name for path in DOCUMENTS if path.parent.name in ("learn", "docs")} >= LONG


EXERCISE = re.compile(
    r"^\*\*(\d)\.\*\* .+?<details><summary>Solution</summary>\n(.+?)\n</details>",
    re.MULTILINE | re.DOTALL,
)


@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem) for p in CHAPTERS])
def test_a_chapter_ends_in_a_film_and_exercises_with_checked_answers(path):
    text, _, exercises = path.read_text(encoding="utf-8").partition("\n## Exercises\n")
    assert f'<iframe class="film" src="../_images/film-{path.stem}.html"' in text
    assert f'steps.save("film-{path.stem}.html"' in text
    found = EXERCISE.findall(exercises)
    assert [number for number, _ in found] == [str(n + 1) for n in range(len(found))]
    assert 3 <= len(found) <= 5
    assert exercises.count("<summary>") == len(found)
    korean = (ROOT / "docs" / "ko" / path.name).read_text(encoding="utf-8")
    assert f'<iframe class="film" src="../_images/film-{path.stem}-ko.html"' in korean
    for number, answer in found:
        assert "\nassert " in answer or "\n    assert " in answer or "\n>>> " in answer, number


def test_no_two_pictures_have_one_name():
    """On the site all pictures stand in one folder; Sphinx would rename the second."""
    names = [path.name for path in (ROOT / "docs" / "images").rglob("*.*")]
    assert len(set(names)) == len(names)


def test_the_readme_has_blocks():
    assert len(COURSE.blocks(ROOT / "README.md")) >= 3


CODE = re.compile(r"^```(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KOREAN = {
    ROOT / "README.ko.md": ROOT / "README.md",
    **{
        p: ROOT / "docs" / "learn" / p.name
        for p in sorted((ROOT / "docs" / "ko").glob("*.md"))
        if p.name != "glossary.md"
    },
}


def kept_in_translation(path):
    """The levels of the headings, code without its comments, formulas, pictures and exercises."""
    text = path.read_text(encoding="utf-8")
    code = [(kind, re.sub(r"[ \t]*#.*", "", body)) for kind, body in CODE.findall(text)]
    prose = CODE.sub("", text)
    levels = re.findall(r"^(#+) ", prose, re.MULTILINE)
    formulas = re.findall(r"^\$\$\n(.*?)^\$\$", prose, re.MULTILINE | re.DOTALL)
    exercises = re.findall(r"^\*\*(\d)\.\*\* ", prose, re.MULTILINE), prose.count("<summary>")
    pictures = re.findall(r"!\[[^\]]+\]\((\S+)\)", prose.replace("-ko.svg", ".png"))
    return levels, code, formulas, pictures, exercises


@pytest.mark.parametrize("path", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in KOREAN])
def test_korean_follows_english(path):
    """A change of the English code, commands or sections is not forgotten in the Korean."""
    assert kept_in_translation(path) == kept_in_translation(KOREAN[path])


def test_a_picture_with_words_is_shown_in_korean():
    folder = ROOT / "docs" / "images" / "learn"
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "ko").glob("*.md")]
    shown = {name for page in pages for name in PICTURE.findall(page)}
    twins = {path.name for path in folder.glob("*-ko.svg")}
    assert len(twins) >= 14
    assert twins <= shown
    assert not {name.replace("-ko.svg", ".png") for name in twins} & shown


def test_the_words_of_a_korean_picture_are_korean():
    """And they are text, which the reader's browser sets in a font that it has."""
    for path in (ROOT / "docs" / "images" / "learn").glob("*-ko.svg"):
        words = re.findall(r"<text [^>]*>([^<]+)</text>", path.read_text(encoding="utf-8"))
        assert any(re.search("[가-힣]", word) for word in words), path.name
        for word in words:
            assert re.search("[가-힣]", word) or COURSE.korean_labels.NAME.fullmatch(word), word


def test_a_label_without_korean_is_an_error():
    assert COURSE.korean_labels.korean("layer 3") == "3번째 층"
    assert COURSE.korean_labels.korean("10%") == "10%"
    with pytest.raises(ValueError, match="no Korean for the label 'the moon'"):
        COURSE.korean_labels.korean("the moon")


TERM = re.compile(r"^\| (.+?)\((.+?)\) \| .+ \| \[.+\]\((.+)\) \|$", re.MULTILINE)


def test_the_korean_pages_use_the_terms_of_the_glossary():
    """Each is explained where the glossary says, and called the same on every page."""
    folder = ROOT / "docs" / "ko"
    pages = {}
    for path in [*folder.glob("*.md"), ROOT / "README.ko.md"]:
        prose = re.sub(r"`[^`\n]+`", "", CODE.sub("", path.read_text(encoding="utf-8")))
        pages[path.name] = " ".join(prose.split())
    terms = TERM.findall((folder / "glossary.md").read_text(encoding="utf-8"))
    assert len(terms) >= 40
    assert [term for term, *_ in terms] == sorted(term for term, *_ in terms)
    for term, english, page in terms:
        assert re.search(rf"{re.escape(term)}(\*\*)?\({re.escape(english)}\)", pages[page]), term
        for name, text in pages.items():
            for found in re.finditer(re.escape(f"({english})"), text):
                called = text[: found.start()].removesuffix("**")
                assert called.endswith(term), (name, english, called[-20:])


QUOTED = re.compile(r"^```\{literalinclude\} (\S+)\n:pyobject: (\S+)", re.MULTILINE)


def definitions(tree, prefix=""):
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from definitions(node, f"{prefix}{node.name}.")


def test_quoted_code_exists():
    """Code that a page shows by name is there; Sphinx finds out only when the docs are built."""
    quotes = [
        ((path.parent / file).resolve(), name)
        for path in DOCUMENTS
        for file, name in QUOTED.findall(path.read_text(encoding="utf-8"))
    ]
    assert quotes
    for file, name in quotes:
        assert name in set(definitions(ast.parse(file.read_text(encoding="utf-8")))), (file, name)


EXCERPT = re.compile(
    r'^```\{literalinclude\} (\S+)\n:start-at: "(.+)"\n:end-before: "(.+)"', re.MULTILINE
)


def excerpts(path):
    for file, start, end in EXCERPT.findall(path.read_text(encoding="utf-8")):
        text = (path.parent / file).resolve().read_text(encoding="utf-8")
        _, begins, rest = text.partition(start)
        yield file, start, end, begins and end in rest


def test_quoted_lines_exist():
    """The same for an excerpt from one line to another, and no page quotes in a third way."""
    found = [one for path in DOCUMENTS for one in excerpts(path)]
    assert found
    for *excerpt, there in found:
        assert there, excerpt
    blocks = sum(path.read_text(encoding="utf-8").count("{literalinclude}") for path in DOCUMENTS)
    named = sum(len(QUOTED.findall(path.read_text(encoding="utf-8"))) for path in DOCUMENTS)
    assert blocks == named + len(found)


#: What a player may say that is no Korean: code, names, shapes and numbers.
NO_WORDS = re.compile(r"[\w.]*( = [\w.]+)?( ?[\d×() ]+)?( float\d+)?|\w+=.*")


@pytest.mark.skipif(not executable(), reason="there is no Chromium")
def test_a_film_speaks_korean(tmp_path):
    """Every word that the player writes, at each step, and its buttons and their titles."""
    x = mg.tensor(np.ones((2, 3)), requires_grad=True)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    with mg.film() as steps:
        net(mg.ones((2, 1, 4, 4))).sum().backward()
        (x * x + x.sum(axis=1, keepdims=True)).sum().backward()
    with COURSE.korean_labels.twins():
        steps.save(tmp_path / "film.html", {"x": x, **dict(net.named_parameters())})
    english = (tmp_path / "film.html").read_text(encoding="utf-8")
    assert "korean" not in english
    said = set()
    with Browser() as browser:
        browser.go(tmp_path / "film-ko.html")
        for _ in range(len(steps)):
            said |= set(browser.run(SAID))
            browser.run("document.getElementById('forth').click()")
        assert browser.run("document.documentElement.lang") == "ko"
        assert browser.errors == []
    assert {"▶ 재생", "규칙", "한 단계 뒤로 (←)", "출력"} <= said
    wrong = {words for words in said if not re.search("[가-힣]", words)}
    assert {words for words in wrong if not NO_WORDS.fullmatch(words)} == set()
    assert "x 쪽으로 가는 기울기" in said


#: All texts outside code and the picture, and all titles and labels; waits for the translation.
SAID = """new Promise((done) => setTimeout(() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.parentElement.closest("pre, code, script, noscript, #picture")) found.push(node.data.trim());
  }
  for (const one of document.querySelectorAll("[title], [aria-label], [placeholder]"))
    for (const name of ["title", "aria-label", "placeholder"])
      if (one.hasAttribute(name) && !one.closest("#picture")) found.push(one.getAttribute(name));
  done(found.filter((text) => /[a-z]{2}|[가-힣]/i.test(text)));
}, 0))"""
