"""The tensor: a value that nobody may write to, with a history if it is tracked.

``recording.py`` runs Python's operators and NumPy's functions on tensors. This file has the
properties of a tensor, the ways out of the graph, and the conversion of arrays and numbers to
tensors.
"""

from __future__ import annotations

import functools
import operator as python_operator
import sys
from collections.abc import Callable, Iterator
from types import EllipsisType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np

from minigrad.engine import numpy_protocol
from minigrad.engine.arguments import frozen
from minigrad.engine.backward import REDUCERS, Reducers, backward, reachable
from minigrad.engine.hooks import note_detached
from minigrad.engine.methods import ArrayMethods
from minigrad.engine.node import ASSIGNED, STATE, Leaf, Node, next_number
from minigrad.engine.rows import Rows
from minigrad.engine.switches import replaced
from minigrad.engine.tree import flatten
from minigrad.lazy import load_late
from minigrad.operators import arithmetic, indexing, products, shapes
from minigrad.operators.declare import engine, operator_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

Number: TypeAlias = bool | int | float
ArrayLike: TypeAlias = "Tensor | NDArray[Any] | np.generic | Number | list[Any] | tuple[Any, ...]"
ndarray = np.ndarray
_new = object.__new__
#: Under this key, a deep copy notes the leaves that it has copied and the histories that it shares.
DEEPCOPY = "minigrad.Tensor"
#: The kinds of dtypes that a tensor may have: floats, integers, booleans, complex numbers.
NUMERIC = "fiubc"

_getitem = operator_of(indexing.getitem)
Operation: TypeAlias = "Callable[[Tensor, ArrayLike], Tensor]"


def _by_short_path(function: Callable[..., Any]) -> tuple[Operation, Operation]:
    """As in ``methods.py``, by the engine's short path for two operands."""
    op = operator_of(function)

    def left(self: Tensor, other: ArrayLike) -> Tensor:
        return engine.binary(op, self, other)

    def right(self: Tensor, other: ArrayLike) -> Tensor:
        return engine.binary(op, other, self)

    return left, right


class Size(int):
    """A number of elements, which says what to write when it is called, as PyTorch's size() is."""

    __slots__ = ()

    def __call__(self, *axis: Any) -> NoReturn:
        """Raise TypeError, with what to write."""
        where = f"[{axis[0]}]" if axis else ""
        raise TypeError(
            f"size: it is the number of elements, as in NumPy, not a method; write x.shape{where}"
        )


class Tensor(ArrayMethods):
    """A value (an ndarray that nobody may write to) and, when tracked, its history.

    Make one with :func:`minigrad.tensor`. Every NumPy operator and function that has a rule works
    on it and records itself: ``x * 2``, ``np.exp(x)``, ``x.sum(axis=0)``. Writing into it raises
    TypeError (into its array, ValueError). An implicit conversion that would lose its history
    raises TypeError as well. Errors from NumPy name the operator.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0, 3.0])
    >>> (x ** 2).sum()
    tensor(14.)
    """

    __slots__ = ("__weakref__", "_data", "_node")
    __array_priority__ = 1000.0

    _data: NDArray[Any]
    _node: Node | None

    def __init__(self, data: NDArray[Any], node: Node | EllipsisType | None = ...) -> None:
        if node is ...:  # from outside the engine
            data, node = _plain_array(data), None
        self._data = data if type(data) is ndarray else np.asarray(data)
        self._node = node

    # -- the value ---------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return Size(self._data.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's dtype of the elements."""
        return self._data.dtype

    @property
    def nbytes(self) -> int:
        """The bytes of the elements."""
        return self._data.nbytes

    @property
    def T(self) -> Tensor:
        """The tensor with its axes reversed."""
        return shapes.transpose(self)

    @property
    def mT(self) -> Tensor:
        """The tensor with its last two axes swapped."""
        return shapes.swapaxes(self, -1, -2)

    def numpy(self) -> NDArray[Any]:
        """The value as a read-only ndarray. It is a constant: no gradient flows through it.

        For a leaf that optimizers update in place (a Parameter) it is a copy, which later updates
        do not change.
        """
        leaf = self._node
        note_detached(leaf, ".numpy()")
        mutable = type(leaf) is Leaf and leaf.trainable
        array = self._data.copy() if mutable else self._data.view()
        array.flags.writeable = False
        return array

    def item(self) -> Any:
        """The only element, as a Python number.

        Raises ValueError if there is not exactly one element.
        """
        if self._data.size != 1:
            raise ValueError(
                f"item: expected one element, got shape {self.shape}; use .numpy() or .tolist()"
            )
        note_detached(self._node, ".item()")
        return self._data.item()

    def tolist(self) -> Any:
        """The elements as (nested) Python lists."""
        note_detached(self._node, ".tolist()")
        return self._data.tolist()

    def _as_python(self, kind: str) -> Any:
        """The only element as a Python number. Raises TypeError if an open tape tracks it."""
        state = STATE.get()
        if state.recording and any(tape._node_of(self) is not None for tape in state.tapes):
            raise TypeError(
                f"{kind}: inside a GradientTape or a derivative, a tracked tensor is not converted "
                f"to a Python number implicitly, because its gradient would be lost silently "
                f"(array[0] = t, math.sqrt(t)). Combine tensors with np.stack([t, u]) and use "
                f"NumPy's functions, or leave the graph on purpose with t.item(); to print it, "
                f"use f'{{t:.3f}}'"
            )
        return self.item()

    def __float__(self) -> float:
        return float(self._as_python("float"))

    def __int__(self) -> int:
        return int(self._as_python("int"))

    def __complex__(self) -> complex:
        return complex(self._as_python("complex"))

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iu" or self._data.ndim:
            raise TypeError(
                f"only an integer tensor of shape () is an index, "
                f"got {self.dtype} of shape {self.shape}"
            )
        return python_operator.index(self._data[()])

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise ValueError(
                f"the truth value of a tensor of shape {self.shape} is ambiguous; "
                f"use .any() or .all()"
            )
        return bool(self._data.item())

    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError("len() of a tensor of shape ()")
        return len(self._data)

    def __iter__(self) -> Iterator[Tensor]:
        if not self._data.ndim:
            raise TypeError("a tensor of shape () cannot be iterated over")
        return (self[i] for i in range(len(self._data)))

    def __contains__(self, value: Any) -> bool:
        return bool((self._data == engine.constant(value)).any())

    def __repr__(self) -> str:
        text = np.array2string(self._data, separator=", ", prefix="tensor(", threshold=200)
        if self.dtype.name not in ("float32", "int64", "bool"):
            text += f", dtype={self.dtype}"
        if type(self._node) is Leaf:
            text += ", requires_grad=True" if self._node.trainable else ""
        elif self._node is not None:
            text += f", op={self._node.op.shown}"
        return f"tensor({text})"

    def _repr_html_(self) -> str | None:
        """In a notebook, a tensor with two axes is a table."""
        text: str | None = load_late("minigrad.debug.table").matrix_html(self)
        return text

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> Tensor:
        node = self._node
        copied, shared = memo.setdefault(DEEPCOPY, (set(), []))
        if type(node) is Leaf and node.trainable:
            copy = object.__new__(type(self))
            copy._data = self._data.copy()
            copy._node = leaf = Leaf(copy, trainable=True)
            leaf.grad, leaf.name = node.grad, node.name
            memo[id(self)] = copy
            copied.add(node)
        else:  # a value and its history never change, so they can be shared
            copy = self
            shared += [node] * (node is not None)
        if copied and shared and not copied.isdisjoint(reachable(shared)):
            raise TypeError(
                "deepcopy: a leaf was copied together with a result of it, whose gradient would go "
                "to the original leaf; .detach() the result, or compute it again from the copy"
            )
        return copy

    def __reduce__(self) -> Any:
        if self._node is not None and type(self._node) is not Leaf:
            raise TypeError("a tensor with a history cannot be pickled; use .detach()")
        return _rebuild, (type(self), self._data, self.requires_grad)

    # -- history -----------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded. May be set on a tensor without history.

        Raises TypeError for integers, which have no gradient, and RuntimeError for a result of
        operations, which cannot be made constant in place (use ``detach()``).
        """
        node = self._node
        return node is not None and (type(node) is not Leaf or node.trainable)

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not isinstance(wanted, (bool, np.bool_)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"requires_grad: expected True or False, got {wanted!r}")
        if wanted == self.requires_grad:
            return
        if wanted:
            node: Leaf | None = new_leaf(self, trainable=True)
        elif type(self._node) is Leaf:
            node = None
        else:
            raise RuntimeError("requires_grad: a result of operations is tracked; use .detach()")
        # A leaf is written in place, but graphs and other tensors may share the array of a
        # constant. So a tensor that changes from one to the other gets an array of its own.
        self._data = self._data.copy()
        self._node = node

    @property
    def grad(self) -> Tensor | None:
        """The gradient that ``backward()`` accumulated here, or None."""
        return self._node.grad if type(self._node) is Leaf else None

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if type(self._node) is not Leaf:
            if value is None:
                return
            raise RuntimeError("grad: only a leaf with requires_grad=True holds a gradient")
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"grad: expected a tensor or None, got {type(value).__name__}; use mg.tensor(...)"
            )
        if value is not None and value.shape != self.shape:
            raise ValueError(f"grad: expected shape {self.shape}, got {value.shape}")
        self._node.grad = value

    def detach(self) -> Tensor:
        """The same value without its history: a constant."""
        node = self._node
        note_detached(node, "stop_gradient (or .detach())")
        if type(node) is Leaf and node.trainable:
            return Tensor(self._data.copy())
        return Tensor(self._data)

    def backward(
        self,
        gradient: ArrayLike | None = None,
        *,
        retain_graph: bool = False,
        create_graph: bool = False,
    ) -> None:
        """Add to ``.grad`` of every leaf with ``requires_grad`` the gradient of this tensor.

        ``gradient``: the cotangent, of this tensor's shape; needed unless it has one element.
        The graph is released unless ``retain_graph`` (a second pass then raises RuntimeError).
        ``create_graph`` records the pass itself, for higher orders; so does an open tape.
        As in PyTorch.

        >>> import minigrad as mg
        >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.])
        """
        flags: Any = (retain_graph, create_graph)
        if type(flags[0]) is not bool or type(flags[1]) is not bool:
            raise TypeError(
                f"backward: retain_graph and create_graph must be True or False, got "
                f"{flags[0]!r:.80} and {flags[1]!r:.80}"
            )
        node = self._node
        if node is None:
            raise RuntimeError(
                "backward: this tensor has no history. Make its inputs with requires_grad=True "
                "(Parameters are), and compute it outside no_grad()"
            )
        record_it = create_graph or bool(STATE.get().tapes)
        seed = self._seed(gradient)
        release = not (retain_graph or record_it)
        grads = gradients(
            [(node, seed)], None, recorded=record_it, release=release, reducers=REDUCERS
        )
        for leaf, g in grads.items():
            if isinstance(leaf, Leaf):
                leaf.grad = g if leaf.grad is None else leaf.grad + g

    def _seed(self, gradient: ArrayLike | None) -> Tensor:
        """The cotangent to start from, checked."""
        if gradient is None:
            if self._data.size != 1:
                raise RuntimeError(
                    f"backward: expected one element, got shape {self.shape}. Reduce it first, "
                    f"e.g. y.sum().backward(), or give the cotangent: "
                    f"y.backward(gradient=mg.ones_like(y))"
                )
            return Tensor(_ones(self._data.shape, self._data.dtype), None)
        seed = gradient if isinstance(gradient, Tensor) else named("backward", gradient)
        given, own = seed._data, self._data  # each property would cost a call
        if given.shape != own.shape:
            raise ValueError(f"backward: gradient has shape {given.shape}, expected {own.shape}")
        return seed if given.dtype == own.dtype else seed.astype(own.dtype)

    # -- writing in place: only leaves, with assign() -------------------------------------------

    def assign(self, value: ArrayLike) -> None:
        """Write a new value into this leaf, e.g. a parameter. Shape and dtype stay.

        Raises RuntimeError for a result of operations and ValueError for another shape. A graph
        that saved the old value then raises RuntimeError in its backward pass.
        """
        node = self._node
        if node is not None and type(node) is not Leaf:
            raise RuntimeError(
                "assign: this tensor is the result of operations, and only a leaf can be written "
                "in place; make a new tensor"
            )
        array = named("assign", value)._data
        if array.shape != self.shape:
            raise ValueError(f"assign: expected shape {self.shape}, got {array.shape}")
        if array.dtype.kind == "c" and self.dtype.kind != "c":
            raise TypeError(f"assign: expected {self.dtype}, got {array.dtype}; assign its .real")
        if type(node) is Leaf and node.trainable:
            self._data[...] = array
            node.assigned = next_number()
        else:
            # A graph may have saved the array of a constant, so it is replaced, not overwritten.
            for assigned in ASSIGNED.get()[-1:]:
                assigned.append((self, self._data))
            self._data = array.astype(self.dtype)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError(
            "a tensor is a value and cannot be written to. Build a new one, e.g. "
            "np.where(mask, value, t), or p.assign(array) for a parameter"
        )

    # -- Python's operators --------------------------------------------------------------------

    __add__, __radd__ = _by_short_path(arithmetic.add)
    __sub__, __rsub__ = _by_short_path(arithmetic.subtract)
    __mul__, __rmul__ = _by_short_path(arithmetic.multiply)
    __truediv__, __rtruediv__ = _by_short_path(arithmetic.divide)
    __matmul__, __rmatmul__ = _by_short_path(products.matmul)

    def __pos__(self) -> Tensor:
        return self

    def __getitem__(self, index: Any) -> Tensor:
        return engine.run(_getitem, (self,), {"index": frozen(index)})

    # -- NumPy's protocols -----------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return numpy_protocol.call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return numpy_protocol.call_function(func, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self._node is not None:
            raise TypeError(
                "a tracked tensor is not converted to an array implicitly, because the graph would "
                "be lost silently (np.asarray, np.array([t, u]), array[:] = t). Use t.numpy() to "
                "leave the graph on purpose, or np.stack([t, u]) to stay in it"
            )
        array = self.numpy() if copy is not True else self._data.copy()
        if dtype is None or array.dtype == dtype:
            return array
        if copy is False:
            raise ValueError(f"a copy is needed to turn {self.dtype} into {np.dtype(dtype)}")
        return array.astype(dtype)


def _plain_array(data: Any) -> NDArray[Any]:
    """NumPy's arrays and scalars as a plain ndarray of numbers. Raises TypeError for all else."""
    if not isinstance(data, (ndarray, np.generic)):
        raise TypeError(
            f"Tensor: expected an ndarray, got {type(data).__name__}; "
            f"mg.tensor(data) makes a tensor of numbers, lists, arrays and tensors"
        )
    if data.dtype.kind not in NUMERIC:
        raise TypeError(f"Tensor: expected an array of numbers, got dtype {data.dtype}")
    return np.asarray(unmasked("Tensor", data))


def unmasked(name: str, data: Any) -> Any:
    """The same data. Raises TypeError for a masked array of which an element is masked."""
    if type(data) is not ndarray and isinstance(data, ndarray):
        masked = sys.modules.get("numpy.ma")  # which takes long to import
        if masked is not None and masked.is_masked(data):
            raise TypeError(
                f"{name}: a masked array would lose its mask here; give data.filled(value), or the "
                f"mask apart: np.where(data.mask, value, t)"
            )
    return data


def _rebuild(kind: type[Tensor], data: NDArray[Any], requires_grad: bool) -> Tensor:
    tensor = object.__new__(kind)
    tensor._data, tensor._node = data, None
    tensor.requires_grad = requires_grad
    return tensor


# -- from Python and NumPy to tensors --------------------------------------------------------------


def as_array(data: Any, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """A new array of anything array-like: Python floats become float32, arrays keep their dtype.

    Raises TypeError if the data are not numbers, and for tracked tensors inside lists.
    """
    given = isinstance(data, (np.ndarray, np.generic, Tensor))
    for one in () if isinstance(data, Tensor) else data if type(data) in (list, tuple) else (data,):
        unmasked("tensor", one)
    try:
        array = np.array(engine.constant(data) if given else data, dtype=dtype)
    except (ValueError, TypeError) as error:
        message = f"tensor: cannot make an array of {type(data).__name__}: {error}"
        raise type(error)(message) from None
    if array.dtype.kind not in NUMERIC:
        raise TypeError(
            f"tensor: dtype {array.dtype} is not supported; expected floats, integers or booleans"
        )
    if dtype is None and not given and array.dtype == np.float64 and not _holds_float64(data):
        array = array.astype(np.float32)
    return array


def _holds_float64(data: Any) -> bool:
    """Whether a nested list holds a NumPy or tensor value that is already float64."""
    return any(getattr(one, "dtype", None) == np.float64 for one in flatten(data))


def as_tensor(data: Any) -> Tensor:
    """The tensor itself, or a constant made of anything array-like.

    >>> as_tensor([1.0, 2.0])
    tensor([1., 2.])
    """
    return data if isinstance(data, Tensor) else Tensor(as_array(data))


def tensors_in(result: Any, must: str) -> list[Tensor]:
    """The tensors of a nested result of a function. Raises TypeError if it has anything else."""
    found = flatten(result)
    for one in found:
        if not isinstance(one, Tensor):
            raise TypeError(
                f"{must}, got {type(one).__name__}. Inside it, stay with tensors: .numpy(), "
                f"float() and .item() leave the graph"
            )
    return found


def named(function: str, data: Any) -> Tensor:
    """Like :func:`as_tensor`, with errors that begin with the name of this function."""
    try:
        return as_tensor(data)
    except (TypeError, ValueError) as error:
        text = str(error).removeprefix("tensor: ")
        raise type(error)(f"{function}: {text}") from None


def plain(value: Any) -> Any:
    """The arrays behind tensors, also inside tuples and lists; other things as they are."""
    if isinstance(value, Tensor):
        return value._data
    if type(value) in (tuple, list):
        return type(value)(map(plain, value))
    return unmasked("tensor", value)


def new_leaf(tensor: Tensor, trainable: bool) -> Leaf:
    """A new leaf for this tensor. Raises TypeError for integers."""
    if tensor.dtype.kind != "f":
        raise TypeError(
            f"only floating-point tensors have gradients, got {tensor.dtype}; "
            f"use t.astype(np.float32)"
        )
    return Leaf(tensor, trainable)


@functools.lru_cache(maxsize=16)
def _ones(shape: tuple[int, ...], dtype: Any) -> Any:
    """The cotangent that most passes start from, which nobody writes to."""
    ones = np.ones(shape, dtype)
    ones.flags.writeable = False
    return ones


# -- gradients of recorded values ------------------------------------------------------------------


def _holders(view: Any) -> int:
    """The reference count of the array that this is a view of, with the references from here."""
    base = view.base
    return sys.getrefcount(base)


#: The count where nothing else holds it: Python 3.14 counts fewer of those from here than 3.13.
_NO_OTHERS = _holders(np.empty(2)[:])


def _is_alone(array: Any) -> bool:
    """Whether no other array reaches the memory of this view, the whole of its base's."""
    base = array.base
    whole = type(base) is ndarray and base.flags.owndata and base.size == array.size
    del base
    return whole and _holders(array) == _NO_OTHERS


def gradients(
    seeds: list[tuple[Node, Any]],
    sources: Any,
    *,
    in_tape: Any = None,
    recorded: bool = False,
    release: bool = False,
    reducers: Reducers = (),
) -> dict[Node, Tensor]:
    """The gradient of each source node that has one, as tensors that share no memory.

    ``seeds``: nodes and their cotangents, tensors or ``Rows``; of these the gradients are stacked.
    ``recorded``: the pass itself is recorded, for higher orders. ``reducers``: who may replace
    gradients of leaves.
    """
    if recorded:
        with replaced(scope=STATE.get().scope):
            return backward(seeds, sources, in_tape=in_tape, tensor=Tensor, reducers=reducers)
    raw = [(node, getattr(seed, "_data", seed)) for node, seed in seeds]
    found = backward(raw, sources, in_tape=in_tape, release=release, reducers=reducers)
    given = {id(seed) for _, seed in raw}
    result: dict[Node, Tensor] = {}
    for node, g in found.items():
        if type(g) is ndarray:
            array = g
        elif type(g) is Tensor:  # of a reducer
            result[node] = g
            continue
        else:
            array = g.stack if isinstance(g, Rows) else np.asarray(g)
        if id(array) in given or not (array.base is None or _is_alone(array)):
            # Of a transposed gradient in its own order: a fifth of the time.
            array = array.copy("K")
        given.add(id(array))
        result[node] = made = _new(Tensor)
        made._data, made._node = array, None
    return result
