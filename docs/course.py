"""Make the pictures of the course: `python docs/course.py [--out docs/images/learn] [chapter ...]`.

The chapters draw them themselves: their code runs here as a reader would run it, in a folder of its
own, and the pictures that it leaves there are kept. `make docs` does the same for the site.
"""

import argparse
import contextlib
import doctest
import importlib.util
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import korean_labels

import minigrad as mg

CHAPTERS = Path(__file__).resolve().parent / "learn"
BLOCK = re.compile(r"^```(python|pycon|torch|onnx)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks(page: Path, torch: bool = False) -> list[tuple[int, str, str]]:
    """(line, kind, code) of each Python block.

    Those that need PyTorch only if asked for, and those that need onnxruntime only if it is there.
    """
    text = page.read_text(encoding="utf-8")
    runs = {"torch": torch, "onnx": importlib.util.find_spec("onnxruntime") is not None}
    return [
        (text[: m.start()].count("\n") + 2, m[1], m[2])
        for m in BLOCK.finditer(text)
        if runs.get(m[1], True)
    ]


def run(page: Path, torch: bool = False) -> None:
    """Run the blocks of a page, which share their names as a reader's session does.

    The pictures of a chapter are drawn with Korean labels too, if there is such a page. Raises
    AssertionError where a block prints something else than the page says.
    """
    both = page.parent == CHAPTERS and (CHAPTERS.parent / "ko" / page.name).exists()
    with korean_labels.twins() if both else contextlib.nullcontext():
        _run(page, torch)


def _run(page: Path, torch: bool) -> None:
    names: dict[str, Any] = {"__name__": page.stem}
    for line, _, code in blocks(page, torch):
        if code.startswith(">>>"):
            _run_session(code, page, line, names)
        else:
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)
    for value in list(names.values()):  # the examples of what the page defines
        if getattr(value, "__module__", None) == page.stem and ">>>" in (value.__doc__ or ""):
            _run_session(value.__doc__, page, 1, {**names, "tensor": mg.tensor})


def _run_session(code: str, page: Path, line: int, names: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), line - 1)
    test.globs = names
    out: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(test, out=out.append, clear_globs=False)
    if runner.failures:
        raise AssertionError("".join(out))


def make_pictures(
    out: Path, chapters: Sequence[Path] = (), suffixes: Sequence[str] = (".png", ".svg")
) -> list[Path]:
    """Run the chapters and write what they draw to `out`; return the paths."""
    out.mkdir(parents=True, exist_ok=True)
    made = []
    for chapter in [page.resolve() for page in chapters or sorted(CHAPTERS.glob("*.md"))]:
        mg.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            with contextlib.chdir(folder):
                run(chapter)
            for path in sorted(Path(folder).iterdir()):
                content = path.read_bytes()
                if path.suffix == ".svg":  # without the version of the layout engine
                    content = re.sub(rb"<!--.*?-->\n?", b"", content, flags=re.DOTALL)
                if path.suffix in suffixes:
                    (out / path.name).write_bytes(content)
                    made.append(out / path.name)
    return made


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("chapters", nargs="*", type=Path, help="files; all of them by default")
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "images" / "learn")
    args = options.parse_args()
    for path in make_pictures(args.out, args.chapters):
        print(path)


if __name__ == "__main__":
    main()
