"""Metrics: how good predictions are, summed batch by batch and exact for batches of any size.

A metric keeps sums, not averages of batches, so a smaller last batch counts by its samples.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.printable import shown_settings
from minigrad.engine.settings import checked
from minigrad.training.losses import BINARY, CLASSES, REGRESSION, Loss

Array: TypeAlias = NDArray[Any]


class Metric:
    """Base of metrics: ``reset()``, then ``update(output, target)`` per batch, then ``result()``.

    ``name`` is the metric's name in the history. A subclass keeps what it has summed in attributes
    that :meth:`reset` sets, and nowhere else, so that a run can be saved and resumed. Raises
    NotImplementedError for a method that a subclass does not define.

    >>> class Largest(Metric):
    ...     name = "largest"
    ...     def reset(self):
    ...         self.value = -np.inf
    ...     def update(self, output, target):
    ...         self.value = max(self.value, output.max())
    ...     def result(self):
    ...         return float(self.value)
    >>> metric = Largest()
    >>> metric.reset()
    >>> metric.update(np.array([1.0, 3.0]), np.array([0.0, 0.0]))
    >>> metric.result()
    3.0
    """

    name = "metric"
    #: Whether it compares classes rather than numbers.
    judges_classes: ClassVar[bool] = False

    def __repr__(self) -> str:
        return shown_settings(self)

    def reset(self) -> None:
        """Forget all batches."""
        raise NotImplementedError(f"{type(self).__name__} has no reset method")

    @checked()
    def update(self, output: Array, target: Array) -> None:
        """Add one batch of outputs and targets."""
        raise NotImplementedError(f"{type(self).__name__} has no update method")

    def result(self) -> Any:
        """The value over all batches since the last reset."""
        raise NotImplementedError(f"{type(self).__name__} has no result method")

    @checked()
    def merge(self, other: Metric) -> None:
        """Add what another metric of the same kind has summed; distributed training needs it."""
        raise NotImplementedError(f"{type(self).__name__} has no merge method")

    def state_dict(self) -> dict[str, Any]:
        """A copy of the sums so far."""
        return copy.deepcopy({n: v for n, v in vars(self).items() if not callable(v)})

    @checked()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the sums of another metric."""
        vars(self).update(copy.deepcopy(state))


class _Mean(Metric):
    """The mean of a score; a subclass gives its sum over a batch and the number of scores."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.total, self.count = 0.0, 0

    @checked()
    def update(self, output: Array, target: Array) -> None:
        """Add the scores of a batch."""
        total, count = self._scores(output, target)
        self.total += total
        self.count += count

    def _scores(self, output: Array, target: Array) -> tuple[float, int]:
        raise NotImplementedError

    @checked()
    def merge(self, other: Metric) -> None:
        """Add the scores that another one has summed."""
        if not isinstance(other, _Mean):
            raise TypeError(f"{type(self).__name__}: cannot merge a {type(other).__name__}")
        self.total += other.total
        self.count += other.count

    def result(self) -> float:
        """The mean; NaN before the first batch."""
        return self.total / self.count if self.count else math.nan


class Accuracy(_Mean):
    """The fraction of predictions that are right.

    Outputs (N, C, ...) predict the class of the largest along axis 1; outputs (N,) or (N, 1)
    predict class 1 if they exceed ``threshold`` (0 for logits, 0.5 for probabilities; by default
    that of the trainer's loss). Targets are class indices (N, ...), or probabilities of the
    outputs' shape.

    >>> metric = Accuracy()
    >>> metric.reset()
    >>> metric.update(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    >>> metric.result()
    0.5
    """

    name = "accuracy"
    judges_classes = True

    @checked()
    def __init__(self, threshold: float | None = None) -> None:
        super().__init__()
        self.threshold = threshold

    def _scores(self, output: Array, target: Array) -> tuple[float, int]:
        predicted, true = _predicted_and_true(output, target, self.threshold)
        right = predicted == true
        return int(np.count_nonzero(right)), right.size


class TopKAccuracy(_Mean):
    """The fraction of targets that are among the ``k`` classes with the largest outputs (N, C).

    Among equal outputs those of lower index come first, and NaN counts as the largest, as in
    np.argmax. Targets are class indices (N, ...), or probabilities of the outputs' shape. Raises
    ValueError for k below 1, for fewer classes than k and for a label without an output.

    >>> metric = TopKAccuracy(2)
    >>> metric.reset()
    >>> metric.update(np.array([[1.0, 2.0, 3.0]]), np.array([1]))
    >>> metric.name, metric.result()
    ('top_2', 1.0)
    """

    judges_classes = True

    @checked(k="[1, inf)")
    def __init__(self, k: int = 5) -> None:
        super().__init__()
        self.k = k
        self.name = f"top_{k}"

    def _scores(self, output: Array, target: Array) -> tuple[float, int]:
        if output.ndim < 2 or output.shape[1] < self.k:
            raise ValueError(
                f"TopKAccuracy: {self.name}: expected outputs of at least {self.k} classes, "
                f"got {output.shape}"
            )
        target = _classes(output, target, (len(output), *output.shape[2:]))
        _check_labels(self.name, target, output.shape[1])
        output = np.where(np.isnan(output), np.inf, output)
        index = np.expand_dims(target, 1)
        chosen = np.take_along_axis(output, index, 1)
        classes = np.arange(output.shape[1]).reshape(-1, *[1] * (output.ndim - 2))
        before = (output > chosen) | ((output == chosen) & (classes < index))
        within = np.count_nonzero(before, axis=1) < self.k
        return int(np.count_nonzero(within)), within.size


class _MeanError(_Mean):
    """The mean over all elements of a function of the difference."""

    _of_difference: ClassVar[np.ufunc]

    def _scores(self, output: Array, target: Array) -> tuple[float, int]:
        if output.shape != target.shape:
            raise ValueError(
                f"{self.name}: outputs have shape {output.shape}, targets {target.shape}; they "
                f"must agree"
            )
        # Integers would wrap around, and float16 overflows when squared.
        dtype = np.result_type(output, target, np.float32)
        error = self._of_difference(np.subtract(output, target, dtype=dtype))
        return float(error.sum(dtype=np.float64)), error.size


class MeanAbsoluteError(_MeanError):
    """The mean of `abs(output - target)` over all elements.

    >>> metric = MeanAbsoluteError()
    >>> metric.reset()
    >>> metric.update(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    >>> metric.result()
    1.0
    """

    name = "mae"
    _of_difference = np.absolute


class MeanSquaredError(_MeanError):
    """The mean of `(output - target)^2` over all elements, as :class:`MeanAbsoluteError`."""

    name = "mse"
    _of_difference = np.square


class ConfusionMatrix(Metric):
    """How often class i (row) was predicted as class j (column): int64 (C, C).

    Outputs and targets as for :class:`Accuracy`; the history then holds arrays. Raises ValueError
    for a label without an output.

    >>> metric = ConfusionMatrix()
    >>> metric.reset()
    >>> metric.update(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    >>> metric.result()
    array([[1, 1],
           [0, 0]])
    """

    name = "confusion_matrix"
    judges_classes = True

    @checked()
    def __init__(self, threshold: float | None = None) -> None:
        self.threshold = threshold
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.counts = np.zeros((0, 0), dtype=np.int64)
        self.binary = False  # whether the outputs are those of class 1 alone

    @checked()
    def update(self, output: Array, target: Array) -> None:
        """Count the pairs of a batch."""
        predicted, true = _predicted_and_true(output, target, self.threshold)
        self.binary = output.ndim == 1 or output.shape[1] == 1
        size = 2 if self.binary else output.shape[1]
        _check_labels(self.name, true, size)
        pairs = true.astype(np.int64).ravel() * size + predicted.ravel()
        counts = np.bincount(pairs, minlength=size * size).reshape(size, size)
        self.counts = counts + self.counts if self.counts.size else counts

    @checked()
    def merge(self, other: Metric) -> None:
        """Add the pairs that another one has counted."""
        if not isinstance(other, ConfusionMatrix):
            raise TypeError(f"{type(self).__name__}: cannot merge a {type(other).__name__}")
        if other.counts.size:
            self.counts = other.counts + self.counts if self.counts.size else other.counts.copy()
        self.binary = self.binary or other.binary

    def result(self) -> Any:
        """The counts over all batches."""
        return self.counts.copy()


class _PerClass(ConfusionMatrix):
    """A score of each class, and its average, as :class:`Precision` tells; 0 instead of 0 / 0."""

    @checked()
    def __init__(
        self,
        average: Literal["macro", "micro", "weighted"] | None = "macro",
        threshold: float | None = None,
    ) -> None:
        super().__init__(threshold)
        self.average = average

    def score(self, right: Any, predicted: Any, true: Any) -> Any:
        """The score from how often a class was right, predicted, and true."""
        raise NotImplementedError

    def result(self) -> Any:
        """The average score over all batches."""
        right = self.counts.diagonal()
        predicted, true = self.counts.sum(axis=0), self.counts.sum(axis=1)
        if self.average == "micro":
            return float(self.score(right.sum(), predicted.sum(), true.sum()))
        scores = self.score(right, predicted, true)
        if self.average is None:
            return scores
        if self.binary:
            return float(scores[1])
        weights = true if self.average == "weighted" else (predicted + true > 0).astype(int)
        return float(_ratio((scores * weights).sum(), weights.sum()))


class Precision(_PerClass):
    """Of the predictions of a class, the fraction that is right.

    ``average``: "macro" (the mean over the classes that occur), "micro" (over all samples),
    "weighted" (by how often a class occurs) or None (an array, one score for each class), as in
    scikit-learn; with outputs (N,) or (N, 1) it is the precision of class 1.

    >>> metric = Precision()
    >>> metric.reset()
    >>> metric.update(np.array([2.0, 1.0, -3.0]), np.array([1, 0, 1]))
    >>> metric.result()
    0.5
    """

    name = "precision"

    def score(self, right: Any, predicted: Any, true: Any) -> Any:
        """`right / predictions`."""
        return _ratio(right, predicted)


class Recall(_PerClass):
    """Of the samples of a class, the fraction that is predicted; see :class:`Precision`."""

    name = "recall"

    def score(self, right: Any, predicted: Any, true: Any) -> Any:
        """`right / samples`."""
        return _ratio(right, true)


class F1(_PerClass):
    """The harmonic mean of precision and recall; see :class:`Precision`."""

    name = "f1"

    def score(self, right: Any, predicted: Any, true: Any) -> Any:
        """`2 * right / (predictions + samples)`."""
        return _ratio(2 * right, predicted + true)


class MeanOf(_Mean):
    """The mean over samples of a function of (output, target) arrays that averages a batch."""

    def __init__(self, function: Callable[[Array, Array], Any]) -> None:
        super().__init__()
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def _scores(self, output: Array, target: Array) -> tuple[float, int]:
        return float(self.function(output, target)) * len(output), len(output)


KNOWN: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "top_5": TopKAccuracy,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "confusion_matrix": ConfusionMatrix,
    "mae": MeanAbsoluteError,
    "mse": MeanSquaredError,
}


def metric(given: Any) -> Metric:
    """The metric for a name, a Metric, or a function of (output, target).

    Raises ValueError for an unknown name, with the known ones, and TypeError for anything else.

    >>> metric("top_3").name
    'top_3'
    """
    if isinstance(given, Metric):
        return copy.deepcopy(given)
    if isinstance(given, str):
        if given in KNOWN:
            return KNOWN[given]()
        top = re.fullmatch(r"top_(\d+)", given)
        if top:
            return TopKAccuracy(int(top[1]))
        known = ", ".join(KNOWN)
        raise ValueError(f"unknown metric {given!r}; known are {known} (top_k for any k)")
    if isinstance(given, type) and issubclass(given, Metric):
        return given()
    if callable(given):
        return MeanOf(given)
    raise TypeError(
        f"a metric is a name, a Metric or a function of (output, target), "
        f"got {type(given).__name__}"
    )


def metrics_for(given: Any, loss: Loss) -> list[Metric]:
    """The metrics of a Trainer; by default the accuracy, if the loss is one for classes."""
    if given is None:
        given = ("accuracy",) if loss.kind in (CLASSES, BINARY) else ()
    if isinstance(given, (str, Metric)) or callable(given):
        given = (given,)
    if not hasattr(given, "__iter__"):
        raise TypeError(f"Trainer: metrics must be names, metrics or functions, got {given!r:.80}")
    made = [metric(one) for one in given]
    for one in made:
        if isinstance(one, (Accuracy, ConfusionMatrix)) and one.threshold is None:
            one.threshold = loss.threshold
    names = ["loss", *[one.name for one in made]]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"Trainer: two quantities are called {name!r}; rename one: m.name=...")
    wrong = [one.name for one in made if one.judges_classes]
    if loss.kind is REGRESSION and wrong:
        raise ValueError(
            f"Trainer: {', '.join(wrong)} judges classes, and the loss is one of numbers; use "
            f"metrics=('mae',) or ('mse',)"
        )
    return made


class RunningMeans:
    """The loss and metrics of an epoch so far, each batch weighted by its samples."""

    def __init__(self, metrics: list[Metric]) -> None:
        self.metrics = metrics
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.total, self.count, self.batches = 0.0, 0, 0  # of the loss
        for one in self.metrics:
            one.reset()

    def update(self, loss: float, output: Array, target: Array) -> None:
        """Add a batch."""
        count = len(target)
        self.total += loss * count
        self.count += count
        self.batches += 1
        for one in self.metrics:
            one.update(output, target)

    def merge(self, other: RunningMeans) -> None:
        """Add the batches of another process; the number of batches is that of one of them."""
        self.total += other.total
        self.count += other.count
        self.batches = max(self.batches, other.batches)
        for one, theirs in zip(self.metrics, other.metrics, strict=True):
            one.merge(theirs)

    def logs(self) -> dict[str, Any]:
        """Name -> value so far; the loss is NaN before the first batch."""
        loss = self.total / self.count if self.count else math.nan
        return {"loss": loss, **{one.name: one.result() for one in self.metrics}}

    def state_dict(self) -> dict[str, Any]:
        """A copy of the sums so far."""
        metrics = [one.state_dict() for one in self.metrics] if self.batches else []
        sums = {"total": self.total, "count": self.count, "batches": self.batches}
        return {**sums, "metrics": metrics}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the sums of another run."""
        if len(state["metrics"]) not in (0, len(self.metrics)):
            raise ValueError(
                f"Trainer: the run was saved with {len(state['metrics'])} metrics, this trainer "
                f"has {len(self.metrics)}"
            )
        self.total, self.count, self.batches = state["total"], state["count"], state["batches"]
        for one, saved in zip(self.metrics, state["metrics"], strict=False):
            one.load_state_dict(saved)


def best_is_smaller(name: str) -> bool:
    """Whether smaller values are better: true of losses and errors, not of scores."""
    bare = name.removeprefix("val_")
    scores = ("accuracy", "precision", "recall", "f1", "auc", "score", "top_")
    return not any(word in bare for word in scores)


def _predicted_and_true(
    output: Array, target: Array, threshold: float | None
) -> tuple[Array, Array]:
    """Predicted and true classes, as integers of one shape."""
    if output.ndim > 1 and output.shape[1] > 1:
        predicted = output.argmax(1)
    else:
        predicted = (output > (threshold or 0.0)).astype(np.int64)
        if target.dtype.kind == "f":
            target = (target > 0.5).astype(np.int64)
        if target.size == predicted.size:
            predicted = predicted.reshape(target.shape)
    return predicted, _classes(output, target, predicted.shape)


def _classes(output: Array, target: Array, shape: tuple[int, ...]) -> Array:
    """The true classes, of this shape, from class indices or from probabilities."""
    if target.shape == output.shape and target.shape != shape:
        target = target.argmax(1)
    if target.shape != shape:
        raise ValueError(
            f"cannot compare outputs of shape {output.shape} with targets of shape {target.shape}; "
            f"expected class indices of shape {shape}"
        )
    return target


def _check_labels(name: str, true: Array, size: int) -> None:
    if true.size and not 0 <= true.min() <= true.max() < size:
        raise ValueError(
            f"{name}: expected labels from 0 to {size - 1}, got {true.min()} to {true.max()}"
        )


def _ratio(a: Any, b: Any) -> Any:
    """The quotient, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros(np.shape(b)), where=np.asarray(b) != 0)
