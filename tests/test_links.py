"""Links inside the documents lead somewhere, and the names that they mention exist."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

import minigrad as mg

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^(```+)(?!\{toctree).*?^\1`*$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)*)(?:\s+\"[^\"]*\")?\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
TAG = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)=\"([^\"]+)\"")
REFERENCE = re.compile(r"^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.*?) *#*$", re.MULTILINE)
LABEL = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)


def text_of(path):
    """Without code, in which brackets mean something else."""
    return CODE.sub(lambda m: "" if "\n" in m[0] else "``", path.read_text(encoding="utf-8"))


def links(path):
    text = text_of(path)
    return [link for form in (LINK, TAG, REFERENCE) for link in form.findall(text)]


def anchors(path):
    """The names of headings, as GitHub and MyST make them, and labels."""
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    found = set(LABEL.findall(text))
    for title in HEADING.findall(text):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.add(name if name not in found else f"{name}-1")
    return found


def broken(path):
    """The links of a document that lead nowhere, with the reason."""
    found = []
    for link in links(path):
        if re.match(r"[a-z]+:", link):  # to elsewhere: asking there is no test's business
            continue
        file, _, anchor = unquote(link).partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists():
            found.append(f"{link}: there is no {target}")
        elif ROOT not in target.parents and target != ROOT:
            found.append(f"{link}: leads out of the project")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            found.append(f"{link}: no such heading, only {sorted(anchors(target))}")
    return found


each_document = pytest.mark.parametrize(
    "path", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in DOCUMENTS]
)


@each_document
def test_links_lead_somewhere(path):
    assert not broken(path)


@each_document
def test_links_have_words(path):
    """Sphinx takes the title of the page where there are none, but GitHub shows nothing."""
    assert not re.findall(r"(?<!!)\[\s*\]\([^)]*\)", text_of(path))


NAME = re.compile(r"(?<![\w.])((?:mg|nn|optim|F)(?:\.\w+)+)")
SPELLINGS = re.compile(r"<!-- the table of spellings -->.*?<!-- its end -->", re.DOTALL)
#: Made up by a page, or PyTorch's.
NOT_OURS = {"mg.gudermannian", "mg.weighted_log", "mg.name", "F.fold", "F.unfold"}


@each_document
def test_names_exist(path):
    """Code in a sentence or a table is not run; what it calls must be there all the same."""
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    text = SPELLINGS.sub("", text)  # the names of others, which test_spellings.py goes through
    for code in re.findall(r"`([^`\n]+)`", text):
        for name in set(NAME.findall(code)) - NOT_OURS:
            first, *rest = name.split(".")
            found = {"mg": mg, "nn": mg.nn, "optim": mg.optim, "F": mg.nn.functional}[first]
            for part in rest:
                found = getattr(found, part)


def test_there_are_links():
    assert sum(len(links(path)) for path in DOCUMENTS) > 50


def test_every_page_is_in_the_table_of_contents_once():
    """Sphinx finds out only when the docs are built."""
    docs = ROOT / "docs"
    listed = []
    for page in docs.rglob("*.md"):
        for tree in TOCTREE.findall(page.read_text(encoding="utf-8")):
            entries = [line for line in tree.split("\n") if line and not line.startswith(":")]
            listed += [(page.parent / f"{entry}.md").resolve() for entry in entries]
    assert sorted(listed) == sorted(p for p in docs.rglob("*.md") if p != docs / "index.md")


def test_a_broken_link_is_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`, three\n[a](#one-two-three) [b](page.md) [c](https://example.org/x)\n"
        "[d](#one) [e](gone.md#x) `[f](code.md)` ![g](../outside.png)\n"
        '```text\n[h](code.md)\n```\n<img src="gone.png">\n',
        encoding="utf-8",
    )
    assert [line.partition(":")[0] for line in broken(page)] == [
        "#one", "gone.md#x", "../outside.png", "gone.png",
    ]  # fmt: skip
