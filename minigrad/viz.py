"""Figures of training: learning curves, filters, feature maps, mistakes, histograms, landscapes.

Every function returns a ``matplotlib.figure.Figure``: show it in a notebook, or write it with
``figure.savefig(path)``. Needs matplotlib (``pip install 'minigrad[plot]'``).
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.random import default_generator
from minigrad.engine.settings import checked
from minigrad.engine.switches import no_grad
from minigrad.engine.tensor import Tensor, as_array
from minigrad.io.file_system import as_path, write_file
from minigrad.lazy import extra, listed
from minigrad.nn.module import Module, modes_restored
from minigrad.training.history import History
from minigrad.training.metrics import best_is_smaller

__all__ = [
    "LayerHistograms", "confusion_matrix", "feature_maps", "filters", "learning_curves",
    "loss_landscape", "misclassified",
]  # fmt: skip

__dir__ = listed(__name__)


#: The width of a page, in inches.
WIDTH = 7.2
#: Colours that are told apart with any colour vision: blue for training, orange for validation.
TRAINING, VALIDATION = "#0072b2", "#d55e00"
GREY = "#5f6368"


def _figure(height: float, purpose: str, width: float = WIDTH) -> Any:
    """A figure of matplotlib that shows itself in a notebook without pyplot's help."""
    kind = extra("matplotlib.figure", "plot", purpose).Figure
    figure = kind(figsize=(width, height), layout="constrained", dpi=150)
    figure._repr_png_ = functools.partial(_as_png, figure)
    return figure


def _as_png(figure: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=figure.dpi)
    return content.getvalue()


def _panels(figure: Any, count: int, columns: int, **options: Any) -> list[Any]:
    """The axes of ``count`` panels in rows; the places left over in the last row are blank."""
    rows = max(1, -(-count // columns))
    grid = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for axes in grid[count:]:
        axes.set_axis_off()
    return list(grid[:count])


def _draw_images(figure: Any, images: Any, columns: int, **options: Any) -> list[Any]:
    """A panel for each image; returns their axes."""
    panels = _panels(figure, len(images), columns)
    for axes, image in zip(panels, images, strict=True):
        axes.imshow(image, **options)
        axes.set_axis_off()
    return panels


def _style_axes(axes: Any, *, x: str = "", y: str = "") -> None:
    """No frame, grey ticks and labels, so that the data stand out."""
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(colors=GREY, labelsize=8, length=0)
    axes.set_xlabel(x, fontsize=9, color=GREY)
    axes.set_ylabel(y, fontsize=9, color=GREY)


def _style_curve(axes: Any, title: str, x: str, found: str = "", colour: str = "") -> None:
    """The look of a curve: a title, what was found at the right of it, and lines to read by."""
    _style_axes(axes, x=x)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    if found:
        axes.set_title(found, loc="right", fontsize=9, color=colour)
    axes.grid(axis="y", color="#e3e5e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["bottom"].set(visible=True, color="#c4c7cc")


def _saved(figure: Any, path: str | os.PathLike[str] | None, purpose: str) -> Any:
    """The figure, written to a file if there is a path; a name without a suffix gets .png."""
    if path is not None:
        target = as_path(path, purpose)
        target = target if target.suffix else target.with_name(f"{target.name}.png")
        content = io.BytesIO()
        figure.savefig(content, format=target.suffix[1:])
        write_file(target, content.getvalue(), purpose)
    return figure


def _array(values: Any) -> NDArray[Any]:
    return values._data if isinstance(values, Tensor) else as_array(values)


# -- learning curves -------------------------------------------------------------------------------


@checked()
def learning_curves(history: History | Mapping[str, Sequence[float]]) -> Any:
    """Loss and metrics over the epochs, training beside validation.

    ``history``: what ``Trainer.fit`` returns, or a dict of lists (loss, accuracy, val_loss, ...).
    Raises ValueError if there is no epoch yet.

    >>> from minigrad import viz
    >>> figure = viz.learning_curves({"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]})
    """
    curves = history.history if isinstance(history, History) else history
    return draw_curves(curves, "viz.learning_curves")


def draw_curves(
    curves: Mapping[str, Sequence[Any]], purpose: str, path: str | os.PathLike[str] | None = None
) -> Any:
    """A panel for each quantity, its validation with it; ``purpose`` is for messages."""
    names = [n for n, v in curves.items() if not n.startswith("val_") and _has_numbers(v)]
    if not names:
        raise ValueError(
            f"{purpose}: nothing to draw: {', '.join(curves)} hold no finite numbers"
            if any(curves.values())
            else f"{purpose}: there is no finished epoch to draw yet; call fit first"
        )
    columns = 2 if len(names) == 4 else min(len(names), 3)
    figure = _figure(3.3 * -(-len(names) // columns), purpose, width=4.6 * columns)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1, wspace=0.04, hspace=0.06)
    for axes, name in zip(_panels(figure, len(names), columns), names, strict=True):
        _draw_curve(axes, name, curves[name], curves.get(f"val_{name}", ()))
    return _saved(figure, path, purpose)


def _draw_curve(axes: Any, name: str, training: Sequence[Any], validation: Sequence[Any]) -> None:
    lines = [("training", training, TRAINING)]
    if _has_numbers(validation):
        lines.append(("validation", validation, VALIDATION))
    epochs = np.arange(1, len(training) + 1)
    for label, values, colour in lines:
        marker = "o" if len(values) <= 20 else None
        axes.plot(
            epochs[-len(values) :], values, color=colour, label=label, marker=marker,
            markersize=3.5, linewidth=1.8,
        )  # fmt: skip
    found = ""
    _, values, colour = lines[-1]
    if name != "lr":  # a learning rate is neither good nor bad
        best = int(np.nanargmin(values) if best_is_smaller(name) else np.nanargmax(values))
        at = epochs[-len(values) :][best]
        axes.plot(at, values[best], "o", color=colour, markersize=7, zorder=3,
                  markeredgecolor="white", markeredgewidth=1.5)  # fmt: skip
        found = f"best {values[best]:.4g}, epoch {at}"
    _style_curve(axes, name.replace("_", " "), "epoch", found, colour)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(x=0.03, y=0.08)
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=9, labelcolor="linecolor")


def draw_learning_rates(
    rates: Any, losses: Any, suggestion: float, path: str | os.PathLike[str] | None
) -> Any:
    """The smoothed loss of a search over learning rates, with the suggestion."""
    figure = _figure(3.3, "LearningRates.plot", width=5.2)
    axes = figure.subplots()
    axes.plot(rates, losses, color=TRAINING, linewidth=1.8)
    axes.set_xscale("log")
    axes.axvline(suggestion, color=VALIDATION, linewidth=1.2, linestyle="--")
    found = f"falls fastest at {suggestion:.3g}"
    _style_curve(axes, "loss", "learning rate", found, VALIDATION)
    return _saved(figure, path, "LearningRates.plot")


def _has_numbers(values: Sequence[Any]) -> bool:
    return len(values) > 0 and np.ndim(values[-1]) == 0 and bool(np.isfinite(values).any())


# -- images ----------------------------------------------------------------------------------------


@checked(columns="[1, inf)", limit="[1, inf)")
def filters(weight: Any, columns: int | None = None, limit: int = 64) -> Any:
    """The filters of a convolution as images: blue is negative, red positive, white zero.

    ``weight``: shape (out, in, kh, kw), or a layer that has such a ``weight``. Filters of three
    input channels are shown in colour, scaled to [0, 1]; otherwise each row of images is one
    filter, each column an input channel (one channel: a plain grid). At most ``limit`` images.
    Raises ValueError for another number of axes.

    >>> from minigrad import nn, viz
    >>> figure = viz.filters(nn.Conv2d(1, 16, 3))
    """
    if isinstance(weight, Module):
        weight = dict(weight.named_parameters(recurse=False)).get("weight", np.zeros(0))
    kernels = _array(weight)
    if kernels.ndim != 4:
        raise ValueError(
            f"filters: expected weights of shape (out, in, kh, kw), got {kernels.shape}"
        )
    channels = kernels.shape[1]
    if channels == 3:
        low, high = kernels.min(), kernels.max()
        images = (kernels.transpose(0, 2, 3, 1) - low) / max(high - low, 1e-12)
        colours = {}
    else:
        columns = columns or (channels if 1 < channels <= 16 else None)
        images = kernels.reshape(-1, *kernels.shape[2:])
        most = float(np.abs(kernels).max()) or 1.0
        colours = {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
    images = images[:limit]
    count = len(images)
    columns = columns or next((n for n in (8, 10, 12, 6, 5, 9, 7) if count % n == 0), min(count, 8))
    height = min(11.0, WIDTH / max(columns, 4) * -(-count // columns))
    figure = _figure(height, "viz.filters")
    _draw_images(figure, images, columns, **colours)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    return figure


@checked(limit="[1, inf)")
def feature_maps(
    model: Module, x: Any, layers: Sequence[str] | None = None, limit: int = 16
) -> Any:
    """The output of each layer for one input: a row of channels per layer.

    ``x``: shape (C, H, W), or (N, C, H, W), of which the first is taken. ``layers``: paths of
    modules; by default every module without parts whose output is (N, C, H, W). At most ``limit``
    channels each, every one scaled by itself.
    Raises ValueError for a path that is not in the model, or if no layer gives images.

    >>> import minigrad as mg
    >>> from minigrad import nn, viz
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    >>> figure = viz.feature_maps(model, mg.randn(1, 8, 8))
    """
    image = _array(x)
    image = image[None] if image.ndim == 3 else image[:1]
    kinds = {path: type(module).__name__ for path, module in model.named_modules()}
    for path in layers or ():
        if path not in kinds:
            raise ValueError(f"feature_maps: there is no layer {path!r}; there are {list(kinds)}")
    outputs: dict[str, NDArray[Any]] = {}
    with _kept_outputs(model, layers, outputs), modes_restored(model), no_grad():
        model.eval()
        model(Tensor(np.ascontiguousarray(image)))
    found = {path: output[0] for path, output in outputs.items() if output.ndim == 4}
    if not found:
        raise ValueError(
            "feature_maps: no layer gave images (N, C, H, W); name some with layers=[path, ...]"
        )
    columns = min(limit, max(len(maps) for maps in found.values()))
    height = len(found) * (WIDTH / columns + 0.28)
    figure = _figure(min(height, 11.0), "viz.feature_maps")
    rows = figure.subfigures(len(found), 1, squeeze=False).ravel()
    for row, (path, maps) in zip(rows, found.items(), strict=True):
        title = f"{path}: {kinds.get(path, '')}   {' × '.join(map(str, maps.shape))}"
        row.suptitle(title, fontsize=8, x=0.01, ha="left", color=GREY)
        _draw_images(row, maps[:columns], columns, cmap="viridis")
    return figure


def _kept_outputs(
    model: Module, layers: Sequence[str] | None, found: dict[str, NDArray[Any]]
) -> contextlib.ExitStack:
    """Keep the latest outputs of these layers, or of all without parts, until it is closed."""
    hooks = contextlib.ExitStack()
    for path, module in model.named_modules():
        wanted = path in layers if layers else not list(module.children())
        if wanted:

            def keep(module: Module, _: Any, output: Any, path: str = path) -> None:
                if isinstance(output, Tensor):
                    found[path or type(module).__name__] = output._data

            hooks.enter_context(module.register_forward_hook(keep))
    return hooks


# -- classification --------------------------------------------------------------------------------


@checked()
def confusion_matrix(labels: Any, predictions: Any, names: Sequence[str] | None = None) -> Any:
    """How often each class was predicted as each: rows are the truth, columns the answers.

    ``labels``: class indices (N,); ``predictions``: class indices (N,), or scores (N, classes).
    The shade is the share of the row. Raises ValueError for different lengths.

    >>> from minigrad import viz
    >>> figure = viz.confusion_matrix([0, 1, 1], [0, 1, 0], names=["cat", "dog"])
    """
    truth, answers = _class_indices(labels, predictions, "confusion_matrix")
    count = max(len(names or ()), int(max(truth.max(initial=0), answers.max(initial=0))) + 1)
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (truth, answers), 1)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = _figure(WIDTH * 0.86, "viz.confusion_matrix")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    size = max(5.0, min(10.0, 90 / count))
    for i, j in zip(*np.nonzero(matrix), strict=True):
        colour = "white" if share[i, j] > 0.5 else "#202124"
        axes.text(j, i, f"{matrix[i, j]}", ha="center", va="center", color=colour, fontsize=size)
    ticks = list(names or map(str, range(count)))
    turn = {"rotation": 45, "ha": "right"} if max(map(len, ticks)) > 3 else {}
    axes.set_xticks(range(count), ticks, **turn)
    axes.set_yticks(range(count), ticks)
    right = float((truth == answers).mean()) if truth.size else 0.0
    axes.set_title(
        f"{right:.2%} of {truth.size:,} right", loc="left", fontsize=10, fontweight="bold"
    )
    _style_axes(axes, x="answer", y="truth")
    return figure


@checked(limit="[1, inf)")
def misclassified(
    images: Any,
    labels: Any,
    predictions: Any,
    names: Sequence[str] | None = None,
    limit: int = 24,
) -> Any:
    """The images that were classified wrongly, with answer and truth.

    ``images``: (N, H, W), (N, 1, H, W) or (N, 3, H, W); ``predictions``: class indices (N,), or
    scores (N, classes): then the most confident mistakes come first. At most ``limit``.
    Raises ValueError for different lengths.

    >>> import numpy as np
    >>> from minigrad import viz
    >>> figure = viz.misclassified(np.zeros((2, 8, 8)), [0, 1], [1, 1])
    """
    truth, answers = _class_indices(labels, predictions, "misclassified")
    pictures = _array(images)
    if len(pictures) != len(truth):
        raise ValueError(f"misclassified: got {len(pictures)} images for {len(truth)} labels")
    wrong = np.flatnonzero(truth != answers)
    scores = _array(predictions)
    if scores.ndim == 2:
        margin = scores[wrong, answers[wrong]] - scores[wrong, truth[wrong]]
        wrong = wrong[np.argsort(-margin, kind="stable")]
    total, wrong = len(wrong), wrong[:limit]
    figure = _figure(max(1, -(-len(wrong) // 8)) * 1.2 + 0.4, "viz.misclassified")
    shown = f", the {limit} most confident" if scores.ndim == 2 and total > limit else ""
    figure.suptitle(
        f"{total} of {len(truth):,} wrong{shown}",
        fontsize=10, fontweight="bold", x=0.01, ha="left",
    )  # fmt: skip
    pictures = pictures[wrong]
    if pictures.ndim == 4:
        pictures = pictures[:, 0] if pictures.shape[1] == 1 else pictures.transpose(0, 2, 3, 1)
    panels = _draw_images(figure, pictures, 8, cmap="gray_r")
    for axes, i in zip(panels, wrong, strict=True):
        answer, right = (str(names[int(c)]) if names else str(c) for c in (answers[i], truth[i]))
        axes.set_title(f"{answer}, not {right}", fontsize=7)
    return figure


def _class_indices(
    labels: Any, predictions: Any, purpose: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    truth, answers = _array(labels), _array(predictions)
    if answers.ndim == 2:
        answers = answers.argmax(axis=1)
    if truth.shape != answers.shape or truth.ndim != 1:
        raise ValueError(
            f"{purpose}: expected labels (N,) and predictions (N,) or (N, classes), got "
            f"{truth.shape} and {_array(predictions).shape}"
        )
    return truth.astype(np.int64), answers.astype(np.int64)


# -- histograms over the steps of training ---------------------------------------------------------


class LayerHistograms:
    """Histograms of each layer's outputs, parameters and gradients, over the steps of training.

    Call :meth:`record` after each backward pass (it reads ``.grad``; ``gradients`` takes those of a
    tape), then :meth:`plot`. Hooks note the output of each layer while the model runs; ``close``,
    or the end of a ``with`` block, removes them. ``plot`` raises ValueError for an unknown kind and
    if nothing was recorded.

    >>> import minigrad as mg
    >>> from minigrad import nn, viz
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    >>> with viz.LayerHistograms(model) as layers:
    ...     for _ in range(3):
    ...         model(mg.randn(8, 3)).sum().backward()
    ...         layers.record()
    >>> figure = layers.plot("activations")
    """

    @checked()
    def __init__(self, model: Module) -> None:
        self._model = model
        self._latest: dict[str, NDArray[Any]] = {}
        self._hooks = _kept_outputs(model, None, self._latest)
        #: Of each kind: name -> step -> the distribution of the values.
        self._samples: dict[str, dict[str, dict[int, NDArray[Any]]]] = {}
        self.steps = 0

    def __enter__(self) -> LayerHistograms:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the hooks from the model."""
        self._hooks.close()

    @checked()
    def record(self, gradients: Mapping[str, Any] | Sequence[Any] | None = None) -> None:
        """Note this step. ``gradients``: by name, or in the order of ``model.parameters()``."""
        named = dict(self._model.named_parameters())
        if gradients is None:
            given: dict[str, Any] = {name: p.grad for name, p in named.items()}
        elif isinstance(gradients, Mapping):
            given = dict(gradients)
        else:
            given = dict(zip(named, gradients, strict=True))
        self._note("activations", self._latest)
        self._note("parameters", {name: p._data for name, p in named.items()})
        self._note("gradients", {n: _array(g) for n, g in given.items() if g is not None})
        self.steps += 1

    def _note(self, kind: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        samples = self._samples.setdefault(kind, {})
        for name, array in arrays.items():
            values = array[np.isfinite(array)].astype(np.float64)
            found = np.quantile(values, _SHARES) if values.size else _EMPTY
            samples.setdefault(name, {})[self.steps] = found

    @checked()
    def plot(self, kind: Literal["activations", "parameters", "gradients"] = "activations") -> Any:
        """A panel per layer: a histogram for each step, dark where there are many values.

        ``kind``: "activations", "parameters" or "gradients". The line is the median. Each panel
        covers the middle 99 % of the values. Raises ValueError for another kind, or if nothing
        was recorded.
        """
        samples = self._samples.get(kind)
        if not samples:
            raise ValueError(f"plot: no {kind} were recorded; call record() after each step")
        columns = min(3, len(samples))
        figure = _figure(
            min(11.0, 1.6 * -(-len(samples) // columns) + 0.3), "viz.LayerHistograms.plot"
        )
        panels = _panels(figure, len(samples), columns, sharex=True)
        for axes, (name, found) in zip(panels, samples.items(), strict=True):
            _draw_distributions(axes, [found.get(step, _EMPTY) for step in range(self.steps)])
            axes.set_title(name, fontsize=8, loc="left", pad=3)
        figure.supxlabel("step", fontsize=8, color=GREY)
        return figure


#: The quantiles by which a distribution is kept.
_SHARES = np.concatenate([[0.0, 0.005], np.linspace(0.02, 0.98, 49), [0.995, 1.0]])
#: The distribution of no values.
_EMPTY = np.full(len(_SHARES), np.nan)


def _draw_distributions(axes: Any, found: list[NDArray[Any]]) -> None:
    spread = np.array(found)
    low, high = np.nanmin(spread[:, 1]), np.nanmax(spread[:, -2])
    margin = 0.05 * (high - low) or abs(high) or 1.0
    edges = np.linspace(low - margin, high + margin, 49)
    image = np.zeros((48, len(spread)))
    for step, one in enumerate(spread):
        if np.isfinite(one).all():
            spread_out = one[-1] > one[0]
            below = np.interp(edges, one, _SHARES) if spread_out else np.searchsorted(one, edges)
            share = np.diff(below)
            image[:, step] = share / max(share.max(), 1e-12)
    axes.imshow(
        image**0.6, cmap="Blues", aspect="auto", origin="lower", interpolation="nearest",
        extent=(0.5, len(spread) + 0.5, edges[0], edges[-1]), vmin=0, vmax=1.1,
    )  # fmt: skip
    axes.plot(np.arange(1, len(spread) + 1), spread[:, len(_SHARES) // 2], color=VALIDATION, lw=1)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    axes.yaxis.get_offset_text().set(size=7, color=GREY)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _style_axes(axes)


# -- loss landscape --------------------------------------------------------------------------------


@checked()
def loss_landscape(
    model: Module,
    loss: Callable[[], Any],
    span: float = 1.0,
    steps: int = 21,
    generator: np.random.Generator | None = None,
) -> Any:
    """The loss around the current values of the parameters, along two random directions.

    The directions are scaled filter by filter to the norm of the parameters, so that landscapes
    of different models compare (Li et al., 2018, arXiv:1712.09913). ``loss``: a function without
    arguments that runs the model. ``span``: how far to go, in those norms; steps x steps points
    are computed. Afterwards the parameters are as before, also if ``loss`` fails.

    >>> import minigrad as mg
    >>> from minigrad import nn, viz
    >>> model, x = nn.Linear(2, 1), mg.randn(8, 2)
    >>> figure = viz.loss_landscape(model, lambda: (model(x) ** 2).mean(), steps=5)
    """
    generator = generator or default_generator()
    parameters = list(model.parameters())
    start = [p._data.copy() for p in parameters]
    directions = [[_random_direction(value, generator) for value in start] for _ in range(2)]
    along = np.linspace(-span, span, steps)
    values = np.empty((steps, steps))
    try:
        with no_grad():
            for i, b in enumerate(along):
                for j, a in enumerate(along):
                    for p, value, first, second in zip(parameters, start, *directions, strict=True):
                        p.assign((value + a * first + b * second).astype(value.dtype))
                    values[i, j] = float(_array(loss()))
    finally:
        for p, value in zip(parameters, start, strict=True):
            p.assign(value)
    figure = _figure(WIDTH * 0.75, "viz.loss_landscape")
    axes = figure.subplots()
    finite = values[np.isfinite(values)]
    levels = np.unique(np.quantile(finite, np.linspace(0, 1, 25))) if finite.size else finite
    if len(levels) > 1:
        filled = axes.contourf(along, along, values, levels=levels, cmap="viridis")
        axes.contour(along, along, values, levels=levels[::3], colors="white", linewidths=0.5)
        bar = figure.colorbar(filled, ax=axes, format="%.3g")
        _style_axes(bar.ax, y="loss")
    axes.plot(0, 0, marker="x", color="white", ms=9, mew=2)
    axes.set_aspect("equal")
    _style_axes(axes, x="along a first random direction", y="along a second")
    return figure


def _random_direction(value: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
    """A random direction, each filter (or row) scaled to the norm of that of the value."""
    drawn = generator.standard_normal(value.shape)
    if value.ndim < 2:
        return np.zeros_like(drawn)  # biases and norms stay, as in the paper
    axes = tuple(range(1, value.ndim))
    length = np.sqrt((drawn**2).sum(axis=axes, keepdims=True))
    wanted = np.sqrt((value.astype(np.float64) ** 2).sum(axis=axes, keepdims=True))
    scaled: NDArray[Any] = drawn * wanted / np.maximum(length, 1e-12)
    return scaled
