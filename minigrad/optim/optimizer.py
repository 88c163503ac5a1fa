"""What all optimizers share: parameter groups, checks, the two kinds of step, and saved state.

A subclass adds its settings, its state and its update rule. The rule works on flat chunks of many
parameters at once (see ``buffer.py``), and gets gradients that weight decay has already been added
to, so that it reads like the paper's formula.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial
from operator import is_
from types import MethodType
from typing import Any, ClassVar, TypeAlias

import numpy as np

from minigrad.engine.node import Leaf
from minigrad.engine.parameter import Parameter
from minigrad.engine.settings import SIMPLE, Rule, checked, entries
from minigrad.engine.tensor import Tensor, as_tensor
from minigrad.kernels.in_place import overflow_noted
from minigrad.optim.buffer import Array, Chunk, ParameterBuffer

Group: TypeAlias = dict[str, Any]
Params: TypeAlias = (
    "Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]] | None"
)

#: Settings that schedules and users keep in a group beside the optimizer's own.
EXTRA = frozenset(
    ("name", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr")
)
#: Entries of a group that are not settings; the last four choose an implementation in PyTorch.
NOT_SETTINGS = frozenset(
    ("params", "param_names", "foreach", "fused", "capturable", "differentiable")
)
#: Settings that files written by earlier versions of PyTorch lack.
OPTIONAL = frozenset(("maximize", "decoupled_weight_decay"))

RANGES = {
    **dict.fromkeys(("lr", "weight_decay", "eps", "momentum", "lr_decay"), "[0, inf)"),
    **dict.fromkeys(("momentum_decay", "initial_accumulator_value"), "[0, inf)"),
    **dict.fromkeys(("alpha", "rho"), "[0, 1]"),
    "dampening": "(-inf, inf)",
    "betas": "[0, 1)",
}
#: What each setting may be, at construction and in a group: a number (two of them for betas).
RULES = {name: Rule(name, [SIMPLE[float]], allowed, None) for name, allowed in RANGES.items()}


def settings(arguments: dict[str, Any]) -> dict[str, Any]:
    """The settings among the ``locals()`` of an optimizer's constructor."""
    return {k: v for k, v in arguments.items() if k not in ("self", "params", "__class__")}


class Optimizer:
    """Base of the optimizers. A subclass gives its settings, its state and its update rule.

    Gradients come in two ways: ``step()`` uses what ``backward()`` left in ``.grad``, as in
    PyTorch; ``apply_gradients(zip(grads, params))`` takes them from a tape, as in TensorFlow, and
    then ``params`` may be left out at construction. A parameter without a gradient stays as it is:
    neither decayed nor counted.

    ``params``: tensors, (name, tensor) pairs, or dicts with ``"params"`` and settings of their own
    (parameter groups). Settings in ``param_groups`` may be changed between steps; the next step
    raises for one out of range, and changes nothing.

    ``maximize``, in optimizers that have it, negates the gradients. ``weight_decay`` adds
    `weight_decay * p` to them (L2), or with ``decoupled_weight_decay`` first shrinks p by
    `lr * weight_decay * p`.

    Raises TypeError for a single tensor and ValueError for empty lists, duplicates, settings out
    of range, and tensors that are not leaves with ``requires_grad``.

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
        self._buffers: list[list[ParameterBuffer]] = []
        #: The settings of each group that were found to be in range.
        self._checked: dict[int, list[Any]] = {}
        #: The parameters of all groups, found by identity (a tensor's hash).
        self._known: dict[Tensor, None] = {}
        self._open = params is None
        #: How often gradients were applied; schedules warn when it is zero.
        self.steps = 0
        #: State that was loaded before the parameters that it belongs to were known.
        self._pending: dict[str, Any] | None = None
        if params is None:
            # The group exists from the start, so that schedules can set its learning rate.
            self.param_groups.append({"params": [], **defaults})
            self._buffers.append([])
        else:
            for group in self._as_groups(params):
                self.add_param_group(group)

    def __setattr__(self, name: str, value: Any) -> None:
        # Each group has settings of its own, so `optimizer.lr = 0.1` would change nothing.
        key = "lr" if name == "learning_rate" else name
        groups = self.__dict__.get("param_groups")
        if groups and key in groups[0] and key not in self.__dict__:
            raise AttributeError(
                f"{self._name}: {name} is a setting of parameter groups: write\n"
                f"    for group in optimizer.param_groups: group[{key!r}] = {value!r:.40}"
            )
        super().__setattr__(name, value)

    # -- what a subclass writes --------------------------------------------------------------------

    def check(self, group: Group) -> None:
        """Raise TypeError or ValueError for settings out of range; make NumPy's numbers plain."""
        for name in RULES.keys() & group.keys():
            rule, given = RULES[name], group[name]
            if name != "betas":
                group[name] = rule(self._name, given)
                continue
            if not isinstance(given, (tuple, list)) or len(given) != 2:
                wrong = ValueError if isinstance(given, (tuple, list)) else TypeError
                raise wrong(f"{self._name}: betas must be two numbers, got {given!r:.80}")
            group[name] = tuple(rule(self._name, beta) for beta in given)

    #: The arrays of state that each parameter has, where its settings do not decide on them.
    _arrays: ClassVar[tuple[str, ...]] = ()

    def initial_state(self, group: Group) -> dict[str, float]:
        """The arrays of state each parameter has: their names and start values."""
        return dict.fromkeys(self._arrays, 0.0)

    def initial_scalars(self, group: Group) -> dict[str, float]:
        """The state of each parameter that is a number."""
        return {"step": 0}

    def update_rule(self, group: Group, scalars: dict[str, float]) -> Callable[[Chunk], None]:
        """Bring ``scalars`` up to date and return the function that updates one chunk.

        The count ``scalars["step"]`` is that of this step already.
        """
        raise NotImplementedError

    # -- parameters --------------------------------------------------------------------------------

    def _as_groups(self, params: Any) -> list[Group]:
        kind, wrong = type(params).__name__, ""
        if isinstance(params, (Tensor, np.ndarray)):
            wrong = f"got a single {kind}; put it in a list: [{kind.lower()}]"
        elif isinstance(params, dict):
            wrong = "got a dict; pass a list of groups [{'params': ...}] or params.items()"
        elif isinstance(params, (int, float)):
            wrong = f"got the number {params}; write {self._name}(lr={params})"
        elif hasattr(params, "named_parameters"):
            wrong = f"got a {kind}; write {self._name}(model.parameters())"
        elif isinstance(params, MethodType):
            wrong = f"got a method; call it, {params.__name__}()"
        elif not hasattr(params, "__iter__") or isinstance(params, (str, bytes)):
            wrong = f"got {params!r:.80}"
        if wrong:
            raise TypeError(
                f"{self._name}: params must be an iterable of tensors or of groups, {wrong}"
            )
        entries: Any = params
        given = list(entries)
        if not given:
            raise ValueError(
                f"{self._name}: got no parameters. Pass model.parameters() once (a generator is "
                f"used up after one pass), and keep layers as attributes of a Module; leave "
                f"params out to use apply_gradients"
            )
        if isinstance(given[0], dict):
            return [dict(group) if isinstance(group, dict) else group for group in given]
        return [{"params": given}]

    def add_param_group(self, group: Any) -> None:
        """Add parameters with settings of their own: ``{"params": [...], "lr": 0.01}``.

        Settings left out are those given at construction. Raises TypeError for a group that is not
        a dict of tensors, ValueError for settings that are unknown or out of range, and for
        tensors that appear twice.
        """
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f"{self._name}: a group is a dict with 'params', got {group!r:.80}")
        unknown = sorted(set(group) - set(self.defaults) - EXTRA - {"params", "param_names"})
        if unknown:
            raise ValueError(
                f"{self._name}: unknown settings {unknown} in a group; it has "
                f"{', '.join(self.defaults)}"
            )
        params: Any = group["params"]
        if not hasattr(params, "__iter__"):
            raise TypeError(f"{self._name}: 'params' must be a list of tensors, got {params!r:.80}")
        given: list[Any] = [params] if isinstance(params, Tensor) else list(params)
        if not given:
            raise ValueError(f"{self._name}: group {len(self.param_groups)} has no parameters")
        names: list[str] = list(group.get("param_names", ()))
        if any(isinstance(one, tuple) for one in given):
            if not all(isinstance(one, tuple) and len(one) == 2 for one in given):
                raise ValueError(f"{self._name}: give all parameters as (name, tensor), or none")
            names = [name for name, _ in given]
            given = [tensor for _, tensor in given]
        full = {**copy.deepcopy(self.defaults), **group}
        del full["params"]
        full.pop("param_names", None)
        self.check(full)
        for other in self.param_groups:
            if other["params"] and ("param_names" in other) != bool(names):
                raise ValueError(
                    f"{self._name}: parameters have names in all groups or in none; "
                    f"pass model.named_parameters() or model.parameters() throughout"
                )
        seen: set[Tensor] = set()
        for i, p in enumerate(given):
            label = f"parameter {names[i]!r}" if names else f"parameter {i}"
            self._check_param(p, label)
            if p in seen or p in self._known:
                raise ValueError(
                    f"{self._name}: {label} {_name_of(p)}appears more than once; it would be "
                    f"updated twice in a step. Each parameter goes in one group, once"
                )
            seen.add(p)
        if self._open and not self._known:
            self.param_groups.clear()
            self._buffers.clear()
        self._known.update(dict.fromkeys(given))
        named: Group = {"param_names": names} if names else {}
        self.param_groups.append({"params": given, **named, **full})
        self._buffers.append([])

    def _check_param(self, p: Any, label: str) -> None:
        if not isinstance(p, Tensor):
            raise TypeError(
                f"{self._name}: {label} is {type(p).__name__}, expected a Parameter or a tensor "
                f"with requires_grad=True; make it with mg.tensor(data, requires_grad=True)"
            )
        node = p._node
        if node is not None and not isinstance(node, Leaf):
            raise ValueError(
                f"{self._name}: {label} is a result of {node.op.shown}, not a leaf: a step would "
                f"not change the tensors it was computed from. Pass those, or a new leaf: "
                f"mg.tensor(p.numpy(), requires_grad=True)"
            )
        if not isinstance(p, Parameter) and not p.requires_grad:
            raise ValueError(
                f"{self._name}: {label} of shape {p.shape} has requires_grad=False, so it never "
                f"gets a gradient; set requires_grad=True or make it an nn.Parameter"
            )

    # -- steps -------------------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Remove the gradients, or with ``set_to_none=False`` make them zeros.

        The two differ in the next step: zeros still decay the weights and move by momentum.
        Raises TypeError if ``set_to_none`` is not a boolean.
        """
        # Not @checked: it and step() run in every step, and small ones are over in 20 microseconds.
        if set_to_none is not True and set_to_none is not False:
            raise TypeError(f"zero_grad: set_to_none must be True or False, got {set_to_none!r}")
        for p in self._known:
            node = p._node
            if type(node) is Leaf and node.grad is not None:
                node.grad = None if set_to_none else Tensor(np.zeros_like(p._data))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters by their ``.grad``; returns what ``closure()`` returned, if given.

        ``closure`` computes the gradients again: zero_grad, forward, backward, return the loss.
        Raises RuntimeError when the optimizer was made without parameters, and TypeError if
        ``closure`` cannot be called.
        """
        if closure is not None and not callable(closure):
            raise TypeError(f"step: closure must be a function or None, got {closure!r}")
        loss = None if closure is None else closure()
        if not self._known:
            raise RuntimeError(
                f"{self._name}: step() needs parameters at construction, e.g. "
                f"{self._name}(model.parameters()); or use apply_gradients(zip(grads, params))"
            )
        found: dict[Tensor, Array] = {}
        for p in self._known:
            node = p._node
            if type(node) is Leaf and node.grad is not None:
                found[p] = node.grad._data
        self._apply(found.get)
        return loss

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Tensor]]) -> None:
        """Update the parameters by gradients given as (gradient, parameter) pairs.

        Parameters whose gradient is None stay as they are. An optimizer made without parameters
        adds each new parameter to its last group; any other raises for an unknown one.

        Raises ValueError for unknown or repeated parameters, for gradients of another shape, and
        when there is no gradient at all.

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
                    f"{self._name}: apply_gradients got parameter {i} {_name_of(p)}twice; add its "
                    f"gradients up first"
                )
            gradients[p] = self._checked_gradient(g, p, i)
        if not any(g is not None for g in gradients.values()):
            raise ValueError(
                f"{self._name}: apply_gradients got no gradient at all ({len(pairs)} pairs). "
                f"Was the loss computed inside the tape, from these parameters?"
            )
        self._add_new([p for p in gradients if p not in self._known])
        self._apply(gradients.get)

    def _checked_gradient(self, g: Any, p: Tensor, i: int) -> Array | None:
        if g is None:
            return None
        array: Array = as_tensor(g)._data
        if array.shape != p.shape:
            raise ValueError(
                f"{self._name}: gradient {i} has shape {array.shape}, its parameter "
                f"{_name_of(p)}{p.shape}; pairs are (gradient, parameter), in this order"
            )
        if array.dtype.kind != "f":
            raise TypeError(f"{self._name}: gradient {i} is {array.dtype}, expected floats")
        if not p.requires_grad:
            raise ValueError(
                f"{self._name}: parameter {i} {_name_of(p)}of shape {p.shape} has "
                f"requires_grad=False; make it an nn.Parameter, or leave it out"
            )
        return array

    def _add_new(self, new: list[Tensor]) -> None:
        """Add parameters that come with their first gradients."""
        if not new:
            return
        if not self._open:
            p = new[0]
            raise ValueError(
                f"{self._name}: apply_gradients got a parameter {_name_of(p)}of shape {p.shape} "
                f"that was not among those given at construction. Give it then, add it with "
                f"add_param_group, or leave params out at construction"
            )
        for i, p in enumerate(new):
            self._check_param(p, f"parameter {i}")
        group = self.param_groups[-1]
        group["params"] += new
        self._known.update(dict.fromkeys(new))
        if self._pending is not None:
            now = dict(group)  # a schedule may have changed settings since they were loaded
            try:
                self.load_state_dict(self._pending)
            except ValueError:
                group["params"].clear()
                self._known.clear()
                raise
            self.param_groups[-1].update(now)
            self._pending = None

    def _check_changed(self) -> None:
        """Check the settings of each group that are other objects than in the last step."""
        if len(self.param_groups) != len(self._buffers):
            raise ValueError(
                f"{self._name}: param_groups has {len(self.param_groups)} groups, of which "
                f"{len(self._buffers)} were added; write optimizer.add_param_group(...)"
            )
        for number, group in enumerate(self.param_groups):
            now = [*map(group.get, self.defaults)]
            if not all(map(is_, now, self._checked.get(number, (self,)))):
                missing = sorted(self.defaults.keys() - group.keys() - OPTIONAL)
                if missing:
                    raise ValueError(
                        f"{self._name}: group {number} of param_groups has no {missing[0]!r}; "
                        f"each group keeps all settings"
                    )
                self.check(group)
                self._checked[number] = [group.get(name) for name in self.defaults]

    def _apply(self, gradient_of: Callable[[Tensor], Array | None]) -> None:
        self._check_changed()
        self.__dict__["steps"] += 1  # without __setattr__, which is for people
        # A diverging run shows as inf and nan in the loss; half precision underflows by nature.
        with overflow_noted():
            for number, group in enumerate(self.param_groups):
                for buffer in self._buffers_of(number):
                    gradients = [*map(gradient_of, buffer.params)]
                    buffer.update(gradients, partial(self._decayed_rule, group))

    def _decayed_rule(self, group: Group, scalars: dict[str, float]) -> Callable[[Chunk], None]:
        """The update rule of a subclass, on gradients that point downhill and include the decay."""
        if "step" in scalars:
            scalars["step"] += 1
        rule = self.update_rule(group, scalars)
        maximize, decay = group.get("maximize"), float(group.get("weight_decay", 0.0))
        if not maximize and not decay:
            return rule
        decoupled = group.get("decoupled_weight_decay")

        def update(chunk: Chunk) -> None:
            p, g, s = chunk.p, chunk.g, chunk.s
            if maximize:
                np.negative(g, out=g)
            if decay and decoupled:
                np.multiply(p, 1.0 - float(group["lr"]) * decay, out=p)
            elif decay:
                np.multiply(p, decay, out=s)
                np.add(g, s, out=g)
            rule(chunk)

        return update

    def _buffers_of(self, number: int) -> list[ParameterBuffer]:
        """The buffers of a group: one for each dtype, made again when a parameter has changed."""
        group, buffers = self.param_groups[number], self._buffers[number]
        initial = self.initial_state(group)
        missing = len(group["params"])
        for buffer in buffers:
            missing -= len(buffer.params) if buffer.fits() else 0
        if not missing:
            for buffer in buffers:
                buffer.add_state(initial)
            return buffers
        before = {p: (buffer, i) for buffer in buffers for i, p in enumerate(buffer.params)}
        by_dtype: dict[Any, list[Tensor]] = {}
        for p in group["params"]:
            by_dtype.setdefault(p.dtype, []).append(p)
        made = []
        for params in by_dtype.values():
            buffer = ParameterBuffer(params, initial)
            for i, p in enumerate(params):
                buffer.scalars[i] = self.initial_scalars(group)
                if p in before:
                    old, j = before[p]
                    buffer.set_state(i, old.scalars[j], old.state_of(j))
            made.append(buffer)
        self._buffers[number] = made
        return made

    # -- saved state -------------------------------------------------------------------------------

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """For each parameter that has been updated, its state as numbers and constant tensors."""
        found = {}
        for number, group in enumerate(self.param_groups):
            names = self.initial_state(group)  # not those of a momentum that is now 0
            for buffer in self._buffers_of(number):
                for i, p in enumerate(buffer.params):
                    arrays = buffer.state_of(i)
                    one = self.export(buffer.scalars[i], {name: arrays[name] for name in names})
                    if one:
                        found[p] = one
        return found

    def export(self, scalars: dict[str, float], arrays: dict[str, Array]) -> dict[str, Any]:
        """The state of one parameter as PyTorch lays it out; empty before its first step."""
        if not scalars["step"]:
            return {}
        return {**scalars, **tensors(arrays)}

    def state_dict(self) -> dict[str, Any]:
        """All that a later run needs to continue bit for bit, in PyTorch's structure.

        ``{"state": {0: {"step": 3, ...}, ...}, "param_groups": [{"params": [0, ...], ...}]}``;
        parameters are numbered through all groups. Later steps do not change it.
        """
        params = (p for group in self.param_groups for p in group["params"])
        numbers = {p: i for i, p in enumerate(params)}
        groups = []
        for group in self.param_groups:
            saved = {k: copy.deepcopy(v) for k, v in group.items() if k != "params"}
            groups.append({**saved, "params": [numbers[p] for p in group["params"]]})
        state = {numbers[p]: one for p, one in self.state.items()}
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    @checked()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` returned, here or in PyTorch (arrays or tensors).

        Parameters are matched by name where both sides have names, else by position. Settings,
        such as the learning rate, are loaded too.

        An optimizer made without parameters loads the settings at once, and the state at its first
        step, by position.

        Raises ValueError that lists every group, setting and array that does not fit; the
        optimizer is then unchanged.
        """
        wrong: list[str] = []
        groups = self._matched_groups(state_dict, wrong)
        saved_state = state_dict["state"]
        loaded: dict[Tensor, tuple[dict[str, float], dict[str, Array]]] = {}
        for group, keys in groups:
            for p, key in zip(group["params"], keys, strict=False):  # it may have none yet
                saved = saved_state.get(key, saved_state.get(str(key), {}))
                scalars, arrays, problems = self._restored(group, p, saved)
                label = f"state of parameter {key} {_name_of(p)}".rstrip()
                wrong += [f"{label}: {one}" for one in problems]
                loaded[p] = scalars, arrays
        if wrong:
            raise ValueError(f"{self._name}: load_state_dict: " + "; ".join(wrong))
        self.param_groups[:] = [group for group, _ in groups]
        if not self._known:
            self._pending = copy.deepcopy(state_dict)
            return
        for number in range(len(groups)):
            self._buffers[number] = []
            for buffer in self._buffers_of(number):
                for i, p in enumerate(buffer.params):
                    buffer.set_state(i, *loaded[p])

    def _matched_groups(
        self, state_dict: dict[str, Any], wrong: list[str]
    ) -> list[tuple[Group, list[Any]]]:
        """Each group with the saved settings, and the saved keys of its parameters in order.

        What does not fit is added to ``wrong``.
        """
        entries(f"{self._name}: load_state_dict", state_dict, "state", "param_groups")
        saved_groups = state_dict["param_groups"]
        if len(saved_groups) != len(self.param_groups):
            raise ValueError(
                f"{self._name}: load_state_dict: {len(saved_groups)} parameter groups were saved, "
                f"this optimizer has {len(self.param_groups)}; build it with the same groups first"
            )
        matched: list[tuple[Group, list[Any]]] = []
        for number, (saved, group) in enumerate(zip(saved_groups, self.param_groups, strict=True)):
            keys: Any = saved.get("params") if isinstance(saved, dict) else None
            if type(keys) not in (list, tuple):
                raise ValueError(
                    f"{self._name}: load_state_dict: group {number} must be a dict with the list "
                    f"'params', got {saved!r:.80}"
                )
            if len(keys) != len(group["params"]) and self._known:
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
            loaded = {k: copy.deepcopy(v) for k, v in saved.items() if k not in NOT_SETTINGS}
            lacking = sorted(set(self.defaults) - set(loaded) - OPTIONAL)
            unknown = sorted(set(loaded) - set(self.defaults) - EXTRA)
            if lacking or unknown:
                wrong.append(
                    f"group {number}: settings {unknown} are unknown and {lacking} are missing; "
                    f"was it saved by another optimizer?"
                )
                continue
            if "betas" in loaded:
                loaded["betas"] = tuple(loaded["betas"])
            matched.append(({**group, **loaded}, keys))
        return matched

    def _restored(
        self, group: Group, p: Tensor, saved: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Array], list[str]]:
        """Scalars and arrays of one parameter from its saved state, and what is wrong with it."""
        scalars, initial = self.initial_scalars(group), self.initial_state(group)
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
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k not in NOT_SETTINGS]
        return "\n".join([*lines, ")"])


def tensors(arrays: dict[str, Array]) -> dict[str, Tensor]:
    """Copies of arrays as tensors, which later steps do not change."""
    return {name: Tensor(array.copy()) for name, array in arrays.items()}


def _name_of(p: Tensor) -> str:
    """The name of a parameter for messages, with a space, or nothing."""
    name = p._node.name if isinstance(p._node, Leaf) else ""
    return f"{name!r} " if name else ""
