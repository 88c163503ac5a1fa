"""Texts of an SVG as wide as the layout engine took them to be.

The engine places texts and boxes by the widths of Helvetica. A viewer without it, or a font with
its widths (Arial, Liberation Sans), would show texts that run into one another and out of their
boxes; with a length of its own, a text is set closer or wider instead.
"""

from __future__ import annotations

import html
import re
import unicodedata

#: The widths of the characters from the space to "~", in thousandths of the size of the font.
_REGULAR = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    *10 * (556,), 278, 278, 584, 584, 584, 556, 1015,
    667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611,
    278, 278, 278, 469, 556, 333,
    556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833,
    556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500,
    334, 260, 334, 584,
)  # fmt: skip
_BOLD = (
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278,
    *10 * (556,), 333, 333, 584, 584, 584, 611, 975,
    722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611,
    333, 278, 333, 584, 556, 333,
    556, 611, 556, 611, 556, 333, 611, 611, 278, 278, 556, 278, 889,
    611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500,
    389, 280, 389, 584,
)  # fmt: skip
_OTHERS = {"\xa0": 278, "×": 584, "·": 333, "−": 584, "…": 1000}
_TEXT = re.compile(r"<text ([^>]*)>([^<]+)</text>")
_SIZE = re.compile(r'font-size="([\d.]+)"')


def text_width(text: str, size: float, bold: bool = False) -> float:
    """How wide a text is in Helvetica of this size."""
    known = _BOLD if bold else _REGULAR
    total = 0
    for letter in text:
        if " " <= letter <= "~":
            total += known[ord(letter) - 32]
        else:
            wide = unicodedata.east_asian_width(letter) in "WF"
            total += _OTHERS.get(letter, 1000 if wide else 556)
    return total * size / 1000


def fitted(svg: str) -> str:
    """The SVG of a layout engine, each text of it with the length that it has in Helvetica."""

    def with_length(found: re.Match[str]) -> str:
        attributes, text = found.groups()
        size = _SIZE.search(attributes)
        if size is None:
            return found[0]
        width = text_width(html.unescape(text), float(size[1]), 'font-weight="bold"' in attributes)
        length = f'textLength="{width:.2f}" lengthAdjust="spacingAndGlyphs"'
        return f"<text {attributes} {length}>{text}</text>"

    return _TEXT.sub(with_length, svg)
