"""Trainer: the training loop, written once, with everything around it that people need.

What can be wrong with data, labels and loss is found before the first step. A step itself does
nothing but what a loop by hand does; what costs time is done between epochs, or ten times a second.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad import optim
from minigrad.data.loader import ArrayDataset, DataLoader
from minigrad.debug.anomaly import AnomalyError, detect_anomaly
from minigrad.debug.statistics import is_finite
from minigrad.engine.random import default_generator
from minigrad.engine.settings import checked, entries
from minigrad.engine.switches import no_grad
from minigrad.engine.tensor import Tensor
from minigrad.io.checkpoints import load_checkpoint, save_checkpoint
from minigrad.nn.module import Module, float_dtype, modes_restored
from minigrad.training.batches import (
    batches_of,
    first_batch,
    model_input,
    pair_of,
    parts_of,
    split_off,
)
from minigrad.training.callbacks import Callback, ModelCheckpoint
from minigrad.training.history import History
from minigrad.training.losses import BINARY, CLASSES, REGRESSION, Objective, check_finite
from minigrad.training.metrics import Accuracy, ConfusionMatrix, Metric, metric
from minigrad.training.progress import Progress, progress

__all__ = ["Trainer"]

Array = NDArray[Any]
Logs = dict[str, Any]


class Trainer:
    """Trains, judges and uses a model, in the manner of Keras.

    ``optimizer``: a name ("adam", "sgd", ...), a class or an object of ``minigrad.optim``; an
    object without parameters gets the model's. ``loss``: "cross_entropy",
    "binary_cross_entropy_with_logits", "mse", "mae", "huber", "nll_loss", or a function of
    (output, target). ``metrics``: names ("accuracy", "top_5", "precision", "recall", "f1",
    "confusion_matrix", "mae", "mse"), objects of ``minigrad.metrics``, or functions of (output,
    target) arrays; by default the accuracy, where the loss is one of classes.

    Same seed (``mg.manual_seed``), same result, bit for bit. ``epoch`` is the number of finished
    epochs, ``history`` the values after each.

    Raises ValueError for unknown names, listing the known ones, and for a model without anything
    to train; TypeError for other things than these.

    >>> _ = mg.manual_seed(0)
    >>> x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    >>> y = (x[:, 0] > x[:, 1]).astype(np.int64)
    >>> trainer = mg.Trainer(nn.Sequential(nn.Linear(2, 2)), optim.Adam(lr=0.1))
    >>> history = trainer.fit(x, y, epochs=10, verbose=0)
    >>> trainer.score(x, y) > 0.95
    True
    """

    @checked()
    def __init__(
        self,
        model: Module,
        optimizer: Any = "adam",
        loss: Any = "cross_entropy",
        metrics: str | Metric | Callable[..., Any] | Iterable[Any] | None = None,
    ) -> None:
        if not isinstance(model, Module):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"Trainer: expected an nn.Module, got {type(model).__name__}")
        self.model = model
        self.objective = Objective(loss)
        self.metrics = _metrics(metrics, self.objective)
        self.optimizer = _optimizer(optimizer, model)
        self.history = History()
        self.epoch = 0
        self.stop_training = False
        #: Whether the last fit was broken off by Ctrl-C; whether the running one continues another.
        self.interrupted = False
        self.resumed = False
        #: The names of the values that an epoch has, e.g. for callbacks to monitor.
        self.quantities: list[str] = []
        self._running = _Running(self.metrics)
        self._callbacks: list[Callback] = []
        self._source: Any = None
        self._inside = False  # whether an epoch has begun and not ended
        self._trained = False  # whether its steps are over, and only the validation is missing
        self._pending: dict[str, Any] | None = None
        #: While an epoch ends: its values, and how many callbacks have seen them.
        self._ending: dict[str, Any] | None = None

    # -- training ----------------------------------------------------------------------------------

    @checked(epochs="[0, inf)", batch_size="[1, inf)", validation_split="[0, 1)")
    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        validation_split: float = 0.0,
        validation_data: Any = None,
        callbacks: Sequence[Callback] | Callback = (),
        verbose: int | str = "auto",
        shuffle: bool = True,
    ) -> History:
        """Train for some epochs; returns the history, which is also kept in ``self.history``.

        ``x, y``: arrays (N, ...) and (N,) or (N, ...); a tuple of arrays as ``x`` for a model of
        several inputs; or only ``x``, a DataLoader or another iterable of batches (x, y).
        ``validation_split``: the last fraction of the arrays, not shuffled, is held out.
        ``validation_data``: (x, y), or a loader. ``verbose``: 0 silent, 1 a bar, 2 a line per
        epoch, "auto" a bar on a terminal or in a notebook and lines elsewhere. Floating-point and
        uint8 inputs are converted to the dtype of the model's parameters, other integers (indices)
        stay. Targets (N,) suit outputs (N, 1).

        Ctrl-C ends it after the running step, with the history so far. After
        :meth:`load_checkpoint` the saved run goes on where it was: give the same arguments, and
        ``epochs`` is the number in all.

        Raises ValueError or TypeError, before the first step and with the numbers, for data that
        do not fit together, the model, or the loss; FloatingPointError for a loss that is NaN or
        infinite, with the first operator that made it.
        """
        called = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
        for one in called:
            if not isinstance(one, Callback):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"fit: a callback is a mg.callbacks.Callback, got {one!r}")
        shown = progress(verbose)
        if validation_split:
            x, y, validation_data = split_off(x, y, validation_split, validation_data)
        source = batches_of(x, y, batch_size, shuffle, "fit")
        checked: Any = None
        if validation_data is not None:
            checked = batches_of(*pair_of(validation_data), batch_size, False, "validation_data")
        self._check(source, "")
        if checked is not None:
            self._check(checked, "validation ")
        names = ["loss", *[m.name for m in self.metrics]]
        self.quantities = names + [f"val_{name}" for name in names if checked is not None]
        self._source = source
        self._begin(called)
        try:
            with modes_restored(self.model), _deferring_interrupts() as interrupt:
                self.model.train()
                for callback in self._callbacks:
                    callback.on_train_begin()
                if self._ending is not None:
                    self._end_epoch()
                while self.epoch < epochs and not self.stop_training and not self.interrupted:
                    self._epoch(epochs, checked, shown, interrupt)
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            shown.close()
            for callback in self._callbacks:
                callback.on_train_end()
        if self.interrupted:
            shown.say(
                f"Interrupted in epoch {self.epoch + 1}/{epochs}. The history is kept; "
                f"trainer.save_checkpoint(path) keeps the run, to be continued bit for bit."
            )
        return self.history

    def _begin(self, callbacks: list[Callback]) -> None:
        """Set up a new run, or the one that a checkpoint holds."""
        # A checkpoint holds the state of all.
        last = [c for c in callbacks if isinstance(c, ModelCheckpoint)]
        first = [c for c in callbacks if c not in last]
        pending, self._pending = self._pending, None
        self.resumed = pending is not None
        self.stop_training = self.interrupted = False
        if pending is None:
            self.epoch, self.history = 0, History()
            self._inside = self._trained = False
            self._ending = None
        self._callbacks = [*first, *last]
        self.history.trainer = self
        for callback in self._callbacks:
            callback.trainer = self
        if pending is not None:
            self._restore_callbacks(pending["callbacks"])
            if pending["loader"] is not None and isinstance(self._source, DataLoader):
                self._source.load_state_dict(pending["loader"])
            self.stop_training = pending["stop_training"]
            # Again, as the checks before the first step may have drawn numbers.
            self._restore_generators(pending)

    def _epoch(self, epochs: int, validation: Any, shown: Progress, interrupt: _Interrupt) -> None:
        """One epoch, or the rest of it."""
        if not self._inside:
            for callback in self._callbacks:
                callback.on_epoch_begin(self.epoch)
            self._running.reset()
            self._inside, self._trained = True, False
        total = len(self._source) if hasattr(self._source, "__len__") else None
        shown.begin(self.epoch, epochs, total, self._running.batches)
        if not self._trained:
            self._steps(shown, interrupt)
            if interrupt.requested:
                self.interrupted = True
                return
            self._trained = True
        if self._running.count == 0:
            raise ValueError(
                f"fit: epoch {self.epoch + 1} had no batch; an iterator is used up after one "
                f"epoch, pass a DataLoader or another collection of batches"
            )
        logs = self._running.logs()
        if validation is not None:
            judged = self._judge(validation, self.metrics, interrupt)
            if judged is None:
                self.interrupted = True
                return
            logs |= {f"val_{name}": value for name, value in judged.items()}
        self._inside = False
        self.epoch += 1
        self._ending = {"logs": logs, "done": 0}
        self._end_epoch()
        shown.end(logs)

    def _end_epoch(self) -> None:
        """Show the values of an epoch to the callbacks, or to those that a resumed run has left.

        The history notes what each of them adds at once, and the next call of
        :meth:`state_dict`, from within a callback, tells who has still to see them.
        """
        ending: Any = self._ending
        logs = ending["logs"]
        self.history.on_epoch_end(self.epoch - 1, logs)
        for callback in self._callbacks[ending["done"] :]:
            ending["done"] += 1
            callback.on_epoch_end(self.epoch - 1, logs)
            self.history.on_epoch_end(self.epoch - 1, logs)
        self._ending = None

    def epochs_seen_by(self, callback: Callback) -> int:
        """How many epochs this callback has seen the end of; for callbacks, in on_train_begin."""
        waits = self._ending is not None and callback in self._callbacks[self._ending["done"] :]
        return self.epoch - waits

    def _steps(self, shown: Progress, interrupt: _Interrupt) -> None:
        model, optimizer, objective, running = (
            self.model, self.optimizer, self.objective, self._running,
        )  # fmt: skip
        generator = default_generator().bit_generator
        dtype = float_dtype(model)
        # A NaN in the backward pass spreads to whatever is nearer to the input. So it is seen in
        # the first bias, before the update spoils all parameters, at hardly any cost.
        sentinel = _first_bias(optimizer)
        hooks = [
            callback.on_batch_end
            for callback in self._callbacks
            if type(callback).on_batch_end is not Callback.on_batch_end
        ]
        # A DataLoader that continues an epoch skips by itself what is behind.
        behind = 0 if isinstance(self._source, DataLoader) else running.batches
        for batch in itertools.islice(self._source, behind, None):
            before = generator.state
            inputs, y = parts_of(batch, dtype)
            output = model(*inputs)
            target = Tensor(objective.target(y, output.shape, output.dtype))
            loss = objective.function(output, target)
            value = loss._data.item()
            if not math.isfinite(value):
                generator.state = before
                self._diverged(inputs, target, f"the loss ({value})")
            optimizer.zero_grad()
            loss.backward()
            g = sentinel.grad
            if g is not None and not math.isfinite(np.add.reduce(g._data, axis=None)):
                generator.state = before
                self._diverged(inputs, target, "the gradient")
            optimizer.step()
            running.update(value, output._data, target._data)
            del output, loss  # the graph, before the next one is made
            for hook in hooks:
                hook(running.batches - 1)
            shown.step(running.batches - 1, running.logs)
            if interrupt.requested:
                return

    def logs(self) -> Logs:
        """The loss and metrics of the running epoch so far."""
        return self._running.logs()

    def _diverged(self, inputs: list[Tensor], target: Tensor, what: str) -> None:
        """Run the batch again, looking at each operator; raise FloatingPointError at the first bad.

        Returns if there is none and the parameters are finite: then nothing was wrong.
        """
        names = [name for name, p in self.model.named_parameters() if not is_finite(p._data)]
        self.optimizer.zero_grad()
        cause = ""
        if names:
            cause = f"an earlier update has made {', '.join(names)} NaN or infinite"
        else:
            try:
                with detect_anomaly():
                    self.objective.function(self.model(*inputs), target).backward()
            except AnomalyError as error:
                cause = str(error)
        if not cause and what != "the gradient":
            cause = "its inputs are not finite"
        if not cause:
            return
        given = [_described("x", x._data) for x in inputs] + [_described("y", target._data)]
        rates = ", ".join(f"{group['lr']:.3g}" for group in self.optimizer.param_groups)
        raise FloatingPointError(
            f"{what} is not finite in epoch {self.epoch + 1}, step {self._running.batches + 1}, "
            f"with the batch {', '.join(given)}: {cause}\n"
            f"Often a lower learning rate (now {rates}) or clipped gradients help. "
            f"trainer.history holds the epochs before."
        )

    # -- using -------------------------------------------------------------------------------------

    @checked(batch_size="[1, inf)")
    def evaluate(self, x: Any, y: Any = None, *, batch_size: int = 32) -> Logs:
        """The loss and each metric over all samples, as a dict: ``{"loss": ..., "accuracy": ...}``.

        The model is run in evaluation mode, without a graph. Arguments and errors as in
        :meth:`fit`.
        """
        source = batches_of(x, y, batch_size, False, "evaluate")
        self._check(source, "")
        return self._judge(source, self.metrics, None) or {}

    @checked(batch_size="[1, inf)")
    def predict(self, x: Any, *, batch_size: int = 32) -> Array:
        """The model's outputs (N, ...) for all samples, as an ndarray.

        ``x``: an array, a tuple of arrays, or an iterable of batches (of a batch of several parts
        the last is the target, which is left out). In evaluation mode, without a graph. Raises
        ValueError for empty data.
        """
        source = batches_of(x, None, batch_size, False, "predict", targets=False)
        dtype = float_dtype(self.model)
        arrays = isinstance(source, DataLoader) and source is not x
        outputs: list[Array] = []
        with _evaluating(self.model):
            for batch in source:
                if arrays:
                    inputs = [model_input(a, dtype) for a in batch]
                elif isinstance(batch, (tuple, list)):
                    parts: Sequence[Any] = batch  # pyright: ignore[reportUnknownVariableType]
                    inputs = [model_input(a, dtype) for a in (parts[:-1] or parts)]
                else:
                    inputs = [model_input(batch, dtype)]
                outputs.append(_tensor(self.model(*inputs))._data)
        if not outputs:
            raise ValueError("predict: there is no batch to predict for")
        return np.concatenate(outputs)

    @checked(batch_size="[1, inf)")
    def score(self, x: Any, y: Any = None, *, batch_size: int = 32) -> float:
        """The accuracy over all samples, whatever the trainer's metrics are.

        Raises ValueError for a loss of numbers rather than classes: use :meth:`evaluate`.
        """
        if self.objective.kind is REGRESSION:
            raise ValueError(
                f"score is the accuracy of a classifier; with loss {self.objective.name} use "
                f"evaluate, and metrics=('mae',)"
            )
        given = [m for m in self.metrics if isinstance(m, Accuracy)]
        source = batches_of(x, y, batch_size, False, "score")
        self._check(source, "")
        judged = self._judge(source, given[:1] or [Accuracy(self.objective.threshold)], None) or {}
        return float(judged["accuracy"])

    def _judge(self, source: Any, metrics: Sequence[Metric], interrupt: _Interrupt | None) -> Any:
        """The loss and metrics over a source; None when interrupted."""
        running = _Running(copy.deepcopy(list(metrics)))
        running.reset()
        dtype = float_dtype(self.model)
        with _evaluating(self.model):
            for batch in source:
                inputs, y = parts_of(batch, dtype)
                output = self.model(*inputs)
                target = Tensor(self.objective.target(y, output.shape, output.dtype))
                loss = self.objective.function(output, target)
                running.update(loss._data.item(), output._data, target._data)
                if interrupt is not None and interrupt.requested:
                    return None
        return running.logs()

    # -- checks before the first step --------------------------------------------------------------

    def _check(self, source: Any, what: str) -> None:
        """Run one batch without leaving a trace; raise if data, model and loss do not fit."""
        batch = first_batch(source)
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:  # pyright: ignore[reportUnknownArgumentType]
            raise ValueError(
                f"{what}targets are missing: expected arrays x and y, or batches (x, y), got "
                f"batches of {type(batch).__name__}"
            )
        inputs, y = parts_of(batch, float_dtype(self.model))
        names = [f"{what}x"] if len(inputs) == 1 else [f"{what}x[{i}]" for i in range(len(inputs))]
        everything: Sequence[Array] = [*[x._data for x in inputs], y]
        dataset = source.dataset if isinstance(source, DataLoader) else None
        if isinstance(dataset, ArrayDataset) and source.collate_fn is None:
            everything = dataset.arrays
        for name, array in zip(names, everything, strict=False):
            if array.dtype.kind == "f":
                check_finite(array, name)
        with _evaluating(self.model):
            output = _tensor(self.model(*inputs))
            if output.shape[:1] != y.shape[:1]:
                raise ValueError(
                    f"the model gives {output.shape} for a batch of {len(y)} samples; its first "
                    f"axis must be the samples"
                )
            self.objective.check_targets(everything[-1], output, f"{what}y")
            target = self.objective.target(y, output.shape, output.dtype)
            for one in self.metrics:
                trial = copy.deepcopy(one)
                trial.reset()
                trial.update(output._data, target)
            loss: Any = self.objective.trial(output, Tensor(target))
            self.objective.check_loss(loss, output, target)

    # -- saving and resuming -----------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on bit for bit, also from the middle of an epoch.

        The model, the optimizer, the history, callbacks, the random generator, the order of the
        data, and the running sums of loss and metrics.
        """
        if self._ending is not None:  # what the callback that asks has added so far
            self.history.on_epoch_end(self.epoch - 1, self._ending["logs"])
        callbacks = [[type(c).__name__, c.state_dict()] for c in self._callbacks]
        loader = self._source
        return {
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "inside": self._inside,
            "trained": self._trained,
            "stop_training": self.stop_training,
            "running": self._running.state_dict(),
            "history": self.history.state_dict(),
            "callbacks": callbacks,
            "ending": self._ending and {**self._ending, "logs": dict(self._ending["logs"])},
            "loader": loader.state_dict() if isinstance(loader, DataLoader) else None,
            "generator": default_generator().bit_generator.state,
            "own_generators": {
                name: generator.bit_generator.state
                for name, generator in _own_generators(self.model).items()
            },
        }

    @checked()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of another trainer; the next :meth:`fit` continues its run.

        Raises ValueError when the state does not fit this model or optimizer; all is then as it
        was before.
        """
        known = self.state_dict()
        known.pop("ending")  # which files of earlier versions lack
        entries("Trainer.load_state_dict", state, *known)
        before, attributes = self.state_dict(), dict(vars(self))
        try:
            self._take(state)
        except Exception:
            self._take(before)
            vars(self).update(attributes)
            raise

    def _take(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]
        self._inside, self._trained = state["inside"], state["trained"]
        self._running.load_state_dict(state["running"])
        self.history = History()
        self.history.load_state_dict(state["history"])
        ending = state.get("ending")
        self._ending = ending and {**ending, "logs": dict(ending["logs"])}
        self.history.noted = set(ending["logs"]) if ending else set()
        self._restore_generators(state)
        self._pending = state

    @checked()
    def save_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`state_dict` to a file, atomically. See ``mg.save_checkpoint``."""
        save_checkpoint(path, **self.state_dict())

    @checked()
    def load_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Read a file of :meth:`save_checkpoint`; the next :meth:`fit` continues that run.

        Give fit the same arguments as before: ``epochs`` is the number in all. Raises
        FileNotFoundError, and ValueError for a file that is damaged or does not fit.
        """
        state = load_checkpoint(path)
        missing = [key for key in ("model", "optimizer", "running", "history") if key not in state]
        if missing:
            raise ValueError(
                f"load_checkpoint: {path} is no checkpoint of a Trainer: it has no "
                f"{', '.join(missing)}"
            )
        self.load_state_dict(state)

    def _restore_generators(self, state: dict[str, Any]) -> None:
        default_generator().bit_generator.state = state["generator"]
        own = _own_generators(self.model)
        for name, saved in state["own_generators"].items():
            if name not in own:
                raise ValueError(f"Trainer: {name} had a random generator of its own, and has none")
            own[name].bit_generator.state = saved

    def _restore_callbacks(self, saved: list[Any]) -> None:
        """Hand the saved states to the callbacks of the same classes, in order."""
        waiting = list(self._callbacks)
        for name, state in saved:
            found = next((c for c in waiting if type(c).__name__ == name), None)
            if found is not None:
                waiting.remove(found)
                found.load_state_dict(state)
            elif state:
                raise ValueError(
                    f"fit: the run was saved with the callbacks {', '.join(n for n, _ in saved)}; "
                    f"to continue it, pass them again: {name} is missing"
                )


class _Running:
    """The sums of loss and metrics over the batches so far, weighted by their samples."""

    def __init__(self, metrics: list[Metric]) -> None:
        self.metrics = metrics
        self.total, self.count, self.batches = 0.0, 0, 0

    def reset(self) -> None:
        self.total, self.count, self.batches = 0.0, 0, 0
        for one in self.metrics:
            one.reset()

    def update(self, loss: float, output: Array, target: Array) -> None:
        count = len(target)
        self.total += loss * count
        self.count += count
        self.batches += 1
        for one in self.metrics:
            one.update(output, target)

    def logs(self) -> Logs:
        loss = self.total / self.count if self.count else math.nan
        return {"loss": loss, **{one.name: one.result() for one in self.metrics}}

    def state_dict(self) -> dict[str, Any]:
        metrics = [one.state_dict() for one in self.metrics] if self.batches else []
        return {
            "total": self.total,
            "count": self.count,
            "batches": self.batches,
            "metrics": metrics,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if len(state["metrics"]) not in (0, len(self.metrics)):
            raise ValueError(
                f"Trainer: the run was saved with {len(state['metrics'])} metrics, this trainer "
                f"has {len(self.metrics)}"
            )
        self.total, self.count, self.batches = state["total"], state["count"], state["batches"]
        for one, saved in zip(self.metrics, state["metrics"], strict=False):
            one.load_state_dict(saved)


# -- what Ctrl-C does ------------------------------------------------------------------------------


class _Interrupt:
    requested = False


@contextlib.contextmanager
def _deferring_interrupts() -> Generator[_Interrupt]:
    """Ctrl-C asks to end after the running step, so that no update is left half done.

    A second one interrupts at once. Elsewhere than in the main thread, or where the program
    handles the signal itself, nothing changes.
    """
    interrupt = _Interrupt()
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not ours:
        yield interrupt
        return

    def ask(*_: Any) -> None:
        interrupt.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, ask)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def _evaluating(model: Module) -> Generator[None]:
    """Evaluation mode without a graph; afterwards each module is in the mode it was in."""
    with modes_restored(model), no_grad():
        model.eval()
        yield


# -- arguments -------------------------------------------------------------------------------------


def _optimizer(given: Any, model: Module) -> optim.Optimizer:
    params = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not params:
        raise ValueError(
            f"Trainer: {type(model).__name__} has no parameters to train. Keep layers as "
            f"attributes of the module, and leave some with requires_grad=True"
        )
    classes = {name.lower(): getattr(optim, name) for name in optim.__all__}
    classes = {
        name: c
        for name, c in classes.items()
        if isinstance(c, type) and issubclass(c, optim.Optimizer) and c is not optim.Optimizer
    }
    if isinstance(given, str):
        if given.lower() not in classes:
            raise ValueError(f"unknown optimizer {given!r}; known are {', '.join(classes)}")
        given = classes[given.lower()]
    if isinstance(given, type) and issubclass(given, optim.Optimizer):
        made: Any = given
        return made(params)  # type: ignore[no-any-return]
    if not isinstance(given, optim.Optimizer):
        raise TypeError(
            f"Trainer: optimizer must be a name ({', '.join(classes)}), a class or an object of "
            f"minigrad.optim, got {type(given).__name__}"
        )
    held = {id(p) for group in given.param_groups for p in group["params"]}
    if not held:
        names, tensors = zip(*params, strict=True)
        given.add_param_group({"params": list(tensors), "param_names": list(names)})
    elif held.isdisjoint(id(p) for _, p in params):
        raise ValueError(
            f"Trainer: {type(given).__name__} holds {len(held)} parameters, none of them of this "
            f"{type(model).__name__}; make it with model.parameters(), or without parameters"
        )
    return given


def _metrics(given: Any, objective: Objective) -> list[Metric]:
    kind = objective.kind
    if given is None:
        given = ("accuracy",) if kind in (CLASSES, BINARY) else ()
    if isinstance(given, (str, Metric)) or callable(given):
        given = (given,)
    if not hasattr(given, "__iter__"):
        raise TypeError(f"Trainer: metrics must be names, metrics or functions, got {given!r:.80}")
    made = [metric(one) for one in given]
    for one in made:
        if isinstance(one, (Accuracy, ConfusionMatrix)) and one.threshold is None:
            one.threshold = objective.threshold
    names = ["loss", *[one.name for one in made]]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"Trainer: two quantities are called {name!r}; rename one: m.name=...")
    wrong = [one.name for one in made if one.judges_classes]
    if kind is REGRESSION and wrong:
        raise ValueError(
            f"Trainer: {', '.join(wrong)} judges classes, and the loss is one of numbers; use "
            f"metrics=('mae',) or ('mse',)"
        )
    return made


# -- what a model holds and gives ------------------------------------------------------------------


def _own_generators(model: Module) -> dict[str, np.random.Generator]:
    """The random generators that modules hold, e.g. dropout layers, by path and attribute."""
    return {
        f"{path}.{name}": value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, np.random.Generator)
    }


def _first_bias(optimizer: optim.Optimizer) -> Tensor:
    """The smaller one of the first two parameters."""
    params: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
    return min(params[:2], key=lambda p: p.size)


def _tensor(output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise TypeError(
            f"the model gives {type(output).__name__}, expected one tensor; wrap the model in a "
            f"Module that returns the part to be trained"
        )
    return output


def _described(name: str, array: Array) -> str:
    text = f"{name} {array.dtype} {array.shape}"
    return f"{text} from {array.min():.4g} to {array.max():.4g}" if array.size else text
