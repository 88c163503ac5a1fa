"""Matrices taken apart: Cholesky, QR, eigenvalues and singular values; least squares with them.

An operator with several outputs computes them packed into one array, which is then sliced, so
that it has one rule.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.operators.arithmetic import divide_or_zero
from minigrad.operators.declare import (
    Array,
    composite,
    composite_of_many,
    constant,
    engine,
    operator,
)
from minigrad.operators.domain import Domain, anywhere, positive_definite, sample
from minigrad.operators.matrix_inverses import SQUARE, full_rank, size_of_matrices, square
from minigrad.operators.products import transposed
from minigrad.operators.shapes import as_float

if TYPE_CHECKING:
    from minigrad.engine.tensor import Tensor


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


def _symmetric(x: Any) -> Any:
    return 0.5 * (x + transposed(x))


def _cholesky_vjp(g: Any, ans: Any, _a: Any, upper: bool = False) -> Any:
    # Murray (2016): the lower triangle of L' g with half of its diagonal, between inverses of L.
    if upper:
        g, ans = transposed(g), transposed(ans)
    back = np.linalg.inv(ans)
    half = np.tril(transposed(ans) @ np.tril(g))
    half = half * (1.0 - 0.5 * np.eye(ans.shape[-1], dtype=ans.dtype))
    return _symmetric(transposed(back) @ half @ back)


@operator(
    np.linalg.cholesky,
    vjp=_cholesky_vjp,
    domain=positive_definite,
    samples=[*SQUARE, sample((3, 3), upper=True)],
    numbers="float",
)
def cholesky(a: Array, upper: bool = False) -> Array:
    """The lower triangular L with `a = L L'`, for a symmetric positive definite a; L' if ``upper``.

    Of ``a`` only the symmetric part counts (NumPy reads the lower triangle), and the gradient is
    symmetric, as in JAX and PyTorch.
    Raises LinAlgError when ``a`` is not positive definite. a (..., n, n) gives (..., n, n).

    >>> cholesky(tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    lower = np.linalg.cholesky(_symmetric(square(a)))
    return transposed(lower) if upper else lower


def _inverse_gaps(values: Any) -> Any:
    """1 / (v[j] - v[i]), and 0 where they are equal: there no rotation is better than another."""
    gaps = np.expand_dims(values, -2) - np.expand_dims(values, -1)
    return divide_or_zero(1.0, gaps)


def _eigh_vjp(g: Any, ans: Any, _x: Any) -> Any:
    values, vectors = ans[..., 0, :], ans[..., 1:, :]
    turn = _inverse_gaps(values) * (transposed(vectors) @ g[..., 1:, :])
    stretch = np.expand_dims(g[..., 0, :], -2) * np.eye(values.shape[-1], dtype=ans.dtype)
    return _symmetric(vectors @ (turn + stretch) @ transposed(vectors))


@operator(vjp=_eigh_vjp, domain=positive_definite, samples=SQUARE)
def _eigh(x: Array) -> Array:
    """The eigenvalues as a first row, above the eigenvectors."""
    values, vectors = np.linalg.eigh(_symmetric(x))
    return np.concatenate([values[..., None, :], vectors], axis=-2)


@composite_of_many(
    np.linalg.eigh,
    domain=positive_definite,
    samples=[sample((3, 3)), sample((2, 2, 2)), sample((0, 2, 2))],
)
def eigh(a: Array, UPLO: str = "L") -> EighResult:
    """(eigenvalues, ascending; eigenvectors, in the columns) of symmetric matrices.

    Of ``a`` only the symmetric part counts (NumPy reads one triangle), and the gradient is
    symmetric, as in JAX; ``UPLO`` is accepted. Where eigenvalues are equal, their eigenvectors are
    arbitrary: what the gradient would say about turning them into each other is taken as 0. Their
    signs are arbitrary too, so let a loss not depend on them. a (..., n, n) gives (..., n) and
    (..., n, n). Raises ValueError for another ``UPLO`` than "L" and "U".

    >>> eigh(tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    if UPLO not in ("L", "U"):
        raise ValueError(f"UPLO must be 'L' or 'U', got {UPLO!r}")
    both = _eigh(as_float(square(a)))
    return EighResult(both[..., 0, :], both[..., 1:, :])


@composite(np.linalg.eigvalsh, domain=positive_definite, samples=SQUARE)
def eigvalsh(a: Array, UPLO: str = "L") -> Array:
    """The eigenvalues, ascending, of symmetric matrices; see :func:`minigrad.linalg.eigh`.

    a (..., n, n) gives (..., n).

    >>> eigvalsh(tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([1., 2.])
    """
    return eigh(a, UPLO).eigenvalues


def _svd_parts(packed: Any, m: int) -> tuple[Any, Any, Any]:
    return packed[..., :m, :], packed[..., m, :], packed[..., m + 1 :, :]


def _svd_vjp(g: Any, ans: Any, _x: Any) -> Any:
    # Townsend (2016), with V in columns.
    m, n = _x.shape[-2:]
    u, s, v = _svd_parts(ans, m)
    gu, gs, gv = _svd_parts(g, m)
    gaps = _inverse_gaps(s * s)
    row, column = np.expand_dims(s, -2), np.expand_dims(s, -1)
    utgu, vtgv = transposed(u) @ gu, transposed(v) @ gv
    core = gaps * (utgu - transposed(utgu)) * row + column * (gaps * (vtgv - transposed(vtgv)))
    core = core + np.expand_dims(gs, -2) * np.eye(s.shape[-1], dtype=ans.dtype)
    total = u @ core @ transposed(v)
    inverse = divide_or_zero(1.0, row)
    if m > n:
        total = total + ((gu - u @ utgu) * inverse) @ transposed(v)
    if n > m:
        total = total + (u * inverse) @ transposed(gv - v @ vtgv)
    return total


_RECTANGLES = [sample((3, 3)), sample((4, 2)), sample((2, 3)), sample((2, 2, 2)), sample((0, 3, 2))]
distinct_singular = Domain(
    "distinct_singular_values",
    build=lambda rng, shape: (
        rng.uniform(-0.3, 0.3, shape) + np.eye(shape[-2], shape[-1]) * (1.0 + np.arange(shape[-1]))
    ),
)


@operator(vjp=_svd_vjp, domain=distinct_singular, samples=_RECTANGLES)
def _svd(x: Array) -> Array:
    """U above the singular values above V, all with min(m, n) columns."""
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return np.concatenate([u, s[..., None, :], transposed(vh)], axis=-2)


@composite_of_many(
    np.linalg.svd,
    domain=distinct_singular,
    samples=[sample((3, 3)), *[sample(s.arrays[0], full_matrices=False) for s in _RECTANGLES[1:]]],
)
def svd(
    a: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """(U, S, Vh) with `a = U diag(S) Vh`, the singular values S descending; or S alone.

    Raises ValueError for a tracked a that is not square unless ``full_matrices=False``: what fills
    U or Vh up is arbitrary and has no derivative. Where singular values are equal, what the
    gradient would say about turning their vectors into each other is taken as 0.

    >>> svd(tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    a = as_float(a)
    if not compute_uv:
        return svdvals(a)
    m, n = size_of_matrices(a)
    if full_matrices and m != n:
        if engine.tracked(a):
            raise ValueError(f"pass full_matrices=False for shape {a.shape}: no other derivative")
        return SVDResult(*np.linalg.svd(engine.constant(a)))  # type: ignore[arg-type]
    u, s, v = _svd_parts(_svd(a), m)
    return SVDResult(u, s, transposed(v))


@composite(np.linalg.svdvals, domain=distinct_singular, samples=_RECTANGLES)
def svdvals(x: Array) -> Array:
    """The singular values, descending.

    x (..., m, n) gives (..., min(m, n)).

    >>> svdvals(tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor([4., 3.])
    """
    return _svd(as_float(x))[..., x.shape[-2], :]


def _qr_vjp(g: Any, ans: Any, _x: Any) -> Any:
    # Walter and Lehmann (2013).
    m = _x.shape[-2]
    q, r = ans[..., :m, :], ans[..., m:, :]
    gq, gr = g[..., :m, :], np.triu(g[..., m:, :])
    both = r @ transposed(gr) - transposed(gq) @ q
    mirrored = np.tril(both) + transposed(np.tril(both, -1))
    return (gq + q @ mirrored) @ transposed(np.linalg.inv(r))


@operator(
    vjp=_qr_vjp,
    domain=full_rank,
    samples=[sample((3, 3)), sample((4, 2)), sample((0, 3, 2))],
)
def _qr(x: Array) -> Array:
    """Q above R, for at least as many rows as columns."""
    q, r = np.linalg.qr(x)
    return np.concatenate([q, r], axis=-2)


@composite_of_many(
    np.linalg.qr,
    domain=full_rank,
    samples=[sample((3, 3)), sample((4, 2)), sample((2, 3)), sample((2, 3, 2)), sample((0, 3, 2))],
)
def qr(a: Array, mode: str = "reduced") -> Any:
    """(Q, R) with `a = Q R`, Q orthonormal and R upper triangular; R alone for mode "r".

    The derivative supposes that the first min(m, n) columns are independent. Raises ValueError for
    the modes "complete" and "raw", which have none.

    >>> qr(tensor([[0.0, 2.0], [1.0, 3.0]])).R.shape
    (2, 2)
    """
    if mode not in ("reduced", "r"):
        raise ValueError(f"mode must be 'reduced' or 'r', got {mode!r}")
    a = as_float(a)
    m, n = size_of_matrices(a)
    packed = _qr(a[..., :m] if n > m else a)
    q: Any = packed[..., :m, :]
    r: Any = packed[..., m:, :]
    if n > m:
        r = np.concatenate([r, transposed(q) @ a[..., m:]], axis=-1)
    return r if mode == "r" else QRResult(q, r)


@composite_of_many(
    np.linalg.lstsq,
    arrays=2,
    domain=(full_rank, anywhere),
    samples=[
        sample((3, 2), (3,)), sample((4, 2), (4, 2)), sample((2, 3), (2,)), sample((3, 2), (3, 0)),
    ],
)  # fmt: skip
def lstsq(a: Array, b: Array, rcond: float | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(z, residuals, rank, singular values): z makes the sum of squares of b - a @ z least.

    As np.linalg.lstsq, by the pseudo-inverse: the derivative supposes that the rank stays. a (m, n)
    and b (m,) or (m, k) give z (n,) or (n, k). Of stacks, a (..., m, n) and b (..., m, k) give z
    (..., n, k), residuals (..., k), if every matrix has rank n < m, and a rank for each. Raises
    ValueError for shapes that do not fit and an ``rcond`` that is not a number.

    >>> lstsq(tensor([[2.0], [0.0]]), tensor([4.0, 3.0]))[0]
    tensor([2.])
    """
    if a.ndim < 2 or b.ndim < 1 or b.shape[-2 if b.ndim > 1 else 0] != a.shape[-2]:
        raise ValueError(
            f"expected matrices (..., m, n) and (..., m, k), got {a.shape} and {b.shape}"
        )
    a = as_float(a)
    m, n = a.shape[-2:]
    eps = float(np.finfo(a.dtype).eps)
    if rcond is not None and not rcond < math.inf:
        raise ValueError(f"rcond must be a number, got {rcond}")
    cut = eps * max(m, n) if rcond is None else rcond if 0 < rcond < 1 else eps  # as LAPACK
    z = np.linalg.pinv(a, cut) @ b
    singular = svdvals(a)
    values: Any = engine.constant(singular)
    residuals: Any = np.zeros((0,), a.dtype)
    rank: Any = np.asarray(np.count_nonzero(values > cut * values[..., :1], axis=-1), np.intc)
    if n < m and np.all(rank == n):
        residuals = np.sum(np.square(b - a @ z), axis=-2 if b.ndim > 1 else 0)
        residuals = np.atleast_1d(residuals)
    return z, residuals, rank, singular


@constant(np.linalg.matrix_rank)
def matrix_rank(A: Array, tol: Array = None, hermitian: bool = False) -> Array:
    """The number of singular values above ``tol``.

    A (..., m, n) gives (...).

    >>> matrix_rank(tensor([[1.0, 2.0], [2.0, 4.0]]))
    tensor(1)
    """
