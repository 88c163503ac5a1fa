"""Where did the NaN come from? Stop at the first operator that makes one, forward or backward."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any

import numpy as np

from minigrad.debug.profile import Observation, Statistics, is_finite
from minigrad.debug.tape_table import leaf_name
from minigrad.engine.hooks import ApplyRules, Inspector
from minigrad.engine.node import STATE, Leaf, Node
from minigrad.engine.printable import visible_lines
from minigrad.engine.source_line import SourceLine, current_line
from minigrad.operators.declare import Operator

__all__ = ["AnomalyError", "detect_anomaly"]


class AnomalyError(FloatingPointError):
    """A NaN or an infinity appeared under :func:`minigrad.detect_anomaly`.

    >>> try:
    ...     with mg.detect_anomaly():
    ...         mg.log(mg.tensor([0.0], requires_grad=True))
    ... except mg.AnomalyError as error:
    ...     print(str(error).splitlines()[0])
    log made 1 infinite value in its result of shape (1,)
    """

    def __init__(self, what: str, line: SourceLine | None, inputs: list[str], cause: str) -> None:
        self.what = what
        self.inputs = inputs
        where = f"recorded at {line.as_traceback()}" if line else ""
        if not line and "derivative" in what:
            where = (
                "run the forward pass, too, inside `with mg.detect_anomaly():` to learn the line"
            )
        parts = [where, *inputs, cause and f"usual cause: {cause}"]
        super().__init__(visible_lines("\n  ".join([what, *filter(None, parts)])))


class detect_anomaly(Inspector):
    """Inside, the first NaN or infinity, forward or backward, raises where it is made.

    The :class:`AnomalyError` (a FloatingPointError) names the operator, the module, your line that
    recorded it, describes its inputs and says what usually causes it there. Slow: each result is
    looked through; use it to find the place. As ``torch.autograd.detect_anomaly``, which looks at
    the backward pass only.

    >>> import minigrad as mg
    >>> x = mg.tensor([0.0, 1.0], requires_grad=True)
    >>> with mg.detect_anomaly():
    ...     mg.log(x)
    Traceback (most recent call last):
    minigrad.debug.anomaly.AnomalyError: log made 1 infinite value...
    """

    def __enter__(self) -> detect_anomaly:
        self._numpy = np.geterr()
        try:
            # NumPy's warning would come first, or as an error instead of ours.
            np.seterr(all="ignore")
            return super().__enter__()
        except BaseException:
            np.seterr(**self._numpy)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            np.seterr(**self._numpy)
        finally:
            super().__exit__(kind, error, trace)

    def __call__(
        self, op: Operator, arrays: Any, metadata: dict[str, Any], value: Any, node: Node | None
    ) -> None:
        """Check what this operator made."""
        super().__call__(op, arrays, metadata, value, node)
        if node is not None:
            node.seen = node.seen or Observation()
            node.seen.line = node.seen.line or current_line()
        if arrays is None or is_finite(value):
            return
        if any(x is not None and not is_finite(x) for x in arrays):
            return  # what came in broken is not this operator's doing
        scope = STATE.get().scope
        where = f" in {scope}" if scope else ""
        names = _names(node, len(arrays))
        raise AnomalyError(
            f"{op.name}{where} made {broken(value)} in its result of shape {value.shape}",
            current_line(),
            _describe(zip(names, arrays, strict=False)),
            FORWARD_CAUSES.get(op.name, ""),
        )

    def backward(
        self, apply: ApplyRules, node: Node, hits: list[tuple[int, Node]], g: Any, tensor: Any
    ) -> list[Any]:
        """Check the gradients of an operator's inputs."""
        line = None if node.seen is None else node.seen.line
        if not is_finite(_array(g)):
            raise AnomalyError(
                f"the gradient that reaches {_place(node)} has {broken(_array(g))}, although each "
                f"rule gave finite numbers",
                line,
                [],
                "a cotangent that you gave yourself (gradient=, output_gradients=), or a sum of "
                "very large gradients",
            )
        saved: tuple[Any, ...] = node.saved or ()
        cause = BACKWARD_CAUSES.get(node.op.name, "")
        try:
            found = super().backward(apply, node, hits, g, tensor)
        except AnomalyError as error:
            # The rule is being recorded, and an operator in it broke: say whose rule it is.
            what = f"in the derivative of {_place(node)}: {error.what}"
            raise AnomalyError(what, line, error.inputs, cause) from None
        names = _names(node, len(node.parents))
        for (i, parent), h in zip(hits, found, strict=True):
            if h is None or is_finite(_array(h)):
                continue
            kept = zip(["its result", *names], saved, strict=False)
            arrays = [(name, array) for name, array in kept if isinstance(array, np.ndarray)]
            raise AnomalyError(
                f"the derivative of {_place(node)} made {broken(_array(h))} in the gradient of "
                f"{names[i]}, of shape {parent.shape}",
                line,
                _describe([("the gradient that came in", _array(g)), *arrays]),
                cause,
            )
        return found


#: What usually makes an operator's result infinite or NaN, and the remedy.
FORWARD_CAUSES: dict[str, str] = {
    "log": "log of zero or of a negative number. Add a small number inside (mg.log(x + 1e-7)), or "
    "work with logits: F.log_softmax, F.cross_entropy",
    "log2": "log of zero or of a negative number. Add a small number inside",
    "log10": "log of zero or of a negative number. Add a small number inside",
    "log1p": "log1p of -1 or less. Clip the input",
    "divide": "a division by zero; 0/0 is NaN. Add a small number to the denominator, or choose "
    "with np.where before dividing",
    "reciprocal": "a division by zero. Add a small number to the denominator",
    "exp": "exp overflowed: float32 holds exp(x) up to x = 88. Subtract the maximum first, or use "
    "F.softmax, mg.logsumexp or F.softplus, which do",
    "exp2": "exp2 overflowed: float32 holds it up to x = 127",
    "expm1": "expm1 overflowed: float32 holds it up to x = 88",
    "sinh": "sinh overflowed: float32 holds it up to |x| = 89",
    "cosh": "cosh overflowed: float32 holds it up to |x| = 89",
    "sqrt": "the square root of a negative number. Clip the input at zero",
    "power": "a negative base with a fractional exponent, zero with a negative one, or an overflow",
    "power_constant": "a negative base with a fractional exponent, zero with a negative one, or an "
    "overflow",
    "square": "the square overflowed. Are the values diverging? Lower the learning rate",
    "multiply": "the product overflowed. Are the values diverging? Lower the learning rate",
    "matmul": "the product overflowed. Are the values diverging? Lower the learning rate, or clip "
    "the gradients with optim.clip_grad_norm_",
    "sum": "the sum overflowed. Are the values diverging? Lower the learning rate",
    "mean": "the mean of no elements is NaN, or the sum overflowed",
    "var": "the variance of no elements (or of one, with ddof=1) is NaN, or it overflowed",
    "std": "the deviation of no elements (or of one, with ddof=1) is NaN, or it overflowed",
    "arccos": "arccos outside [-1, 1]: clip the input",
    "arcsin": "arcsin outside [-1, 1]: clip the input",
    "arccosh": "arccosh below 1: clip the input",
    "arctanh": "arctanh at or outside -1 and 1: clip the input",
    "tan": "tan near an odd multiple of pi/2",
    "astype": "the value does not fit into the narrower dtype",
}
#: The same for an operator's derivative.
BACKWARD_CAUSES: dict[str, str] = {
    "sqrt": "the derivative of sqrt at 0 is infinite (and 0 * inf is NaN). Add a small number "
    "inside: mg.sqrt(x + 1e-12)",
    "power": "the derivative of x**p at 0 is infinite for p < 1, and that of the exponent needs a "
    "positive base",
    "power_constant": "the derivative of x**p at 0 is infinite for p < 1. Add a small number to "
    "the base",
    "cbrt": "the derivative of the cube root at 0 is infinite",
    "divide": "a division by zero or by a tiny number: its derivative divides by the square of the "
    "denominator",
    "reciprocal": "a division by zero or by a tiny number",
    "log": "the derivative of log at 0 is infinite. Add a small number inside",
    "log2": "the derivative of log2 at 0 is infinite. Add a small number inside",
    "log10": "the derivative of log10 at 0 is infinite. Add a small number inside",
    "log1p": "the derivative of log1p at -1 is infinite",
    "arccos": "the derivative of arccos at -1 and 1 is infinite",
    "arcsin": "the derivative of arcsin at -1 and 1 is infinite",
    "arccosh": "the derivative of arccosh at 1 is infinite",
    "arctanh": "the derivative of arctanh at -1 and 1 is infinite",
    "norm": "the norm of a tiny vector",
}


def broken(value: Any) -> str:
    """As ``2 NaN and 1 infinite value``."""
    found = Statistics(value, histogram=False)
    parts = [f"{found.nan} NaN"] if found.nan else []
    if found.infinite:
        parts.append(f"{found.infinite} infinite value{'s' if found.infinite > 1 else ''}")
    return " and ".join(parts)


def _array(g: Any) -> Any:
    return g._data if hasattr(g, "_data") else np.asarray(g)


def _place(node: Node) -> str:
    scope: str = getattr(node.scope, "path", node.scope)
    name = f"a leaf of shape {node.shape}" if isinstance(node, Leaf) else node.op.name
    return f"{name} in {scope}" if scope else name


def _names(node: Node | None, count: int) -> list[str]:
    """What the inputs of an operator are called."""
    names = []
    for i in range(count):
        parent = node.parents[i] if node is not None and i < len(node.parents) else None
        if isinstance(parent, Leaf) and parent.name:
            names.append(leaf_name(parent))
        else:
            names.append("input" if count == 1 else f"input {i}")
    return names


def _describe(arrays: Iterable[tuple[str, Any]]) -> list[str]:
    lines = []
    for name, array in arrays:
        if array is None:
            continue
        values = np.asarray(array)
        zeros = values.size - int(np.count_nonzero(values))
        extra = f", {zeros} of {values.size} are zero" if zeros and values.size > 1 else ""
        summary = Statistics(values, histogram=False)
        lines.append(f"{name}: {values.dtype} {values.shape}, {summary}{extra}")
    return lines
