"""The source line of a derivative rule, as it stands in the library or in the user's program.

A picture of a derivative shows it beside the operator, so that people see the formula that ran.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from functools import cache
from types import CodeType
from typing import Any

from minigrad.operators.declare import Operator

#: Of a longer rule only the first lines are shown.
LINES = 14


def rule_text(op: Operator, i: int) -> str:
    """The rule of input ``i``, or the rule of all inputs; "" if its source is not at hand."""
    rule: Any = op.vjp_all or op.rules[i]
    code = getattr(inspect.unwrap(rule), "__code__", None) if callable(rule) else None
    return _text(code) if isinstance(code, CodeType) else ""


@cache
def _text(code: CodeType) -> str:
    source = "".join(linecache.getlines(code.co_filename))
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return ""
    body = _begin(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
            place = (node.body.lineno, node.body.col_offset)
            found = node.lineno <= body[0] and place == body
        elif isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            found = first == code.co_firstlineno
        else:
            continue
        if found:
            text = ast.get_source_segment(source, node, padded=True) or ""
            lines = textwrap.dedent(text).lstrip().splitlines()
            return "\n".join(lines if len(lines) <= LINES else [*lines[:LINES], "..."])
    return ""


def _begin(code: CodeType) -> tuple[int, int]:
    """Line and column at which the first expression of the body begins."""
    places = [
        (line, column)
        for line, _, column, _ in code.co_positions()
        if line is not None and column is not None and (line, column) != (code.co_firstlineno, 0)
    ]
    return min(places, default=(code.co_firstlineno, 0))
