"""Functional transforms: they take a function and give its derivatives.

Each argument is replaced by a fresh variable, so that nested derivatives cannot mistake one level's
variable for another's. A result is tracked if an argument is, or if the function uses a tracked
tensor. Otherwise it is a constant, and an array where the argument was an array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from minigrad.engine.node import STATE, Leaf, Node, State
from minigrad.engine.settings import checked
from minigrad.engine.switches import replaced
from minigrad.engine.tape import GradientTape
from minigrad.engine.tensor import Tensor, as_tensor, tensors_in
from minigrad.engine.tree import flatten, map_leaves, rebuild
from minigrad.operators.arithmetic import positive
from minigrad.operators.declare import engine

Function = Callable[..., Any]


def _fresh(argument: Any) -> Any:
    """New variables with the same values: connected to the old ones where those are tracked."""

    def variable(one: Any) -> Tensor:
        t = as_tensor(one)
        if t.dtype.kind != "f":
            raise TypeError(
                f"a derivative needs floating-point arguments, got {t.dtype} of shape "
                f"{t.shape}; pass 2.0 instead of 2, or convert with .astype(np.float64)"
            )
        return positive(t) if t._node is not None else Tensor(t._data)

    return map_leaves(variable, argument)


def _recording() -> AbstractContextManager[State]:
    """A block in which a derivative can be taken: recording is on, even under ``no_grad``.

    Entering it gives the state outside, where ``recording`` tells whether the derivative may be
    tracked itself.
    """
    state = STATE.get()
    return nullcontext(state) if state.recording else replaced(recording=True, tapes=(), pauses=())


def _run(
    f: Function, argnums: Any, args: Any, kwargs: dict[str, Any], persistent: bool = False
) -> tuple[GradientTape, Any, Any, Any]:
    """Run a function under a tape: the tape, the variables, what they replace, and the result.

    The variables take the place of the arguments ``argnums``. The tape's gradients are tracked
    where the result is.
    """
    several = isinstance(argnums, tuple)
    numbers = argnums if several else (argnums,)
    given = list(args)
    with _recording() as outside:
        for n in numbers:
            if not -len(args) <= n < len(args):
                name = getattr(f, "__name__", "the function")
                raise ValueError(f"argnums={argnums}: {name} was called with {len(args)} arguments")
            given[n] = _fresh(args[n])
        variables, asked = (
            tuple(these[n] for n in numbers) if several else these[argnums]
            for these in (given, args)
        )
        with GradientTape(persistent) as tape:
            tape.watch(variables)
            result = f(*given, **kwargs)
    tape._recorded = outside.recording and _is_tracked(tape, variables, result)
    return tape, variables, asked, result


def _is_tracked(tape: GradientTape, variables: Any, values: Any) -> bool:
    """Whether what ran under this tape depends on tracked tensors other than its variables."""
    start = tape._intervals[0][0]
    if any(type(one._node) is Node for one in flatten(variables)):
        return True
    nodes = [one._node for one in flatten(values) if isinstance(one, Tensor)]
    for node in tape.nodes:
        nodes += node.parents
    return any(
        node is not None and (node.number < start or (type(node) is Leaf and node.trainable))
        for node in nodes
    )


def _is_array(one: Any) -> bool:
    return isinstance(one, (np.ndarray, np.generic))


def _as_given(given: Any, results: Any) -> Any:
    """The results, as arrays where the arguments were arrays. Both have the same nesting."""
    return map_leaves(lambda a, r: np.array(r._data) if _is_array(a) else r, given, results)


def _constants(given: Any, values: Any) -> Any:
    """The values without their history; as arrays when nothing but arrays was given."""
    arrays = all(map(_is_array, flatten(given)))
    return map_leaves(lambda one: np.array(one._data) if arrays else one.detach(), values)


def _one_number(value: Any, what: str) -> Tensor:
    if isinstance(value, (list, tuple, dict)):
        raise TypeError(
            f"{what}: the function must return one tensor, got {type(value).__name__}; "
            f"add up what it holds, or use mg.jacobian"
        )
    (tensor,) = tensors_in(value, f"{what}: the function must return a tensor")
    if tensor.size != 1:
        raise ValueError(
            f"{what}: the function must return one number, got shape {tensor.shape}; "
            f"reduce it, e.g. with .sum(), or use mg.jacobian"
        )
    return tensor


@checked()
def value_and_grad(f: Function, argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function that returns ``(f(*args), gradient)``.

    The gradient has the nesting of the argument: a tensor, or a list, tuple or dict of them; with
    a tuple of ``argnums``, a tuple. Zero where f does not depend on an argument. As in JAX.

    Value and gradient are tracked when an argument is, or when f uses a tracked tensor, such as a
    parameter; so a loss may contain a gradient. Otherwise they are constants, and NumPy arrays
    if the arguments are NumPy arrays. The same is true of the other transforms.

    Raises ValueError if f does not return exactly one number, TypeError for integer arguments.

    >>> import minigrad as mg
    >>> mg.value_and_grad(lambda x: (x * x).sum())(mg.tensor([1.0, 2.0]))
    (tensor(5.), tensor([2., 4.]))
    """
    return _value_and_grad(f, argnums, "grad")


def _value_and_grad(f: Function, argnums: Any, what: str) -> Function:
    def both(*args: Any, **kwargs: Any) -> Any:
        tape, wanted, asked, result = _run(f, argnums, args, kwargs)
        value = _one_number(result, what)
        gradient = tape.gradient(value, wanted, unconnected_gradients="zero")
        if tape._recorded:
            return value, gradient
        return _constants(asked, value), _as_given(asked, gradient)

    return both


@checked()
def grad(f: Function, argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The gradient of a function with one number as result; apply it again for higher orders.

    See :func:`value_and_grad` for arguments and errors.

    >>> import minigrad as mg
    >>> df = mg.grad(lambda x: x ** 3)
    >>> df(2.0), mg.grad(df)(2.0)
    (tensor(12.), tensor(12.))
    >>> mg.grad(lambda x: (x ** 3).sum())(np.array([1.0, 2.0]))
    array([ 3., 12.])
    """
    both = value_and_grad(f, argnums)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


@checked()
def jacobian(f: Function, argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """All first derivatives: shape ``f(x).shape + x.shape``.

    If the result or the argument is nested, so is the Jacobian: like the result outside, like the
    argument inside. As in JAX.

    >>> import minigrad as mg
    >>> mg.jacobian(lambda x: x * x)(mg.tensor([1.0, 3.0]))
    tensor([[2., 0.],
            [0., 6.]])
    """

    def of(*args: Any, **kwargs: Any) -> Any:
        tape, wanted, asked, value = _run(f, argnums, args, kwargs, persistent=True)
        tensors = tensors_in(value, "jacobian: the function must return a tensor")
        blocks = [tape.jacobian(one, wanted, unconnected_gradients="zero") for one in tensors]
        if not tape._recorded:
            blocks = [_as_given(asked, block) for block in blocks]
        return rebuild(value, iter(blocks))

    return of


@checked()
def hessian(f: Function, argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """All second derivatives of a function with one number as result: shape x.shape + x.shape.

    For nested arguments, a block for each pair of them, as in JAX.

    >>> import minigrad as mg
    >>> mg.hessian(lambda x: (x ** 3).sum())(mg.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacobian(grad(f, argnums), argnums)


@checked()
def vjp(f: Function, *args: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of f, and the function that takes a cotangent v to v times the Jacobian.

    Returns one product per argument, in a tuple. As ``jax.vjp``.

    >>> import minigrad as mg
    >>> value, back = mg.vjp(lambda x: x * x, mg.tensor([1.0, 3.0]))
    >>> back(mg.tensor([1.0, 10.0]))
    (tensor([ 2., 60.]),)
    """
    tape, variables, _, value = _run(f, tuple(range(len(args))), args, {}, persistent=True)
    tensors_in(value, "vjp: the function must return a tensor")
    tracked = tape._recorded

    def back(v: Any) -> tuple[Any, ...]:
        tape._recorded = again = tracked or bool(engine.tracked(v))
        found = tape.gradient(value, variables, v, unconnected_gradients="zero")
        return tuple(found if again else _as_given(args, found))

    return value if tracked else _constants(args, value), back


@checked()
def jvp(f: Function, x: Any, v: Any) -> tuple[Any, Any]:
    """The value of f at x, and the Jacobian times v: the derivative of f in the direction v.

    ``x`` and ``v``: a tensor each, or tuples of them for a function of several arguments.
    Computed by differentiating the vector-Jacobian product, which is linear in its cotangent.
    Raises ValueError if x and v differ in shape.

    >>> import minigrad as mg
    >>> mg.jvp(lambda x: x * x, mg.tensor([1.0, 3.0]), mg.tensor([1.0, 1.0]))
    (tensor([1., 9.]), tensor([2., 6.]))
    """
    xs = x if isinstance(x, tuple) else (x,)
    vs = v if isinstance(v, tuple) else (v,)
    directions = _directions("jvp", xs, vs)
    inner, variables, _, value = _run(f, tuple(range(len(xs))), xs, {})
    if not isinstance(value, Tensor):
        _one_number(value, "jvp")
    cotangent = Tensor(np.zeros_like(value._data))
    tracked = inner._recorded or bool(engine.tracked(directions))
    with _recording(), GradientTape() as outer:
        outer.watch(cotangent)
        inner._recorded = True  # the products are differentiated below
        products = inner.gradient(value, variables, cotangent, unconnected_gradients="zero")
    outer._recorded = tracked
    tangent = outer.gradient(products, cotangent, directions, unconnected_gradients="zero")
    return (value, tangent) if tracked else (_constants(x, value), _constants(x, tangent))


@checked()
def hvp(f: Function, x: Any = None, v: Any = None) -> Any:
    """The function (x, v) -> Hessian of f at x times v, without the Hessian (Pearlmutter, 1994).

    ``hvp(f, x, v)`` gives the product at once. x may be a list, tuple or dict of tensors; v and the
    result then have the same nesting. What else the function is called with goes to f.
    Raises ValueError if x and v differ in shape, TypeError if one of them is missing.

    >>> import minigrad as mg
    >>> product = mg.hvp(lambda x: (x ** 3).sum())
    >>> product(mg.tensor([1.0, 2.0]), mg.tensor([1.0, 1.0]))
    tensor([ 6., 12.])
    """

    def of(x: Any, v: Any, *args: Any, **kwargs: Any) -> Any:
        directions = _directions("hvp", flatten(x), flatten(v))
        both = _value_and_grad(f, 0, "hvp")
        tape, variable, _, (_, gradient) = _run(both, 0, (x, *args), kwargs)
        tape._recorded = tape._recorded or bool(engine.tracked(directions))
        product = tape.gradient(gradient, variable, directions, unconnected_gradients="zero")
        return product if tape._recorded else _as_given(x, product)

    if x is None and v is None:
        return of
    if x is None or v is None:
        raise TypeError("hvp: expected x and v, as in hvp(f)(x, v), got only one of them")
    return of(x, v)


def _directions(what: str, x: Sequence[Any], given: Sequence[Any]) -> list[Tensor]:
    """The given directions as tensors of the same shapes as x."""
    directions = [as_tensor(one) for one in given]
    shapes, found = [as_tensor(one).shape for one in x], [t.shape for t in directions]
    if shapes != found:
        raise ValueError(f"{what}: x has shapes {shapes}, v has {found}")
    return directions
