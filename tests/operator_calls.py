"""Calls of the declared operators with arrays drawn from their domains, for the long tests."""

import importlib
import pkgutil
from functools import partial
from typing import Any

import numpy as np

import minigrad.operators
from minigrad.engine.tree import flatten, rebuild
from minigrad.operators.declare import COMPOSITES, OPERATORS, Operator, engine
from minigrad.operators.domain import Sample

for _module in pkgutil.iter_modules(minigrad.operators.__path__):
    importlib.import_module(f"minigrad.operators.{_module.name}")

#: A composite may stand before an operator of the same name, as ``mg.power`` does.
DECLARED: dict[str, Any] = {**OPERATORS, **{f"mg.{n}": each for n, each in COMPOSITES.items()}}
DIFFERENTIABLE = sorted(DECLARED)


def entry(name: str) -> Any:
    """The declaration of an operator or composite."""
    return DECLARED[name]


def samples(name: str) -> list[Sample]:
    """Those samples of a declaration in which there is something to differentiate."""
    found = []
    for sample in entry(name).samples:
        function, arrays = call(name, sample, np.random.default_rng(0))
        if arrays and any(y.dtype.kind == "f" for y in flatten(function(*arrays))):
            found.append(sample)
    return found


def call(name: str, sample: Sample, rng: np.random.Generator) -> tuple[Any, tuple[Any, ...]]:
    """The operator as a function of its differentiable arrays, and those, drawn."""
    declared = entry(name)
    drawn = sample.draw(rng, declared.domains)
    if isinstance(declared, Operator):
        run = partial(_record, declared, sample.metadata)
        rules = declared.rules
    else:
        run = partial(declared.function, **sample.metadata)
        rules = (True,) * len(drawn)
    leaves = flatten(drawn)
    fixed = {id(x) for x, rule in zip(drawn, rules, strict=False) if rule is None}
    # A Python number or a function among the arrays belongs to the call, as metadata does.
    variables = [
        i
        for i, x in enumerate(leaves)
        if isinstance(x, np.ndarray) and x.dtype.kind == "f" and id(x) not in fixed
    ]

    plain = len(variables) == len(drawn) and not any(isinstance(x, list) for x in drawn)

    def function(*args: Any) -> Any:
        if plain:
            return run(*args)
        given = list(leaves)
        for i, arg in zip(variables, args, strict=True):
            given[i] = arg
        return run(*rebuild(drawn, iter(given)))

    function.__name__ = name
    return function, tuple(leaves[i] for i in variables)


def _record(op: Operator, metadata: dict[str, Any], *args: Any) -> Any:
    return engine.record(op, args, metadata)
