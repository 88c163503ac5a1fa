"""Text from outside made safe to show: names and source lines may hold any characters.

In a terminal they must not move the cursor or change colours, in a picture they must not break
the file, and in neither may they turn the direction of the text around them. Settings of operators
and layers become text here, too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

#: Characters that XML and DOT cannot hold even when escaped, and those that turn the direction of
#: the text around them. Compiled when it is first used, because that takes a millisecond.
_FORBIDDEN = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def clean(text: str) -> str:
    """The text for a picture: a replacement character for each that it cannot hold."""
    return re.sub(_FORBIDDEN, "\N{REPLACEMENT CHARACTER}", text.replace("\t", "    "))


def visible(text: str) -> str:
    r"""The text on one line of a terminal, where it cannot move the cursor or change colours.

    >>> visible("weight \x1b[31m\n")
    'weight \\x1b[31m\\n'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\N{NO-BREAK SPACE}" else c.encode("unicode_escape").decode()
        for c in text
    )


def shortened(text: str, most: int = 40) -> str:
    """The text on one line, and no longer than this."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def each_setting(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an operator; windows stand for several."""
    found: dict[str, Any] = {}
    for key, value in metadata.items():
        found.update(getattr(value, "settings", {key: value}))
    return found


def shown_settings(thing: Any, *more: str) -> str:
    """An object as its constructor would be called: the arguments that are not the defaults.

    Those that it keeps under their names are shown, and then ``more``.

    >>> class Stop:
    ...     def __init__(self, monitor="loss", patience=0):
    ...         self.monitor, self.patience = monitor, patience
    >>> shown_settings(Stop(patience=3), "waiting")
    'Stop(patience=3, waiting)'
    """
    import inspect  # slow to import

    texts: list[str] = []
    for name, parameter in inspect.signature(type(thing)).parameters.items():
        if name not in vars(thing):
            continue
        value = vars(thing)[name]
        same = value is parameter.default or (
            type(value) is type(parameter.default) and value == parameter.default
        )
        if not same:
            texts.append(f"{name}={_setting(value)}")
    return f"{type(thing).__name__}({', '.join([*texts, *more])})"


def _setting(value: Any) -> str:
    """A value in short: of an array its shape, of a function or an object its name."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, list) and len(value) < 9:
        return f"[{', '.join(map(_setting, value))}]"
    shape = getattr(value, "shape", ())
    if shape:
        return f"{type(value).__name__} of shape {shape}"
    text = repr(value)
    if " at 0x" in text or "\n" in text or len(text) > 60:
        return str(getattr(value, "__qualname__", f"<{type(value).__name__}>"))
    return text
