"""Messages for calls that NumPy rejects: operator, what was expected, what came, the remedy."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.declare import Operator, kind_of


def explain(
    op: Operator, arrays: list[Any], metadata: dict[str, Any], error: Exception, scope: str
) -> Exception:
    """The same kind of exception, with the operator, its module path and the shapes in it."""
    where = f"{op.name} in {scope}" if scope else op.name
    text = str(error)
    kind = kind_of(error)
    shapes: list[tuple[int, ...]] = [getattr(a, "shape", ()) for a in arrays if a is not None]
    advice = ""
    if op.name == "matmul" and len(shapes) == 2:
        text, advice = _matmul(*shapes)
    elif text.startswith(f"{op.name}: "):
        return kind(f"{where}: {text.removeprefix(f'{op.name}: ')}")
    elif "broadcast" in text and len(shapes) == 2:
        text, advice = _broadcast(*shapes)
    got = ", ".join(_describe(a) for a in arrays)
    extra = "".join(f", {k}={_short(v)}" for k, v in metadata.items())
    return kind(f"{where}: {text} (got {got}{extra}){advice}")


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[str, str]:
    pairs = enumerate(zip(a[::-1], b[::-1], strict=False), 1)
    axis = next((-i for i, (m, n) in pairs if m != n and 1 not in (m, n)), -1)
    return (
        f"shapes {a} and {b} do not broadcast: axis {axis} has {a[axis]} and {b[axis]}",
        ". Lengths must be equal or 1, counted from the last axis; reshape one, e.g. x[..., None]",
    )


def _matmul(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[str, str]:
    if not a or not b:
        return "expected at least one axis on both sides", ". Use * to scale by a number"
    inner = b[-2:][0]
    if a[-1] == inner:
        return f"the leading axes of {a} and {b} do not broadcast", ""
    hint = ". Transpose one of them?" if a[-1] in b or inner in a else ""
    return f"expected (..., n, k) @ (..., k, m), but k is {a[-1]} and {inner}", hint


def _describe(a: Any) -> str:
    if isinstance(a, (np.ndarray, np.generic)):
        return f"{a.dtype} {a.shape}"
    return repr(a)


def _short(value: Any) -> str:
    return _describe(value) if isinstance(value, np.ndarray) else repr(value)
