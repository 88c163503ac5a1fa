"""What is special about single operators: errors, results with names, values that tests must hit."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine.hooks import Hook

X = np.array([[4.0, 1.0], [1.0, 3.0]])


def tensor(*shape):
    return mg.tensor(np.ones(shape), requires_grad=True)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: np.linalg.inv(tensor(2, 2)), np.linalg.LinAlgError, "inv: Singular"),
        (lambda: np.linalg.inv(tensor(1, 2)), np.linalg.LinAlgError, r"inv: .*square.*\(1, 2\)"),
        (lambda: np.linalg.cholesky(-tensor(2, 2)), np.linalg.LinAlgError, "cholesky: .*positive"),
        (lambda: np.linalg.cholesky(tensor(1, 2)), ValueError, "cholesky: expected square"),
        (lambda: np.linalg.svd(tensor(1, 2)), ValueError, "svd: pass full_matrices=False"),
        (lambda: np.linalg.qr(tensor(2, 2), "raw"), ValueError, "qr: mode must be"),
        (lambda: np.linalg.eigh(tensor(2, 2), "X"), ValueError, "eigh: UPLO must be"),
        (lambda: np.linalg.norm(tensor(2, 2), "foo"), ValueError, "norm: .*ord must be"),
        (lambda: np.linalg.norm(tensor(2, 2, 2), 2), ValueError, r"norm: .*\(2, 2, 2\)"),
        (lambda: np.linalg.lstsq(tensor(2), tensor(2)), ValueError, "lstsq: expected matrices"),
        (lambda: np.linalg.multi_dot([tensor(2, 2)]), ValueError, "multi_dot: .*at least two"),
        (lambda: np.linalg.slogdet(tensor(2, 2))[1].backward(), ValueError, "slogdet: .*singular"),
        (lambda: np.median(tensor(2, 2), axis=3), np.exceptions.AxisError, "median: .*axis 3"),
        (lambda: np.sum(tensor(2), axis=1), np.exceptions.AxisError, "sum: .*axis 1"),
        (lambda: np.take(tensor(2), 9), IndexError, "take: .*index 9"),
        (lambda: np.take(tensor(2), 1, axis=4), np.exceptions.AxisError, "take: .*axis 4"),
        (lambda: np.take(tensor(2), 1, mode="?"), ValueError, "take: mode must be"),
        (lambda: np.quantile(tensor(2), 2), ValueError, r"quantile: .*\[0, 1\]"),
        (lambda: np.quantile(tensor(2), 0.5, method="?"), ValueError, "unknown method '\\?'"),
        (lambda: np.median(tensor(0)), ValueError, "median: .*at least one"),
        (lambda: np.pad(tensor(2), 1, mode="?"), ValueError, "pad: unknown mode"),
        (lambda: np.split(tensor(2), 3), ValueError, "split: .*array_split"),
        (lambda: np.vsplit(tensor(2), 2), ValueError, "vsplit: .*two axes"),
        (lambda: np.hstack([tensor(2, 2), tensor(1, 2)]), ValueError, "hstack: "),
        (lambda: np.einsum("ijk", tensor(2, 2)), ValueError, r"einsum: 'ijk' names 3 axes"),
        (lambda: np.einsum("ij,jk", tensor(2, 2)), ValueError, "einsum: .*2 operands, got 1"),
        (lambda: np.einsum("i1", tensor(2, 2)), ValueError, "einsum: .*expected letters"),
        (lambda: np.tensordot(tensor(2), tensor(3), 1), ValueError, r"tensordot: .*\[2\].*\[3\]"),
        (lambda: np.cross(tensor(2), tensor(2)), ValueError, "cross: expected vectors of 3"),
        (lambda: np.interp(tensor(2), [0.0, 1.0], [1.0]), ValueError, "interp: .*one length"),
        (lambda: np.convolve(tensor(2), tensor(2), "?"), ValueError, "convolve: mode must be"),
        (lambda: np.diff(tensor(2), -1), ValueError, "diff: n must not be negative"),
        (lambda: np.gradient(tensor(1)), ValueError, "gradient: expected at least 2"),
        (lambda: mg.cumulative_sum(tensor(2, 2)), ValueError, "cumulative_sum: expected axis="),
        (lambda: np.diag(tensor(2, 2, 2)), ValueError, r"diag: .*\(2, 2, 2\)"),
        (lambda: np.choose([5], [tensor(1)]), ValueError, "choose: indices 5"),
        (lambda: np.select([], []), ValueError, "select"),
        (lambda: np.piecewise(tensor(2), [np.ones(2, bool)], []), ValueError, "piecewise: got 1"),
        (lambda: mg.where_safe(np.ones(2, bool), np.sum, tensor(2)), ValueError, "elementwise"),
        (lambda: np.take_along_axis(tensor(2, 2), [0], 1), ValueError, "take_along_axis: .*axes"),
        (lambda: np.average(tensor(2, 2), weights=[1.0, 2.0]), ValueError, "average: expected w"),
        (lambda: np.meshgrid(tensor(2), indexing="?"), ValueError, "meshgrid: indexing"),
        (lambda: np.where(tensor(2) > 0, tensor(2), None), ValueError, "where: .*two values"),
    ],
)
def test_wrong_calls_name_the_operator(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_results_have_numpys_names():
    t = mg.tensor(X, requires_grad=True)
    for function in (np.linalg.eigh, np.linalg.svd, np.linalg.qr, np.linalg.slogdet):
        ours, theirs = function(t), function(X)
        assert type(ours)._fields == type(theirs)._fields
        for name in theirs._fields:
            np.testing.assert_allclose(getattr(ours, name).detach().numpy(), getattr(theirs, name))


def test_modes_of_decompositions():
    wide = mg.tensor(np.arange(6.0).reshape(2, 3))
    assert np.linalg.svd(wide).Vh.shape == (3, 3)  # untracked, so nothing is lost
    assert np.linalg.svd(wide, compute_uv=False).shape == (2,)
    assert np.linalg.qr(wide, "r").shape == (2, 3)
    upper = np.linalg.cholesky(mg.tensor(X), upper=True)
    np.testing.assert_allclose(upper.numpy(), np.linalg.cholesky(X).T)


def test_nan_to_num_replaces_as_asked():
    x = np.array([1.0, np.nan, np.inf, -np.inf])
    t = mg.tensor(x, requires_grad=True)
    y = np.nan_to_num(t, nan=2.0, posinf=3.0, neginf=4.0)
    assert y.tolist() == [1, 2, 3, 4]
    y.sum().backward()
    assert t.grad.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("name", ["nanmax", "nanmin", "nanmean", "nanmedian", "nanvar", "nanstd"])
def test_of_nothing_but_nan_the_answer_is_nan(name):
    x = mg.tensor([[np.nan, np.nan], [1.0, np.nan]], requires_grad=True)
    with np.errstate(invalid="ignore"):
        y = getattr(np, name)(x, axis=1)
    assert np.isnan(y[0].item())
    assert not np.isnan(y[1].item())


@pytest.mark.parametrize("name", ["median", "quantile", "percentile"])
def test_nan_shows_in_order_statistics(name):
    args = () if name == "median" else (0.5,)
    x = mg.tensor([[1.0, np.nan, 3.0], [1.0, 2.0, 3.0]], requires_grad=True)
    y = getattr(np, name)(x, *args, axis=1)
    assert np.isnan(y[0].item())
    y[1].backward()
    assert np.isfinite(x.grad.numpy()[1]).all()


def test_logsumexp_and_logaddexp_far_out():
    x = mg.tensor([1e4, 1e4 - 1.0, -np.inf], requires_grad=True)
    mg.logsumexp(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0], rtol=1e-6)
    a = mg.tensor(-np.inf, requires_grad=True)
    np.logaddexp(a, 3.0).backward()
    assert a.grad.item() == 0


@pytest.mark.parametrize("finite", [-1e4, 1.0, 1e4])
def test_of_an_infinite_logsumexp_finite_elements_have_no_share(finite):
    x = mg.tensor([finite, np.inf, finite], requires_grad=True)
    with np.errstate(invalid="ignore"):
        y = mg.logsumexp(x)
        y.backward()
    assert y.item() == np.inf
    np.testing.assert_array_equal(x.grad.numpy(), [0.0, np.nan, 0.0])


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["prod", "cumprod"])
def test_products_of_zeros_to_third_order(zeros, name):
    """The third derivative is exact: a product is linear in each factor."""
    x = np.array([2.0, 3.0, 5.0, 7.0])
    x[:zeros] = 0.0

    def last(x):
        return mg.prod(x) if name == "prod" else mg.cumprod(x)[-1]

    third = mg.jacobian(mg.hessian(last))(mg.tensor(x)).numpy()
    for i, j, k in np.ndindex(4, 4, 4):
        others = [x[m] for m in range(4) if m not in (i, j, k)]
        expected = others[0] if len({i, j, k}) == 3 else 0.0
        assert third[i, j, k] == pytest.approx(expected)


def test_sinc_to_fourth_order_where_its_formula_loses_all_digits():
    x = np.array([0.0, 1e-8, 1e-3, 0.3, 2.5])
    f, series = mg.sinc, [1.0, 0.0, -(np.pi**2) / 3, 0.0, np.pi**4 / 5]
    for order in range(5):
        values = f(mg.tensor(x)).numpy()
        assert values[0] == pytest.approx(series[order], abs=1e-12)
        assert values[1] == pytest.approx(series[order], abs=1e-6)
        f = mg.grad(lambda x, f=f: f(x).sum())


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_gradient_of_det_is_the_cofactors_at_every_rank(n):
    rng = np.random.default_rng(n)
    for lost in range(n + 1):
        u, v = rng.normal(size=(2, 4, n, n))
        u[..., :lost] = 0.0
        x = u @ v
        minors = np.empty_like(x)
        for i in range(n):
            for j in range(n):
                left = np.delete(np.delete(x, i, axis=-2), j, axis=-1)
                minors[..., i, j] = (-1.0) ** (i + j) * np.linalg.det(left)
        t = mg.tensor(x, requires_grad=True)
        np.linalg.det(t).sum().backward()
        np.testing.assert_allclose(t.grad.numpy(), minors, rtol=1e-9, atol=1e-11)


def test_the_gradient_of_a_large_det_takes_no_minors():
    x = np.eye(300) - 1.0 / 300.0  # singular: of each row the sum is 0
    t = mg.tensor(x, requires_grad=True)
    np.linalg.det(t).backward()
    np.testing.assert_allclose(t.grad.numpy(), np.full((300, 300), 1.0 / 300.0), rtol=1e-9)


@pytest.mark.parametrize("q", [0.5, [0.0, 0.3], [0.1, 0.2, 0.6, 0.9]])
def test_quantiles_take_equal_elements_in_their_order(q):
    rng = np.random.default_rng(0)
    for values in (rng.integers(0, 4, (20, 9)) * 1.0, rng.normal(size=(20, 9))):
        x = mg.tensor(values, requires_grad=True)
        found = mg.quantile(x, q, axis=1, method="lower")
        found.backward(mg.ones_like(found))
        places = np.floor(np.atleast_1d(q) * 8).astype(int)
        expected = np.zeros_like(values)
        for row, order in zip(expected, np.argsort(values, axis=1, kind="stable"), strict=True):
            np.add.at(row, order[places], 1.0)
        np.testing.assert_array_equal(x.grad.numpy(), expected)
        sorted_ = np.sort(values, axis=1)[:, places]
        np.testing.assert_array_equal(found.numpy().reshape(-1, 20), sorted_.T)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_powers_of_every_kind_of_number(dtype):
    x = np.array([0.0, -0.0, 1.5, -1.5, 1e-3, -1e-3, np.inf, -np.inf, np.nan, 77.0, -3.0], dtype)
    for n in (*range(-9, 10), 0.5, 2.0, 3.0, -3.0):
        with np.errstate(all="ignore"):
            found, expected = (mg.tensor(x) ** n).numpy(), np.power(x, dtype(n))
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=6 * np.finfo(dtype).eps)
        zeros = expected == 0
        if n != 0.5:
            np.testing.assert_array_equal(np.signbit(found[zeros]), np.signbit(expected[zeros]))


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("axis", [0, 1, -2, -1])
def test_running_sums_of_long_rows_are_numpys(name, axis):
    x = np.random.default_rng(0).uniform(0.9, 1.1, (3, 5, 70)).astype(np.float32)
    for values in (x, x[::-1], np.asfortranarray(x), x.astype(np.float16)):
        found = getattr(mg, name)(mg.tensor(values), axis).numpy()
        assert found.dtype == values.dtype
        expected = getattr(np, name)(values.astype(np.float32), axis=axis).astype(values.dtype)
        np.testing.assert_array_equal(found, expected)
        t = mg.tensor(values, requires_grad=True)
        g = np.ones_like(values)
        getattr(mg, name)(t, axis).backward(g)
        after = np.flip(np.cumsum(np.flip(found.astype(float), axis), axis=axis), axis)
        exact = np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis)
        exact = exact if name == "cumsum" else after / values
        rtol = 1e-2 if values.dtype == np.float16 else 1e-5
        np.testing.assert_allclose(t.grad.numpy(), exact, rtol=rtol)


def test_slices_add_up_whatever_else_uses_the_array_and_never_in_its_own_buffers():
    x = mg.tensor(np.arange(12.0).reshape(4, 3), requires_grad=True)
    g = np.arange(1.0, 13.0).reshape(4, 3)
    for order in (0, 1, 2):
        x.grad = None
        uses = [x * 1.0, x[1:3], x[::-2, None], x[2, 1], x[..., 1], x[[0, 0]]]
        uses = uses[order:] + uses[:order]
        loss = sum((mg.sum(use * use) for use in uses), mg.sum(x * g))
        loss.backward()
        a = x.detach().numpy()
        expected = g + 2 * a
        expected[1:3] += 2 * a[1:3]
        expected[::-2] += 2 * a[::-2]
        expected[2, 1] += 2 * a[2, 1]
        expected[:, 1] += 2 * a[:, 1]
        expected[0] += 4 * a[0]
        np.testing.assert_array_equal(x.grad.numpy(), expected)
    y = mg.tensor(np.ones(3), requires_grad=True)
    given = np.ones(3)
    y[:].backward(given)
    y[:].backward(given)
    assert y.grad.tolist() == [2.0, 2.0, 2.0]
    assert given.tolist() == [1.0, 1.0, 1.0]


def test_a_loop_over_slices_makes_no_array_for_each(monkeypatch):
    made = []
    zeros = np.zeros
    monkeypatch.setattr(np, "zeros", lambda *args, **kw: made.append(args) or zeros(*args, **kw))
    x = mg.tensor(np.ones((50, 2)), requires_grad=True)
    y = sum(row * float(i) for i, row in enumerate(mg.unstack(x * 1.0)))
    made.clear()
    y.sum().backward()
    assert len([args for args in made if args[0] == (50, 2)]) == 1
    np.testing.assert_array_equal(x.grad.numpy(), np.repeat(np.arange(50.0)[:, None], 2, axis=1))


def test_det_of_a_nearly_singular_matrix_is_differentiated_exactly():
    x = np.array([[1.0, 2.0], [2.0, 4.0 + 1e-14]])
    t = mg.tensor(x, requires_grad=True)
    np.linalg.det(t).backward()
    np.testing.assert_allclose(t.grad.numpy(), [[x[1, 1], -2], [-2, 1]], rtol=1e-12)


def test_where_safe_takes_several_arrays_and_an_alternative():
    x, y = mg.tensor([1.0, -1.0], requires_grad=True), mg.tensor([2.0, 0.0], requires_grad=True)
    z = mg.where_safe(y != 0, np.divide, x, y, fill_value=x * 3.0)
    z.sum().backward()
    assert z.tolist() == [0.5, -3.0]
    assert x.grad.tolist() == [0.5, 3.0]
    assert y.grad.tolist() == [-0.25, 0.0]


def test_piecewise_differentiates_the_numbers_it_is_given():
    x = mg.tensor([-1.0, 4.0], requires_grad=True)
    c = mg.tensor(7.0, requires_grad=True)
    np.piecewise(x, [x > 0], [np.sqrt, c]).sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]
    assert c.grad.item() == 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda x, w: np.average(x, weights=w),
        lambda x, w: np.diff(x, prepend=w, append=w),
        lambda x, w: np.insert(x, 1, w[:1]),
        lambda x, w: np.interp([0.5, 1.5], w, x),
        lambda x, w: np.trapezoid(x, x=w),
        lambda x, w: np.cov(x, w),
        lambda x, w: np.select([x > 2.0], [x], w),
        lambda x, w: mg.choose([0, 1, 0], [x, w]),
        lambda x, w: np.clip(x, w, None),
        lambda x, w: np.ediff1d(x, to_end=w),
        lambda x, w: np.linalg.multi_dot([x, np.outer(x, w), w]),
        lambda x, w: np.block([[x, w], [w, x]]),
        lambda x, w: np.polyval(x, w),
        lambda x, w: np.append(x, w),
    ],
)
def test_secondary_arrays_have_gradients_too(call):
    mg.testing.check_grads(call, np.array([1.0, 2.5, 4.0]), np.array([0.2, 1.1, 2.3]), order=2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_are_kept_by_composites(dtype):
    x = mg.tensor(np.array([1.0, 2.0, 4.0], dtype), requires_grad=True)
    for y in (
        np.median(x), np.quantile(x, 0.3), np.average(x, weights=[1.0, 2.0, 3.0]), np.cov(x),
        np.interp(x, [0.0, 5.0], [1.0, 2.0]), np.float_power(x, 2.0), np.unwrap(x), np.vander(x),
        np.sinc(x), np.nanmean(x), np.gradient(x), np.clip(x, 0.5, 3.0), np.ptp(x),
    ):  # fmt: skip
        if dtype == np.float16 and y.dtype == np.float32:
            continue  # beside lists of Python floats, which are float32
        assert y.dtype == dtype


@pytest.mark.parametrize("f", [np.logaddexp, np.logaddexp2])
@pytest.mark.parametrize(
    ("x", "y", "shares"),
    [
        (np.inf, 1.0, [1.0, 0.0]), (1.0, np.inf, [0.0, 1.0]), (np.inf, -np.inf, [1.0, 0.0]),
        (np.inf, np.inf, [0.5, 0.5]), (-np.inf, 1.0, [0.0, 1.0]), (-np.inf, -np.inf, [0.0, 0.0]),
    ],
)  # fmt: skip
def test_an_infinite_term_has_all_of_an_infinite_sum(f, x, y, shares):
    x, y = (mg.tensor(np.array([z]), requires_grad=True) for z in (x, y))
    with mg.GradientTape() as outer:
        with mg.GradientTape() as tape:
            total = f(x, y)
        found = tape.gradient(total, [x, y])
        along = found[0] - 2.0 * found[1]
    assert [g.item() for g in found] == shares
    assert [g.item() for g in outer.gradient(along, [x, y])] == [0.0, 0.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda number, t: np.float_power(number, t), lambda number, t: np.float_power(t, number),
        lambda number, t: np.ediff1d(t, to_end=number), lambda number, t: np.ediff1d(t, number, number),
        lambda number, t: np.power(number, t), lambda number, t: np.arctan2(number, t),
        lambda number, t: np.clip(t, number, None), lambda number, t: np.append(t, number * t),
        lambda number, t: np.where(t > 0.5, number, t), lambda number, t: np.insert(t, 1, number),
        lambda number, t: np.heaviside(t - 0.3, number), lambda number, t: np.pad(t, 1, constant_values=number),
        lambda number, t: np.hstack([number, t]), lambda number, t: np.hstack([t, number]),
        lambda number, t: np.vstack([t[:1], number]), lambda number, t: np.dstack([number, t[0]]),
        lambda number, t: np.stack([t[0], number]), lambda number, t: np.concatenate([t, t * number]),
        lambda number, t: np.block([[number, t], [t, number]]),
        lambda number, t: np.choose([0, 1], [number, t]), lambda number, t: np.choose([1, 0], [t, number]),
        lambda number, t: np.select([t > 0.5], [t], number), lambda number, t: np.select([t > 0.5], [number], t),
        lambda number, t: np.select([t > 0.5, t > 0.0], [t, number]),
        lambda number, t: np.piecewise(t, [t > 0.5], [number, lambda x: number]),
        lambda number, t: np.sum(t, initial=number), lambda number, t: np.prod(t, initial=number),
        lambda number, t: np.max(t, initial=number + 1.0), lambda number, t: np.min(t, initial=number),
        lambda number, t: np.min(t, initial=number, where=[False, False]),
        lambda number, t: np.add(number, t), lambda number, t: np.outer(number, t), lambda number, t: np.kron(number, t),
        lambda number, t: np.tensordot(t, number, 0), lambda number, t: np.einsum("i,->i", t, number),
        lambda number, t: np.full_like(t, number), lambda number, t: np.interp(number, [0.0, 1.0], t),
        lambda number, t: np.nan_to_num(t * np.inf, posinf=number),
        lambda number, t: np.diff(t, prepend=number), lambda number, t: np.trapezoid(t, dx=number),
        lambda number, t: np.gradient(t, number), lambda number, t: np.polyval(t, number),
        lambda number, t: np.quantile(t, number), lambda number, t: np.ldexp(t, 3) * number,
    ],
)  # fmt: skip
def test_python_numbers_keep_the_digits_of_the_array_beside_them(call):
    values = np.array([0.3, 0.7])
    np.testing.assert_allclose(call(0.1, mg.tensor(values)).numpy(), call(0.1, values), rtol=1e-15)
    assert call(0.1, mg.tensor(values.astype(np.float32))).dtype == np.float32


@pytest.mark.parametrize("split", [np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit])
@pytest.mark.parametrize("parts", [0, -1])
def test_a_split_into_no_parts_is_refused(split, parts):
    with pytest.raises(ValueError, match="at least one part, got"):
        split(mg.ones((2, 2, 2)), parts)


def test_axes_that_are_not_there_are_refused_by_what_cuts():
    for call in (
        lambda: mg.unstack(mg.ones(2), 1), lambda: mg.unstack(mg.ones(())),
        lambda: np.split(mg.ones(2), 1, 2), lambda: np.array_split(mg.ones(2), [1], -2),
    ):  # fmt: skip
        with pytest.raises(np.exceptions.AxisError, match="out of bounds"):
            call()
    with pytest.raises(ValueError, match="at least one axis"):
        np.hsplit(mg.ones(()), 1)
    with pytest.raises(ValueError, match="need at least one array"):
        mg.hstack([])


def test_no_step_of_nothing():
    with pytest.raises(ValueError, match="arange: step must not be 0"):
        mg.arange(0, 3, 0)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_bincount_adds_whole_weights_in_float64(dtype):
    x, weights = np.array([0, 2, 2]), np.array([1, 200, 100]).astype(dtype)
    found = mg.bincount(x, mg.tensor(weights))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found.numpy(), np.bincount(x, weights))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i8", "?"])
def test_whole_numbers_weigh_whole_numbers_without_wrapping(dtype):
    large = 1 if dtype == "?" else np.iinfo(dtype).max
    x, w = np.array([[large, 1, 0]] * 2).astype(dtype), np.array([large, large, 1]).astype(dtype)
    for weights, axis in ((w, 1), (np.stack([w, w]), None)):
        expected = np.average(x, axis=axis, weights=weights)
        for a, b in ((mg.tensor(x), weights), (x, mg.tensor(weights))):
            found = np.average(a, axis=axis, weights=b)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


# -- linear algebra that NumPy lacks ---------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0])
def test_the_exponential_of_matrices_is_that_of_their_eigenvalues(size):
    rng = np.random.default_rng(0)
    a = size * rng.standard_normal((3, 4, 4))
    values, vectors = np.linalg.eig(a)
    expected = (vectors * np.exp(values)[:, None]) @ np.linalg.inv(vectors)
    found = mg.matrix_exp(mg.tensor(a)).numpy()
    scale = np.abs(expected).max(axis=(1, 2), keepdims=True)
    assert (np.abs(found - expected.real) <= 1e-11 * scale * max(size, 1.0)).all()
    turned = mg.matrix_exp(mg.tensor([[0.0, -np.pi], [np.pi, 0.0]])).numpy()
    np.testing.assert_allclose(turned, -np.eye(2), atol=1e-6)


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("unitriangular", [True, False])
def test_triangular_systems_read_their_triangle_only(upper, unitriangular):
    rng = np.random.default_rng(1)
    a, b = rng.uniform(1.0, 2.0, (2, 3, 3)), rng.standard_normal((2, 3, 2))
    half = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        half[:, range(3), range(3)] = 1.0
    z = mg.linalg.solve_triangular(a, b, upper=upper, unitriangular=unitriangular)
    np.testing.assert_allclose(half @ z.numpy(), b, rtol=1e-12)
    z = mg.linalg.solve_triangular(a, b.mT, upper=upper, left=False, unitriangular=unitriangular)
    np.testing.assert_allclose(z.numpy() @ half, b.mT, rtol=1e-12)


def test_least_squares_of_stacks_are_those_of_their_matrices():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 4, 2))
    z, residuals, rank, singular = mg.lstsq(a, b)
    for i in range(2):
        one = np.linalg.lstsq(a[i], b[i], rcond=None)
        for found, expected in zip((z, residuals, rank, singular), one, strict=True):
            np.testing.assert_allclose(found[i].numpy(), expected, rtol=1e-10)
    mg.testing.check_grads(lambda a, b: mg.lstsq(a, b)[0], a, b)
    a[0, :, 2] = 0.0  # so that the ranks differ
    z, residuals, rank, _ = mg.lstsq(a, b)
    assert rank.tolist() == [2, 3]
    assert residuals.shape == (0,)
    np.testing.assert_allclose(z[0].numpy(), np.linalg.lstsq(a[0], b[0], rcond=None)[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("shape", "place", "values", "axis"),
    [
        ((4,), 1, (3,), None), ((4,), 1, (), None), ((4,), -1, (2,), 0), ((4,), [1], (2,), None),
        ((4,), [0, 4], (2,), None), ((2, 3), 1, (3,), 0), ((2, 3), 1, (2,), 1), ((2, 3), 1, (), 1),
        ((2, 3), 0, (2, 3), 0), ((2, 3), 5, (4,), None), ((2, 3), slice(0, 2), (3,), 0),
        ((2, 3), [1], (2, 2), 1), ((2, 3), [1], (2, 1), 1), ((2, 3), [-1], (2,), 1),
        ((4,), slice(1, 2), (2,), None), ((2, 3), np.array([True, False]), (2, 3), 0),
    ],
)  # fmt: skip
def test_one_place_takes_many_elements_as_in_numpy(shape, place, values, axis):
    rng = np.random.default_rng(0)
    arr, new = rng.normal(size=shape), rng.normal(size=values)
    expected = np.insert(arr, place, new, axis)
    np.testing.assert_array_equal(mg.insert(mg.tensor(arr), place, new, axis).numpy(), expected)


def test_an_insertion_that_numpy_refuses_is_refused():
    with pytest.raises(ValueError, match="insert"):
        mg.insert(mg.ones((2, 3)), [0, 1], np.ones((3, 3)), 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hypot_neither_overflows_nor_loses_digits(dtype):
    most = float(np.finfo(dtype).max)
    sizes = [most / 4, most**0.5 * 4, 1.0, 1e-20, most**-0.5 / 8, 1e3 / most, 0.0]
    for size in sizes:
        for other in (size, 3.0, 0.0):
            x, y = (np.array([3 * one / 4, one], dtype) for one in (size, other))
            np.testing.assert_allclose(
                mg.hypot(x, y).numpy(),
                np.hypot(x.astype(float), y.astype(float)),
                rtol=3e-7 if dtype is np.float32 else 4e-16,
            )
    ends = np.array([np.inf, -np.inf, np.nan, 1.0], dtype)
    np.testing.assert_array_equal(mg.hypot(ends, ends[::-1]), np.hypot(ends, ends[::-1]))


def test_the_exponential_of_stacks_of_stacks_and_of_nothing():
    a = (
        np.random.default_rng(0).normal(size=(2, 4, 3, 3))
        * np.array([0, 1e-9, 1, 40])[:, None, None]
    )
    found = mg.matrix_exp(a).numpy()
    for i, j in np.ndindex(2, 4):
        np.testing.assert_allclose(found[i, j], mg.matrix_exp(a[i, j]), rtol=1e-12)
    np.testing.assert_allclose(found[:, 0], np.broadcast_to(np.eye(3), (2, 3, 3)), atol=3e-16)
    inverse = mg.matrix_exp(-a).numpy()
    np.testing.assert_allclose(
        found[:, :3] @ inverse[:, :3], np.broadcast_to(np.eye(3), (2, 3, 3, 3)), atol=1e-11
    )
    assert np.isnan(mg.matrix_exp(np.full((2, 2), np.nan)).numpy()).all()


def test_between_two_truths_is_nothing():
    b = mg.tensor([[True, False, True]])
    for method in ("lower", "higher", "nearest"):
        found = mg.quantile(b, 0.5, method=method)
        assert (found.dtype, found.item()) == (bool, True)
    for method in ("linear", "midpoint", "hazen"):
        with pytest.raises(
            TypeError, match="quantile: a must hold numbers to go between, got bool"
        ):
            mg.quantile(b, 0.5, method=method)


def test_the_generator_that_is_used_by_default_is_made_once(monkeypatch):
    from minigrad.engine import random

    monkeypatch.setattr(random, "_generators", [])
    assert random.default_generator() is random.default_generator()
    assert len(random._generators) == 1
    assert mg.rand(3).shape == (3,)


def matrix_of(rng, m, n, values):
    u, v = (np.linalg.qr(rng.normal(size=(k, k)))[0][:, : len(values)] for k in (m, n))
    return (u * np.array(values)) @ v.T


@pytest.mark.parametrize(
    ("m", "n", "values"),
    [
        (4, 4, [3, 2, 0.3, 0.1]), (5, 4, [3, 2, 0.3, 0.1]), (3, 5, [3, 2, 0.1]),
        (4, 4, [2, 2, 0.3, 0.1]), (4, 4, [2, 2, 0.1, 0.1]), (4, 4, [2, 2, 0.1, 0]),
    ],
)  # fmt: skip
def test_pinv_and_lstsq_that_leave_out_small_singular_values(m, n, values):
    """Those that are left out still turn with the matrix, so they count in its derivative."""
    rng = np.random.default_rng(m + n)
    a, b = matrix_of(rng, m, n, values), rng.normal(size=m)
    order = 2 if len(set(values)) == len(values) else 1
    mg.testing.check_grads(lambda a: mg.linalg.pinv(a, rcond=0.2), a, order=order)
    mg.testing.check_grads(lambda a, b: mg.linalg.lstsq(a, b, rcond=0.2)[0], a, b, order=1)


def test_pinv_with_a_limit_for_each_matrix():
    rng = np.random.default_rng(0)
    stack = np.stack([matrix_of(rng, 4, 3, [3, 2, 0.1]), matrix_of(rng, 4, 3, [3, 0.2, 0.1])])
    mg.testing.check_grads(lambda a: mg.linalg.pinv(a, rcond=np.array([0.1, 0.05])), stack)
    single = stack.astype(np.float32)
    slope = mg.grad(lambda a: mg.linalg.pinv(a, rcond=0.1).sum())(single)
    assert slope.dtype == np.float32
    exact = mg.grad(lambda a: mg.linalg.pinv(a, rcond=0.1).sum())(stack)
    np.testing.assert_allclose(slope, exact, rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["svd", "qr", "lstsq", "eigh", "cholesky", "matrix_exp", "matrix_norm"]
)
def test_functions_of_matrices_refuse_vectors_in_words(name):
    x = mg.tensor([1.0, 2.0])
    arguments = (x, x) if name == "lstsq" else (x,)
    with pytest.raises(ValueError, match=rf"{name}: expected (square )?matrices.* \(2,\)"):
        (getattr(mg, name, None) or getattr(mg.linalg, name))(*arguments)


class _Products(Hook):
    """How many multiplications the matrix products take."""

    def __init__(self):
        self.count = 0

    def __call__(self, op, arrays, metadata, value, node):
        super().__call__(op, arrays, metadata, value, node)
        if op.name == "matmul":
            self.count += value.size * arrays[0].shape[-1]


def _fewest(lengths):
    """The multiplications of the best order, found by trying them all."""
    splits = range(1, len(lengths) - 1)
    return min(
        (
            _fewest(lengths[: k + 1]) + _fewest(lengths[k:]) + lengths[0] * lengths[k] * lengths[-1]
            for k in splits
        ),
        default=0,
    )


@pytest.mark.parametrize("vectors", [(False, False), (True, False), (False, True), (True, True)])
def test_multi_dot_takes_the_fewest_products(vectors):
    rng = np.random.default_rng(0)
    for count in (3,) * 12 + (4,) * 8 + (5,) * 4 + (6,):
        lengths = rng.integers(2, 9, count + 1).tolist()
        shapes = [*itertools.pairwise(lengths)]
        if vectors[0]:
            lengths[0], shapes[0] = 1, shapes[0][1:]
        if vectors[1]:
            lengths[-1], shapes[-1] = 1, shapes[-1][:1]
        arrays = [rng.normal(size=shape) for shape in shapes]
        with _Products() as products:
            found = mg.multi_dot([mg.tensor(a) for a in arrays])
        assert products.count == _fewest(tuple(lengths)), lengths
        np.testing.assert_allclose(found.numpy(), np.linalg.multi_dot(arrays), rtol=1e-9)


def test_among_many_conditions_the_first_that_holds_counts():
    x = np.linspace(-3.0, 3.0, 13)
    for bounds in ([2.5, 1.0, -1.0], [-2.0, 0.5, 1.5, 2.2, 0.0], [0.3]):
        conditions = [x < b for b in bounds]
        choices = [x * (i + 1) + i for i in range(len(bounds))]
        found = mg.select(conditions, [mg.tensor(c) for c in choices], 7.0)
        np.testing.assert_array_equal(found.numpy(), np.select(conditions, choices, 7.0))
        which = np.arange(x.size) % len(bounds)
        found = mg.choose(which, [mg.tensor(c) for c in choices])
        np.testing.assert_array_equal(found.numpy(), np.choose(which, choices))


def test_nothing_is_repeated_no_times():
    assert mg.repeat(mg.zeros((2, 0)), np.zeros(0, int), axis=1).shape == (2, 0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, where nothing is left
@pytest.mark.parametrize("name", ["var", "std", "nanvar", "nanstd"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_as_many_degrees_of_freedom_as_elements_or_more(name, dtype):
    x = np.array([[1.0, 2.0, 4.0, 8.0], [3.0, 3.0, 3.0, 3.0], [0.5, 1.0, 7.0, -2.0]], dtype)
    rows = [x, np.where(x == 8.0, np.nan, x)] if name.startswith("nan") else [x]
    for a, ddof, axis in itertools.product(rows, (0, 0.5, 1, 2, 3, 3.5, 4, 5, 12), (0, 1, None)):
        found = getattr(mg, name)(mg.tensor(a), axis=axis, ddof=ddof)
        expected = getattr(np, name)(a, axis=axis, ddof=ddof)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, err_msg=f"{ddof} {axis}")
        assert found.dtype == dtype


def test_products_of_whole_numbers_along_an_axis_are_not_widened():
    for dtype in (np.int8, np.int64, bool):
        a = np.arange(24).reshape(2, 3, 4).astype(dtype)
        b = (np.arange(12).reshape(3, 4) % 3).astype(dtype)
        for x, y, axis in ((a, b, -1), (a, b, -2), (a, a, 0)):
            found = mg.vecdot(mg.tensor(x), mg.tensor(y), axis=axis)
            both = np.broadcast_arrays(x, y)
            x, y = (np.moveaxis(one, axis, -1)[..., None, :] for one in both)
            expected = (x @ np.swapaxes(y, -1, -2))[..., 0, 0]
            assert found.dtype == dtype
            np.testing.assert_array_equal(found.numpy(), expected)
        mixed = mg.vecdot(mg.tensor(a), mg.tensor(b.astype(np.float32)))
        np.testing.assert_array_equal(mixed, (a.astype(float) * b).sum(-1))


@pytest.mark.parametrize("function", [np.fmax, np.fmin])
def test_a_number_has_all_of_the_gradient_beside_nan(function):
    x = mg.tensor([np.nan, 2.0, np.nan, 1.0, 3.0, 2.0], requires_grad=True)
    y = mg.tensor([1.0, np.nan, np.nan, 3.0, 1.0, 2.0], requires_grad=True)
    found = function(x, y)
    np.testing.assert_array_equal(found.detach(), function(x.detach().numpy(), y.detach().numpy()))
    found.sum().backward()
    first = [0.0, 1.0, 0.5, *([0.0, 1.0] if function is np.fmax else [1.0, 0.0]), 0.5]
    np.testing.assert_array_equal(x.grad, first)
    np.testing.assert_array_equal(y.grad, 1.0 - np.array(first))


@pytest.mark.parametrize(
    ("low", "high", "slopes"),
    [
        (1.0, 1.0, [(0, 1, 0), (1, 0, 0), (0, 0, 1)]),
        (0.0, 1.0, [(1, 0, 0), (1, 0, 0), (0, 0, 1)]),
        (1.0, 2.0, [(0, 1, 0), (1, 0, 0), (1, 0, 0)]),
        (2.0, 1.0, [(0, 0, 1), (0, 0, 1), (0, 0, 1)]),
        (None, 1.0, [(1, 0, 0), (1, 0, 0), (0, 0, 1)]),
        (1.0, None, [(0, 1, 0), (1, 0, 0), (1, 0, 0)]),
    ],
)
def test_the_gradient_of_a_clipped_number_goes_to_one_of_three(low, high, slopes):
    """For 0, 1 and 2: which of the number and the two bounds has it; on a bound, the number."""
    for x, expected in zip((0.0, 1.0, 2.0), slopes, strict=True):
        leaves = [z if z is None else mg.tensor(z, requires_grad=True) for z in (x, low, high)]
        np.clip(*leaves).backward()
        found = [0.0 if z is None or z.grad is None else z.grad.item() for z in leaves]
        assert found == list(expected)


def test_a_copy_is_a_new_node_and_of_anything():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    assert mg.copy(x) is not x
    assert mg.copy(x).requires_grad
    for dtype in (bool, np.int64, np.complex128):
        a = np.array([1, 0, 1], dtype)
        found = np.copy(mg.tensor(a))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found.numpy(), a)


def test_a_number_in_the_place_of_what_is_computed_keeps_its_digits():
    found = mg.where_safe([True, False], lambda _: 0.1, mg.tensor(np.zeros(2)), fill_value=0.7)
    np.testing.assert_array_equal(found, [0.1, 0.7])
    many = mg.stack([*range(2000), mg.tensor(np.array(0.5)), 0.1])
    assert many.dtype == np.float64
    assert many[-1].item() == 0.1


def test_without_degrees_of_freedom_a_covariance_is_nan():
    for ddof in (4, 5, 7):
        found = mg.cov(mg.tensor([[1.0, 2.0, 4.0, 8.0], [0.0, 1.0, 0.0, 3.0]]), ddof=ddof)
        assert np.isnan(found.numpy()).all()


def test_truths_are_padded_by_what_is_a_truth():
    a = np.array([True, False, False])
    for mode in ("maximum", "minimum", "edge", "reflect"):
        expected = np.pad(a, 2, mode=mode)
        np.testing.assert_array_equal(mg.pad(mg.tensor(a), 2, mode=mode), expected)
    whole = np.array([3, -1, 4])
    for mode in ("maximum", "mean", "median", "linear_ramp"):
        np.testing.assert_array_equal(
            mg.pad(whole, (1, 3), mode=mode), np.pad(whole, (1, 3), mode=mode)
        )


def test_the_slope_of_prelu_at_zero_is_the_weight_in_every_order():
    x, w = (mg.tensor([a], requires_grad=True) for a in (0.0, 0.25))
    with mg.GradientTape(persistent=True) as outer:
        with mg.GradientTape() as tape:
            y = mg.nn.functional.prelu(x, w)
        dx, dw = tape.gradient(y, [x, w])
    assert (dx.item(), dw.item()) == (0.25, 0.0)
    assert outer.gradient(dx, w).item() == 1.0
    assert outer.gradient(dw, x).item() == 1.0


def test_what_is_inserted_takes_the_dtype_of_the_array():
    x = mg.tensor(np.array([1.0, 2.0], np.float32))
    for values in (np.array([0.5]), np.array([3]), np.float64(0.5), mg.tensor(np.array([2.0]))):
        assert mg.insert(x, 1, values).dtype == np.float32
    whole = mg.insert(mg.tensor(np.array([1, 2])), 1, 7)
    assert whole.dtype == np.int64
    assert whole.tolist() == [1, 7, 2]


def test_results_without_axes_are_arrays_and_what_is_kept_is_a_copy():
    x = mg.tensor(np.array(2.0), requires_grad=True)
    plain = mg.tensor(np.array(2.0))
    for t in (x, plain):
        for y in (t * 3.0, 3.0 - t, t * t, -t, mg.exp(t), mg.sum(t)):
            assert type(y._data) is np.ndarray
            assert y.shape == ()
    for call in (lambda a, t: t * a, lambda a, t: a * t, lambda a, t: mg.arctan2(a, t)):
        t, a = mg.tensor([2.0, 3.0], requires_grad=True), np.array([5.0, 7.0], np.float32)
        y, expected = call(a, t), mg.tensor([2.0, 3.0], requires_grad=True)
        call(a.copy(), expected).sum().backward()
        a[:] = 0.0
        y.sum().backward()
        np.testing.assert_array_equal(t.grad, expected.grad)
