"""The optimizer of a Trainer: by name, by class, or an object of ``minigrad.optim``.

An object without parameters gets the model's, and one with another model's is refused.
"""

from __future__ import annotations

from typing import Any

from minigrad import optim
from minigrad.nn.module import Module


def optimizer_for(given: Any, model: Module) -> optim.Optimizer:
    """The optimizer of all parameters of the model that require gradients.

    Raises ValueError for an unknown name, a model without parameters to train and an optimizer of
    other parameters; TypeError for anything but a name, a class or an object.
    """
    params = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not params:
        raise ValueError(
            f"Trainer: {type(model).__name__} has no parameters to train. Keep layers as "
            f"attributes of the module, and leave some with requires_grad=True"
        )
    kinds = [getattr(optim, name) for name in optim.__all__]
    kinds = [k for k in kinds if isinstance(k, type) and issubclass(k, optim.Optimizer)]
    classes = {kind.__name__.lower(): kind for kind in kinds if kind is not optim.Optimizer}
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
