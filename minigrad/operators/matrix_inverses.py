"""Inverses and determinants of matrices, and the systems of equations they solve.

The rules are products with the result itself. That of the determinant holds for singular matrices
too: it takes the cofactors there.
"""

from __future__ import annotations

import math
from operator import index as operator_index
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.operators.declare import Array, composite, composite_of_many, engine, operator
from minigrad.operators.domain import Domain, anywhere, sample, well_conditioned
from minigrad.operators.products import transposed
from minigrad.operators.reductions import products_of_others
from minigrad.operators.shapes import as_float

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor


class SlogdetResult(NamedTuple):
    """The sign of a determinant and the logarithm of its absolute value."""

    sign: Tensor
    logabsdet: Tensor


SQUARE = [sample((3, 3)), sample((2, 2, 2)), sample((1, 1)), sample((0, 2, 2)), sample((0, 0))]


def size_of_matrices(x: Any) -> tuple[int, int]:
    """The last two lengths. Raises ValueError where there are none."""
    if x.ndim < 2:
        raise ValueError(f"expected matrices (..., m, n), got shape {x.shape}")
    m, n = x.shape[-2:]
    return m, n


def square(x: Any) -> Any:
    """The matrices themselves. Raises ValueError when they are not square."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"expected square matrices (..., n, n), got shape {x.shape}")
    return x


full_rank = Domain(
    "full_rank",
    build=lambda rng, shape: rng.uniform(-0.4, 0.4, shape) + 1.5 * np.eye(shape[-2], shape[-1]),
)


@operator(
    np.linalg.inv,
    vjp=lambda g, ans, _x: -(transposed(ans) @ g @ transposed(ans)),
    domain=well_conditioned,
    samples=SQUARE,
)
def inv(a: Array) -> Array:
    """The inverse of matrices. Raises LinAlgError for a singular one.

    a (..., n, n) gives (..., n, n).

    >>> inv(tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """


def _minors(x: Any) -> Any:
    """The cofactors: determinants of what is left without row i and column j, with their signs."""
    n = x.shape[-1]
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], dtype=np.intp)
    others = others.reshape(n, max(n - 1, 0))
    rows, columns = others[:, None, :, None], others[None, :, None, :]
    signs = (-1.0) ** np.add.outer(np.arange(n), np.arange(n))
    return np.linalg.det(x[..., rows, columns]) * signs.astype(x.dtype)


def _cofactors(x: Any) -> Any:
    """The cofactors in n^3 steps: with x = U S V they are det(U V) U C V.

    C is diagonal and holds for each singular value the product of the others.
    Right for matrices of every rank, but not to be differentiated where singular values are equal.
    """
    u, s, v = np.linalg.svd(x)
    signs = np.rint(np.linalg.det(u) * np.linalg.det(v))
    scaled = u * np.expand_dims(products_of_others(s), -2)
    return (scaled @ v) * np.expand_dims(signs, (-1, -2))


#: Up to this condition number the inverse keeps enough digits; and that of a recorded gradient of
#: large matrices, where the other way is by minors, in n^5 steps.
TRUSTED, LARGE = 1e4, 8


def _det_vjp(g: Any, ans: Any, x: Any) -> Any:
    g = np.expand_dims(g, (-1, -2))
    plain: Any = engine.constant(x)
    recorded = plain is not x
    trusted = TRUSTED
    if recorded and x.shape[-1] > LARGE:
        trusted = 0.1 / float(np.finfo(plain.dtype).eps)
    try:
        inverse = np.linalg.inv(x)
        sizes = [
            np.abs(m).sum(axis=-1).max(axis=-1, initial=0.0)
            for m in (plain, engine.constant(inverse))
        ]
        if np.all(sizes[0] * sizes[1] <= trusted):
            return g * np.expand_dims(ans, (-1, -2)) * transposed(inverse)
    except np.linalg.LinAlgError:
        pass
    return g * (_minors(x) if recorded else _cofactors(x))


@operator(
    np.linalg.det,
    vjp=_det_vjp,
    domain=well_conditioned,
    samples=[
        *SQUARE, sample(np.array([[1.0, 2.0], [3.0, 6.0]])), sample(np.zeros((2, 2))),
        sample(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [5.0, 7.0, 9.0]])),
    ],
)  # fmt: skip
def det(a: Array) -> Array:
    """The determinant of matrices; its derivative is right also where a matrix is singular.

    >>> det(tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor(8.)
    """


def _logabsdet_vjp(g: Any, _ans: Any, x: Any) -> Any:
    try:
        inverse = np.linalg.inv(x)
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError(
            "slogdet: at a singular matrix logabsdet is -inf and has no gradient; det has one"
        ) from None
    return np.expand_dims(g, (-1, -2)) * transposed(inverse)


@operator(
    vjp=_logabsdet_vjp,
    domain=well_conditioned,
    samples=SQUARE,
    reference=lambda x: np.linalg.slogdet(x)[1],
)
def _logabsdet(x: Array) -> Array:
    return np.linalg.slogdet(x)[1]


@composite_of_many(np.linalg.slogdet, domain=well_conditioned, samples=SQUARE)
def slogdet(a: Array) -> SlogdetResult:
    """(sign, logabsdet): the determinant is `sign * exp(logabsdet)`, without overflow.

    Only logabsdet has a derivative; of a singular matrix it is -inf and has none (LinAlgError).

    >>> slogdet(tensor([[2.0, 0.0], [0.0, -0.5]])).sign
    tensor(-1.)
    """
    sign: Any = np.linalg.slogdet(engine.constant(a))[0]
    return SlogdetResult(sign, _logabsdet(a))


def _solve_vjp_x(g: Any, ans: Any, x: Any, _y: Any) -> Any:
    if _y.ndim == 1:  # a column, also for each matrix of a stack
        g, ans = np.expand_dims(g, -1), np.expand_dims(ans, -1)
    return -(np.linalg.solve(transposed(x), g) @ transposed(ans))


def _solve_vjp_y(g: Any, _ans: Any, x: Any, _y: Any) -> Any:
    if _y.ndim == 1:
        return np.linalg.solve(transposed(x), np.expand_dims(g, -1))[..., 0]
    return np.linalg.solve(transposed(x), g)


@operator(
    np.linalg.solve,
    vjp=(_solve_vjp_x, _solve_vjp_y),
    domain=(well_conditioned, anywhere),
    samples=[
        sample((3, 3), (3,)), sample((2, 2), (2, 3)), sample((4, 2, 2), (2, 1)),
        sample((2, 2), (3, 2, 1)), sample((0, 2, 2), (2, 1)), sample((2, 2), (2, 0)),
    ],
)  # fmt: skip
def solve(a: Array, b: Array) -> Array:
    """The z with `a @ z = b`, for square ``a``; b is a vector or has columns (..., n, k).

    Raises LinAlgError for a singular matrix.

    >>> solve(tensor([[2.0, 0.0], [0.0, 4.0]]), tensor([2.0, 2.0]))
    tensor([1. , 0.5])
    """


@composite(
    arrays=2,
    domain=(well_conditioned, anywhere),
    samples=[
        sample((3, 3), (3, 2), upper=True), sample((3, 3), (3, 1), upper=False),
        sample((2, 2, 2), (2, 2, 3), upper=True, unitriangular=True),
        sample((2, 2), (3, 2), upper=False, left=False), sample((0, 2, 2), (2, 1), upper=True),
    ],
)  # fmt: skip
def solve_triangular(
    a: Array, b: Array, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Array:
    """The z with `a @ z = b`, or `z @ a = b` without ``left``, for a triangular ``a``.

    Only the ``upper`` triangle of a (..., n, n) is read, or the lower one, and with
    ``unitriangular`` its diagonal counts as ones. b (..., n, k), or (..., k, n) without ``left``,
    gives z of its shape. As torch.linalg.solve_triangular. Raises LinAlgError for a zero on the
    diagonal.

    >>> solve_triangular(tensor([[2.0, 1.0], [9.0, 4.0]]), tensor([[4.0], [8.0]]), upper=True)
    tensor([[1.],
            [2.]])
    """
    a, b = as_float(a), as_float(b)
    offset = int(bool(unitriangular))
    half = np.triu(a, offset) if upper else np.tril(a, -offset)
    if unitriangular:
        half = half + np.eye(a.shape[-1], dtype=a.dtype)
    if left:
        return np.linalg.solve(half, b)
    return transposed(np.linalg.solve(transposed(half), transposed(b)))


#: Numerator of the Padé approximation of e^x of degree 13, from x^0 on.
_PADE = [math.factorial(26 - k) / (math.factorial(13 - k) * math.factorial(k)) for k in range(14)]


def _matrix_exp_vjp(g: Any, _ans: Any, a: Any) -> Any:
    # Van Loan (1978): the derivative stands in a corner of the exponential of twice the size.
    n, at = a.shape[-1], transposed(a)
    above = np.concatenate([at, g], axis=-1)
    below = np.concatenate([np.zeros(a.shape, a.dtype), at], axis=-1)
    return matrix_exp(np.concatenate([above, below], axis=-2))[..., :n, n:]


@operator(vjp=_matrix_exp_vjp, samples=SQUARE, numbers="float", wide=True)
def matrix_exp(a: Array) -> Array:
    """The exponential of square matrices (..., n, n): the sum of `a^k / k!`.

    By scaling and squaring, as scipy.linalg.expm and torch.linalg.matrix_exp: Higham, "The scaling
    and squaring method for the matrix exponential revisited", 2005. float32 is computed in float64.
    Raises ValueError unless the matrices are square.

    >>> matrix_exp(tensor([[0.0, 1.0], [0.0, 0.0]]))
    tensor([[1., 1.],
            [0., 1.]])
    """
    if not square(a).size:
        return a.copy()
    x = a.astype(np.float64)
    size = np.max(np.sum(np.abs(x), axis=-2), axis=-1)
    most = 5.37
    large = np.where(np.isfinite(size) & (size > most), size, most)
    halvings = np.ceil(np.log2(large / most))[..., None, None]
    x = x * np.exp2(-halvings)
    one = np.eye(a.shape[-1])
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2

    def even(*c: float) -> Any:
        low = c[0] * one + c[1] * x2 + c[2] * x4 + c[3] * x6
        return low + x6 @ (c[4] * x2 + c[5] * x4 + c[6] * x6)

    p, q = x @ even(*_PADE[1::2]), even(*_PADE[::2])
    ans = np.linalg.solve(q - p, q + p)
    for i in range(int(halvings.max())):
        ans = np.where(halvings > i, ans @ ans, ans)
    return ans.astype(a.dtype)


def _pinv_vjp(g: Any, ans: Any, x: Any, rcond: Any = None, hermitian: bool = False) -> Any:
    # Golub and Pereyra (1973), for matrices whose rank does not change.
    kept = None if rcond is None else _kept(engine.constant(x), rcond)
    if kept is not None:
        return _cut_pinv_vjp(g, x, kept)
    at, gt = transposed(ans), transposed(g)
    outside = gt - x @ (ans @ gt)
    inside = gt - (gt @ ans) @ x
    return -(at @ g @ at) + (outside @ ans) @ at + at @ (ans @ inside)


def _kept(x: Any, rcond: Any) -> Any:
    """Which singular values count, if ``rcond`` leaves out some that are not 0; else None."""
    zero = max(x.shape[-2:]) * np.finfo(x.dtype).eps
    if not x.size or np.all(np.asarray(rcond) <= zero):
        return None
    values = np.linalg.svd(x, compute_uv=False)
    largest = values[..., :1]
    kept = values > np.asarray(rcond)[..., None] * largest
    return kept if np.any(~kept & (values > zero * largest)) else None


def _cut_pinv_vjp(g: Any, x: Any, kept: Any) -> Any:
    # The pseudo-inverse is f(s) in the basis of the singular vectors, with f(s) = 1/s or 0. Its
    # derivative between two of them is a divided difference of s f(s) and one of f(s)/s (Noferini,
    # "A formula for the Frechet derivative of a generalized matrix function", 2017).
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    ut, v, gt = transposed(u), transposed(vh), transposed(g)
    f = np.where(kept, 1.0 / np.where(kept, s, 1.0), 0.0)
    rows, columns = (..., slice(None), None), (..., None, slice(None))
    one = kept[rows] ^ kept[columns]
    gap = np.where(one, np.square(s)[rows] - np.square(s)[columns], 1.0)
    straight = np.where(one, (kept[rows] * 1.0 - kept[columns]) / gap, 0.0)
    crossed = (s[columns] * f[rows] - s[rows] * f[columns]) / gap
    crossed = np.where(one, crossed, -f[rows] * f[columns])
    inner = ut @ gt @ v
    beside = (gt - u @ (ut @ gt)) @ v  # outside of the range, where the singular values are 0
    below = ut @ gt - inner @ vh
    scale = np.square(f)
    return (
        u @ (straight * inner + crossed * transposed(inner)) @ vh
        + (beside * scale[columns]) @ vh
        + u @ (scale[rows] * below)
    )


@operator(
    np.linalg.pinv,
    vjp=_pinv_vjp,
    domain=full_rank,
    samples=[sample((3, 2)), sample((2, 3)), sample((2, 2, 2)), sample((0, 3, 2)), sample((2, 0))],
)
def pinv(a: Array, rcond: Any = None, hermitian: bool = False) -> Array:
    """The pseudo-inverse of Moore and Penrose. The derivative supposes that the rank stays.

    a (..., m, n) gives (..., n, m). Singular values of at most ``rcond`` times the largest count
    as 0.

    >>> pinv(tensor([[2.0], [0.0]]))
    tensor([[0.5, 0. ]])
    """


@composite(
    np.linalg.matrix_power,
    domain=well_conditioned,
    samples=[sample((2, 2), n=n) for n in (0, 1, 2, 3, 6, -1, -2)] + [sample((0, 2, 2), n=2)],
)
def matrix_power(a: Array, n: int) -> Array:
    """A square matrix multiplied n times with itself; the inverse for negative n.

    a (..., n, n) gives (..., n, n).

    >>> matrix_power(tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    square(a)
    n = operator_index(n)
    if n == 0:
        return a.astype(a.dtype) * np.zeros((), a.dtype) + np.eye(a.shape[-1], dtype=a.dtype)
    if n < 0:
        a, n = np.linalg.inv(a), -n
    power = None
    while n:
        if n % 2:
            power = a if power is None else power @ a
        n //= 2
        a = a @ a if n else a
    return power


def _reshaped_well(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    size = int(np.prod(shape))
    n = round(size**0.5)
    return well_conditioned.draw(rng, (n, n)).reshape(shape)


_invertible = Domain("invertible", build=_reshaped_well)


@composite(
    np.linalg.tensorinv,
    domain=_invertible,
    samples=[sample((4, 2, 2), ind=1), sample((2, 2, 4))],
)
def tensorinv(a: Array, ind: int = 2) -> Array:
    """The inverse with respect to tensordot over the first ``ind`` axes.

    ``a`` of shape a + b, with a of ``ind`` axes, gives b + a. Raises ValueError unless ``ind`` is
    positive.

    >>> tensorinv(tensor([[2.0, 0.0], [0.0, 4.0]]), ind=1)[0, 0]
    tensor(0.5)
    """
    if not 1 <= ind <= a.ndim:
        raise ValueError(f"ind must be 1 to {a.ndim} for shape {a.shape}, got {ind}")
    first, last = a.shape[:ind], a.shape[ind:]
    return np.reshape(np.linalg.inv(np.reshape(a, (-1, math.prod(last)))), (*last, *first))


@composite(
    np.linalg.tensorsolve,
    arrays=2,
    domain=(_invertible, anywhere),
    samples=[sample((4, 2, 2), (4,)), sample((2, 2, 4), (2, 2)), sample((0, 0), (0,))],
)
def tensorsolve(a: Array, b: Array, axes: tuple[int, ...] | None = None) -> Array:
    """The z with `tensordot(a, z, z.ndim) = b`; ``axes`` of ``a`` are moved to its end first.

    >>> tensorsolve(tensor([[2.0, 0.0], [0.0, 4.0]]), tensor([2.0, 2.0]))
    tensor([1. , 0.5])
    """
    if axes is not None:
        a = np.moveaxis(a, axes, range(-len(axes), 0))
    flat = np.reshape(a, (b.size, b.size))
    return np.reshape(np.linalg.solve(flat, np.ravel(b)), a.shape[b.ndim :])
