"""Write the tables of PyTorch's and Keras's spellings into the how-tos, from minigrad/spellings.py.

    python tools/document_spellings.py

A test fails when they are out of date.
"""

from __future__ import annotations

import re
from pathlib import Path

from minigrad.spellings import TABLE, page

HOWTO = Path(__file__).parent.parent / "docs" / "howto"
KERAS = "Keras and TensorFlow"
PAGES = {
    HOWTO / "from-pytorch.md": [title for title in TABLE if title != KERAS],
    HOWTO / "from-tensorflow.md": [KERAS],
}
MARKS = re.compile(r"(<!-- the table of spellings -->\n\n)(.*?)(<!-- its end -->)", re.DOTALL)


def written(path: Path) -> str:
    """The page with its table as it should be."""
    text = path.read_text(encoding="utf-8")
    table = page(*PAGES[path])
    return MARKS.sub(lambda found: f"{found[1]}{table}\n{found[3]}", text)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(written(path), encoding="utf-8")
