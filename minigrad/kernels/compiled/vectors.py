"""Sixteen float32 numbers as one value, for loops that the compiler would not vectorise by itself.

A loop that reads and writes a dozen places of the same arrays is left scalar, because the compiler
cannot rule out that they overlap. Written with ``load``, ``store`` and the operators ``+ - *`` on
what ``load`` returns, it is vectorised in any case; on a processor with shorter registers each
operation becomes two or four.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, overload, register_model

LANES = 16
_VECTOR = ir.VectorType(ir.FloatType(), LANES)


class Vector(types.Type):  # type: ignore[misc]
    """The type of sixteen float32 numbers."""

    def __init__(self) -> None:
        super().__init__("Vector(16 x float32)")


vector = Vector()


@register_model(Vector)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def instruction(declaration: Callable[..., Any]) -> Any:
    """What compiled loops call with all arguments of a declaration but the first."""
    return intrinsic(declaration)


def _check(*arrays: Any) -> None:
    """Nothing but this keeps these functions from reading past the end of an array."""
    for array in arrays:
        if not isinstance(array, types.Array) or (array.ndim, array.layout) != (1, "C"):
            raise TypingError(f"expected a contiguous array with one axis, got {array}")


def _address(context: Any, builder: Any, kind: Any, array: Any, i: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [i])


def _place(context: Any, builder: Any, kind: Any, array: Any, i: Any) -> Any:
    return builder.bitcast(_address(context, builder, kind, array, i), _VECTOR.as_pointer())


@instruction
def load(_: Any, array: Any, i: Any) -> Any:
    """The elements from i on of a one-dimensional contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], *args), align=4)

    _check(array)
    return vector(array, types.intp), generate


@instruction
def store(_: Any, array: Any, i: Any, value: Any) -> Any:
    """Write to the elements from i on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _place(context, builder, signature.args[0], *args[:2]), align=4)
        return context.get_dummy_value()

    _check(array)
    return types.void(array, types.intp, vector), generate


@instruction
def store_first(_: Any, array: Any, i: Any, value: Any, count: Any) -> Any:
    """Write the first ``count`` numbers of a vector to the elements from i on.

    Unlike a store that overlaps the next one, it does not make a later load wait.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature.args[0], *args[:2])
        kind, bits = ir.VectorType(ir.IntType(64), LANES), ir.VectorType(ir.IntType(1), LANES)
        mask = builder.icmp_signed(
            "<", ir.Constant(kind, list(range(LANES))), _repeated(builder, args[3], kind)
        )
        write = ir.FunctionType(ir.VoidType(), [_VECTOR, place.type, ir.IntType(32), bits])
        name = f"llvm.masked.store.v{LANES}f32.p0"
        function = cgutils.get_or_insert_function(builder.module, write, name)
        builder.call(function, [args[2], place, ir.Constant(ir.IntType(32), 4), mask])
        return context.get_dummy_value()

    _check(array)
    return types.void(array, types.intp, vector, types.int64), generate


def _repeated(builder: Any, value: Any, kind: Any) -> Any:
    nothing, place = ir.Constant(kind, ir.Undefined), ir.IntType(32)
    one = builder.insert_element(nothing, value, ir.Constant(place, 0))
    mask = ir.Constant(ir.VectorType(place, LANES), [0] * LANES)
    return builder.shuffle_vector(one, nothing, mask)


@instruction
def splat(_: Any, value: Any) -> Any:
    """The same number sixteen times."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _repeated(builder, args[0], _VECTOR)

    return vector(types.float32), generate


@instruction
def copy(_: Any, target: Any, i: Any, source: Any, j: Any, count: Any) -> Any:
    """Copy ``count`` elements of one array, from j on, to another, from i on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        to = _address(context, builder, kinds[0], *args[:2])
        origin = _address(context, builder, kinds[2], *args[2:4])
        size = kinds[0].dtype.bitwidth // 8
        cgutils.raw_memcpy(builder, to, origin, args[4], size)
        return context.get_dummy_value()

    _check(target, source)
    return types.void(target, types.intp, source, types.intp, types.intp), generate


@instruction
def clear(_: Any, array: Any, i: Any, count: Any) -> Any:
    """Write ``count`` zeros to the elements from i on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        memory = _address(context, builder, kind, *args[:2])
        size = ir.Constant(args[2].type, kind.dtype.bitwidth // 8)
        cgutils.memset(builder, memory, builder.mul(args[2], size), 0)
        return context.get_dummy_value()

    _check(array)
    return types.void(array, types.intp, types.intp), generate


def _choice(condition: Callable[[Any, Any, Any], Any]) -> Any:
    @instruction
    def choose(_: Any, x: Any, y: Any, one: Any, other: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.select(condition(builder, *args[:2]), *args[2:])

        return vector(vector, vector, vector, vector), generate

    return choose


#: Called with x, y, one and other: the numbers of ``one`` where x is y, where it is below y (where
#: neither is NaN), and where it is larger than y, or NaN; elsewhere those of ``other``.
if_equal = _choice(lambda builder, x, y: builder.fcmp_ordered("==", x, y))
if_below = _choice(lambda builder, x, y: builder.fcmp_ordered("<", x, y))
if_larger = _choice(
    lambda builder, x, y: builder.or_(
        builder.fcmp_ordered(">", x, y), builder.fcmp_unordered("uno", x, x)
    )
)


def _of_each(name: str) -> Any:
    @instruction
    def apply(_: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.FunctionType(_VECTOR, [_VECTOR])
            full = f"llvm.{name}.v{LANES}f32"
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, full), args)

        return vector(vector), generate

    return apply


#: The whole numbers next to those of a vector, and the numbers without their signs.
nearest, absolute = _of_each("rint"), _of_each("fabs")


@instruction
def power_of_two(_: Any, x: Any) -> Any:
    """2^x, for whole numbers from -126 to 127; of NaN, some number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # Added to 1.5 * 2^23, a whole number stands in the lowest bits: there the exponent of 2^x
        # is shifted out of. llvm.fptosi.sat would convert the numbers one by one.
        large = ir.Constant(_VECTOR, [12582912.0 + 127.0] * LANES)
        kind = ir.VectorType(ir.IntType(32), LANES)
        whole = builder.bitcast(builder.fadd(args[0], large), kind)
        bits = builder.shl(whole, ir.Constant(kind, [23] * LANES))
        return builder.bitcast(bits, _VECTOR)

    return vector(vector), generate


@instruction
def part(_: Any, value: Any, low: Any, high: Any) -> Any:
    """The numbers of a vector from ``low`` to ``high``, and zeros."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.IntType(64), LANES)
        numbers = ir.Constant(kind, list(range(LANES)))
        low, high = (_repeated(builder, one, kind) for one in args[1:])
        inside = builder.and_(
            builder.icmp_signed(">=", numbers, low), builder.icmp_signed("<", numbers, high)
        )
        return builder.select(inside, args[0], ir.Constant(_VECTOR, [0.0] * LANES))

    return vector(vector, types.int64, types.int64), generate


def _declare(operation: Any, name: str) -> None:
    @instruction
    def apply(_: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            # "contract": a product and a sum may become one instruction, which rounds once.
            return getattr(builder, name)(*args, flags=("contract",))

        return vector(vector, vector), generate

    @overload(operation, strict=False)
    def choose(x: Any, y: Any) -> Any:
        if x is vector and y is vector:
            return lambda x, y: apply(x, y)
        if x is vector and isinstance(y, types.Float):
            return lambda x, y: apply(x, splat(np.float32(y)))
        if y is vector and isinstance(x, types.Float):
            return lambda x, y: apply(splat(np.float32(x)), y)
        return None


for _operation, _name in (
    (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):  # fmt: skip
    _declare(_operation, _name)
