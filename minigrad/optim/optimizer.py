"""What all optimizers share: parameter groups, the two ways to give gradients, saved state."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.engine.node import Leaf
from minigrad.engine.parameter import Parameter
from minigrad.engine.settings import checked
from minigrad.engine.tensor import Tensor, as_tensor
from minigrad.optim.flat import Flat, Part

Array = NDArray[Any]
Group: TypeAlias = dict[str, Any]
Params: TypeAlias = (
    "Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]] | None"
)

#: Settings that schedules and users keep in a group beside the optimizer's own.
EXTRA = frozenset(
    ("name", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr")
)
#: Entries of a group that are no settings; the last four choose an implementation in PyTorch.
NOT_SETTINGS = frozenset(
    ("params", "param_names", "foreach", "fused", "capturable", "differentiable")
)
#: Settings that files written by earlier versions of PyTorch lack.
OPTIONAL = frozenset(("maximize", "decoupled_weight_decay"))

#: Settings that are numbers from 0 up.
NOT_NEGATIVE = frozenset(
    (
        *("lr", "weight_decay", "eps", "momentum", "lr_decay", "momentum_decay", "alpha", "rho"),
        "initial_accumulator_value",
    )
)


class Optimizer:
    """Base of the optimizers. A subclass is its defaults, its state and its formula.

    Gradients come in two ways: ``step()`` uses what ``backward()`` left in ``.grad``, as in
    PyTorch; ``apply_gradients(zip(grads, params))`` takes them from a tape, as in TensorFlow, and
    then ``params`` may be left out at construction. A parameter without a gradient stays as it is:
    neither decayed nor counted.

    ``params``: tensors, (name, tensor) pairs, or dicts with ``"params"`` and settings of their own
    (parameter groups). ``param_groups`` may be changed between steps.

    Raises TypeError for a single tensor and ValueError for empty lists, duplicates, settings out
    of range, and tensors that are no leaves with ``requires_grad``.

    >>> w, b = tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)
    >>> optimizer = optim.SGD([{"params": [w]}, {"params": [b], "lr": 0.5}], lr=0.1)
    >>> optimizer.apply_gradients([(tensor([1.0]), w), (tensor([1.0]), b)])
    >>> w, b
    (tensor([0.9], requires_grad=True), tensor([0.5], requires_grad=True))
    """

    @checked()
    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self._name = type(self).__name__
        self.defaults = defaults
        self.check(defaults)
        self.param_groups: list[Group] = []
        self._flats: list[list[Flat]] = []
        #: Where a parameter is: the number of its group. Keyed by identity (a tensor's hash).
        self._group_of: dict[Tensor, int] = {}
        self._open = params is None
        #: How often gradients were applied; schedules warn when it is zero.
        self.steps = 0
        #: State that waits for the parameters it belongs to.
        self._pending: dict[str, Any] | None = None
        if params is None:
            # There from the start, so that schedules can set its learning rate.
            self.param_groups.append({"params": [], **defaults})
            self._flats.append([])
        else:
            for group in self._as_groups(params):
                self.add_param_group(group)

    # -- what a subclass writes --------------------------------------------------------------------

    def check(self, group: Group) -> None:
        """Raise ValueError for settings out of range."""
        for name in NOT_NEGATIVE.intersection(group):
            value = group[name]
            if isinstance(value, (Tensor, np.generic)):
                group[name] = value = value.item()  # NumPy's float64 would widen float32
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{self._name}: {name} must be a number, got {value!r:.80}")
            if not 0.0 <= value < float("inf"):
                raise ValueError(f"{self._name}: {name} must be 0 or more, got {value}")
            if name in ("alpha", "rho") and value > 1.0:
                raise ValueError(f"{self._name}: {name} must be between 0 and 1, got {value}")
        if "betas" in group:
            betas: Any = group["betas"]
            if not isinstance(betas, (tuple, list)) or any(isinstance(b, str) for b in betas):
                raise TypeError(f"{self._name}: betas must be two numbers, got {betas!r:.80}")
            group["betas"] = betas = tuple(betas)
            if len(betas) != 2 or not all(0.0 <= beta < 1.0 for beta in betas):
                raise ValueError(f"{self._name}: betas must be in [0, 1), got {betas}")

    def initial_state(self, group: Group) -> dict[str, float]:
        """The arrays of state each parameter has: their names and start values."""
        raise NotImplementedError

    def initial_scalars(self, group: Group) -> dict[str, float]:
        """The state of each parameter that is a number."""
        return {"step": 0}

    def formula(self, group: Group, scalars: dict[str, float]) -> Callable[[Part], None]:
        """Bring ``scalars`` up to date and return the update of one part."""
        raise NotImplementedError

    # -- parameters --------------------------------------------------------------------------------

    def _as_groups(self, params: Any) -> list[Group]:
        if isinstance(params, (Tensor, np.ndarray)):
            raise TypeError(
                f"{self._name}: expected an iterable of tensors or of groups, got a single "
                f"{type(params).__name__}; put it in a list: [{type(params).__name__.lower()}]"
            )
        if isinstance(params, dict):
            raise TypeError(
                f"{self._name}: expected an iterable of tensors or of groups, got a dict; "
                f"pass a list of groups [{{'params': ...}}] or params.items() for names"
            )
        if isinstance(params, (int, float)):
            raise TypeError(
                f"{self._name}: the first argument is params, got the number {params}; write "
                f"{self._name}(lr={params})"
            )
        if not hasattr(params, "__iter__") or isinstance(params, (str, bytes)):
            raise TypeError(
                f"{self._name}: params must be an iterable of tensors or of groups, got "
                f"{params!r:.80}"
            )
        given = list(params)
        if not given:
            raise ValueError(
                f"{self._name}: got no parameters. Pass model.parameters() once (a generator is "
                f"used up after one pass), and keep layers as attributes of a Module; leave "
                f"params out to use apply_gradients"
            )
        if isinstance(given[0], dict):
            return [dict(group) for group in given]
        return [{"params": given}]

    def add_param_group(self, group: Any) -> None:
        """Add parameters with settings of their own: ``{"params": [...], "lr": 0.01}``.

        Settings left out are those given at construction. Raises as the constructor does.
        """
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f"{self._name}: a group is a dict with 'params', got {group!r:.80}")
        unknown = sorted(set(group) - set(self.defaults) - EXTRA - {"params", "param_names"})
        if unknown:
            raise ValueError(
                f"{self._name}: unknown settings {unknown} in a group; it has "
                f"{', '.join(self.defaults)}"
            )
        given: list[Any]
        held: Any = group["params"]
        if not hasattr(held, "__iter__"):
            raise TypeError(f"{self._name}: 'params' must be a list of tensors, got {held!r:.80}")
        given = [held] if isinstance(held, Tensor) else list(held)
        if not given:
            raise ValueError(f"{self._name}: group {len(self.param_groups)} has no parameters")
        names: list[str] = list(group.get("param_names", ()))
        if any(isinstance(one, tuple) for one in given):
            if not all(isinstance(one, tuple) and len(one) == 2 for one in given):
                raise ValueError(f"{self._name}: give all parameters as (name, tensor), or none")
            names = [name for name, _ in given]
            given = [tensor for _, tensor in given]
        settings = {name: copy.copy(value) for name, value in self.defaults.items()}
        settings.update({k: v for k, v in group.items() if k not in ("params", "param_names")})
        self.check(settings)
        self._check_names(bool(names))
        seen: dict[Tensor, int] = {}
        for i, p in enumerate(given):
            label = f"parameter {names[i]!r}" if names else f"parameter {i}"
            self._check_param(p, label)
            if p in seen or p in self._group_of:
                raise ValueError(
                    f"{self._name}: {label} {_called(p)}appears more than once; it would be "
                    f"updated twice in a step. Each parameter goes in one group, once"
                )
            seen[p] = i
        if self._open and not self._group_of:
            self.param_groups.clear()
            self._flats.clear()
        number = len(self.param_groups)
        full: Group = {"params": given}
        if names:
            full["param_names"] = names
        full.update(settings)
        self.param_groups.append(full)
        self._flats.append([])
        for p in given:
            self._group_of[p] = number

    def _check_names(self, named: bool) -> None:
        for group in self.param_groups:
            if group["params"] and ("param_names" in group) != named:
                raise ValueError(
                    f"{self._name}: parameters have names in all groups or in none; "
                    f"pass model.named_parameters() or model.parameters() throughout"
                )

    def _check_param(self, p: Any, label: str) -> None:
        if not isinstance(p, Tensor):
            raise TypeError(
                f"{self._name}: {label} is {type(p).__name__}, expected a Parameter or a tensor "
                f"with requires_grad=True; make it with mg.tensor(data, requires_grad=True)"
            )
        node = p._node
        if node is not None and not isinstance(node, Leaf):
            raise ValueError(
                f"{self._name}: {label} is a result of {node.op.name}, not a leaf: a step could "
                f"not reach what it was made from. Pass the leaf itself, or p.detach() made a "
                f"leaf by requires_grad=True"
            )
        if not isinstance(p, Parameter) and not p.requires_grad:
            raise ValueError(
                f"{self._name}: {label} of shape {p.shape} has requires_grad=False, so it never "
                f"gets a gradient; set requires_grad=True or make it an nn.Parameter"
            )

    # -- steps -------------------------------------------------------------------------------------

    @checked()
    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with ``set_to_none=False`` make them zeros.

        The two differ in the next step: zeros still decay the weights and move by momentum.
        """
        for p in self._group_of:
            if p.grad is not None:
                p.grad = None if set_to_none else Tensor(np.zeros_like(p._data))

    @checked()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters by their ``.grad``; returns what ``closure()`` returned, if given.

        ``closure`` computes the gradients anew: zero_grad, forward, backward, return the loss.
        Raises RuntimeError when the optimizer was made without parameters.
        """
        loss = None if closure is None else closure()
        if not self._group_of:
            raise RuntimeError(
                f"{self._name}: step() needs parameters at construction, e.g. "
                f"{self._name}(model.parameters()); or use apply_gradients(zip(grads, params))"
            )
        self._apply(lambda p: None if (g := p.grad) is None else g._data)
        return loss

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Tensor]]) -> None:
        """Update the parameters by gradients given as (gradient, parameter) pairs.

        Parameters whose gradient is None stay as they are. An optimizer made without parameters
        takes those it meets, in this order; any other refuses those it does not know.

        Raises ValueError for unknown or repeated parameters, for gradients of another shape, and
        when there is no gradient at all.

        >>> import minigrad as mg
        >>> from minigrad import optim
        >>> w = mg.tensor([1.0, 2.0], requires_grad=True)
        >>> with mg.GradientTape() as tape:
        ...     loss = (w * w).sum()
        >>> optimizer = optim.SGD(lr=0.25)
        >>> optimizer.apply_gradients(zip(tape.gradient(loss, [w]), [w]))
        >>> w.tolist()
        [0.5, 1.0]
        """
        if not hasattr(grads_and_vars, "__iter__"):
            raise TypeError(
                f"{self._name}: apply_gradients takes (gradient, parameter) pairs: "
                f"zip(grads, params), got {grads_and_vars!r:.80}"
            )
        pairs: list[Any] = list(grads_and_vars)
        gradients: dict[Tensor, Array | None] = {}
        for i, pair in enumerate(pairs):
            if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[1], Tensor):
                raise TypeError(
                    f"{self._name}: apply_gradients takes (gradient, parameter) pairs: "
                    f"zip(grads, params). Pair {i} is {pair!r:.80}"
                )
            g, p = pair
            if p in gradients:
                raise ValueError(
                    f"{self._name}: apply_gradients got parameter {i} {_called(p)}twice; add its "
                    f"gradients up first"
                )
            gradients[p] = self._checked(g, p, i)
        if not any(g is not None for g in gradients.values()):
            raise ValueError(
                f"{self._name}: apply_gradients got no gradient at all ({len(pairs)} pairs). "
                f"Was the loss computed inside the tape, from these parameters?"
            )
        self._meet([p for p in gradients if p not in self._group_of])
        self._apply(gradients.get)

    def _checked(self, g: Any, p: Tensor, i: int) -> Array | None:
        if g is None:
            return None
        array: Array = as_tensor(g)._data
        if array.shape != p.shape:
            raise ValueError(
                f"{self._name}: gradient {i} has shape {array.shape}, its parameter "
                f"{_called(p)}{p.shape}; pairs are (gradient, parameter), in this order"
            )
        if array.dtype.kind != "f":
            raise TypeError(f"{self._name}: gradient {i} is {array.dtype}, expected floats")
        if not p.requires_grad:
            raise ValueError(
                f"{self._name}: parameter {i} {_called(p)}of shape {p.shape} has "
                f"requires_grad=False; make it an nn.Parameter, or leave it out"
            )
        return array

    def _meet(self, new: list[Tensor]) -> None:
        """Take in parameters that come with their first gradients."""
        if not new:
            return
        if not self._open:
            p = new[0]
            raise ValueError(
                f"{self._name}: apply_gradients got a parameter {_called(p)}of shape {p.shape} "
                f"that was not among those given at construction. Give it then, add it with "
                f"add_param_group, or leave params out at construction"
            )
        for i, p in enumerate(new):
            self._check_param(p, f"parameter {i}")
        group = self.param_groups[-1]
        group["params"] += new
        self._group_of.update(dict.fromkeys(new, len(self.param_groups) - 1))
        if self._pending is not None:
            settings = dict(group)  # a schedule may have gone on since they were loaded
            try:
                self.load_state_dict(self._pending)
            except ValueError:
                group["params"].clear()
                self._group_of.clear()
                raise
            self.param_groups[-1].update(settings)
            self._pending = None

    def _apply(self, gradient_of: Callable[[Tensor], Array | None]) -> None:
        self.steps += 1
        # A diverging run shows as inf and nan in the loss; half precision underflows by nature.
        with np.errstate(all="ignore"):
            for number, group in enumerate(self.param_groups):
                for flat in self._flats_of(number):
                    gradients = [gradient_of(p) for p in flat.params]
                    flat.update(gradients, partial(self.formula, group))

    def _flats_of(self, number: int) -> list[Flat]:
        """The buffers of a group: one for each dtype, made anew when a parameter has changed."""
        group, flats = self.param_groups[number], self._flats[number]
        initial = self.initial_state(group)
        known = sum(len(flat.params) for flat in flats)
        if known == len(group["params"]) and all(flat.fits() for flat in flats):
            for flat in flats:
                flat.extend(initial)
            return flats
        before = {p: (flat, i) for flat in flats for i, p in enumerate(flat.params)}
        kinds: dict[Any, list[Tensor]] = {}
        for p in group["params"]:
            kinds.setdefault(p.dtype, []).append(p)
        made = []
        for params in kinds.values():
            flat = Flat(params, initial)
            for i, p in enumerate(params):
                flat.scalars[i] = self.initial_scalars(group)
                if p in before:
                    old, j = before[p]
                    flat.take(i, old.scalars[j], old.state_of(j))
            made.append(flat)
        self._flats[number] = made
        return made

    # -- saved state -------------------------------------------------------------------------------

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """For each parameter that has been updated, its state as numbers and constant tensors."""
        found = {}
        for number, group in enumerate(self.param_groups):
            names = self.initial_state(group)  # of no others, such as those of a momentum now 0
            for flat in self._flats_of(number):
                for i, p in enumerate(flat.params):
                    arrays = flat.state_of(i)
                    one = self.export(flat.scalars[i], {name: arrays[name] for name in names})
                    if one:
                        found[p] = one
        return found

    def export(self, scalars: dict[str, float], arrays: dict[str, Array]) -> dict[str, Any]:
        """The state of one parameter as PyTorch lays it out; empty before its first step."""
        if not scalars["step"]:
            return {}
        return {**scalars, **tensors(arrays)}

    def state_dict(self) -> dict[str, Any]:
        """All that a later run needs to go on bit for bit, in PyTorch's structure.

        ``{"state": {0: {"step": 3, ...}, ...}, "param_groups": [{"params": [0, ...], ...}]}``;
        parameters are numbered through all groups. Nothing in it changes with later steps.
        """
        numbers: dict[Tensor, int] = {}
        for group in self.param_groups:
            for p in group["params"]:
                numbers[p] = len(numbers)
        groups = []
        for group in self.param_groups:
            saved = {k: copy.deepcopy(v) for k, v in group.items() if k != "params"}
            groups.append({**saved, "params": [numbers[p] for p in group["params"]]})
        state = {numbers[p]: one for p, one in self.state.items()}
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    @checked()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned, here or in PyTorch (arrays or tensors).

        Parameters are matched by name where both sides have names, else by position. Settings,
        such as the learning rate, are taken over too.

        An optimizer made without parameters takes the settings at once, and the state when it
        meets its parameters, by position.

        Raises ValueError that lists every group, setting and array that does not fit; the
        optimizer then is as it was.
        """
        groups = self._matched_groups(state_dict)
        if not self._group_of:
            self.param_groups = [group for group, _ in groups]
            self._pending = copy.deepcopy(state_dict)
            return
        saved_state = state_dict["state"]
        wrong: list[str] = []
        loaded: list[tuple[int, list[tuple[dict[str, float], dict[str, Array]]]]] = []
        for number, (group, keys) in enumerate(groups):
            initial = self.initial_state(group)
            entries = []
            for p, key in zip(group["params"], keys, strict=True):
                saved = saved_state.get(key, saved_state.get(str(key), {}))
                scalars, arrays, problems = self._restored(group, initial, p, saved)
                label = f"state of parameter {key} {_called(p)}".rstrip()
                wrong += [f"{label}: {one}" for one in problems]
                entries.append((scalars, arrays))
            loaded.append((number, entries))
        if wrong:
            raise ValueError(f"{self._name}: load_state_dict: " + "; ".join(wrong))
        for (number, entries), (group, _) in zip(loaded, groups, strict=True):
            self.param_groups[number] = group
            self._flats[number] = []
            of = dict(zip(group["params"], entries, strict=True))
            for flat in self._flats_of(number):
                for i, p in enumerate(flat.params):
                    flat.take(i, *of[p])

    def _matched_groups(self, state_dict: Any) -> list[tuple[Group, list[Any]]]:
        """Each group with the saved settings, and the saved keys of its parameters in order."""
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(
                f"{self._name}: load_state_dict expects what state_dict() returned: a dict with "
                f"'state' and 'param_groups', got {state_dict!r:.80}"
            )
        saved_groups = state_dict["param_groups"]
        if len(saved_groups) != len(self.param_groups):
            raise ValueError(
                f"{self._name}: load_state_dict: {len(saved_groups)} parameter groups were saved, "
                f"this optimizer has {len(self.param_groups)}; build it with the same groups first"
            )
        matched: list[tuple[Group, list[Any]]] = []
        wrong: list[str] = []
        for number, (saved, group) in enumerate(zip(saved_groups, self.param_groups, strict=True)):
            keys = list(saved["params"])
            if len(keys) != len(group["params"]) and self._group_of:
                wrong.append(
                    f"group {number}: {len(keys)} parameters were saved, it has "
                    f"{len(group['params'])}"
                )
                continue
            names, saved_names = group.get("param_names"), saved.get("param_names")
            if names and saved_names:
                missing = sorted(set(names) - set(saved_names))
                extra = sorted(set(saved_names) - set(names))
                if missing or extra:
                    wrong.append(f"group {number}: no state for {missing}, state of no use {extra}")
                    continue
                by_name = dict(zip(saved_names, keys, strict=True))
                keys = [by_name[name] for name in names]
            settings = {k: copy.deepcopy(v) for k, v in saved.items() if k not in NOT_SETTINGS}
            lacking = sorted(set(self.defaults) - set(settings) - OPTIONAL)
            unknown = sorted(set(settings) - set(self.defaults) - EXTRA)
            if lacking or unknown:
                wrong.append(
                    f"group {number}: settings {unknown} are unknown and {lacking} are missing; "
                    f"was it saved by another optimizer?"
                )
                continue
            if "betas" in settings:
                settings["betas"] = tuple(settings["betas"])
            matched.append(({**group, **settings}, keys))
        if wrong:
            raise ValueError(f"{self._name}: load_state_dict: " + "; ".join(wrong))
        return matched

    def _restored(
        self, group: Group, initial: dict[str, float], p: Tensor, saved: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Array], list[str]]:
        """Scalars and arrays of one parameter from its saved state, and what is wrong with it."""
        scalars = self.initial_scalars(group)
        if not saved:
            return scalars, {}, []
        found = self.restore(scalars, saved)
        arrays: dict[str, Array] = {}
        wrong = [f"{name!r} is missing" for name in initial if name not in found]
        for name, value in found.items():
            if name not in initial:
                wrong.append(f"{name!r} is unknown")
                continue
            array = value._data if isinstance(value, Tensor) else np.asarray(value)
            if array.shape != p.shape:
                wrong.append(f"{name!r} has shape {array.shape}, the parameter {p.shape}")
            arrays[name] = array
        return scalars, arrays, wrong

    def restore(self, scalars: dict[str, float], saved: dict[str, Any]) -> dict[str, Any]:
        """Fill ``scalars`` from the saved state of a parameter; return what else it holds."""
        for name in scalars:
            if name in saved:
                value = float(saved[name])
                scalars[name] = int(value) if name == "step" else value
        return {name: value for name, value in saved.items() if name not in scalars}

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for number, group in enumerate(self.param_groups or [{"params": [], **self.defaults}]):
            lines.append(f"  group {number}: {len(group['params'])} parameters")
            settings = {k: v for k, v in group.items() if k not in NOT_SETTINGS}
            lines += [f"    {k}: {v}" for k, v in sorted(settings.items())]
        return "\n".join([*lines, ")"])


def tensors(arrays: dict[str, Array]) -> dict[str, Tensor]:
    """Constant copies of arrays that go on changing."""
    return {name: Tensor(array.copy()) for name, array in arrays.items()}


def _called(p: Tensor) -> str:
    """The name of a parameter for messages, with a space, or nothing."""
    name = p._node.name if isinstance(p._node, Leaf) else ""
    return f"{name!r} " if name else ""
