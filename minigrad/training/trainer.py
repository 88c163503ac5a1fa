"""Trainer: the training loop, written once, with everything around it that people need.

Mistakes in data, labels and loss are found before the first step. A step does only what a loop
written by hand does; slower work is done between epochs, or ten times a second. The loop over
epochs is in ``Trainer.fit``, the loop over batches in ``Trainer._train``.
"""

from __future__ import annotations

import copy
import functools
import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from minigrad.data.loader import ArrayDataset, DataLoader
from minigrad.debug.statistics import is_finite
from minigrad.engine.node import STATE
from minigrad.engine.random import default_generator
from minigrad.engine.settings import checked, entries
from minigrad.engine.tensor import Tensor, as_tensor
from minigrad.io.checkpoints import load_checkpoint, note, save_checkpoint
from minigrad.lazy import load_late
from minigrad.nn.module import Module, float_dtype, modes_restored
from minigrad.optim import clip_grad_norm_, clip_grad_value_
from minigrad.training import batches
from minigrad.training.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    TerminateOnNaN,
)
from minigrad.training.checks import check_data, evaluating, one_tensor
from minigrad.training.divergence import (
    WITHOUT_CAUSE,
    Diverged,
    cause_of_divergence,
    described,
)
from minigrad.training.history import History
from minigrad.training.interrupts import interrupts_deferred
from minigrad.training.losses import REGRESSION, Loss
from minigrad.training.lr_finder import LearningRates, search
from minigrad.training.metrics import (
    Accuracy,
    Metric,
    RunningMeans,
    best_is_smaller,
    metrics_for,
)
from minigrad.training.optimizers import optimizer_for
from minigrad.training.progress import Progress, progress, shown_values
from minigrad.training.ranks import ALONE, Alone, ranks_for
from minigrad.training.weights import Weighing, checked_sample_weight

Array = NDArray[Any]
Logs = dict[str, Any]


class Trainer:
    """Trains, evaluates and applies a model, as Keras does.

    ``optimizer``: a name ("adam", "sgd", ...), a class or an object of ``minigrad.optim``; an
    object without parameters gets the model's. ``loss``: "cross_entropy",
    "binary_cross_entropy_with_logits", "mse", "mae", "huber", "nll_loss", or a function of
    (output, target). ``metrics``: names ("accuracy", "top_5", "precision", "recall", "f1",
    "confusion_matrix", "mae", "mse"), objects of ``minigrad.metrics``, or functions of (output,
    target) arrays; by default the accuracy, if the loss is one for classes.
    ``clip_norm``, ``clip_value``: clip the gradients before each step, as
    ``optim.clip_grad_norm_`` and ``clip_grad_value_`` do. ``accumulate``: step after so many
    batches, with the mean of their gradients, as if they were one batch.
    ``distributed``: train on all processes that mpiexec has started; "auto": if it has started this
    one. Each takes its share of every batch, and the result is that of one process, up to rounding
    and random numbers; the first one shows and writes.

    Same seed (``mg.manual_seed``), same result, bit for bit. ``epoch`` is the number of finished
    epochs, ``history`` the values after each.

    Raises ValueError for unknown names, listing the known ones, and for a model without
    parameters to train; TypeError for arguments of other types; ImportError for
    ``distributed=True`` without mpi4py.

    >>> _ = mg.manual_seed(0)
    >>> x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    >>> y = (x[:, 0] > x[:, 1]).astype(np.int64)
    >>> trainer = mg.Trainer(nn.Sequential(nn.Linear(2, 2)), optim.Adam(lr=0.1))
    >>> history = trainer.fit(x, y, epochs=10, verbose=0)
    >>> trainer.score(x, y) > 0.95
    True
    """

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return load_late("minigrad.spellings").of_object(self, name, "trainer")

    @checked(clip_norm="(0, inf)", clip_value="(0, inf)", accumulate="[1, inf)")
    def __init__(
        self,
        model: Module,
        optimizer: Any = "adam",
        loss: Any = "cross_entropy",
        metrics: str | Metric | Callable[..., Any] | Iterable[Any] | None = None,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        distributed: bool | Literal["auto"] = False,
    ) -> None:
        self._ranks = ranks_for(distributed)
        self.model = model
        self.loss = Loss(loss)
        self.metrics = metrics_for(metrics, self.loss)
        self.optimizer = optimizer_for(optimizer, model)
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.accumulate = accumulate
        self.history = History()
        self.epoch = 0
        self.stop_training = False
        #: Whether Ctrl-C ended the last fit, and whether the running one continues a saved run.
        self.interrupted = False
        self.resumed = False
        #: Whether the last batch ended with a step of the optimizer.
        self.stepped = True
        #: The names of the values that an epoch has, e.g. for callbacks to monitor.
        self.quantities: list[str] = []
        self._running = RunningMeans(self.metrics)
        self._callbacks: list[Callback] = []
        self._source: Any = None
        self._fitting = False
        self._weighing: Weighing | None = None
        #: Of the batches since the last step: their samples, and those of as many full ones.
        self._gathered, self._full = 0, 0
        self._inside = False  # whether an epoch has begun and not ended
        self._trained = False  # whether its steps are over, and only the validation is missing
        self._pending: dict[str, Any] | None = None  # a state that the next fit continues
        #: While an epoch ends: its values, and how many callbacks have seen them.
        self._ending: dict[str, Any] | None = None

    def __repr__(self) -> str:
        size = sum(p.size for p in self.model.parameters())
        rates = ", ".join(f"lr={group['lr']:.4g}" for group in self.optimizer.param_groups)
        names = ", ".join(metric.name for metric in self.metrics)
        parts = [
            f"{type(self.model).__name__} of {size:,} parameters",
            f"{type(self.optimizer).__name__}({rates})",
            f"loss {self.loss.name}",
            f"metrics {names}" if names else "",
            f"clip_norm={self.clip_norm}" if self.clip_norm is not None else "",
            f"clip_value={self.clip_value}" if self.clip_value is not None else "",
            f"accumulate={self.accumulate}" if self.accumulate > 1 else "",
            f"{self.epoch} epochs done",
        ]
        return f"Trainer({', '.join(filter(None, parts))})"

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
        class_weight: Any = None,
        sample_weight: Any = None,
        callbacks: Sequence[Callback] | Callback = (),
        verbose: int | str = "auto",
        shuffle: bool = True,
    ) -> History:
        """Train for some epochs; returns the history, which is also kept in ``self.history``.

        ``x, y``: arrays (N, ...) and (N,) or (N, ...); a tuple of arrays as ``x`` for a model of
        several inputs; or only ``x``, a DataLoader or another iterable of batches (x, y).
        ``validation_split``: the last fraction of the arrays, not shuffled, is held out.
        ``validation_data``: (x, y), or a loader. ``class_weight``: {class: weight}, an array of one
        for each class, or "balanced", which makes rare classes count as much as others;
        ``sample_weight`` (N,): one for each sample. The loss is then the mean of each sample's loss
        times its weight. ``verbose``: 0 silent, 1 a bar, 2 a line per
        epoch, "auto" a bar on a terminal or in a notebook and lines elsewhere. Floating-point and
        uint8 inputs are converted to the dtype of the model's parameters, other integers (indices)
        stay. Targets (N,) suit outputs (N, 1).

        Ctrl-C ends training after the running step, with the history so far. After
        :meth:`load_checkpoint` the saved run continues where it was: give the same arguments, with
        ``epochs`` the total number.

        Raises ValueError or TypeError before the first step, with the numbers, if the data do not
        fit each other, the model or the loss; FloatingPointError for a loss that is NaN or
        infinite, with the operator that made the first such value.
        """
        if not STATE.get().recording:
            raise RuntimeError(
                "fit: nothing is recorded inside mg.no_grad(), so nothing would be learnt; call it "
                "outside"
            )
        called = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
        for one in called:
            if not isinstance(one, Callback):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"fit: a callback is a mg.callbacks.Callback, got {one!r}")
        shown = progress(verbose)
        shown = shown if self._ranks.first else Progress()
        source = batches.batches_of(x, y, batch_size, shuffle, "fit")
        if validation_split:
            validation_data = batches.held_out(source, y, validation_split, validation_data)
        check_data("", source, self.model, self.loss, self.metrics)
        source = self._weigh(source, class_weight, sample_weight, validation_split > 0)
        validation: Any = None
        if validation_data is not None:
            given = validation_data
            pair: Any = given if isinstance(given, (tuple, list)) else (given, None)
            if len(pair) != 2:
                raise ValueError(
                    f"fit: validation_data must be (x, y) or a loader, got {len(pair)}"
                )
            x, y = pair
            validation = batches.batches_of(x, y, batch_size, False, "validation_data")
            check_data("validation ", validation, self.model, self.loss, self.metrics)
        names = ["loss", *[m.name for m in self.metrics]]
        self.quantities = names + [f"val_{name}" for name in names if validation is not None]
        try:
            with (
                self._ranks.training(self.model, self.metrics, source, validation),
                modes_restored(self.model),
                interrupts_deferred() as interrupted,
            ):
                self._fitting = True
                self._begin(source, called)
                check_interrupt = self._ranks.interrupts(interrupted)
                self.model.train()
                for callback in self._callbacks:
                    callback.on_train_begin()
                self._show_to_callbacks()  # if the run was saved while they looked at an epoch
                while self.epoch < epochs and not self.stop_training:
                    self._begin_epoch(epochs, shown)
                    self._train(shown, check_interrupt)
                    logs = self._ranks.logs(self._running)
                    if validation is not None:
                        judged = self._judge(validation, self.metrics, check_interrupt, self._ranks)
                        logs |= {f"val_{name}": value for name, value in judged.items()}
                    self._inside = False
                    self.epoch += 1
                    self._ending = {"logs": logs, "done": 0}
                    self._show_to_callbacks()
                    self.stop_training = not self._ranks.every(not self.stop_training)
                    shown.end(logs)
        except KeyboardInterrupt:
            self.interrupted = True
            if self._inside:
                self._gather()
        except Diverged as error:
            if not self._ends_on_nan:
                raise
            self.stop_training = True
            shown.close()
            shown.say(f"Training ended: {error}")
        finally:
            self._fitting = False
            self._ranks.end_steps()
            shown.close()
            for callback in self._callbacks:
                callback.on_train_end()
        self._tell_the_best(shown)
        if self.interrupted:
            shown.say(
                f"Interrupted in epoch {self.epoch + 1}/{epochs}. The history is kept; "
                f"trainer.save_checkpoint(path) keeps the run, to be continued bit for bit."
            )
        return self.history

    def _weigh(self, source: Any, class_weight: Any, sample_weight: Any, split: bool) -> Any:
        """Note the weights of classes; the source, with the weights of its samples if there are."""
        self._weighing = None
        if class_weight is None and sample_weight is None:
            return source
        dataset = source.dataset if isinstance(source, DataLoader) else None
        arrays = dataset.arrays if isinstance(dataset, ArrayDataset) else None
        self._weighing = Weighing(self.loss, class_weight, None if arrays is None else arrays[-1])
        if sample_weight is None:
            return source
        if arrays is None or source.collate_fn is not None or source.transform is not None:
            raise ValueError(
                "fit: sample_weight goes with arrays; beside a loader draw samples by their "
                "weight: DataLoader(..., sampler=mg.data.WeightedRandomSampler(weights, n))"
            )
        weights = checked_sample_weight(sample_weight, len(arrays[0]), split)
        self._weighing.of_samples = True
        weighted = copy.copy(source)
        weighted.dataset = ArrayDataset(*arrays, weights)
        return weighted

    def _tell_the_best(self, shown: Progress) -> None:
        """Say which epoch was the best, by what early stopping or else the loss goes by."""
        name = next(
            (c.monitor for c in self._callbacks if isinstance(c, EarlyStopping)),
            "val_loss" if "val_loss" in self.history.history else "loss",
        )
        values = np.asarray(self.history.history.get(name, ()))
        if len(values) < 2 or values.ndim != 1 or not np.isfinite(values).any():
            return
        best = int(np.nanargmin(values) if best_is_smaller(name) else np.nanargmax(values))
        logs = {n: v[best] for n, v in self.history.history.items() if len(v) == len(values)}
        shown.say(f"Best of {len(values)} epochs: {best + 1}  {'  '.join(shown_values(logs))}")

    def _begin(self, source: Any, callbacks: list[Callback]) -> None:
        """Set up a new run, or continue the one that was loaded."""
        # A checkpoint holds the state of all callbacks, so it is written after the others ran.
        callbacks = sorted(callbacks, key=lambda callback: isinstance(callback, ModelCheckpoint))
        pending, self._pending = self._pending, None
        self._source, self._callbacks = source, callbacks
        self._total = len(source) if hasattr(source, "__len__") else None
        self._ends_on_nan = any(isinstance(callback, TerminateOnNaN) for callback in callbacks)
        self.resumed = pending is not None
        self.stop_training = self.interrupted = False
        if pending is None:
            self.epoch, self.history = 0, History()
            self._inside = self._trained = False
            self._ending = None
        for callback in (self.history, *callbacks):
            callback.trainer = self
        self._gathered = self._full = 0
        if pending is not None:
            gathered = pending.get("gathered")
            if gathered is not None:
                self._gathered, self._full = gathered["samples"], gathered["full"]
                for p, g in zip(self._optimized(), gathered["gradients"], strict=True):
                    p.grad = None if g is None else as_tensor(g)
            self._restore_callbacks(pending["callbacks"])
            if pending["loader"] is not None and isinstance(source, DataLoader):
                source.load_state_dict(pending["loader"])
            self.stop_training = pending["stop_training"]
            # Again, as the checks before the first step may have drawn numbers.
            self._restore_generators(pending)

    def _begin_epoch(self, epochs: int, shown: Progress) -> None:
        if not self._inside:
            for callback in self._callbacks:
                callback.on_epoch_begin(self.epoch)
            self._running.reset()
            self._inside, self._trained = True, False
        shown.begin(self.epoch, epochs, self._total, self._running.batches)

    def _train(self, shown: Progress, check_interrupt: Callable[[], None]) -> None:
        """The steps of an epoch, or those that a resumed run still has to take."""
        if self._trained:
            return
        running, ranks = self._running, self._ranks
        self._dtype = float_dtype(self.model)
        # The smaller one of the first two parameters: a NaN on its way back comes to all of them.
        self._bias = min(self._optimized()[:2], key=lambda p: p.size)
        own = _own_generators(self.model)
        for batch in ranks.steps(self._source, running.batches, self.epoch, own):
            self._add_gradients(batch, running.batches + 1 == self._total)
            if self.stepped:
                self._step()
            for callback in self._callbacks:
                callback.on_batch_end(running.batches - 1)
            shown.step(running.batches - 1, running.logs)
            check_interrupt()
        if running.batches == 0:
            raise ValueError(
                f"fit: epoch {self.epoch + 1} had no batch; an iterator is used up after one "
                f"epoch, pass a DataLoader or another collection of batches"
            )
        if self._gathered:
            ranks.send()
            self._step()
        self._trained = True

    def _add_gradients(self, batch: Any, last: bool) -> None:
        """Add the gradients of a batch to those since the last step, and its loss and metrics.

        ``last``: of the epoch. Afterwards ``stepped`` tells whether a step is due.
        """
        before = default_generator().bit_generator.state
        if not len(batch[-1]):
            self._take_part(batch, last)
            return
        inputs, output, target, loss = self._forward(batch, self._dtype, self._weighing)
        explain = functools.partial(self._explained, before, inputs, target)
        value = loss._data.item()
        self._check_loss(value, explain)
        factor = self._begin_pass(len(target), last)
        with self._ranks.passing(len(target), self.stepped):
            (loss if factor == 1.0 else loss * factor).backward()
        self._check_gradient(explain)
        self._running.update(value, output._data, target._data)

    def _take_part(self, batch: Any, last: bool) -> None:
        """Do what a step asks of a process for which there are no samples, but for others.

        Each exchange has its turn between the same two as in a process that has samples.
        """
        loss = self._ranks.forward_without_samples(
            lambda: self._forward(batch, self._dtype, self._weighing)[-1]
        )
        self._check_loss(0.0, lambda what: "")
        self._begin_pass(0, last)
        with self._ranks.passing(0, self.stepped):
            self._ranks.backward_without_samples(loss)
        self._check_gradient(lambda what: "")
        self._running.batches += 1

    def _forward(
        self, batch: Any, dtype: Any, weighing: Weighing | None = None
    ) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """The inputs, outputs and targets of a batch, and its loss."""
        weights = None
        if weighing is not None and weighing.of_samples:
            *batch, weights = batch
        inputs, y = batches.parts_of(batch, dtype)
        output = self.model(*inputs)
        target = Tensor(self.loss.target(y, output.shape, output.dtype))
        if weighing is not None:
            return inputs, output, target, weighing(output, target, weights)
        return inputs, output, target, self.loss.function(output, target)

    def _begin_pass(self, samples: int, last: bool) -> float:
        """Forget the gradients of the last step, if there was one; the factor of this batch's loss.

        With it the gradients of several batches add up to their mean. ``last``: of the epoch.
        """
        if not self._gathered:
            self.optimizer.zero_grad()
        factor = 1.0
        if self.accumulate > 1:
            samples = self._ranks.counted(samples)
            if not self._gathered:
                self._full = samples * self.accumulate
            self._gathered += samples
            factor = samples / self._full
        self.stepped = self._gathered >= self._full or last
        return factor

    def _step(self) -> None:
        """One step of the optimizer, with clipped gradients."""
        if self._gathered != self._full:  # the last batches of an epoch were fewer, or smaller
            for p in self._optimized():
                if p.grad is not None:
                    p.grad = Tensor(p.grad._data * (self._full / self._gathered))
        self._gathered = self._full = 0
        if self.clip_norm is not None:
            clip_grad_norm_(self._optimized(), self.clip_norm)
        if self.clip_value is not None:
            clip_grad_value_(self._optimized(), self.clip_value)
        self.optimizer.step()

    def _optimized(self) -> list[Tensor]:
        """The parameters of the optimizer."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _show_to_callbacks(self) -> None:
        """Show the values of the ending epoch to the callbacks that have not seen them.

        The history notes what each of them adds at once, and :meth:`state_dict`, called by a
        callback, tells which of them are left.
        """
        if self._ending is None:
            return
        ending, epoch = self._ending, self.epoch - 1
        self.history.on_epoch_end(epoch, ending["logs"])
        for callback in self._callbacks[ending["done"] :]:
            ending["done"] += 1
            callback.on_epoch_end(epoch, ending["logs"])
            self.history.on_epoch_end(epoch, ending["logs"])
        self._ending = None

    def epochs_seen_by(self, callback: Callback) -> int:
        """How many epochs this callback has seen the end of; for callbacks, in on_train_begin."""
        waits = self._ending is not None and callback in self._callbacks[self._ending["done"] :]
        return self.epoch - waits

    @property
    def writes(self) -> bool:
        """Whether this process writes files: of several that train together, the first does."""
        return self._ranks.first

    def logs(self) -> Logs:
        """The loss and metrics of the running epoch so far."""
        return self._running.logs()

    def _check_loss(self, value: float, explain: Callable[[str], str]) -> None:
        """Raise FloatingPointError for a loss that is not finite.

        Where training goes on afterwards, all processes must know; else the error ends them.
        """
        finite = math.isfinite(value)
        ranks = self._ranks if self._ends_on_nan else ALONE
        if not ranks.every(finite):
            raise Diverged(ranks.first_told("" if finite else explain(f"the loss ({value})")))

    def _check_gradient(self, explain: Callable[[str], str]) -> None:
        """Raise FloatingPointError if the gradient is not finite, and a value that made it so.

        Before a step all processes have the same gradient, so all of them come here.
        """
        g = self._bias.grad if self.stepped or not self._ranks.several else None
        if g is not None and not math.isfinite(np.add.reduce(g._data, axis=None)):
            text = self._ranks.first_told(explain("the gradient"))
            if text:
                raise Diverged(text)

    def _explained(self, before: Any, inputs: list[Tensor], target: Tensor, what: str) -> str:
        """What is not finite, and the operator that made the first such value.

        "" if a gradient looked wrong and no such value is found. ``before``: the state of the
        random generator before the step, which is run again.
        """
        parameters = self._optimized()
        gradients = [p.grad for p in parameters]
        for p in parameters:
            p.grad = None  # or what is computed again would be added, and might overflow
        default_generator().bit_generator.state = before
        with self._ranks.apart():
            cause = cause_of_divergence(
                self.model, lambda: self.loss.function(self.model(*inputs), target).backward()
            )
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = g
        if not cause and what == "the gradient":
            return ""
        given = [described("x", x._data) for x in inputs] + [described("y", target._data)]
        if not cause:
            finite = all(is_finite(one._data) for one in [*inputs, target])
            cause = WITHOUT_CAUSE if finite else "it holds NaN or infinite numbers"
        rates = ", ".join(f"{group['lr']:.3g}" for group in self.optimizer.param_groups)
        return (
            f"{what} is not finite in epoch {self.epoch + 1}, step {self._running.batches + 1}, "
            f"with the batch {', '.join(given)}: {cause}\n"
            f"Often a lower learning rate (now {rates}) or clipped gradients help. "
            f"trainer.history holds the epochs before."
        )

    @checked(batch_size="[1, inf)", start="(0, inf)", end="(0, inf)", steps="[3, 1000000]")
    def lr_find(
        self,
        x: Any,
        y: Any = None,
        *,
        batch_size: int = 32,
        start: float = 1e-6,
        end: float = 1.0,
        steps: int = 100,
    ) -> LearningRates:
        """Look for a learning rate: train for some steps while it grows from start to end.

        The search ends early where the loss rises to several times its least value. Afterwards the
        model, the optimizer and all random numbers are as before. Returns the rates, the smoothed
        losses, a ``suggestion`` (where the loss falls fastest) and ``plot()``; set the rate with
        ``trainer.optimizer.param_groups[0]["lr"] = found.suggestion``. Arguments and errors as in
        :meth:`fit`; ValueError also for ``end`` below ``start``, and for a loss that is not finite
        from the beginning.

        L. N. Smith, Cyclical learning rates for training neural networks, 2017, section 3.3.
        """
        if end <= start:
            raise ValueError(f"lr_find: end must be above start={start:g}, got {end:g}")
        source = batches.batches_of(x, y, batch_size, True, "lr_find")
        check_data("", source, self.model, self.loss, self.metrics)
        dtype = float_dtype(self.model)
        place = source.state_dict() if isinstance(source, DataLoader) else None
        before, attributes = self.state_dict(), dict(vars(self))

        def step(batch: Any) -> float:
            loss = self._forward(batch, dtype)[-1]
            self.optimizer.zero_grad()
            loss.backward()
            self._step()
            return float(loss.item())

        try:
            with modes_restored(self.model), self._ranks.apart():
                self.model.train()
                self._gathered = self._full = 0
                return search(step, source, self.optimizer.param_groups, start, end, steps)
        finally:
            self._take(before)
            vars(self).update(attributes)
            if place is not None:
                source.load_state_dict(place)

    # -- evaluating and predicting -----------------------------------------------------------------

    @checked(batch_size="[1, inf)")
    def evaluate(self, x: Any, y: Any = None, *, batch_size: int = 32) -> Logs:
        """The loss and each metric over all samples, as a dict: ``{"loss": ..., "accuracy": ...}``.

        The model is run in evaluation mode, without a graph. Arguments and errors as in
        :meth:`fit`.
        """
        source = batches.batches_of(x, y, batch_size, False, "evaluate")
        check_data("", source, self.model, self.loss, self.metrics)
        return self._judge(source, self.metrics)

    @checked(batch_size="[1, inf)")
    def predict(self, x: Any, *, batch_size: int = 32) -> Array:
        """The model's outputs (N, ...) for all samples, as an ndarray.

        ``x``: an array, a tuple of arrays, or an iterable of batches (in a batch of several parts
        the last is the target, which is not used). In evaluation mode, without a graph. Raises
        ValueError for empty data.
        """
        source = batches.batches_of(x, None, batch_size, False, "predict", targets=False)
        dtype = float_dtype(self.model)
        arrays = isinstance(source, DataLoader) and source is not x
        outputs: list[Array] = []
        with evaluating(self.model):
            for batch in source:
                parts: Any = batch if isinstance(batch, (tuple, list)) else (batch,)
                if not arrays:
                    parts = parts[:-1] or parts
                inputs = [batches.model_input(one, dtype) for one in parts]
                outputs.append(one_tensor(self.model(*inputs))._data)
        if not outputs:
            raise ValueError("predict: there is no batch to predict for")
        return np.concatenate(outputs)

    @checked(batch_size="[1, inf)")
    def score(self, x: Any, y: Any = None, *, batch_size: int = 32) -> float:
        """The accuracy over all samples, whatever the trainer's metrics are.

        Raises ValueError if the loss is one for numbers rather than classes: use :meth:`evaluate`.
        """
        if self.loss.kind is REGRESSION:
            raise ValueError(
                f"score is the accuracy of a classifier; with loss {self.loss.name} use "
                f"evaluate, and metrics=('mae',)"
            )
        given = (m for m in self.metrics if isinstance(m, Accuracy))
        metric = next(given, Accuracy(self.loss.threshold))
        source = batches.batches_of(x, y, batch_size, False, "score")
        check_data("", source, self.model, self.loss, self.metrics)
        return float(self._judge(source, [metric])[metric.name])

    def _judge(
        self,
        source: Any,
        metrics: Sequence[Metric],
        check_interrupt: Callable[[], None] = lambda: None,
        ranks: Alone = ALONE,
    ) -> Logs:
        """The loss and metrics over a source; ``ranks``: who share it."""
        running = RunningMeans(copy.deepcopy(list(metrics)))
        dtype = float_dtype(self.model)
        with evaluating(self.model):
            for batch in ranks.batches(source):
                if len(batch[-1]):
                    _, output, target, loss = self._forward(batch, dtype)
                    running.update(loss._data.item(), output._data, target._data)
                check_interrupt()
        return ranks.logs(running)

    # -- saving and resuming -----------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to continue bit for bit, also from the middle of an epoch.

        The model, the optimizer, the history, callbacks, the random generator, the order of the
        data, and the running sums of loss and metrics.
        """
        if self._ending is not None:  # what the calling callback has added so far
            self.history.on_epoch_end(self.epoch - 1, self._ending["logs"])
        gathered = None  # the gradients of the batches since the last step
        if self._gathered:
            found = [p.grad for p in self._optimized()]
            gradients = [None if g is None else g._data.copy() for g in found]
            gathered = {"samples": self._gathered, "full": self._full, "gradients": gradients}
        loader = self._source
        return {
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "inside": self._inside,
            "trained": self._trained,
            "stop_training": self.stop_training,
            "running": self._running.state_dict(),
            "gathered": gathered,
            "history": self.history.state_dict(),
            "callbacks": [[type(c).__name__, c.state_dict()] for c in self._callbacks],
            "ending": self._ending and {**self._ending, "logs": dict(self._ending["logs"])},
            "loader": loader.state_dict() if isinstance(loader, DataLoader) else None,
            "generator": self._ranks.generator_state(),
            "own_generators": {
                name: one.bit_generator.state for name, one in _own_generators(self.model).items()
            },
        }

    @checked()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of another trainer; the next :meth:`fit` continues its run.

        Raises ValueError if the state does not fit this model or optimizer, and then changes
        nothing.
        """
        before, attributes = self.state_dict(), dict(vars(self))
        known = [name for name in before if name not in ("ending", "gathered")]  # later entries
        entries("Trainer.load_state_dict", state, *known)
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
        self._ranks.keep(self._running)
        self.history = History()
        self.history.load_state_dict(state["history"])
        ending = state.get("ending")
        self._ending = ending and {**ending, "logs": dict(ending["logs"])}
        self.history.noted = set(ending["logs"]) if ending else set()
        self._restore_generators(state)
        self._pending = state

    @checked()
    def save_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`state_dict` to a file, atomically. See ``mg.save_checkpoint``.

        In distributed training all processes call it, and the first one writes.
        """
        if self._inside and self._fitting:
            self._gather()
        if self._ranks.first:
            save_checkpoint(path, **self.state_dict())
        else:
            note(path)

    def _gather(self) -> None:
        """Bring what the processes have summed in this epoch into the first one."""
        if self._gathered:
            self._ranks.send()
        self._ranks.gather(self._running)

    @checked()
    def load_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Read a file of :meth:`save_checkpoint`; the next :meth:`fit` continues that run.

        Give fit the same arguments as before, with ``epochs`` the total number. Raises
        FileNotFoundError, and ValueError for a file that is damaged or does not fit.
        """
        self.load_state_dict(self._ranks.read(lambda: load_checkpoint(path)))

    def _restore_generators(self, state: dict[str, Any]) -> None:
        default_generator().bit_generator.state = state["generator"]
        own = _own_generators(self.model)
        for name, saved in state["own_generators"].items():
            if name not in own:
                raise ValueError(f"Trainer: {name} had a random generator, and has none now")
            own[name].bit_generator.state = saved

    def _restore_callbacks(self, saved: list[Any]) -> None:
        """Pass the saved states to the callbacks of the same classes, in order."""
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


def _own_generators(model: Module) -> dict[str, np.random.Generator]:
    """The random generators that modules hold, e.g. dropout layers, by path and attribute."""
    return {
        f"{path}.{name}": value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, np.random.Generator)
    }
