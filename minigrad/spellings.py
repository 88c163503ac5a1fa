"""The spellings of PyTorch and Keras: what works here as it stands, and what to write instead.

``TABLE`` has a row for each: how it is typed there, what it is here, and, where both mean the same,
what runs it. It is read when a name or an argument is not found, so it costs nothing before, and it
is the page "Come from PyTorch" of the documentation. Names that work this way are not shown by
completion, nor known to type checkers: those show the names of the right column.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from minigrad.lazy import load_late

mg: Any = load_late("minigrad")
F: Any = mg.nn.functional


class Row(NamedTuple):
    """A spelling, what to write here, and what runs it: nothing, if it means another thing."""

    theirs: str
    ours: str
    runs: Any = None


#: Of a row that works without help, because the names are the same.
SAME = object()
NO_DEVICE = "leave it out: there is one device, the CPU"
VALUES = "tensors are values: x = x + 1, or p.assign(array) for a parameter"
NOT_HERE = "leave it out"


def _extreme(name: str) -> Callable[..., Any]:
    return lambda x, dim=None, keepdim=False: getattr(mg, name)(x, axis=dim, keepdims=keepdim)


def _expand(x: Any, *sizes: Any) -> Any:
    shape = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    new = len(shape) - x.ndim
    lengths = [x.shape[i - new] if n == -1 else n for i, n in enumerate(shape)]
    return mg.broadcast_to(x, tuple(lengths))


def _split(x: Any, size: Any, dim: int = 0) -> Any:
    n = x.shape[dim]
    ends = range(size, n, size) if isinstance(size, int) else np.cumsum(size)[:-1]
    return tuple(mg.split(x, list(ends), dim))


def _chunk(x: Any, chunks: int, dim: int = 0) -> Any:
    return _split(x, max(1, math.ceil(x.shape[dim] / chunks)), dim)


def _gather(x: Any, dim: int, index: Any) -> Any:
    axis = dim % x.ndim
    lengths = np.shape(index)
    part = tuple([slice(None if a == axis else n) for a, n in enumerate(lengths)])
    return mg.take_along_axis(x[part], index, axis)


def _scatter_add(x: Any, dim: int, index: Any, source: Any) -> Any:
    places = np.asarray(index)
    grid: list[Any] = list(np.indices(places.shape, sparse=True))
    grid[dim] = places
    part = tuple([slice(n) for n in places.shape])
    return x + mg.scatter(source[part], tuple(grid), x.shape)


def _topk(x: Any, k: int, dim: int = -1, largest: bool = True) -> Any:
    index = mg.argsort(-x if largest else x, axis=dim)
    index = mg.take(index, np.arange(k), axis=dim)
    return mg.take_along_axis(x, index, dim), index


def _vector_norm(x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    return mg.vector_norm(x, axis=dim, keepdims=keepdim, ord=2 if p == "fro" else p)


def normalize(x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Vectors of norm 1, along ``dim``; shorter ones than ``eps`` are divided by that."""
    return x / np.maximum(_vector_norm(x, p, dim, True), eps)


def _to(x: Any, *where: Any) -> Any:
    for one in where:
        if not on_cpu(one):
            x = x.astype(one.dtype if isinstance(one, mg.Tensor) else one)
    return x


def _requires_grad(x: Any, requires_grad: bool = True) -> Any:
    x.requires_grad = requires_grad
    return x


def _autograd_grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> tuple[Any, ...]:
    one = isinstance(outputs, mg.Tensor)
    targets = [outputs] if one else list(outputs)
    given = [grad_outputs] if one else grad_outputs or [None] * len(targets)
    sources = [inputs] if isinstance(inputs, mg.Tensor) else list(inputs)
    seeds = [(y._node, y._seed(g)) for y, g in zip(targets, given, strict=True)]
    found = load_late("minigrad.engine.tensor").gradients(
        seeds,
        [x._node for x in sources],
        recorded=create_graph,
        release=not (create_graph if retain_graph is None else retain_graph),
    )
    return tuple([found.get(x._node) for x in sources])


def _functional_call(model: Any, state: Any, args: Any = (), kwargs: Any = None) -> Any:
    given = args if isinstance(args, tuple) else (args,)
    return mg.nn.functional_call(model, state, *given, **(kwargs or {}))


def _randint(low: int, high: Any = None, size: Any = None) -> Any:
    if size is None:
        low, high, size = 0, low, high
    return mg.tensor(_generator().integers(low, high, size))


def _generator() -> Any:
    return load_late("minigrad.engine.random").default_generator()


def _astype(dtype: Any) -> Callable[[Any], Any]:
    return lambda x: x.astype(dtype)


def _unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    return F.im2col(x, kernel_size, stride, padding, dilation)


def on_cpu(where: Any) -> bool:
    """Whether this is the one device that there is. Raises TypeError for another device.

    >>> on_cpu("cpu"), on_cpu("float64")
    (True, False)
    """
    if where is None or (isinstance(where, str) and where == "cpu"):
        return True
    if isinstance(where, str) and re.match(r"(cuda|mps|xpu|gpu)\b", where):
        raise TypeError(f"to: there is no device {where!r}; {NO_DEVICE}")
    return False


# Rows of the same place stand together. x and y are tensors, model a module.
TABLE: dict[str, list[Row]] = {
    "Tensors": [
        Row("x.clone()", "x.copy()", lambda x: x.copy()),
        Row("x.size(0)", "x.shape[0]"),
        Row("x.dim()", "x.ndim", lambda x: x.ndim),
        Row("x.numel()", "x.size", lambda x: x.size),
        Row("x.view(3, 2)", "x.reshape(3, 2)", lambda x, *shape: x.reshape(*shape)),
        Row("x.permute(1, 0)", "x.transpose(1, 0)", lambda x, *axes: x.transpose(*axes)),
        Row("images.transpose(1, 2)", "images.swapaxes(1, 2)"),
        Row("x.t()", "x.T", lambda x: x.T),
        Row("x.flatten(1)", "x.flatten(1)", SAME),
        Row("x.unsqueeze(0)", "mg.expand_dims(x, 0)", mg.expand_dims),
        Row("x.expand(4, -1, -1)", "mg.broadcast_to(x, (4, 2, 3))", _expand),
        Row("x.contiguous()", "x", lambda x: x),
        Row("x.repeat_interleave(2, 0)", "mg.repeat(x, 2, 0)", mg.repeat),
        Row("x.tile((2, 1))", "mg.tile(x, (2, 1))", mg.tile),
        Row("x.split(2, 1)", "mg.split(x, [2], 1)", _split),
        Row("x.chunk(3, 1)", "mg.array_split(x, 3, 1)", _chunk),
        Row("x.unbind(0)", "mg.unstack(x, 0)", mg.unstack),
        Row("x.select(1, 0)", "x[:, 0]", lambda x, dim, index: mg.take(x, index, dim)),
        Row("x.narrow(1, 0, 2)", "x[:, 0:2]",
            lambda x, dim, start, n: mg.take(x, np.arange(start, start + n), dim)),
        Row("x.index_select(1, index)", "mg.take(x, index, 1)",
            lambda x, dim, index: mg.take(x, index, dim)),
        Row("x.gather(1, places)", "mg.take_along_axis(x, places, 1)", _gather),
        Row("x.scatter_add(1, places, y[:, :2])",
            "x + mg.scatter(y[:, :2], ([[0], [1]], places), x.shape)", _scatter_add),
        Row("x.index_add(1, index, y)", "x + mg.scatter(y, (slice(None), index), x.shape)",
            lambda x, dim, index, source: x
            + mg.scatter(source, (*[slice(None)] * (dim % x.ndim), index), x.shape)),
        Row("x.scatter(1, places, y)", "mg.where(mask, y, x), or x + mg.scatter(y, at, x.shape)"),
        Row("x.topk(2)", "i = mg.argsort(-x)[..., :2]; mg.take_along_axis(x, i), i", _topk),
        Row("x.masked_fill(mask, 0.0)", "mg.where(mask, 0.0, x)",
            lambda x, mask, value: mg.where(mask, value, x)),
        Row("x.masked_select(mask)", "x[mask]", lambda x, mask: x[mask]),
        Row("x.where(mask, y)", "mg.where(mask, x, y)", lambda x, mask, y: mg.where(mask, x, y)),
        Row("x.new_zeros(2)", "mg.zeros(2, x.dtype)",
            lambda x, *shape: mg.zeros(shape[0] if len(shape) == 1 else shape, x.dtype)),
        Row("x.stride()", "x.numpy().strides"),
        Row("x.equal(x)", "np.array_equal(x.detach(), x.detach())", np.array_equal),
        Row("x.allclose(x)", "np.allclose(x, x)", np.allclose),
        Row("x.sort()", "mg.sort(x) for the values, mg.argsort(x) for the places"),
        Row("x[0] = 1.0", "np.where(mask, value, t)"),
    ],
    "Arithmetic": [
        Row("x.sum(dim=1, keepdim=True)", "x.sum(axis=1, keepdims=True)", SAME),
        Row("x.max(dim=1)", "x.max(axis=1) for the values, x.argmax(axis=1) for the places"),
        Row("x.amax(dim=1)", "x.max(axis=1)", _extreme("max")),
        Row("x.amin(dim=1)", "x.min(axis=1)", _extreme("min")),
        Row("x.median(dim=1)", "mg.median(x, axis=1)"),
        Row("x.std(dim=0)", "x.std(axis=0, ddof=1), as PyTorch divides by n - 1"),
        Row("x.var(dim=0, correction=0)", "x.var(axis=0)", SAME),
        Row("x.norm()", "mg.vector_norm(x)", _vector_norm),
        Row("x.clamp(0.0, 1.0)", "x.clip(0.0, 1.0)", mg.clip),
        Row("x.add(y)", "x + y", lambda x, y, alpha=1: x + (y if alpha == 1 else alpha * y)),
        Row("x.sub(y)", "x - y", lambda x, y, alpha=1: x - (y if alpha == 1 else alpha * y)),
        Row("x.mul(y)", "x * y", lambda x, y: x * y),
        Row("x.div(y)", "x / y", lambda x, y: x / y),
        Row("x.neg()", "-x", lambda x: -x),
        Row("x.pow(2)", "x ** 2", lambda x, exponent: x**exponent),
        Row("x.matmul(w)", "x @ w", lambda x, y: x @ y),
        Row("x.mm(w)", "x @ w", lambda x, y: x @ y),
        Row("x.bmm(w)", "x @ w", lambda x, y: x @ y),
        Row("x.mv(y[0])", "x @ y[0]", lambda x, y: x @ y),
        Row("x.lerp(y, 0.25)", "x + 0.25 * (y - x)", lambda x, y, weight: x + weight * (y - x)),
        Row("x.inverse()", "mg.inv(x)", mg.inv),
        Row("x.rsqrt()", "1 / mg.sqrt(x)", lambda x: 1 / mg.sqrt(x)),
        Row("x.lgamma()", "mg.gammaln(x)", mg.gammaln),
        Row("x.softmax(1)", "F.softmax(x, 1)", F.softmax),
        Row("x.log_softmax(1)", "F.log_softmax(x, 1)", F.log_softmax),
        Row("x.sin()", "mg.sin(x)", SAME),  # and the other functions in METHODS
        Row("x.add_(1)", VALUES),
    ],
    "Types and devices": [
        Row("x.float()", 'x.astype("float32")', _astype("float32")),
        Row("x.double()", 'x.astype("float64")', _astype("float64")),
        Row("x.half()", 'x.astype("float16")', _astype("float16")),
        Row("x.long()", 'x.astype("int64")', _astype("int64")),
        Row("x.int()", 'x.astype("int32")', _astype("int32")),
        Row("x.bool()", "x.astype(bool)", _astype(bool)),
        Row("x.type(torch.float64)", 'x.astype("float64")', _to),
        Row("x.type_as(y)", "x.astype(y.dtype)", _to),
        Row("x.to(torch.float64)", 'x.astype("float64")', _to),
        Row('x.to("cpu")', "x", _to),
        Row("x.cpu()", "x", lambda x: x),
        Row("x.cuda()", NO_DEVICE),
        Row("x.device", NO_DEVICE),
        Row("torch.device('cpu')", "'cpu'", str),
        Row("torch.cuda.is_available()", "False",
            SimpleNamespace(is_available=lambda: False, device_count=lambda: 0,
                            **dict.fromkeys(("manual_seed", "manual_seed_all", "empty_cache",
                                             "synchronize"), lambda *_: None))),
        Row("torch.backends.cudnn", NO_DEVICE),
        Row("x.is_cuda", "False", lambda x: False),
        Row("torch.get_default_dtype()", "np.float32", lambda: np.float32),
        Row("torch.float32", "np.float32", np.float32),
        Row("torch.float64", "np.float64", np.float64),
        Row("torch.float16", "np.float16", np.float16),
        Row("torch.float", "np.float32", np.float32),
        Row("torch.double", "np.float64", np.float64),
        Row("torch.int32", "np.int32", np.int32),
        Row("torch.int64", "np.int64", np.int64),
        Row("torch.long", "np.int64", np.int64),
        Row("torch.uint8", "np.uint8", np.uint8),
        Row("torch.bool", "np.bool_", np.bool_),
        Row("torch.set_num_threads(1)", "set OPENBLAS_NUM_THREADS in the environment"),
        Row("torch.set_default_dtype(torch.float64)", "pass dtype=, or arrays of that dtype"),
    ],
    "Gradients": [
        Row("x.requires_grad_()", "x.requires_grad = True", _requires_grad),
        Row("x.is_leaf", "not x.requires_grad, or made by you",
            lambda x: x._node is None or not x._node.parents),
        Row("x.data", ".numpy() to read and .assign(array) to write"),
        Row("x.grad_fn", "print(tape), or mg.explain(loss, x)"),
        Row("x.retain_grad()", "tape.gradient(loss, x) of a mg.GradientTape"),
        Row("x.register_hook(print)", "mg.custom_gradient, or mg.observe() to look at gradients"),
        Row("torch.inference_mode()", "mg.no_grad()", mg.no_grad),
        Row("torch.is_grad_enabled()", "mg.is_recording()", mg.is_recording),
        Row("torch.enable_grad()", "close the no_grad() block, or take mg.grad inside it"),
        Row("torch.set_grad_enabled(False)", "with mg.no_grad():"),
        Row("torch.autograd.grad(loss, x)", "mg.grad(f)(x), or tape.gradient(loss, x)",
            SimpleNamespace(grad=_autograd_grad)),
        Row("torch.func.jacrev(f)", "mg.jacobian(f)", SimpleNamespace(
            grad=mg.grad, vjp=mg.vjp, jvp=mg.jvp, jacrev=mg.jacobian, jacfwd=mg.jacobian,
            hessian=mg.hessian, functional_call=_functional_call)),
        Row("torch.jacrev(f)", "mg.jacobian(f)", mg.jacobian),
        Row("torch.jacfwd(f)", "mg.jacobian(f)", mg.jacobian),
        Row("torch.jit(f)", "leave it out: functions run as they are written"),
        Row("torch.vmap(f)", "write the batch as the first axis: functions and layers take it"),
    ],
    "Functions": [
        Row("torch.cat([x, y], dim=0)", "mg.concatenate([x, y], axis=0)", mg.concatenate),
        Row("torch.stack([x, y], dim=1)", "mg.stack([x, y], axis=1)", SAME),
        Row("torch.split(x, 2, dim=1)", "mg.split(x, [2], axis=1): the places of the cuts, or how "
            "many parts"),
        Row("torch.from_numpy(a)", "mg.tensor(a)", mg.tensor),
        Row("torch.as_tensor(a)", "mg.tensor(a)", mg.tensor),
        Row("torch.array(a)", "mg.tensor(a)", mg.tensor),
        Row("torch.asarray(a)", "mg.tensor(a)", mg.tensor),
        Row("torch.Tensor([1.0, 2.0])", "mg.tensor([1.0, 2.0])"),
        Row("torch.FloatTensor([1.0, 2.0])", "mg.tensor([1.0, 2.0])"),
        Row("torch.zeros(2, 3)", "a shape is one tuple: mg.zeros((2, 3))"),
        Row("torch.empty(2, 3)", "mg.zeros((2, 3))"),
        Row("torch.randint(0, 10, (3,))", "mg.tensor(generator.integers(0, 10, (3,)))", _randint),
        Row("torch.randperm(5)", "mg.tensor(generator.permutation(5))",
            lambda n: mg.tensor(_generator().permutation(n))),
        Row("torch.relu(x)", "F.relu(x)", F.relu),
        Row("torch.sigmoid(x)", "F.sigmoid(x)", F.sigmoid),
        Row("torch.softmax(x, dim=1)", "F.softmax(x, axis=1)", F.softmax),
        Row("torch.flatten(images, 1)", "F.flatten(images, 1)", F.flatten),
        Row("torch.transpose(x, 0, 1)", "mg.swapaxes(x, 0, 1)"),
        Row("torch.allclose(x, y)", "np.allclose(x, y)", np.allclose),
        Row("torch.is_tensor(x)", "isinstance(x, mg.Tensor)", lambda x: isinstance(x, mg.Tensor)),
        Row("torch.special.erf(x)", "mg.erf(x)", SimpleNamespace(
            erf=mg.erf, erfc=mg.erfc, gammaln=mg.gammaln, digamma=mg.digamma, xlogy=mg.xlogy,
            expit=F.sigmoid)),
        Row("torch.autocast('cpu')", "leave it out: arrays have the dtype that you give them"),
        Row("torch.compile(model)", "the model as it is: there is nothing to compile"),
        Row("F.unfold(images, 2)", "F.im2col(images, 2)", _unfold),
        Row("F.normalize(x, dim=1)",
            "x / np.maximum(mg.vector_norm(x, axis=1, keepdims=True), 1e-12)", normalize),
        Row("F.fold(x, (4, 4), 2)", "F.col2im(x, x_shape, 2)"),
    ],
    "Modules, optimizers and data": [
        Row('model.to("cpu")', "model", SAME),
        Row("model.cuda()", NO_DEVICE),
        Row("model.cpu()", "model", lambda model: model),
        Row("model.half()", 'model.to("float16")', lambda model: model.to("float16")),
        Row("model.register_full_backward_hook(print)", "mg.observe() to look at gradients"),
        Row("nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
            "optim.clip_grad_norm_(model.parameters(), 1.0)",
            SimpleNamespace(clip_grad_norm_=mg.optim.clip_grad_norm_,
                            clip_grad_value_=mg.optim.clip_grad_value_)),
        Row("nn.Conv3d(1, 1, 3)", "there are nn.Conv1d and nn.Conv2d alone"),
        Row("nn.DataParallel(model)", "the model as it is: all cores are used"),
        Row("nn.ReLU(inplace=True)", "nn.ReLU()", SAME),
        Row("nn.Softmax(dim=1)", "nn.Softmax(axis=1)", SAME),
        Row("nn.Linear(3, 2, device='cpu')", "nn.Linear(3, 2)", SAME),
        Row("data.TensorDataset(a, a)", "data.ArrayDataset(a, a)", mg.data.ArrayDataset),
        Row("torch.utils.data.DataLoader(a)", "mg.data.DataLoader(a)",
            SimpleNamespace(data=mg.data, checkpoint=SimpleNamespace(checkpoint=mg.checkpoint))),
    ],
    "Keras and TensorFlow": [
        Row("nn.Dense(10)", "nn.Linear(in_features, 10), or nn.LazyLinear(10)"),
        Row("nn.Conv2D(8, 3)", "nn.Conv2d(in_channels, 8, 3), or nn.LazyConv2d(8, 3)"),
        Row("nn.MaxPooling2D(2)", "nn.MaxPool2d(2)"),
        Row("nn.BatchNormalization()", "nn.BatchNorm2d(channels)"),
        Row("nn.LayerNormalization()", "nn.LayerNorm(shape)"),
        Row("nn.GlobalAveragePooling2D()", "nn.AdaptiveAvgPool2d(1)"),
        Row("nn.Activation('relu')", "nn.ReLU()"),
        Row("nn.Input((3,))", "leave it out: a model is a module, and is called"),
        Row("model.compile(optimizer='adam', loss='mse')",
            "mg.Trainer(model, optimizer='adam', loss='mse')"),
        Row("model.fit(a, a)", "mg.Trainer(model, ...).fit(x, y, epochs=...)"),
        Row("model.evaluate(a, a)", "mg.Trainer(model, ...).evaluate(x, y)"),
        Row("model.predict(a)", "mg.Trainer(model, ...).predict(x), or model(x)"),
        Row("model.summary()", "mg.summary(model, input_shape)"),
        Row("model.trainable_variables", "list(model.parameters())"),
        Row("model.layers", "list(model.children())"),
        Row("model.weights", "list(model.parameters())"),
        Row("model.count_params()", "sum(p.size for p in model.parameters())"),
        Row("model.trainable", "model.requires_grad_(False)"),
        Row("model.call(a)", "model(x)"),
        Row("model.build((None, 3))", "model(x), where the lazy layers learn their sizes"),
        Row("model.get_weights()", "model.state_dict()"),
        Row("model.set_weights([])", "model.load_state_dict(state)"),
        Row("model.save('m.keras')", "mg.save_model(model, path)"),
        Row("trainer.compile('adam', 'mse')", "mg.Trainer(model, optimizer='adam', loss='mse')"),
        Row("trainer.summary()", "mg.summary(model, input_shape)"),
        Row("trainer.save('m.keras')",
            "trainer.save_checkpoint(path), or mg.save_model(model, path) for the model alone"),
        Row("trainer.save_weights('m.h5')", "mg.save(model.state_dict(), path)"),
        Row("callbacks.ReduceLROnPlateau('val_loss')",
            "callbacks.LearningRateScheduler(optim.lr_scheduler.ReduceLROnPlateau(optimizer), "
            "'val_loss')"),
        Row("optim.Adam(model.parameters(), learning_rate=0.1)", "lr=0.1"),
        Row("tf.Variable(1.0)", "mg.tensor(1.0, requires_grad=True)"),
        Row("tf.convert_to_tensor(a)", "mg.tensor(a)", mg.tensor),
        Row("tf.math.exp(x)", "mg.exp(x)", mg),
        Row("tf.layers", "mg.nn"),
        Row("tf.losses", "mg.nn.functional"),
        Row("tf.Model", "mg.nn.Module"),
        Row("tf.placeholder('float32')", "leave it out: what is called runs at once"),
        Row("tf.Session()", "leave it out: what is called runs at once"),
        Row("tf.constant([1.0])", "mg.tensor([1.0])"),
        Row("tf.cast(x, 'float64')", "x.astype('float64')"),
        Row("tf.random.normal((3,))", "mg.randn(3), mg.rand(3), or a generator of NumPy's"),
        Row("tf.reduce_sum(x)", "mg.sum(x)"),
        Row("tf.reduce_mean(x)", "mg.mean(x)"),
        Row("tf.function(model)", "leave it out: functions run as they are written"),
        Row("tf.keras", "from minigrad import nn, optim; mg.Trainer fits, evaluates and predicts"),
    ],
}  # fmt: skip

_SAME_NAMES = """
    acos acosh arccos arccosh arcsin arcsinh arctan arctanh argwhere asin asinh atan atan2 atanh
    bincount bitwise_and bitwise_not bitwise_or bitwise_xor ceil cos cosh count_nonzero deg2rad
    det diag diff digamma divide erf erfc exp2 expm1 fix flip fliplr flipud float_power floor fmod
    gcd heaviside hypot inner isfinite isinf isnan kron lcm log10 log1p log2 logaddexp
    logcumsumexp logical_and logical_not logical_or logical_xor logsumexp matrix_power maximum
    minimum multiply nan_to_num nanmean nanmedian nansum negative outer pinv positive quantile
    rad2deg reciprocal remainder roll rot90 sign signbit sin sinc sinh slogdet square subtract svd
    tan tril triu true_divide trunc unique vdot xlogy
"""
#: Methods of PyTorch's tensors that are functions here, with the same arguments; and their names.
METHODS = {
    **{name: name for name in _SAME_NAMES.split()},
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
    "ge": "greater_equal", "movedim": "moveaxis", "tensor_split": "array_split",
    "lgamma": "gammaln",
}  # fmt: skip

# -- names -----------------------------------------------------------------------------------------

#: What a place is called in the table.
PLACES = {
    "minigrad": ("torch", "tf"), "minigrad.nn": ("nn",), "minigrad.nn.functional": ("F",),
    "minigrad.optim": ("optim",), "minigrad.data": ("data",),
    "minigrad.callbacks": ("callbacks",),
}  # fmt: skip


def _index() -> dict[tuple[str, str], Row]:
    found: dict[tuple[str, str], Row] = {}
    for rows in TABLE.values():
        for row in rows:
            match = re.match(r"(\w+)\.(\w+)", row.theirs)
            if match:
                found.setdefault((match[1], match[2]), row)
    return found


INDEX = _index()


#: How a remedy begins that is not something to use.
ADVICE = ("leave", "write", "pass", "close", "from", "a shape", "there are", "set ", "scipy")


def _remedy(row: Row) -> str:
    return f"; {row.ours}" if row.ours.startswith(ADVICE) else f"; use {row.ours}"


def of_object(owner: Any, name: str, what: str) -> Any:
    """What ``owner.name`` is there, if it is the same thing here; else raise AttributeError.

    ``what``: what such an object is called in the table; a tensor is "x".
    """
    row = INDEX.get((what, name))
    run = None if row is None else row.runs
    if what == "x" and name in METHODS and not callable(run):
        run = getattr(mg, METHODS[name])
    if callable(run):
        is_called = row is None or "(" in row.theirs
        return functools.partial(run, owner) if is_called else run(owner)
    remedy = "" if row is None else _remedy(row)
    if what == "x" and name.endswith("_"):
        remedy = f"; {VALUES}"
    kind = type(owner).__name__
    # With name and obj, Python suggests the nearest name that there is.
    raise AttributeError(f"{kind!r} object has no attribute {name!r}{remedy}", name=name, obj=owner)


def of_module(place: str, name: str, space: Any) -> Any:
    """What PyTorch has under this name in the module that stands for this one."""
    row = next((INDEX[one, name] for one in PLACES[place] if (one, name) in INDEX), None)
    if row is None and place == "minigrad":
        row = _of_torch(name)
    if row is not None and row.runs is not None and row.runs is not SAME:
        return row.runs
    if row is None:  # Conv2D, ReLu
        alike = [one for one in space.__all__ if one.lower() == name.lower()]
        row = Row(name, f"{place.rpartition('.')[2]}.{alike[0]}") if alike else None
    remedy = "" if row is None else _remedy(row)
    message = f"module {place!r} has no attribute {name!r}{remedy}"
    raise AttributeError(message, name=name, obj=space)


def _of_torch(name: str) -> Row | None:
    """A name of the module torch that has no row: a method as a function, or a name of ours."""
    if name in METHODS:
        return Row(name, "", getattr(mg, METHODS[name]))
    row = INDEX.get(("x", name))
    if row is not None and "(" in row.theirs:
        return row
    for place in ("nn", "nn.functional", "optim", "data"):
        if name in load_late(f"minigrad.{place}").__all__:
            return Row(name, f"mg.{place}.{name}")
    return Row(name, f"np.{name}") if hasattr(np, name) else None


# -- arguments -------------------------------------------------------------------------------------

#: Arguments by other names, and their names here, of which the function takes one at most.
KEYWORDS = {
    "dim": ("axis",), "dims": ("axis", "shape", "reps"), "keepdim": ("keepdims",), "x": ("a",),
    "start_dim": ("start_axis",), "end_dim": ("end_axis",), "dim0": ("axis1",), "dim1": ("axis2",),
    "shifts": ("shift",), "correction": ("ddof",), "repeats": ("reps",), "indices": ("index",),
    "size": ("shape",), "fill_value": ("value",), "diagonal": ("k",), "test_elements": ("ar2",),
}  # fmt: skip
#: Arguments that say nothing here with these values.
EMPTY: dict[str, tuple[Any, ...]] = {
    "device": ("cpu", None), "inplace": (True, False), "pin_memory": (True, False),
    "non_blocking": (True, False), "layout": (None,), "memory_format": (None,),
    "unbiased": (False,), "foreach": (True, False, None), "fused": (True, False, None),
    "persistent_workers": (True, False), "name": (None,),
}  # fmt: skip
#: What to write for arguments that there are not.
REMEDIES = {
    "device": NO_DEVICE, "learning_rate": "write lr=", "beta_1": "write betas=(beta1, beta2)",
    "beta_2": "write betas=(beta1, beta2)", "epsilon": "write eps=", "decay": "write weight_decay=",
    "clipnorm": "call optim.clip_grad_norm_ before step()", "strides": "write stride=",
    "filters": "write out_channels", "units": "write out_features", "rate": "write p=",
    "activation": "put the activation into the nn.Sequential, as nn.ReLU()",
    "input_shape": "write the size of the input, or use nn.LazyLinear and nn.LazyConv2d",
    "kernel_initializer": "call a function of nn.init on the weight",
    "padding_mode": "pad first, with F.pad(x, widths, mode=...)", "use_bias": "write bias=",
    "unbiased": "write ddof=1, which divides by n - 1", "p": "write ord=, or call mg.vector_norm",
    "descending": "take mg.flip of the result, or sort -x", "size_average": "write reduction=",
    "reduce": "write reduction=", "from_logits": "leave it out: cross_entropy takes logits",
    "as_tuple": "leave it out: it gives a tuple", "layout": NOT_HERE, "memory_format": NOT_HERE,
    "batch_input_shape": "leave it out", "trainable": "write requires_grad=",
}  # fmt: skip
#: Functions of which dim= asks for something else in PyTorch than axis= does here.
OTHERWISE = {
    "max": "with dim=, PyTorch gives values and places; write x.max(axis=...) and "
    "x.argmax(axis=...)",
    "min": "with dim=, PyTorch gives values and places; write x.min(axis=...) and "
    "x.argmin(axis=...)",
    "median": "with dim=, PyTorch gives values and places, and the lower of two middle values; "
    "write mg.median(x, axis=...) for their mean",
    "nanmedian": "with dim=, PyTorch gives values and places; write mg.nanmedian(x, axis=...)",
    "sort": "PyTorch gives values and places; write mg.sort(x, axis=...) and "
    "mg.argsort(x, axis=...)",
    "split": "PyTorch's number is the length of the parts; write mg.split(x, [2], axis=1) with "
    "the places of the cuts, or how many parts there shall be",
    "std": "PyTorch divides by n - 1; write x.std(axis=0, ddof=1), or correction=0",
    "var": "PyTorch divides by n - 1; write x.var(axis=0, ddof=1), or correction=0",
}


def arguments(
    name: str, params: Sequence[str], given: dict[str, Any], arrays: int = 0
) -> dict[str, Any]:
    """The arguments by our names; those that say nothing are left out. Unknown ones stay.

    ``arrays``: how many of the first parameters are arrays. Raises TypeError, with what to write,
    for an argument that means another thing.

    >>> arguments("sum", ("a", "axis", "keepdims"), {"dim": 1, "keepdim": True})
    {'axis': 1, 'keepdims': True}
    """
    found: dict[str, Any] = {}
    explicit = not {"correction", "ddof", "unbiased"}.isdisjoint(given)
    places = {"input": 0, "tensors": 0, "other": 1}
    for key, value in given.items():
        ours = next((k for k in KEYWORDS.get(key, ()) if k in params and k not in given), None)
        at = places.get(key, arrays)
        if key in params:
            found[key] = value
        elif (key, name) == ("p", "norm") and isinstance(given.get("dim", given.get("axis")), int):
            found["ord"] = value  # along one axis they are the same
        elif key == "dim" and name in OTHERWISE and not (explicit and name in ("std", "var")):
            raise TypeError(f"{name}: {OTHERWISE[name]}")
        elif ours is not None:
            found[ours] = value
        elif at < min(arrays, len(params)) and params[at] not in given:
            found[params[at]] = value
        elif not any(
            value is one or (isinstance(one, str) and one == value) for one in EMPTY.get(key, ())
        ):
            if key in REMEDIES:
                raise TypeError(f"{name}: there is no {key}=; {REMEDIES[key]}")
            found[key] = value
    return found


#: What to write when a function gets more arguments than it takes.
MORE = {"transpose": "mg.swapaxes(x, 0, 1) exchanges two axes"}


def page(*titles: str) -> str:
    """These parts of the table as Markdown, for the documentation."""
    lines: list[str] = []
    for title in titles:
        lines += [
            f"### {title}",
            "",
            "| there | here | works as it stands |",
            "| --- | --- | --- |",
        ]
        for row in TABLE[title]:
            works = "" if row.runs is None else "yes"
            lines.append(f"| `{row.theirs}` | {_as_code(row.ours)} | {works} |")
        lines.append("")
    return "\n".join(lines)


def _as_code(text: str) -> str:
    """Python in backticks: the whole text, or the names and calls in a sentence."""
    try:
        compile(text, "", "exec")
    except SyntaxError:
        return re.sub(r"((?:mg|nn|optim|tape|x|p|np|F)\.\w+(?:\([^()]*\))?)", r"`\1`", text)
    return f"`{text}`"
