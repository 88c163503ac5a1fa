"""Callbacks: code that runs between the steps and epochs of ``Trainer.fit``, with Keras's names."""

from __future__ import annotations

import contextlib
import copy
import csv
import inspect
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from minigrad.engine.printable import shown_settings
from minigrad.engine.settings import checked
from minigrad.io.file_system import checked_suffix, checked_target
from minigrad.io.tensors import save
from minigrad.lazy import extra
from minigrad.nn.module import Module
from minigrad.training.metrics import best_is_smaller

if TYPE_CHECKING:
    from minigrad.training.trainer import Trainer


class Callback:
    """Base of callbacks; override what you need. ``self.trainer`` and ``self.model`` are set.

    ``logs`` holds the loss and metrics of the epoch; what a callback adds to it stands in the
    history. ``self.trainer.stop_training = True`` ends training after the epoch.

    >>> class Warmer(Callback):
    ...     def on_epoch_begin(self, epoch):
    ...         self.trainer.optimizer.param_groups[0]["lr"] *= 1.1
    """

    trainer: Trainer
    #: The attributes that a resumed run needs to know.
    _kept: ClassVar[tuple[str, ...]] = ()

    @property
    def model(self) -> Module:
        """The model that is trained."""
        return self.trainer.model

    def __repr__(self) -> str:
        return shown_settings(self)

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch; the first is 0."""

    def on_batch_end(self, batch: int) -> None:
        """After a step; the first of an epoch is 0. ``self.trainer.logs()`` has the values."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """After an epoch and its validation."""

    def on_train_end(self) -> None:
        """After the last epoch, also when training was interrupted or failed."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to know of this callback."""
        return {name: copy.copy(getattr(self, name)) for name in self._kept}

    @checked()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        for name in self._kept:
            setattr(self, name, state.get(name, getattr(self, name)))


class _Monitor(Callback):
    """A callback that follows one quantity and knows its best value so far."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        self.monitor = monitor
        self.smaller = mode == "min" or (mode == "auto" and best_is_smaller(monitor))
        self.min_delta = abs(min_delta)
        self._forget()

    def _forget(self) -> None:
        """Start a new run: any first value is the best so far."""
        self.best = math.inf if self.smaller else -math.inf

    def on_train_begin(self) -> None:
        """Forget earlier runs, unless this one is resumed.

        Raises ValueError for a quantity that this training does not have.
        """
        if not self.trainer.resumed:
            self._forget()
        self._check_monitor()

    def _check_monitor(self) -> None:
        known = self.trainer.quantities
        if self.monitor not in known:
            hint = (
                "; pass validation_data= or validation_split= to fit"
                if self.monitor.startswith("val_") and self.monitor[4:] in known
                else ""
            )
            raise ValueError(
                f"{type(self).__name__}: there is no {self.monitor!r} to monitor, only "
                f"{', '.join(known)}{hint}"
            )

    def improves(self, value: Any) -> bool:
        """Whether this is better than the best so far by more than ``min_delta``."""
        if np.ndim(value):
            raise ValueError(f"{type(self).__name__}: {self.monitor} is not a single number")
        return self._beats(value, self.best, self.min_delta)

    def _beats(self, value: Any, other: float, by: float = 0.0) -> bool:
        return bool(value < other - by if self.smaller else value > other + by)


class EarlyStopping(_Monitor):
    """Stop when a quantity has not improved for ``patience`` epochs, as in Keras.

    ``min_delta``: a smaller change does not count. ``mode``: "min", "max" or "auto" (by the name).
    ``baseline``: a value to beat. ``start_from_epoch``: how many epochs to ignore first.
    ``restore_best_weights``: when training ends (not when it is interrupted, so that it can be
    resumed), give the model the state it had after its best epoch.

    Afterwards ``stopped_epoch`` is the last epoch, and ``best_epoch`` the best one.

    Raises ValueError for an unknown mode, negative patience, and in ``fit`` for a quantity that
    this training does not have.

    >>> x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    >>> trainer = mg.Trainer(nn.Linear(2, 1), optim.SGD(lr=0.0), loss="mse")
    >>> len(trainer.fit(x, y, epochs=9, verbose=0, callbacks=[EarlyStopping("loss", patience=2)]))
    3
    """

    _kept = ("best", "wait", "best_epoch", "stopped_epoch", "best_weights")

    @checked(min_delta="[0, inf)", patience="[0, inf)", start_from_epoch="[0, inf)")
    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: Literal["auto", "min", "max"] = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch

    def _forget(self) -> None:
        super()._forget()
        self.wait = 0
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self.best_weights: dict[str, Any] | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Compare with the best epoch; stop after ``patience`` epochs without improvement."""
        if epoch < self.start_from_epoch:
            return
        value = logs[self.monitor]
        self.wait += 1
        if self.improves(value):
            self.best, self.best_epoch = float(value), epoch
            if self.restore_best_weights:
                self.best_weights = dict(self.model.state_dict())
            if self.baseline is None or self._beats(value, self.baseline):
                self.wait = 0
        elif self.wait >= max(self.patience, 1):
            self.stopped_epoch = epoch
            self.trainer.stop_training = True

    def on_train_end(self) -> None:
        """Restore the best weights of the model."""
        if self.best_weights is not None and not self.trainer.interrupted:
            self.model.load_state_dict(self.best_weights)


class ModelCheckpoint(_Monitor):
    """Write the run (or the weights alone) to a file after each epoch, atomically.

    ``path`` may hold the epoch and quantities: ``"run-{epoch:02d}-{val_loss:.3f}.safetensors"``,
    with the first epoch as 1. ``save_best_only``: only when ``monitor`` has improved.
    ``save_weights_only``: a file for ``mg.load``; else one for ``trainer.load_checkpoint``, from
    which the run goes on bit for bit.

    Raises ValueError for an unknown mode and for the suffix of another format. What else would
    fail is found in ``fit`` before the first step: FileNotFoundError for a folder that is not
    there, ValueError, with ``save_best_only``, for a quantity that this training does not have.

    >>> import tempfile, os
    >>> folder = tempfile.mkdtemp()
    >>> each = ModelCheckpoint(os.path.join(folder, "run-{epoch}.safetensors"))
    >>> x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    >>> trainer = mg.Trainer(nn.Linear(2, 1), loss="mse")
    >>> history = trainer.fit(x, y, epochs=2, verbose=0, callbacks=[each])
    >>> sorted(os.listdir(folder))
    ['run-1.safetensors', 'run-2.safetensors']
    """

    _kept = ("best",)

    @checked()
    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: Literal["auto", "min", "max"] = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        self.path = os.fspath(path)
        checked_suffix(Path(self.path), "safetensors", "ModelCheckpoint")
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only

    def _check_monitor(self) -> None:
        if self.save_best_only:
            super()._check_monitor()

    def on_train_begin(self) -> None:
        """Forget earlier runs, unless this one is resumed, and check that the file can be made."""
        super().on_train_begin()
        # A name that depends on what another callback adds is known only later.
        with contextlib.suppress(KeyError):
            values = dict.fromkeys(self.trainer.quantities, 0.0)
            checked_target(self.path.format(epoch=1, **values), "ModelCheckpoint")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Write the file."""
        if self.save_best_only:
            if not self.improves(logs[self.monitor]):
                return
            self.best = float(logs[self.monitor])
        path = self.path.format(epoch=epoch + 1, **logs)
        if self.save_weights_only and self.trainer.writes:
            save(self.model.state_dict(), path)
        elif not self.save_weights_only:
            self.trainer.save_checkpoint(path)

    def state_dict(self) -> dict[str, Any]:
        """The best value so far."""
        return super().state_dict() if self.save_best_only else {}


class LearningRateScheduler(Callback):
    """Set the learning rate by a function, or by a schedule of ``optim.lr_scheduler``.

    ``schedule``: ``f(epoch)`` or ``f(epoch, lr)``, asked before each epoch; or an object with
    ``step()``, which is called after each epoch (``every="batch"``: after each step), with the
    value of ``monitor`` if that is given, which ReduceLROnPlateau needs. The history gets the
    learning rate of each epoch as ``lr``.

    Raises TypeError for anything else, and in ``fit`` ValueError for a negative rate or the
    schedule of another optimizer.

    >>> x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    >>> halve = LearningRateScheduler(lambda epoch: 0.1 * 0.5**epoch)
    >>> trainer = mg.Trainer(nn.Linear(2, 1), "sgd", loss="mse")
    >>> trainer.fit(x, y, epochs=3, verbose=0, callbacks=[halve]).history["lr"]
    [0.1, 0.05, 0.025]
    """

    @checked()
    def __init__(
        self,
        schedule: Any,
        monitor: str | None = None,
        every: Literal["epoch", "batch"] = "epoch",
    ) -> None:
        self.steps: bool = hasattr(schedule, "step")
        if not self.steps and not callable(schedule):
            raise TypeError(
                f"LearningRateScheduler: expected a function of the epoch or a schedule with "
                f"step(), got {type(schedule).__name__}"
            )
        self.schedule: Any = schedule
        self.monitor = monitor
        self.every = every
        self.lr = 0.0  # that of the running epoch

    def on_train_begin(self) -> None:
        """Check that the schedule belongs to this training."""
        optimizer = getattr(self.schedule, "optimizer", None)
        if optimizer is not None and optimizer is not self.trainer.optimizer:
            raise ValueError(
                "LearningRateScheduler: the schedule changes another optimizer than the trainer's; "
                "make it with trainer.optimizer"
            )

    def on_epoch_begin(self, epoch: int) -> None:
        """Ask the function for the learning rate."""
        if not self.steps:
            for group in self.trainer.optimizer.param_groups:
                group["lr"] = _learning_rate(self.schedule, epoch, group["lr"])
        self.lr = float(self.trainer.optimizer.param_groups[0]["lr"])

    def on_batch_end(self, batch: int) -> None:
        """Step a schedule that counts batches."""
        if self.steps and self.every == "batch" and self.trainer.stepped:
            self.schedule.step()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Note the learning rate; step a schedule that counts epochs."""
        logs["lr"] = self.lr
        if self.steps and self.every == "epoch":
            if self.monitor is None:
                self.schedule.step()
            else:
                self.schedule.step(logs[self.monitor])

    def state_dict(self) -> dict[str, Any]:
        """The learning rate of the epoch, and the state of the schedule if it has one."""
        return {"lr": self.lr, "schedule": self.schedule.state_dict() if self.steps else None}

    @checked()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the learning rate and the schedule."""
        self.lr = state["lr"]
        if self.steps:
            self.schedule.load_state_dict(state["schedule"])


class CSVLogger(Callback):
    """Write a row with every single-number quantity after each epoch, the first epoch as 0.

    The file of a resumed run has the rows of its earlier epochs too.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "run.csv")
    >>> x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    >>> trainer = mg.Trainer(nn.Linear(2, 1), loss="mse")
    >>> history = trainer.fit(x, y, epochs=2, verbose=0, callbacks=[CSVLogger(path)])
    >>> path.read_text().splitlines()[0]
    'epoch,loss'
    """

    @checked()
    def __init__(self, path: str | os.PathLike[str], separator: str = ",") -> None:
        self.path = Path(path)
        self.separator = separator

    def on_train_begin(self) -> None:
        """Begin the file, with the earlier epochs of a resumed run."""
        self.columns: list[str] = []
        if not self.trainer.writes:
            return
        self.path.write_text("", encoding="utf-8")
        earlier = self.trainer.history.history
        for epoch in range(self.trainer.epochs_seen_by(self)):
            self.on_epoch_end(epoch, {name: values[epoch] for name, values in earlier.items()})

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Write a row."""
        if not self.trainer.writes:
            return
        first = not self.columns
        self.columns = self.columns or [name for name, v in logs.items() if np.ndim(v) == 0]
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
            if first:
                writer.writerow(["epoch", *self.columns])
            writer.writerow([epoch, *[logs.get(name, "") for name in self.columns]])


class LambdaCallback(Callback):
    """A callback made of functions, which take what the methods of :class:`Callback` take.

    >>> x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    >>> tell = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, sorted(logs)))
    >>> _ = mg.Trainer(nn.Linear(2, 1), loss="mse").fit(x, y, verbose=0, callbacks=[tell])
    0 ['loss']
    """

    @checked()
    def __init__(
        self,
        on_train_begin: Callable[[], Any] | None = None,
        on_epoch_begin: Callable[[int], Any] | None = None,
        on_batch_end: Callable[[int], Any] | None = None,
        on_epoch_end: Callable[[int, dict[str, Any]], Any] | None = None,
        on_train_end: Callable[[], Any] | None = None,
    ) -> None:
        given = {
            "on_train_begin": on_train_begin, "on_epoch_begin": on_epoch_begin,
            "on_batch_end": on_batch_end, "on_epoch_end": on_epoch_end,
            "on_train_end": on_train_end,
        }  # fmt: skip
        vars(self).update({name: function for name, function in given.items() if function})

    def __repr__(self) -> str:
        given = [f"{name}=..." for name in vars(self) if name.startswith("on_")]
        return f"LambdaCallback({', '.join(given)})"


class TerminateOnNaN(Callback):
    """End training when the loss or a gradient is not finite, instead of raising.

    The parameters are those before that step, the history has the epochs before, and what made
    the first such value is printed unless ``verbose=0``.

    >>> x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    >>> trainer = mg.Trainer(nn.Linear(2, 1), loss=lambda output, target: output.sum() * math.nan)
    >>> len(trainer.fit(x, y, epochs=9, verbose=0, callbacks=[TerminateOnNaN()]))
    0
    """


class TensorBoard(Callback):
    """Write the values of each epoch for TensorBoard, which shows training beside validation.

    ``log_dir``: a folder, one for each run; ``tensorboard --logdir runs`` shows those below
    ``runs``. Needs tensorboardX (``minigrad[tensorboard]``); ``fit`` raises ImportError without it.

    >>> TensorBoard("runs/first")
    TensorBoard(log_dir='runs/first')
    """

    @checked()
    def __init__(self, log_dir: str | os.PathLike[str] = "runs") -> None:
        self.log_dir = os.fspath(log_dir)
        self._writer: Any = None

    def on_train_begin(self) -> None:
        """Open a file; what an interrupted run wrote of later epochs is hidden."""
        if not self.trainer.writes:
            return
        package = extra("tensorboardX", "tensorboard", "TensorBoard")
        done = self.trainer.epochs_seen_by(self)
        self._writer = package.SummaryWriter(self.log_dir, purge_step=done + 1 if done else None)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Write the single numbers."""
        if self._writer is None:
            return
        for name, value in logs.items():
            if np.ndim(value) == 0:
                part = "validation" if name.startswith("val_") else "training"
                tag = f"{name.removeprefix('val_')}/{part}" if name != "lr" else name
                self._writer.add_scalar(tag, float(value), epoch + 1)
        self._writer.flush()

    def on_train_end(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


def _learning_rate(schedule: Callable[..., Any], epoch: int, lr: float) -> float:
    """The learning rate from a function that takes (epoch) or (epoch, lr)."""
    takes = inspect.signature(schedule).parameters.values()
    positional = [p for p in takes if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = any(p.kind is p.VAR_POSITIONAL for p in takes)
    rate = schedule(epoch, lr) if len(positional) > 1 or rest else schedule(epoch)
    if not isinstance(rate, (int, float, np.floating, np.integer)) or not 0 <= rate < math.inf:
        raise ValueError(
            f"LearningRateScheduler: the function gave {rate!r} for epoch {epoch}, "
            f"expected a learning rate of at least 0"
        )
    return float(rate)
