"""Operators against PyTorch's: value, gradients and second order, over drawn shapes."""

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.operators.declare import COMPOSITES, OPERATORS
from tests.parity import compare

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make parity` installs it")
pytestmark = pytest.mark.parity

TRIALS = 6


def shapes(rng, count=1):
    """So many shapes that broadcast together, of up to three axes; sometimes empty or 0-d."""
    full = [
        int(n)
        for n in rng.choice([0, 1, 2, 3, 4], rng.integers(0, 4), p=[0.05, 0.2, 0.25, 0.3, 0.2])
    ]
    found = []
    for i in range(count):
        start = rng.integers(0, len(full) + 1) if i else 0
        found.append(tuple(1 if i and rng.random() < 0.3 else n for n in full[start:]))
    return found


def grid(rng, shape, low=-2.0, high=2.0, margin=0.05):
    """Distinct values, none near 0, in random order: away from ties and kinks by construction."""
    size = int(np.prod(shape))
    cells = (rng.permutation(size) + rng.uniform(0.3, 0.7, size)) / max(size, 1)
    values = low + (high - low) * cells
    return np.where(np.abs(values) < margin, values + 2 * margin, values).reshape(shape)


ANY = {}
POSITIVE = {"low": 0.2, "high": 3.0}
UNIT = {"low": -0.9, "high": 0.9}
ABOVE_ONE = {"low": 1.1, "high": 4.0}

UNARY = {
    "abs": ANY, "arccos": UNIT, "arccosh": ABOVE_ONE, "arcsin": UNIT, "arcsinh": ANY, "arctan": ANY,
    "arctanh": UNIT, "cos": ANY, "cosh": ANY, "deg2rad": ANY, "exp": ANY, "exp2": ANY, "expm1": ANY,
    "log": POSITIVE, "digamma": POSITIVE, "erf": ANY,
    "erfc": ANY, "lgamma": POSITIVE, "log10": POSITIVE, "log1p": POSITIVE, "log2": POSITIVE, "nan_to_num": ANY,
    "negative": ANY, "positive": ANY, "rad2deg": ANY, "reciprocal": ANY, "sin": ANY, "sinc": ANY,
    "sinh": ANY, "sqrt": POSITIVE, "square": ANY, "tan": UNIT, "tanh": ANY,
}  # fmt: skip
BINARY = {
    "add": ANY, "arctan2": ANY, "copysign": ANY, "divide": ANY, "fmax": ANY, "fmin": ANY,
    "fmod": ANY, "hypot": ANY, "logaddexp": ANY, "logaddexp2": ANY, "maximum": ANY, "minimum": ANY,
    "multiply": ANY, "power": POSITIVE, "float_power": POSITIVE, "remainder": ANY, "subtract": ANY,
    "xlogy": POSITIVE,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(UNARY))
def test_functions_of_one_array(name):
    for trial in range(TRIALS):
        rng = np.random.default_rng([trial, len(name)])
        (shape,) = shapes(rng)
        ours = getattr(mg, {"lgamma": "gammaln"}.get(name, name))
        compare(ours, getattr(torch, name), [grid(rng, shape, **UNARY[name])])


@pytest.mark.parametrize("name", sorted(BINARY))
def test_functions_of_two_arrays(name):
    for trial in range(TRIALS):
        rng = np.random.default_rng([trial, len(name)])
        arrays = [grid(rng, shape, **BINARY[name]) for shape in shapes(rng, 2)]
        theirs = getattr(torch, {"power": "pow"}.get(name, name))
        compare(getattr(mg, name), theirs, arrays, seed=trial)


# -- along axes ------------------------------------------------------------------------------------

REDUCTIONS = {
    "sum": (mg.sum, torch.sum), "mean": (mg.mean, torch.mean), "max": (mg.max, torch.amax),
    "min": (mg.min, torch.amin), "logsumexp": (mg.logsumexp, torch.logsumexp),
    "norm": (lambda x, axis, keepdims: mg.linalg.vector_norm(x, axis, keepdims),
             lambda x, dim, keepdim: torch.linalg.vector_norm(x, 2, dim, keepdim)),
    "norm1": (lambda x, axis, keepdims: mg.linalg.vector_norm(x, axis, keepdims, ord=1),
              lambda x, dim, keepdim: torch.linalg.vector_norm(x, 1, dim, keepdim)),
    "norm3": (lambda x, axis, keepdims: mg.linalg.vector_norm(x, axis, keepdims, ord=3),
              lambda x, dim, keepdim: torch.linalg.vector_norm(x, 3, dim, keepdim)),
    "norm_inf": (lambda x, axis, keepdims: mg.linalg.vector_norm(x, axis, keepdims, ord=np.inf),
                 lambda x, dim, keepdim: torch.linalg.vector_norm(x, float("inf"), dim, keepdim)),
    "var": (lambda x, axis, keepdims: mg.var(x, axis, keepdims=keepdims),
            lambda x, dim, keepdim: torch.var(x, dim, correction=0, keepdim=keepdim)),
    "var1": (lambda x, axis, keepdims: mg.var(x, axis, 1, keepdims),
             lambda x, dim, keepdim: torch.var(x, dim, correction=1, keepdim=keepdim)),
    "std": (lambda x, axis, keepdims: mg.std(x, axis, keepdims=keepdims),
            lambda x, dim, keepdim: torch.std(x, dim, correction=0, keepdim=keepdim)),
    "nansum": (mg.nansum, torch.nansum), "nanmean": (mg.nanmean, torch.nanmean),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REDUCTIONS))
def test_reductions(name):
    ours, theirs = REDUCTIONS[name]
    for trial in range(TRIALS):
        rng = np.random.default_rng([trial, len(name)])
        shape = tuple(int(n) for n in rng.integers(2, 5, rng.integers(1, 4)))
        count = int(rng.integers(1, len(shape) + 1))
        axis = tuple(int(a) for a in rng.choice(len(shape), count, replace=False))
        keepdims = bool(rng.random() < 0.5)
        x = grid(rng, shape)
        if name.startswith("nan"):
            x = np.where(rng.random(shape) < 0.2, np.nan, x)
            x.flat[0] = 1.0
            axis = tuple(range(len(shape)))
        compare(
            lambda x: ours(x, axis=axis, keepdims=keepdims),  # noqa: B023
            lambda x: theirs(x, dim=axis, keepdim=keepdims),  # noqa: B023
            [x],
            seed=trial,
        )


ALONG = {
    "logcumsumexp": (mg.logcumsumexp, torch.logcumsumexp),
    "cumsum": (mg.cumsum, torch.cumsum), "cumprod": (mg.cumprod, torch.cumprod),
    "prod": (mg.prod, torch.prod), "softmax": (F.softmax, torch.softmax),
    "log_softmax": (F.log_softmax, torch.log_softmax),
    "sort": (mg.sort, lambda x, dim: torch.sort(x, dim).values),
    "diff": (lambda x, axis: mg.diff(x, axis=axis), lambda x, dim: torch.diff(x, dim=dim)),
    "flip": (mg.flip, lambda x, dim: torch.flip(x, (dim,))),
    "quantile": (lambda x, axis: mg.quantile(x, 0.3, axis), lambda x, dim: torch.quantile(x, 0.3, dim)),
    "quantiles": (lambda x, axis: mg.quantile(x, [0.1, 0.8], axis, "midpoint"),
                  lambda x, dim: torch.quantile(x, torch.tensor([0.1, 0.8], dtype=x.dtype), dim, interpolation="midpoint")),
    "roll": (lambda x, axis: mg.roll(x, 2, axis), lambda x, dim: torch.roll(x, 2, dim)),
    "repeat": (lambda x, axis: mg.repeat(x, 2, axis),
               lambda x, dim: torch.repeat_interleave(x, 2, dim)),
    "take": (lambda x, axis: mg.take(x, [1, 0, 1], axis),
             lambda x, dim: torch.index_select(x, dim, torch.tensor([1, 0, 1]))),
    "trapezoid": (lambda x, axis: mg.trapezoid(x, dx=0.5, axis=axis),
                  lambda x, dim: torch.trapezoid(x, dx=0.5, dim=dim)),
    "gradient": (lambda x, axis: mg.gradient(x, axis=axis),
                 lambda x, dim: torch.gradient(x, dim=dim)[0]),
    "stack": (lambda x, axis: mg.stack([x, x * x], axis=axis),
              lambda x, dim: torch.stack([x, x * x], dim)),
    "concatenate": (lambda x, axis: mg.concatenate([x, x * x, x], axis=axis),
                    lambda x, dim: torch.cat([x, x * x, x], dim)),
    "split": (lambda x, axis: mg.split(x, [1], axis)[1] * 2.0,
              lambda x, dim: torch.tensor_split(x, (1,), dim)[1] * 2.0),
    "unstack": (lambda x, axis: mg.unstack(x, axis)[0] ** 2, lambda x, dim: torch.unbind(x, dim)[0] ** 2),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "zeros"), [*[(name, False) for name in ALONG], ("prod", True), ("cumprod", True)]
)
def test_functions_along_an_axis(name, zeros):
    ours, theirs = ALONG[name]
    for trial in range(TRIALS):
        rng = np.random.default_rng([trial, len(name)])
        shape = tuple(int(n) for n in rng.integers(2, 5, rng.integers(1, 4)))
        axis = int(rng.integers(-len(shape), len(shape)))
        x = grid(rng, shape)
        if zeros:
            x = np.where(rng.random(shape) < 0.3, 0.0, x)
        compare(
            lambda x: ours(x, axis=axis),  # noqa: B023
            lambda x: theirs(x, dim=axis),  # noqa: B023
            [x],
            seed=trial,
        )


# -- shapes, diagonals, selection ------------------------------------------------------------------

MASK = np.array([[True, False, True], [False, False, True]])
ROWS = np.array([[0, 2], [1, 1]])
CASES = {
    "reshape": (lambda x: mg.reshape(x, (3, -1)), lambda x: x.reshape(3, -1), [(2, 3)]),
    "ravel": (mg.ravel, torch.ravel, [(2, 3)]),
    "transpose": (lambda x: mg.transpose(x, (2, 0, 1)), lambda x: x.permute(2, 0, 1), [(2, 3, 4)]),
    "swapaxes": (lambda x: mg.swapaxes(x, 0, -1), lambda x: x.swapaxes(0, -1), [(2, 3, 4)]),
    "moveaxis": (lambda x: mg.moveaxis(x, (0, 1), (2, 0)), lambda x: x.moveaxis((0, 1), (2, 0)), [(2, 3, 4)]),
    "squeeze": (lambda x: mg.squeeze(x, 1), lambda x: x.squeeze(1), [(2, 1, 3)]),
    "expand_dims": (lambda x: mg.expand_dims(x, 1), lambda x: x.unsqueeze(1), [(2, 3)]),
    "broadcast_to": (lambda x: mg.broadcast_to(x, (2, 2, 3)), lambda x: x.broadcast_to(2, 2, 3), [(2, 1)[:1] + (3,)]),
    "tile": (lambda x: mg.tile(x, (2, 1, 3)), lambda x: x.tile(2, 1, 3), [(2, 3)]),
    "rot90": (lambda x: mg.rot90(x, 3), lambda x: torch.rot90(x, 3), [(2, 3)]),
    "atleast_3d": (mg.atleast_3d, torch.atleast_3d, [(2, 3)]),
    "tril": (lambda x: mg.tril(x, 1), lambda x: torch.tril(x, 1), [(3, 4)]),
    "triu": (lambda x: mg.triu(x, -1), lambda x: torch.triu(x, -1), [(2, 3, 3)]),
    "diag": (lambda x: mg.diag(x, 1), lambda x: torch.diag(x, 1), [(3,)]),
    "diagonal": (lambda x: mg.diagonal(x, 1, 0, 2), lambda x: torch.diagonal(x, 1, 0, 2), [(3, 2, 4)]),
    "diagflat": (lambda x: mg.diagflat(x, -1), lambda x: torch.diagflat(x, -1), [(2, 2)]),
    "trace": (mg.trace, torch.trace, [(3, 4)]),
    "hstack": (lambda x, y: mg.hstack([x, y]), lambda x, y: torch.hstack([x, y]), [(2, 1), (2, 3)]),
    "vstack": (lambda x, y: mg.vstack([x, y]), lambda x, y: torch.vstack([x, y]), [(3,), (2, 3)]),
    "dstack": (lambda x, y: mg.dstack([x, y]), lambda x, y: torch.dstack([x, y]), [(2, 3), (2, 3)]),
    "column_stack": (lambda x, y: mg.column_stack([x, y]), lambda x, y: torch.column_stack([x, y]), [(2,), (2, 3)]),
    "meshgrid": (lambda x, y: mg.meshgrid(x, y, indexing="ij")[0], lambda x, y: torch.meshgrid(x, y, indexing="ij")[0], [(2,), (3,)]),
    "where": (lambda x, y: mg.where(MASK, x, y), lambda x, y: torch.where(torch.tensor(MASK), x, y), [(2, 3), (3,)]),
    "getitem": (lambda x: x[[0, 0, 1], ::-1], lambda x: x[[0, 0, 1]].flip(1), [(2, 3)]),
    "getitem mask": (lambda x: x[MASK], lambda x: x[torch.tensor(MASK)], [(2, 3)]),
    "take_along_axis": (lambda x: mg.take_along_axis(x, ROWS, 1), lambda x: torch.take_along_dim(x, torch.tensor(ROWS), 1), [(2, 3)]),
    "clip": (lambda x: mg.clip(x, -0.7, 0.8), lambda x: torch.clip(x, -0.7, 0.8), [(4, 3)]),
    "clip by arrays": (mg.clip, torch.clamp, [(4, 3), (3,), (4, 1)]),
    "pad reflect": (lambda x: mg.pad(x, ((0, 0), (2, 1)), mode="reflect"), lambda x: torch.nn.functional.pad(x, (2, 1), "reflect"), [(2, 3)]),
    "pad edge": (lambda x: mg.pad(x, ((0, 0), (2, 1)), mode="edge"), lambda x: torch.nn.functional.pad(x, (2, 1), "replicate"), [(2, 3)]),
    "pad wrap": (lambda x: mg.pad(x, ((0, 0), (2, 1)), mode="wrap"), lambda x: torch.nn.functional.pad(x, (2, 1), "circular"), [(2, 3)]),
    "pad": (lambda x: mg.pad(x, ((0, 1), (2, 1)), constant_values=3.0), lambda x: torch.nn.functional.pad(x, (2, 1, 0, 1), value=3.0), [(2, 3)]),
    "cov": (mg.cov, torch.cov, [(2, 5)]),
    "corrcoef": (mg.corrcoef, torch.corrcoef, [(2, 5)]),
    "power_constant": (lambda x: x**3, lambda x: x**3, [(2, 3)]),
    "atleast_1d": (mg.atleast_1d, torch.atleast_1d, [()]),
    "atleast_2d": (mg.atleast_2d, torch.atleast_2d, [(3,)]),
    "flipud": (mg.flipud, torch.flipud, [(2, 3)]),
    "fliplr": (mg.fliplr, torch.fliplr, [(2, 3)]),
    "hsplit": (lambda x: mg.hsplit(x, [1])[1], lambda x: torch.hsplit(x, [1])[1], [(2, 3)]),
    "vsplit": (lambda x: mg.vsplit(x, 2)[0], lambda x: torch.vsplit(x, 2)[0], [(4, 3)]),
    "dsplit": (lambda x: mg.dsplit(x, 2)[1], lambda x: torch.dsplit(x, 2)[1], [(1, 3, 4)]),
    "ldexp": (lambda x: mg.ldexp(x, 3), lambda x: torch.ldexp(x, torch.tensor(3)), [(2, 3)]),
    "bincount": (
        lambda x: mg.bincount([0, 2, 2, 1], x),
        lambda x: torch.zeros(3, dtype=x.dtype).index_add(0, torch.tensor([0, 2, 2, 1]), x),
        [(4,)],
    ),
    "median": (lambda x: mg.median(x, 0), lambda x: torch.median(x, 0).values, [(5, 2)]),
    "nanmedian": (
        lambda x: mg.nanmedian(mg.where(x > 1, np.nan, x)),
        lambda x: torch.nanmedian(torch.where(x > 1, np.nan, x)),
        [(9,)],
    ),
    "nanquantile": (
        lambda x: mg.nanquantile(mg.where(x > 1, np.nan, x), 0.4),
        lambda x: torch.nanquantile(torch.where(x > 1, np.nan, x), 0.4),
        [(8,)],
    ),
    # products
    "matmul": (mg.matmul, torch.matmul, [(2, 3, 4), (4, 2)]),
    "matmul of a vector": (mg.matmul, torch.matmul, [(4,), (2, 4, 3)]),
    "matmul of stacks": (mg.matmul, torch.matmul, [(2, 1, 3, 4), (5, 4, 2)]),
    "dot": (mg.dot, torch.dot, [(4,), (4,)]),
    "vdot": (mg.vdot, torch.vdot, [(4,), (4,)]),
    "inner": (mg.inner, torch.inner, [(2, 3), (4, 3)]),
    "outer": (mg.outer, torch.outer, [(3,), (4,)]),
    "kron": (mg.kron, torch.kron, [(2, 3), (2, 2)]),
    "cross": (mg.cross, torch.linalg.cross, [(4, 3), (4, 3)]),
    "vecdot": (mg.vecdot, torch.linalg.vecdot, [(4, 3), (3,)]),
    "multi_dot": (lambda *xs: mg.multi_dot(xs), lambda *xs: torch.linalg.multi_dot(xs), [(2, 3), (3, 4), (4, 2)]),
    "tensordot": (lambda x, y: mg.tensordot(x, y, ([1, 2], [1, 0])), lambda x, y: torch.tensordot(x, y, ([1, 2], [1, 0])), [(2, 3, 4), (4, 3, 2)]),
    "convolve": (lambda x, y: mg.correlate(x, y), lambda x, y: torch.nn.functional.conv1d(x[None, None], y[None, None])[0, 0], [(6,), (3,)]),
    "linear": (F.linear, torch.nn.functional.linear, [(2, 3), (4, 3), (4,)]),
}  # fmt: skip
for _subscripts, *_shapes in [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ii->i", (3, 3)), ("ii", (3, 3)),
    ("ba", (2, 3)), ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)), ("...ij,...jk->...ik", (2, 2, 3), (3, 2)),
    ("i,j,k->kji", (2,), (3,), (2,)), ("bhqd,bhkd->bhqk", (2, 2, 3, 2), (2, 2, 4, 2)),
    ("ij->", (2, 3)), ("ij,ij,j->i", (2, 3), (2, 3), (3,)), ("...i,i", (2, 4, 3), (3,)),
]:  # fmt: skip
    CASES[f"einsum {_subscripts}"] = (
        lambda *xs, s=_subscripts: mg.einsum(s, *xs),
        lambda *xs, s=_subscripts: torch.einsum(s, *xs),
        _shapes,
    )


@pytest.mark.parametrize("name", sorted(CASES))
def test_shapes_selection_and_products(name):
    ours, theirs, arrays = CASES[name]
    for trial in range(2):
        rng = np.random.default_rng([trial, len(name)])
        drawn = [grid(rng, shape) for shape in arrays]
        if name == "clip by arrays":
            drawn[1:] = np.full((3,), -0.71), np.full((4, 1), 0.83)
        compare(ours, theirs, drawn, seed=trial)


# -- linear algebra --------------------------------------------------------------------------------


def well(rng, *shape):
    n, m = shape[-2:]
    return rng.uniform(-0.4, 0.4, shape) + np.eye(n, m) * (1.5 + 0.5 * np.arange(m))


def spd(x, lib):
    """A symmetric positive definite function of any square matrix, with distinct eigenvalues."""
    n = x.shape[-1]
    t = x.swapaxes(-1, -2)
    extra = np.diag(np.arange(1.0, n + 1.0))
    return x @ t + (lib.tensor(extra) if lib is torch else extra)


def signless(vectors):
    return vectors * vectors


LINALG = {
    "inv": (mg.linalg.inv, torch.linalg.inv, [(2, 3, 3)]),
    "det": (mg.linalg.det, torch.linalg.det, [(2, 3, 3)]),
    "slogdet": (lambda x: mg.linalg.slogdet(x)[1], lambda x: torch.linalg.slogdet(x)[1], [(2, 3, 3)]),
    "solve": (mg.linalg.solve, torch.linalg.solve, [(2, 3, 3), (3, 2)]),
    "solve a vector": (mg.linalg.solve, torch.linalg.solve, [(3, 3), (3,)]),
    "cholesky": (lambda x: mg.linalg.cholesky(spd(x, mg)), lambda x: torch.linalg.cholesky(spd(x, torch)), [(2, 3, 3)]),
    "cholesky of itself": (lambda x: mg.linalg.cholesky(x + x.mT), lambda x: torch.linalg.cholesky(x + x.mT), [(3, 3)]),
    "eigh": (lambda x: mg.linalg.eigh(spd(x, mg))[0], lambda x: torch.linalg.eigh(spd(x, torch))[0], [(3, 3)]),
    "eigh vectors": (lambda x: signless(mg.linalg.eigh(spd(x, mg))[1]), lambda x: signless(torch.linalg.eigh(spd(x, torch))[1]), [(3, 3)]),
    "eigvalsh": (lambda x: mg.linalg.eigvalsh(spd(x, mg)), lambda x: torch.linalg.eigvalsh(spd(x, torch)), [(2, 3, 3)]),
    "svd values": (lambda x: mg.linalg.svd(x, full_matrices=False)[1], lambda x: torch.linalg.svd(x, full_matrices=False)[1], [(4, 3)]),
    "svd left": (lambda x: signless(mg.linalg.svd(x, False)[0]), lambda x: signless(torch.linalg.svd(x, False)[0]), [(4, 3)]),
    "svd right": (lambda x: signless(mg.linalg.svd(x, False)[2]), lambda x: signless(torch.linalg.svd(x, False)[2]), [(2, 4)]),
    "svdvals": (mg.linalg.svdvals, torch.linalg.svdvals, [(2, 3, 3)]),
    "pinv": (mg.linalg.pinv, torch.linalg.pinv, [(4, 3)]),
    "pinv wide": (mg.linalg.pinv, torch.linalg.pinv, [(2, 2, 3)]),
    "qr": (lambda x: signless(mg.linalg.qr(x)[0]), lambda x: signless(torch.linalg.qr(x)[0]), [(4, 3)]),
    "qr r": (lambda x: signless(mg.linalg.qr(x)[1]), lambda x: signless(torch.linalg.qr(x)[1]), [(3, 3)]),
    "matrix_power": (lambda x: mg.linalg.matrix_power(x, 5), lambda x: torch.linalg.matrix_power(x, 5), [(3, 3)]),
    "matrix_power -2": (lambda x: mg.linalg.matrix_power(x, -2), lambda x: torch.linalg.matrix_power(x, -2), [(3, 3)]),
    **{
        f"norm {order}": (
            lambda x, order=order: mg.linalg.norm(x, order),
            lambda x, order=order: torch.linalg.norm(x, order),
            [(3, 4)],
        )
        for order in ("fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf"))
    },
    "matrix_exp": (lambda x: mg.linalg.matrix_exp(x), lambda x: torch.linalg.matrix_exp(x), [(3, 3)]),
    "matrix_exp of large ones": (lambda x: mg.linalg.matrix_exp(9.0 * x), lambda x: torch.linalg.matrix_exp(9.0 * x), [(2, 4, 4)]),
    **{
        f"solve_triangular {kw}": (
            lambda x, y, kw=kw: mg.linalg.solve_triangular(x, y, **kw),
            lambda x, y, kw=kw: torch.linalg.solve_triangular(x, y, **kw),
            [(2, 3, 3), (2, 3, 3)],
        )
        for kw in ({"upper": True}, {"upper": False}, {"upper": True, "left": False}, {"upper": False, "left": False, "unitriangular": True})
    },
    "cond": (lambda x: mg.linalg.cond(x), lambda x: torch.linalg.cond(x), [(3, 3)]),
    "lstsq": (lambda x, y: mg.linalg.lstsq(x, y)[0], lambda x, y: torch.linalg.pinv(x) @ y, [(4, 3), (4, 2)]),
    "tensorsolve": (
        lambda x, y: mg.linalg.tensorsolve(mg.reshape(x, (4, 2, 2)), y),
        lambda x, y: torch.linalg.tensorsolve(x.reshape(4, 2, 2), y),
        [(4, 4), (4,)],
    ),
    "tensorinv": (lambda x: mg.linalg.tensorinv(mg.reshape(x, (4, 2, 2)), 1), lambda x: torch.linalg.tensorinv(x.reshape(4, 2, 2), 1), [(4, 4)]),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(LINALG))
def test_linear_algebra(name):
    ours, theirs, arrays = LINALG[name]
    for trial in range(2):
        rng = np.random.default_rng([trial, len(name)])
        drawn = [well(rng, *s) if len(s) > 1 else rng.uniform(-1, 1, s) for s in arrays]
        compare(ours, theirs, drawn, seed=trial, rtol=1e-8)


# -- nothing is forgotten --------------------------------------------------------------------------


def test_what_pytorch_has_too_is_compared():
    """A public operator that has a namesake in torch or torch.linalg appears in this file."""
    tested = {*UNARY, *BINARY, *REDUCTIONS, *ALONG}
    tested |= {word for name in (*CASES, *LINALG) for word in name.split()[:1]}
    names = {*OPERATORS, *COMPOSITES} & set(dir(mg))
    both = {n for n in names if callable(getattr(torch, n, None) or getattr(torch.linalg, n, None))}
    assert both - tested <= OTHERWISE


#: Namesakes that mean something else in PyTorch (scatter, select), that other rows stand for (the
#: norms), or whose second derivative PyTorch cannot take (vander).
OTHERWISE = {"scatter", "select", "matrix_norm", "vector_norm", "vander"}
