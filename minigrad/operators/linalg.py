"""Linear algebra: inverses, determinants, decompositions and norms, as np.linalg.

All work on stacks of matrices (..., n, n). An operator with several outputs computes them packed
into one array, which is then sliced, so that it has one rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.operators.declare import (
    Array,
    Axis,
    composite,
    composite_of_many,
    constant,
    engine,
    operator,
)
from minigrad.operators.diagonals import diagonal as _diagonal, trace as _trace
from minigrad.operators.domain import (
    Domain,
    anywhere,
    nonzero,
    positive_definite,
    sample,
    well_conditioned,
)
from minigrad.operators.einsum import tensordot
from minigrad.operators.products import cross, matmul, multi_dot, outer, vecdot
from minigrad.operators.shapes import matrix_transpose

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

__all__ = [
    "cholesky", "cond", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "lstsq", "matmul",
    "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm", "outer",
    "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "tensorinv", "tensorsolve",
    "trace", "vecdot", "vector_norm",
]  # fmt: skip


class EighResult(NamedTuple):
    """Eigenvalues, ascending, and eigenvectors in the columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """An orthonormal and an upper triangular factor."""

    Q: Tensor
    R: Tensor


class SVDResult(NamedTuple):
    """Left singular vectors in columns, singular values, right singular vectors in rows."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class SlogdetResult(NamedTuple):
    """The sign of a determinant and the logarithm of its absolute value."""

    sign: Tensor
    logabsdet: Tensor


SQUARE = [sample((3, 3)), sample((2, 2, 2)), sample((1, 1)), sample((0, 2, 2)), sample((0, 0))]


def _t(x: Any) -> Any:
    """Matrices turned over."""
    return np.swapaxes(x, -1, -2)


def _symmetric(x: Any) -> Any:
    return 0.5 * (x + _t(x))


def _square(x: Any) -> Any:
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"expected square matrices (..., n, n), got shape {x.shape}")
    return x


# -- inverses and determinants ---------------------------------------------------------------------


@operator(
    np.linalg.inv,
    vjp=lambda g, ans, _x: -(_t(ans) @ g @ _t(ans)),
    domain=well_conditioned,
    samples=SQUARE,
)
def inv(x: Array) -> Array:
    """The inverse of matrices. Raises LinAlgError for a singular one.

    >>> inv(tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    return np.linalg.inv(x)


def _cofactors(x: Any) -> Any:
    """The determinants of what is left without row i and column j, with their signs."""
    n = x.shape[-1]
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], dtype=np.intp)
    others = others.reshape(n, max(n - 1, 0))
    rows, columns = others[:, None, :, None], others[None, :, None, :]
    signs = (-1.0) ** np.add.outer(np.arange(n), np.arange(n))
    return np.linalg.det(x[..., rows, columns]) * signs.astype(x.dtype)


def _det_vjp(g: Any, ans: Any, x: Any) -> Any:
    g = np.expand_dims(g, (-1, -2))
    # Far enough from singular for the inverse to be trusted: compared with Hadamard's bound.
    bound = np.prod(np.sqrt(np.sum(x * x, axis=-1)), axis=-1)
    if np.all(np.abs(ans) > 1e-4 * bound):
        return g * np.expand_dims(ans, (-1, -2)) * _t(np.linalg.inv(x))
    return g * _cofactors(x)


@operator(
    np.linalg.det,
    vjp=_det_vjp,
    domain=well_conditioned,
    samples=[
        *SQUARE, sample(np.array([[1.0, 2.0], [2.0, 4.0]])), sample(np.zeros((2, 2))),
        sample(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [5.0, 7.0, 9.0]])),
    ],
)  # fmt: skip
def det(x: Array) -> Array:
    """The determinant of matrices; its derivative is right also where a matrix is singular.

    >>> det(tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor(8.)
    """
    return np.linalg.det(x)


def _logabsdet_vjp(g: Any, _ans: Any, x: Any) -> Any:
    try:
        inverse = np.linalg.inv(x)
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError(
            "slogdet: at a singular matrix logabsdet is -inf and has no gradient; det has one"
        ) from None
    return np.expand_dims(g, (-1, -2)) * _t(inverse)


@operator(
    vjp=_logabsdet_vjp,
    domain=well_conditioned,
    samples=SQUARE,
    name="logabsdet",
    reference=lambda x: np.linalg.slogdet(x)[1],
)
def _logabsdet(x: Array) -> Array:
    return np.linalg.slogdet(x)[1]


@composite_of_many(np.linalg.slogdet, domain=well_conditioned, samples=SQUARE)
def slogdet(x: Array) -> SlogdetResult:
    """(sign, logabsdet): the determinant is sign * exp(logabsdet), without overflow.

    Only logabsdet has a derivative; of a singular matrix it is -inf and has none (LinAlgError).

    >>> slogdet(tensor([[2.0, 0.0], [0.0, -0.5]])).sign
    tensor(-1.)
    """
    sign: Any = np.linalg.slogdet(engine.constant(x))[0]
    return SlogdetResult(sign, _logabsdet(x))


def _solve_vjp_x(g: Any, ans: Any, x: Any, _y: Any) -> Any:
    h = np.linalg.solve(_t(x), g)
    if _y.ndim == 1:
        return -(np.expand_dims(h, -1) * np.expand_dims(ans, -2))
    return -(h @ _t(ans))


@operator(
    np.linalg.solve,
    vjp=(_solve_vjp_x, lambda g, _ans, x, _y: np.linalg.solve(_t(x), g)),
    domain=(well_conditioned, anywhere),
    samples=[
        sample((3, 3), (3,)), sample((2, 2), (2, 3)), sample((4, 2, 2), (2, 1)),
        sample((2, 2), (3, 2, 1)), sample((0, 2, 2), (2, 1)), sample((2, 2), (2, 0)),
    ],
)  # fmt: skip
def solve(x: Array, y: Array) -> Array:
    """The z with x @ z = y, for square x; y is a vector or has columns (..., n, k).

    Raises LinAlgError for a singular matrix.

    >>> solve(tensor([[2.0, 0.0], [0.0, 4.0]]), tensor([2.0, 2.0]))
    tensor([1. , 0.5])
    """
    return np.linalg.solve(x, y)


def _pinv_vjp(g: Any, ans: Any, x: Any, rcond: Any = None, hermitian: bool = False) -> Any:
    # Golub and Pereyra (1973), for matrices whose rank does not change.
    at, gt = _t(ans), _t(g)
    outside = gt - x @ (ans @ gt)
    inside = gt - (gt @ ans) @ x
    return -(at @ g @ at) + (outside @ ans) @ at + at @ (ans @ inside)


_tall = Domain(
    "full_rank",
    build=lambda rng, shape: rng.uniform(-0.4, 0.4, shape) + 1.5 * np.eye(shape[-2], shape[-1]),
)


@operator(
    np.linalg.pinv,
    vjp=_pinv_vjp,
    domain=_tall,
    samples=[sample((3, 2)), sample((2, 3)), sample((2, 2, 2)), sample((0, 3, 2)), sample((2, 0))],
)
def pinv(x: Array, rcond: Any = None, hermitian: bool = False) -> Array:
    """The pseudo-inverse of Moore and Penrose. The derivative supposes that the rank stays.

    >>> pinv(tensor([[2.0], [0.0]]))
    tensor([[0.5, 0. ]])
    """
    return np.linalg.pinv(x, rcond, hermitian)


@composite(
    np.linalg.matrix_power,
    domain=well_conditioned,
    samples=[sample((2, 2), n=n) for n in (0, 1, 2, 3, 6, -1, -2)] + [sample((0, 2, 2), n=2)],
)
def matrix_power(x: Array, n: int) -> Array:
    """A square matrix multiplied n times with itself; the inverse for negative n.

    >>> matrix_power(tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    _square(x)
    if n == 0:
        return 0.0 * x + np.eye(x.shape[-1], dtype=x.dtype)
    if n < 0:
        x, n = np.linalg.inv(x), -n
    power = None
    while n:
        if n % 2:
            power = x if power is None else power @ x
        n //= 2
        x = x @ x if n else x
    return power


def _reshaped_well(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    size = int(np.prod(shape))
    n = round(size**0.5)
    return well_conditioned.draw(rng, (n, n)).reshape(shape)


_invertible = Domain("invertible", build=_reshaped_well)


@composite_of_many(
    np.linalg.lstsq,
    arrays=2,
    domain=(_tall, anywhere),
    samples=[
        sample((3, 2), (3,)), sample((4, 2), (4, 2)), sample((2, 3), (2,)), sample((3, 2), (3, 0)),
    ],
)  # fmt: skip
def lstsq(x: Array, y: Array, rcond: float | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(z, residuals, rank, singular values): z makes the sum of squares of y - x @ z least.

    As np.linalg.lstsq, by the pseudo-inverse: the derivative supposes that the rank stays.

    >>> lstsq(tensor([[2.0], [0.0]]), tensor([4.0, 3.0]))[0]
    tensor([2.])
    """
    if x.ndim != 2:
        raise ValueError(f"expected one matrix (m, n), got shape {x.shape}")
    m, n = x.shape
    eps = float(np.finfo(x.dtype).eps)
    cut = eps * max(m, n) if rcond is None else eps if rcond < 0 else rcond
    z = np.linalg.pinv(x, cut) @ y
    singular = svdvals(x)
    values: Any = engine.constant(singular)
    rank: Any = np.intc(np.count_nonzero(values > cut * values[:1]))
    residuals: Any = np.atleast_1d(np.sum(np.square(y - x @ z), axis=0))
    return z, residuals if rank == n < m else residuals[:0], rank, singular


@composite(
    np.linalg.tensorinv,
    domain=_invertible,
    samples=[sample((4, 2, 2), ind=1), sample((2, 2, 4))],
)
def tensorinv(x: Array, ind: int = 2) -> Array:
    """The inverse with respect to tensordot over the first ``ind`` axes.

    >>> tensorinv(tensor([[2.0, 0.0], [0.0, 4.0]]), ind=1)[0, 0]
    tensor(0.5)
    """
    if ind < 1:
        raise ValueError(f"ind must be positive, got {ind}")
    first, last = x.shape[:ind], x.shape[ind:]
    n = 1
    for length in last:
        n *= length
    return np.reshape(np.linalg.inv(np.reshape(x, (-1, n))), (*last, *first))


@composite(
    np.linalg.tensorsolve,
    arrays=2,
    domain=(_invertible, anywhere),
    samples=[sample((4, 2, 2), (4,)), sample((2, 2, 4), (2, 2)), sample((0, 0), (0,))],
)
def tensorsolve(x: Array, y: Array, axes: tuple[int, ...] | None = None) -> Array:
    """The z with tensordot(x, z, z.ndim) = y; ``axes`` of x are moved to its end first.

    >>> tensorsolve(tensor([[2.0, 0.0], [0.0, 4.0]]), tensor([2.0, 2.0]))
    tensor([1. , 0.5])
    """
    if axes is not None:
        last = [a % x.ndim for a in axes]
        x = np.transpose(x, [*[a for a in range(x.ndim) if a not in last], *last])
    flat = np.reshape(x, (y.size, y.size))
    return np.reshape(np.linalg.solve(flat, np.ravel(y)), x.shape[y.ndim :])


# -- decompositions --------------------------------------------------------------------------------


def _cholesky_vjp(g: Any, ans: Any, _x: Any) -> Any:
    # Murray (2016): the lower triangle of L' g with half of its diagonal, between inverses of L.
    back = np.linalg.inv(ans)
    half = np.tril(_t(ans) @ np.tril(g))
    half = half * (1.0 - 0.5 * np.eye(ans.shape[-1], dtype=ans.dtype))
    return _symmetric(_t(back) @ half @ back)


@operator(
    vjp=_cholesky_vjp,
    domain=positive_definite,
    samples=SQUARE,
    name="cholesky",
    reference=np.linalg.cholesky,
)
def _cholesky(x: Array) -> Array:
    return np.linalg.cholesky(_symmetric(x))


@composite(
    np.linalg.cholesky, domain=positive_definite, samples=[sample((3, 3)), sample((0, 2, 2))]
)
def cholesky(x: Array, upper: bool = False) -> Array:
    """The lower triangular L with x = L L', for symmetric positive definite x; or L' (``upper``).

    Of x only the symmetric part counts, and the gradient is symmetric, as in JAX and PyTorch.
    Raises LinAlgError when x is not positive definite.

    >>> cholesky(tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    lower = _cholesky(_square(x))
    return _t(lower) if upper else lower


def _inverse_gaps(values: Any) -> Any:
    """1 / (v[j] - v[i]), and 0 where they are equal: there no rotation is better than another."""
    gaps = np.expand_dims(values, -2) - np.expand_dims(values, -1)
    same = gaps == 0
    return np.where(same, 0.0, 1.0 / np.where(same, 1.0, gaps))


def _eigh_vjp(g: Any, ans: Any, _x: Any) -> Any:
    values, vectors = ans[..., 0, :], ans[..., 1:, :]
    turn = _inverse_gaps(values) * (_t(vectors) @ g[..., 1:, :])
    stretch = np.expand_dims(g[..., 0, :], -2) * np.eye(values.shape[-1], dtype=ans.dtype)
    return _symmetric(vectors @ (turn + stretch) @ _t(vectors))


@operator(vjp=_eigh_vjp, domain=positive_definite, samples=SQUARE, name="eigh")
def _eigh(x: Array) -> Array:
    """The eigenvalues as a first row, above the eigenvectors."""
    values, vectors = np.linalg.eigh(_symmetric(x))
    return np.concatenate([values[..., None, :], vectors], axis=-2)


@composite_of_many(
    np.linalg.eigh,
    domain=positive_definite,
    samples=[sample((3, 3)), sample((2, 2, 2)), sample((0, 2, 2))],
)
def eigh(x: Array, UPLO: str = "L") -> EighResult:
    """(eigenvalues, ascending; eigenvectors, in the columns) of symmetric matrices.

    Of x only the symmetric part counts, and the gradient is symmetric, as in JAX; ``UPLO`` is
    accepted. Where eigenvalues are equal, their eigenvectors are arbitrary: what the gradient
    would say about turning them into each other is taken as 0. Their signs are arbitrary too,
    so let a loss not depend on them.

    >>> eigh(tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    if UPLO not in ("L", "U"):
        raise ValueError(f"UPLO must be 'L' or 'U', got {UPLO!r}")
    both = _eigh(_square(x))
    return EighResult(both[..., 0, :], both[..., 1:, :])


@composite(np.linalg.eigvalsh, domain=positive_definite, samples=SQUARE)
def eigvalsh(x: Array, UPLO: str = "L") -> Array:
    """The eigenvalues, ascending, of symmetric matrices; see :func:`minigrad.linalg.eigh`.

    >>> eigvalsh(tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([1., 2.])
    """
    return eigh(x, UPLO).eigenvalues


def _svd_parts(packed: Any, m: int) -> tuple[Any, Any, Any]:
    return packed[..., :m, :], packed[..., m, :], packed[..., m + 1 :, :]


def _svd_vjp(g: Any, ans: Any, _x: Any) -> Any:
    # Townsend (2016), with V in columns.
    m, n = _x.shape[-2:]
    u, s, v = _svd_parts(ans, m)
    gu, gs, gv = _svd_parts(g, m)
    gaps = _inverse_gaps(s * s)
    row, column = np.expand_dims(s, -2), np.expand_dims(s, -1)
    utgu, vtgv = _t(u) @ gu, _t(v) @ gv
    core = gaps * (utgu - _t(utgu)) * row + column * (gaps * (vtgv - _t(vtgv)))
    core = core + np.expand_dims(gs, -2) * np.eye(s.shape[-1], dtype=ans.dtype)
    total = u @ core @ _t(v)
    zero = row == 0
    inverse = np.where(zero, 0.0, 1.0 / np.where(zero, 1.0, row))
    if m > n:
        total = total + ((gu - u @ utgu) * inverse) @ _t(v)
    if n > m:
        total = total + (u * inverse) @ _t(gv - v @ vtgv)
    return total


_RECTANGLES = [sample((3, 3)), sample((4, 2)), sample((2, 3)), sample((2, 2, 2)), sample((0, 3, 2))]
_svd_domain = Domain(
    "distinct_singular_values",
    build=lambda rng, shape: (
        rng.uniform(-0.3, 0.3, shape) + np.eye(shape[-2], shape[-1]) * (1.0 + np.arange(shape[-1]))
    ),
)


@operator(vjp=_svd_vjp, domain=_svd_domain, samples=_RECTANGLES, name="svd")
def _svd(x: Array) -> Array:
    """U above the singular values above V, all with min(m, n) columns."""
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return np.concatenate([u, s[..., None, :], _t(vh)], axis=-2)


@composite_of_many(
    np.linalg.svd,
    domain=_svd_domain,
    samples=[sample((3, 3)), *[sample(s.arrays[0], full_matrices=False) for s in _RECTANGLES[1:]]],
)
def svd(
    x: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """(U, S, Vh) with x = U diag(S) Vh, the singular values S descending; or S alone.

    Raises ValueError for a tracked x that is not square unless ``full_matrices=False``: what fills
    U or Vh up is arbitrary and has no derivative. Where singular values are equal, what the
    gradient would say about turning their vectors into each other is taken as 0.

    >>> svd(tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    if not compute_uv:
        return svdvals(x)
    m, n = x.shape[-2:]
    if full_matrices and m != n:
        if x.requires_grad:
            raise ValueError(f"pass full_matrices=False for shape {x.shape}: no other derivative")
        return SVDResult(*np.linalg.svd(engine.constant(x)))  # type: ignore[arg-type]
    u, s, v = _svd_parts(_svd(x), m)
    return SVDResult(u, s, _t(v))


@composite(
    (getattr(np.linalg, "svdvals", None),),
    domain=_svd_domain,
    samples=_RECTANGLES,
    reference=lambda x: np.linalg.svd(x, compute_uv=False),
)
def svdvals(x: Array) -> Array:
    """The singular values, descending.

    >>> svdvals(tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor([4., 3.])
    """
    return _svd(x)[..., x.shape[-2], :]


def _qr_vjp(g: Any, ans: Any, _x: Any) -> Any:
    # Walter and Lehmann (2013).
    m = _x.shape[-2]
    q, r = ans[..., :m, :], ans[..., m:, :]
    gq, gr = g[..., :m, :], np.triu(g[..., m:, :])
    both = r @ _t(gr) - _t(gq) @ q
    mirrored = np.tril(both) + _t(np.tril(both, -1))
    return (gq + q @ mirrored) @ _t(np.linalg.inv(r))


@operator(
    vjp=_qr_vjp,
    domain=_tall,
    samples=[sample((3, 3)), sample((4, 2)), sample((0, 3, 2))],
    name="qr",
)
def _qr(x: Array) -> Array:
    """Q above R, for at least as many rows as columns."""
    q, r = np.linalg.qr(x)
    return np.concatenate([q, r], axis=-2)


@composite_of_many(
    np.linalg.qr,
    domain=_tall,
    samples=[sample((3, 3)), sample((4, 2)), sample((2, 3)), sample((2, 3, 2)), sample((0, 3, 2))],
)
def qr(x: Array, mode: str = "reduced") -> Any:
    """(Q, R) with x = Q R, Q orthonormal and R upper triangular; R alone for mode "r".

    The derivative supposes that the first min(m, n) columns are independent. Raises ValueError for
    the modes "complete" and "raw", which have none.

    >>> qr(tensor([[0.0, 2.0], [1.0, 3.0]])).R.shape
    (2, 2)
    """
    if mode not in ("reduced", "r"):
        raise ValueError(f"mode must be 'reduced' or 'r', got {mode!r}")
    m, n = x.shape[-2:]
    packed = _qr(x[..., :m] if n > m else x)
    q: Any = packed[..., :m, :]
    r: Any = packed[..., m:, :]
    if n > m:
        r = np.concatenate([r, _t(q) @ x[..., m:]], axis=-1)
    return r if mode == "r" else QRResult(q, r)


# -- norms -----------------------------------------------------------------------------------------


def _over(x: Any, axis: Axis, keepdims: bool) -> Any:
    """x with the axes that a norm has taken away put back at length 1."""
    return x if keepdims or axis is None else np.expand_dims(x, axis)


def _safely(x: Any, norm: Any) -> Any:
    """x / norm, and 0 where the norm is 0: there no direction is better than another."""
    flat = norm == 0
    return np.where(flat, 0.0, x / np.where(flat, 1.0, norm))


NORMS = [
    sample(()), sample((3,)), sample((2, 3)), sample((2, 3), axis=1),
    sample((2, 3), axis=(0, 1), keepdims=True),
    sample((2, 0), axis=1), sample((0, 2), axis=1, keepdims=True),
]  # fmt: skip


@operator(
    vjp=lambda g, ans, x, axis=None, keepdims=False: (
        _over(g, axis, keepdims) * _safely(x, _over(ans, axis, keepdims))
    ),
    domain=nonzero,
    samples=NORMS,
    name="euclidean_norm",
)
def _euclidean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


def _p_norm_vjp(
    g: Any, ans: Any, x: Any, p: float, axis: Axis = None, keepdims: bool = False
) -> Any:
    share = _safely(x, _over(ans, axis, keepdims))
    return (
        _over(g, axis, keepdims)
        * np.sign(x)
        * np.where(x == 0, 0.0, np.power(np.where(x == 0, 1.0, np.abs(share)), p - 1.0))
    )


@operator(
    vjp=_p_norm_vjp,
    domain=nonzero,
    samples=[
        sample((3,), p=3.0), sample((2, 3), p=1.5, axis=1),
        sample((2, 3), p=0.5, axis=0, keepdims=True),
        sample((0, 2), p=3.0, axis=1), sample((3,), p=-2.0),
    ],
    name="p_norm",
)  # fmt: skip
def _p_norm(x: Array, p: float, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.power(np.sum(np.power(np.abs(x), p), axis=axis, keepdims=keepdims), 1.0 / p)


@composite(
    (getattr(np.linalg, "vector_norm", None),),
    domain=nonzero,
    samples=[
        *NORMS, sample((2, 3), ord=1, axis=1), sample((4,), ord=np.inf), sample((4,), ord=-np.inf),
        sample((2, 3), ord=3, axis=(0, 1)), sample((4,), ord=-1.0),
    ],
    reference=getattr(np.linalg, "vector_norm", None),
)  # fmt: skip
def vector_norm(x: Array, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Array:
    """The p-norm (sum |x|^p)^(1/p), with p = ``ord``, of all elements over the axes.

    ``ord`` may be inf (the largest |x|), -inf (the smallest) and 0 (how many are not 0; constant).
    Where the norm is 0, so is its gradient.

    >>> vector_norm(tensor([3.0, 4.0]))
    tensor(5.)
    """
    if ord == 2:
        return _euclidean(x, axis=axis, keepdims=keepdims)
    if ord == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        return np.count_nonzero(x, axis=axis, keepdims=keepdims).astype(x.dtype)
    if ord == float("inf"):
        return np.max(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == -float("inf"):
        return np.min(np.abs(x), axis=axis, keepdims=keepdims)
    if ord in ("fro", "nuc"):
        raise ValueError(f"ord must be a number for vectors, got {ord!r}")
    return _p_norm(x, p=float(ord), axis=axis, keepdims=keepdims)


MATRIX_ORDERS = ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]


@composite(
    (getattr(np.linalg, "matrix_norm", None),),
    domain=_svd_domain,
    samples=[
        *[sample((3, 2), ord=o) for o in MATRIX_ORDERS], sample((2, 2, 2), keepdims=True),
        sample((0, 2, 2), ord="nuc"),
    ],
    reference=getattr(np.linalg, "matrix_norm", None),
)  # fmt: skip
def matrix_norm(x: Array, keepdims: bool = False, ord: Any = "fro") -> Array:
    """A norm of matrices (..., m, n), by ``ord``.

    "fro": the root of the sum of squares; "nuc": the sum of singular values; 2 and -2: the
    largest and smallest of them; 1 and -1: of the sums of |x| down a column; inf and -inf: along
    a row. Raises ValueError for another.

    >>> matrix_norm(tensor([[3.0, 0.0], [0.0, 4.0]]), ord="nuc")
    tensor(7.)
    """
    if ord in ("fro", "f"):
        return _euclidean(x, axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        values = svdvals(x)
        pick: Any = {"nuc": np.sum, 2: np.max, -2: np.min}[ord]
        found = pick(values, axis=-1)
    elif ord in (1, -1, float("inf"), -float("inf")):
        sums = np.sum(np.abs(x), axis=-2 if abs(ord) == 1 else -1)
        found = np.max(sums, axis=-1) if ord > 0 else np.min(sums, axis=-1)
    else:
        raise ValueError(f"ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}")
    return np.expand_dims(found, (-2, -1)) if keepdims else found


@composite(
    np.linalg.norm,
    domain=_svd_domain,
    samples=[
        sample((3, 2)), sample((3, 3), ord="nuc"), sample((2, 3), ord=3, axis=1), sample((2, 2, 2)),
        sample((2, 3), ord=1), sample((2, 2, 3), ord=2, axis=(0, 2)), sample((0, 2), axis=1),
        sample((2, 2), ord=np.inf, axis=0, keepdims=True),
        sample((2, 2, 3), axis=(1, 2), keepdims=True),
        sample((2, 3), ord="fro", keepdims=True),
    ],
)  # fmt: skip
def norm(x: Array, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Array:
    """The norm of vectors along an axis, of matrices along two, or of all elements.

    ``ord`` None is the Euclidean (Frobenius) norm; the others are those of
    :func:`minigrad.linalg.vector_norm` along one axis (or for one-dimensional x) and
    :func:`minigrad.linalg.matrix_norm` along two. Where a norm is 0, so is its gradient.

    >>> norm(tensor([3.0, 4.0]))
    tensor(5.)
    """
    if ord is None:
        return _euclidean(x, axis=axis, keepdims=keepdims)
    if axis is None:
        if x.ndim not in (1, 2):
            raise ValueError(f"expected one or two axes without axis=, got shape {x.shape}")
        axis = tuple(range(x.ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    if len(axes) == 1:
        return vector_norm(x, axes[0], keepdims, ord)
    if len(axes) != 2:
        raise ValueError(f"axis must name one or two axes, got {axis!r}")
    found = matrix_norm(np.moveaxis(x, axes, (-2, -1)), ord=ord)
    return np.expand_dims(found, axes) if keepdims else found


@composite(
    np.linalg.cond,
    domain=well_conditioned,
    samples=[
        sample((2, 2)),
        sample((3, 3), p=1),
        sample((2, 2), p="fro"),
        sample((2, 2, 2), p=-2),
        sample((0, 2, 2)),
    ],
)
def cond(x: Array, p: Any = None) -> Array:
    """The condition number: norm(x) norm(inv(x)), with the norm of order ``p`` (None: 2).

    >>> cond(tensor([[4.0, 0.0], [0.0, 2.0]]))
    tensor(2.)
    """
    if p in (None, 2, -2):
        values = svdvals(x)
        first, last = values[..., 0], values[..., -1]
        return last / first if p == -2 else first / last
    return matrix_norm(x, ord=p) * matrix_norm(np.linalg.inv(x), ord=p)


@constant(np.linalg.matrix_rank)
def matrix_rank(x: Array, tol: Array = None, hermitian: bool = False) -> Array:
    """The number of singular values above ``tol``."""
    return np.linalg.matrix_rank(x, tol, hermitian)


# -- np.linalg's own readings of functions that np has too -----------------------------------------

STACKS = [sample((2, 3, 4)), sample((2, 2), offset=1), sample((0, 2, 2))]


@composite(
    getattr(np.linalg, "diagonal", None),
    name="linalg.diagonal",
    samples=[sample((2, 3, 4)), sample((2, 2), offset=1), sample((0, 2, 2))],
)
def diagonal(x: Array, offset: int = 0) -> Array:
    """The diagonals of matrices (..., m, n); see :func:`minigrad.diagonal`.

    >>> diagonal(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """
    return _diagonal(x, offset, -2, -1)


@composite(
    getattr(np.linalg, "trace", None),
    name="linalg.trace",
    samples=[sample((2, 3, 4)), sample((2, 2), offset=1), sample((0, 2, 2))],
)
def trace(x: Array, offset: int = 0) -> Array:
    """The sums of the diagonals of matrices (..., m, n); see :func:`minigrad.trace`.

    >>> trace(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    return _trace(x, offset, -2, -1)
