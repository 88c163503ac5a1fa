"""``mg.detect_anomaly``: stop at the first operator that makes a NaN, forward or backward.

The rest of the file is what the message says: what usually causes it there, and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.debug.profile import Observation
from minigrad.debug.source_line import SourceLine, current_line
from minigrad.debug.statistics import Statistics, is_finite
from minigrad.engine.hooks import ApplyRules, Edges, Hook
from minigrad.engine.node import STATE, Leaf, Node, Scope, within
from minigrad.engine.printable import visible
from minigrad.operators.declare import Operator


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
            block = "`with mg.detect_anomaly():`"
            where = f"run the forward pass, too, inside {block} to learn the line"
        parts = [what, where, *inputs, cause and f"usual cause: {cause}"]
        text = "\n  ".join(filter(None, parts))
        super().__init__("\n".join(map(visible, text.split("\n"))))


class detect_anomaly(Hook):
    """Inside, the first NaN or infinity, forward or backward, raises where it is made.

    The :class:`AnomalyError` (a FloatingPointError) names the operator, the module and the line of
    your program that recorded it, describes the inputs, and says what usually causes this. It is
    slow, because every result is checked. ``torch.autograd.detect_anomaly`` is similar, but checks
    the backward pass only.

    >>> import minigrad as mg
    >>> x = mg.tensor([0.0, 1.0], requires_grad=True)
    >>> with mg.detect_anomaly():
    ...     mg.log(x)
    Traceback (most recent call last):
    minigrad.debug.anomaly.AnomalyError: log made 1 infinite value...
    """

    #: NumPy's settings before.
    _numpy: Any = None

    def _begin(self) -> None:
        self._numpy = np.geterr()
        # NumPy's warning would come first, or as an error instead of ours.
        np.seterr(all="ignore")
        super()._begin()

    def _end(self) -> None:
        np.seterr(**self._numpy or {})
        super()._end()

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
            return  # an input was broken already: another operator made that
        names = _input_names(node, len(arrays))
        raise AnomalyError(
            f"{within(op.shown, STATE.get().scope.told())} made {broken(value)} in its result of "
            f"shape {value.shape}",
            current_line(),
            _descriptions(zip(names, arrays, strict=False)),
            FORWARD_CAUSES.get(op.name, ""),
        )

    def backward(
        self, apply: ApplyRules, node: Node, edges: Edges, g: Any, tensor: Any
    ) -> list[Any]:
        """Check the gradients of an operator's inputs."""
        line = None if node.seen is None else node.seen.line
        # Without "(gradient)", which the message says.
        scope = Scope(node.scope.path, node.scope.kinds)
        place = within(
            f"a leaf of shape {node.shape}" if isinstance(node, Leaf) else node.op.shown,
            scope.told(),
        )
        came = getattr(g, "_data", g)
        if not is_finite(came):
            raise AnomalyError(
                f"the gradient that reaches {place} has {broken(came)}, although each rule gave "
                f"finite numbers",
                line,
                [],
                "a cotangent that you passed in (gradient=, output_gradients=), or a sum of very "
                "large gradients",
            )
        saved: tuple[Any, ...] = node.saved or ()
        cause = BACKWARD_CAUSES.get(node.op.name, "")
        try:
            found = super().backward(apply, node, edges, g, tensor)
        except AnomalyError as error:
            # The rule is being recorded, and an operator in it broke: say whose rule it is.
            what = f"in the derivative of {place}: {error.what}"
            raise AnomalyError(what, line, error.inputs, cause) from None
        names = _input_names(node, len(node.parents))
        for (i, parent), h in zip(edges, found, strict=True):
            h = getattr(h, "_data", h)
            if h is None or is_finite(h):
                continue
            kept = [
                (name, array)
                for name, array in zip(["its result", *names], saved, strict=False)
                if isinstance(array, np.ndarray)
            ]
            raise AnomalyError(
                f"the derivative of {place} made {broken(h)} in the gradient of {names[i]}, of "
                f"shape {parent.shape}",
                line,
                _descriptions([("the gradient that came in", came), *kept]),
                cause,
            )
        return found


_DIVERGING = "overflowed. Are the values diverging? Lower the learning rate"
_NO_ELEMENTS = "of no elements (or of one, with ddof=1) is NaN, or it overflowed"
_LOG = "log of zero or of a negative number. Add a small number inside"
_POWER = "a negative base with a fractional exponent, zero with a negative one, or an overflow"
#: What usually makes an operator's result infinite or NaN, and the remedy.
FORWARD_CAUSES = {
    "log": f"{_LOG} (mg.log(x + 1e-7)), or work with logits: F.log_softmax, F.cross_entropy",
    "log2": _LOG,
    "log10": _LOG,
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
    "power": _POWER,
    "power_constant": _POWER,
    "square": f"the square {_DIVERGING}",
    "multiply": f"the product {_DIVERGING}",
    "matmul": f"the product {_DIVERGING}, or clip the gradients with optim.clip_grad_norm_",
    "sum": f"the sum {_DIVERGING}",
    "mean": "the mean of no elements is NaN, or the sum overflowed",
    "var": f"the variance {_NO_ELEMENTS}",
    "std": f"the deviation {_NO_ELEMENTS}",
    "arccos": "arccos outside [-1, 1]: clip the input",
    "arcsin": "arcsin outside [-1, 1]: clip the input",
    "arccosh": "arccosh below 1: clip the input",
    "arctanh": "arctanh at or outside -1 and 1: clip the input",
    "tan": "tan near an odd multiple of pi/2",
    "astype": "the value does not fit into the narrower dtype",
}
#: Where a derivative is infinite.
_POLES = {
    "cbrt": "0", "log": "0", "log2": "0", "log10": "0", "log1p": "-1", "arccosh": "1",
    "arccos": "-1 and 1", "arcsin": "-1 and 1", "arctanh": "-1 and 1",
}  # fmt: skip
#: What usually makes an operator's derivative infinite or NaN, and the remedy.
BACKWARD_CAUSES = {
    **{
        name: f"the derivative of {name} at {pole} is infinite"
        + (". Add a small number inside" if pole == "0" else "")
        for name, pole in _POLES.items()
    },
    "sqrt": "the derivative of sqrt at 0 is infinite (and 0 * inf is NaN). Add a small number "
    "inside: mg.sqrt(x + 1e-12)",
    "power": "the derivative of x**p at 0 is infinite for p < 1, and that of the exponent needs a "
    "positive base",
    "power_constant": "the derivative of x**p at 0 is infinite for p < 1. Add a small number to "
    "the base",
    "divide": "a division by zero or by a tiny number: its derivative divides by the square of the "
    "denominator",
    "reciprocal": "a division by zero or by a tiny number",
    "norm": "the norm of a tiny vector",
}


def broken(value: Any) -> str:
    """How many elements are not finite, as ``2 NaN and 1 infinite value``."""
    found = Statistics(value, histogram=False)
    parts = [f"{found.nan} NaN"] if found.nan else []
    if found.infinite:
        parts.append(f"{found.infinite} infinite value{'s' if found.infinite > 1 else ''}")
    return " and ".join(parts)


def _input_names(node: Node | None, count: int) -> list[str]:
    """The names of an operator's inputs: those of leaves, otherwise ``input 0``, ``input 1``."""
    names = []
    for i in range(count):
        parent = node.parents[i] if node is not None and i < len(node.parents) else None
        if isinstance(parent, Leaf) and parent.name:
            names.append(parent.shown)
        else:
            names.append("input" if count == 1 else f"input {i}")
    return names


def _descriptions(arrays: Iterable[tuple[str, Any]]) -> list[str]:
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
