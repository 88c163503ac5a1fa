"""Learning-rate schedules: call ``schedule.step()`` after each epoch (or batch).

Each gives the same rates as PyTorch's schedule of the same name. Most multiply the current learning
rate by a factor, as PyTorch's do, so that several schedules can act on one optimizer.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import numpy as np

from minigrad.engine.printable import shown_settings
from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor
from minigrad.lazy import listed
from minigrad.optim.optimizer import Group, Optimizer

__all__ = [
    "LRScheduler", "LambdaLR", "StepLR", "MultiStepLR", "ExponentialLR", "LinearLR",
    "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "OneCycleLR", "ReduceLROnPlateau",
    "SequentialLR",
]  # fmt: skip

__dir__ = listed(__name__)


class LRScheduler:
    """Base of the schedules: a subclass gives the learning rate of each group in ``get_lr``.

    ``last_epoch``: -1 to start; to continue without a saved state, the number of steps done (the
    optimizer's groups must then hold ``initial_lr``, as they do in its ``state_dict``).

    Raises TypeError if not given an Optimizer, ValueError for ``last_epoch`` below -1 or without
    ``initial_lr`` in the groups.

    >>> class Linear(LRScheduler):
    ...     def get_lr(self):
    ...         return [lr * (1 - self.last_epoch / 10) for lr in self.base_lrs]
    >>> schedule = Linear(optim.SGD([tensor([1.0], requires_grad=True)], lr=0.5))
    >>> schedule.get_last_lr()
    [0.5]
    """

    @checked(last_epoch="[-1, inf)")
    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        self.last_epoch = last_epoch
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(
                    f"{type(self).__name__}: last_epoch={last_epoch} continues a run, but group "
                    f"{i} has no 'initial_lr'; load the optimizer's state first, or start at -1"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self._start()

    def __repr__(self) -> str:
        rates = ", ".join(f"{lr:.4g}" for lr in self.get_last_lr())
        return shown_settings(self, f"lr={rates}")

    def get_lr(self) -> list[float]:
        """The learning rate of each group at step ``last_epoch``: the last one times a factor."""
        factor = self._factor(self.last_epoch)
        return [group["lr"] * factor for group in self._groups]

    def _factor(self, t: int) -> float:
        """How many times the learning rate of step t - 1 that of step t is."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """The learning rate that the schedule set last, for each group."""
        return list(self._last_lr)

    def step(self) -> None:
        """Set the learning rates for the next epoch (or batch)."""
        self._warn_if_early()
        self._advance()

    def _warn_if_early(self) -> None:
        if self.last_epoch == 0 and not self.optimizer.steps:
            warnings.warn(
                f"{type(self).__name__}: step() before the optimizer's first step skips the first "
                f"learning rate; call optimizer.step() first",
                UserWarning,
                stacklevel=3,
            )

    def _start(self) -> None:
        """Make the step before the first epoch, which ``_first`` tells from the others."""
        self._first = True
        self._advance()
        self._first = False

    def _advance(self) -> None:
        self.last_epoch += 1
        rates = self.get_lr()
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = rates

    def _per_group(self, name: str, value: Any) -> list[Any]:
        """One value for each group, from one value for all or a list."""
        groups = len(self._groups)
        values: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value] * groups
        if len(values) != groups:
            raise ValueError(
                f"{type(self).__name__}: {name} has {len(values)} values, the optimizer "
                f"{groups} parameter groups"
            )
        return values

    @property
    def _groups(self) -> list[Group]:
        return self.optimizer.param_groups

    # The optimizer has its own state_dict; functions cannot be saved.
    _not_saved = ("optimizer", "lr_lambdas")

    def state_dict(self) -> dict[str, Any]:
        """The state of the schedule without that of its optimizer: numbers, lists and strings."""
        return {k: copy.deepcopy(v) for k, v in vars(self).items() if k not in self._not_saved}

    @checked()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` returned; the optimizer's state is loaded by itself.

        Raises ValueError if keys are missing or unknown.
        """
        known = vars(self).keys() - {*self._not_saved}
        missing, unknown = sorted(known - set(state_dict)), sorted(set(state_dict) - known)
        if missing or unknown:
            raise ValueError(
                f"{type(self).__name__}: load_state_dict: missing {missing}, unknown {unknown}; "
                f"was it saved by another schedule?"
            )
        vars(self).update(copy.deepcopy(state_dict))


class LambdaLR(LRScheduler):
    """The initial learning rate times ``lr_lambda(step)``; a list gives each group its own.

    The functions are not part of ``state_dict``.

    >>> optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=8.0)
    >>> schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    >>> optimizer.step()
    >>> schedule.step()
    >>> optimizer.param_groups[0]["lr"]
    4.0
    """

    @checked()
    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = optimizer
        self.lr_lambdas = self._per_group("lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Initial `lr * lr_lambda(step)`."""
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * f(self.last_epoch) for base, f in pairs]


class StepLR(LRScheduler):
    """Multiply the learning rate by ``gamma`` every ``step_size`` steps.

    Raises ValueError unless step_size is positive.

    >>> optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> rates = []
    >>> for _ in range(5):
    ...     rates.append(optimizer.param_groups[0]["lr"])
    ...     optimizer.step()
    ...     schedule.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    @checked(step_size="[1, inf)", gamma="[0, inf)")
    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        return self.gamma if t > 0 and t % self.step_size == 0 else 1.0


class MultiStepLR(LRScheduler):
    """Multiply the learning rate by ``gamma`` at each of the ``milestones``.

    >>> optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1], gamma=0.5)
    >>> optimizer.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    @checked(gamma="[0, inf)")
    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        return self.gamma ** self.milestones.count(t)


class ExponentialLR(LRScheduler):
    """Multiply the learning rate by ``gamma`` at every step.

    >>> optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> optimizer.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    @checked(gamma="[0, inf)")
    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        return 1.0 if self._first else self.gamma


class LinearLR(LRScheduler):
    """Linear warm-up from `start_factor * lr` to `end_factor * lr` over ``total_iters`` steps.

    Raises ValueError unless `0 < start_factor <= 1` and `0 <= end_factor <= 1`.

    >>> optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> optimizer.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.75]
    """

    @checked(start_factor="(0, 1]", end_factor="[0, 1]", total_iters="[0, inf)")
    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3.0,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        rise = self.end_factor - self.start_factor
        if t == 0:
            return self.start_factor
        if t > self.total_iters or self._first:
            return 1.0
        return 1.0 + rise / (self.total_iters * self.start_factor + (t - 1) * rise)


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from lr down to ``eta_min`` over ``T_max`` steps, and up again after.

    `lr(t) = eta_min + (lr - eta_min) (1 + cos(π t / T_max)) / 2`. Raises ValueError unless T_max is
    positive. Loshchilov and Hutter 2017, without restarts.

    >>> optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> optimizer.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    @checked(T_max="[1, inf)", eta_min="[0, inf)")
    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The distance to eta_min times the ratio of the cosine's factors at steps t and t - 1."""
        t, period, low = self.last_epoch, self.T_max, self.eta_min
        if t == 0 or self._first:
            return [group["lr"] for group in self._groups]
        if (t - 1 - period) % (2 * period) == 0:
            # Step t - 1 was at the minimum, where the ratio would be 0 / 0.
            rise = (1.0 - math.cos(math.pi / period)) / 2.0
            pairs = zip(self.base_lrs, self._groups, strict=True)
            return [group["lr"] + (base - low) * rise for base, group in pairs]
        now, before = (1.0 + math.cos(math.pi * n / period) for n in (t, t - 1))
        return [(group["lr"] - low) * (now / before) + low for group in self._groups]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from lr down to ``eta_min`` over ``T_0`` steps, then again from lr.

    Each cycle is ``T_mult`` times as long as the one before. With t steps since the last restart
    and T the length of the cycle: `lr(t) = eta_min + (lr - eta_min) (1 + cos(π t / T)) / 2`.
    ``step(epoch)`` goes to that place, which may be a fraction. Raises ValueError unless T_0 and
    T_mult are positive, and for a negative epoch. Loshchilov and Hutter, "SGDR", 2017.

    >>> optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates.append(round(schedule.get_last_lr()[0], 3))
    ...     optimizer.step()
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 1.0, 0.5]
    """

    @checked(T_0="[1, inf)", T_mult="[1, inf)", eta_min="[0, inf)")
    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        self.T_i, self.T_cur = T_0, float(last_epoch)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The cosine at ``T_cur`` steps since the last restart."""
        share = (1.0 + math.cos(math.pi * self.T_cur / self.T_i)) / 2.0
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def _advance(self) -> None:
        if self.last_epoch == -1:  # from the start, or from the start again
            self.T_i, self.T_cur = self.T_0, -1.0
        self._go_to(self.T_cur + 1)

    def _go_to(self, place: float) -> None:
        """Go to a place in the cycle, or beyond it into the next ones."""
        while place >= self.T_i:
            place -= self.T_i
            self.T_i *= self.T_mult
        self.T_cur = place
        super()._advance()

    @checked(epoch="[0, inf)")
    def step(self, epoch: float | None = None) -> None:
        """Go one step on, or to ``epoch``."""
        if epoch is None:
            super().step()
            return
        self.T_i, self.last_epoch = self.T_0, math.floor(epoch) - 1
        self._go_to(epoch % self.T_0 if self.T_mult == 1 else epoch)


class OneCycleLR(LRScheduler):
    """One cycle: up from `max_lr / div_factor` to ``max_lr``, then down far below the start.

    Call ``step()`` after every batch. The rise takes ``pct_start`` of ``total_steps`` (or of
    ``epochs * steps_per_epoch``); the fall ends at `max_lr / (div_factor * final_div_factor)`, and
    with ``three_phase`` it has a corner at the first rate. ``cycle_momentum`` moves the momentum
    (or `β1`) in the opposite direction, between ``max_momentum`` and ``base_momentum``.

    Raises ValueError without a number of steps, for numbers out of range, for an optimizer without
    momentum, and at a step beyond the last. Smith and Topin 2018.

    >>> optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0, momentum=0.9)
    >>> schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [1.0]
    """

    @checked()
    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Annotated[float | list[float], "[0, inf)"],
        total_steps: Annotated[int | None, "[1, inf)"] = None,
        epochs: Annotated[int | None, "[1, inf)"] = None,
        steps_per_epoch: Annotated[int | None, "[1, inf)"] = None,
        pct_start: Annotated[float, "[0, 1]"] = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: Annotated[float | list[float], "[0, 1)"] = 0.85,
        max_momentum: Annotated[float | list[float], "[0, 1)"] = 0.95,
        div_factor: Annotated[float, "(0, inf)"] = 25.0,
        final_div_factor: Annotated[float, "(0, inf)"] = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = optimizer
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or both epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        self.cycle_momentum, self.three_phase = cycle_momentum, three_phase
        ends = [pct_start * total_steps - 1.0]
        if three_phase:
            ends.append(2.0 * pct_start * total_steps - 2.0)
        #: The steps at which the phases end.
        self.ends = [*ends, total_steps - 1.0]
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                f"OneCycleLR: {type(optimizer).__name__} has neither momentum nor betas; pass "
                f"cycle_momentum=False"
            )
        if last_epoch == -1:
            tops = self._per_group("max_lr", max_lr)
            lows = self._per_group("base_momentum", base_momentum)
            highs = self._per_group("max_momentum", max_momentum)
            for group, top, low, high in zip(self._groups, tops, lows, highs, strict=True):
                group["max_lr"], group["initial_lr"] = top, top / div_factor
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    group["base_momentum"], group["max_momentum"] = low, high
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rate between two corners of the cycle; sets the momentum beside it."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step {step} of {self.total_steps}; call step() once per batch, or "
                f"give the whole number of batches as total_steps"
            )
        phase = next((i for i, end in enumerate(self.ends) if step <= end), len(self.ends) - 1)
        start = self.ends[phase - 1] if phase else 0.0
        part = (step - start) / (self.ends[phase] - start)
        rates = []
        for group in self._groups:
            low, top, last = group["initial_lr"], group["max_lr"], group["min_lr"]
            corners = [low, top, low, last] if self.three_phase else [low, top, last]
            rates.append(self._between(corners[phase], corners[phase + 1], part))
            if self.cycle_momentum:
                m, b = group["max_momentum"], group["base_momentum"]
                corners = [m, b, m, m]
                momentum = self._between(corners[phase], corners[phase + 1], part)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return rates

    def _between(self, start: float, end: float, part: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * part))


class ReduceLROnPlateau(LRScheduler):
    """Multiply the learning rate by ``factor`` when a value has stopped improving.

    ``step(value)`` takes the value, such as the validation loss; the rate is reduced after more
    than ``patience`` steps without improvement. In mode "min" a value improves if it is below
    `best * (1 - threshold)`, or with ``threshold_mode="abs"`` below `best - threshold`; in mode
    "max", if it is above `best * (1 + threshold)` or `best + threshold`. After a reduction
    ``cooldown`` steps do not count. The rate stays at ``min_lr`` or above, and changes smaller than
    ``eps`` are not made. NaN is not an improvement.

    Raises ValueError for `factor >= 1` and unknown modes.

    >>> optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in [3.0, 2.0, 2.0, 2.0]:
    ...     optimizer.step()
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.5]
    """

    @checked()
    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: Annotated[float, "[0, 1)"] = 0.1,
        patience: Annotated[int, "[0, inf)"] = 10,
        threshold: Annotated[float, "[0, inf)"] = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: Annotated[int, "[0, inf)"] = 0,
        min_lr: Annotated[float | list[float], "[0, inf)"] = 0.0,
        eps: Annotated[float, "[0, inf)"] = 1e-8,
    ) -> None:
        self.optimizer = optimizer
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.min_lrs = self._per_group("min_lr", min_lr)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        super().__init__(optimizer)

    def _factor(self, t: int) -> float:
        return 1.0  # only a plateau changes the rates, in step()

    def step(self, metrics: Any = None) -> None:
        """Count one step with this value, and reduce the learning rates at a plateau."""
        if metrics is None:
            raise TypeError("ReduceLROnPlateau: step needs the measured value: step(val_loss)")
        self._warn_if_early()
        value = _measured(metrics)
        if self._improves(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, floor in zip(self._groups, self.min_lrs, strict=True):
                lr = max(group["lr"] * self.factor, floor)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._advance()

    def _improves(self, value: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        if self.threshold_mode == "rel":
            return sign * value < sign * self.best * (1.0 - sign * self.threshold)
        return sign * value < sign * self.best - self.threshold


def _measured(value: Any) -> float:
    """A measured value as a plain number; NaN is allowed."""
    array = np.asarray(value.detach().numpy() if isinstance(value, Tensor) else value)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise TypeError(f"ReduceLROnPlateau: step needs one number, got {value!r:.80}")
    return float(array.reshape(()))


class SequentialLR(LRScheduler):
    """Several schedules, one after the other: the next one starts at each of the ``milestones``.

    All act on ``optimizer``, and were made for it. Raises ValueError unless there is one milestone
    less than schedules, and for schedules of another optimizer; TypeError for other objects, and
    for ReduceLROnPlateau.

    >>> optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0)
    >>> warm_up = optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> decay = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = optim.lr_scheduler.SequentialLR(optimizer, [warm_up, decay], milestones=[2])
    >>> rates = []
    >>> for _ in range(4):
    ...     rates.append(schedule.get_last_lr()[0])
    ...     optimizer.step()
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 0.5]
    """

    _not_saved = ("optimizer", "schedulers")

    @checked(last_epoch="[-1, inf)")
    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: expected one milestone less than schedules, got "
                f"{len(milestones)} and {len(schedulers)}"
            )
        given: list[Any] = schedulers
        for i, one in enumerate(given):
            if not isinstance(one, LRScheduler) or isinstance(one, ReduceLROnPlateau):
                raise TypeError(
                    f"SequentialLR: schedule {i} must be a schedule that needs no value, got "
                    f"{one!r:.80}"
                )
            if one.optimizer is not optimizer:
                raise ValueError(f"SequentialLR: schedule {i} is of another optimizer")
        self.schedulers, self.milestones = schedulers, sorted(milestones)
        self.optimizer, self.last_epoch = optimizer, last_epoch + 1
        # Each made its first step when it was created, from the rate that the one before left.
        # That is undone here.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for one in schedulers:
            one.last_epoch -= 1
        schedulers[0]._start()
        self._last_lr = schedulers[0].get_last_lr()

    def _advance(self) -> None:
        """Go one step on in the schedule whose turn it is."""
        self.last_epoch += 1
        turn = sum(milestone <= self.last_epoch for milestone in self.milestones)
        schedule = self.schedulers[turn]
        if turn and self.milestones[turn - 1] == self.last_epoch:
            for group, base in zip(self._groups, schedule.base_lrs, strict=True):
                group["lr"] = base
            schedule.last_epoch = -1
            schedule._start()
        else:
            schedule._advance()
        self._last_lr = schedule.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The state of this schedule, and in a list those of its parts."""
        parts = [one.state_dict() for one in self.schedulers]
        return {**super().state_dict(), "schedulers": parts}

    @checked()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` returned. Raises ValueError if it does not fit."""
        rest = dict(state_dict)
        parts = rest.pop("schedulers", None)
        if not isinstance(parts, list) or len(parts) != len(self.schedulers):
            raise ValueError(
                f"SequentialLR: load_state_dict: expected the states of {len(self.schedulers)} "
                f"schedules, got {parts!r:.80}"
            )
        super().load_state_dict(rest)
        for one, part in zip(self.schedulers, parts, strict=True):
            one.load_state_dict(part)
