"""What people type in their first week: each call works, or its message says what to write.

Users of PyTorch read ``torch`` for ``mg``, those of TensorFlow ``tf``. A call stands beside what it
gives, or beside a part of what its error says.
"""

import re

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import data, nn, optim

X = np.arange(1.0, 7.0).reshape(2, 3)


def things():
    """What the calls are made with: x is tracked, t is not, a is an array."""
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    return {
        "np": np, "mg": mg, "torch": mg, "tf": mg, "nn": nn, "F": F, "optim": optim, "data": data,
        "x": mg.tensor(X, requires_grad=True), "t": mg.tensor(X), "a": X.copy(), "model": model,
        "images": mg.tensor(np.ones((2, 1, 8, 8), np.float32)), "labels": mg.tensor([0, 1]),
        "rows": mg.tensor(X.astype(np.float32)), "params": [*model.parameters()],
        "square": np.array([[2.0, 1.0], [0.5, 3.0]]), "re": re,
    }  # fmt: skip


PYTORCH = {
    # making tensors
    "torch.tensor([1.0, 2.0]).dtype": "torch.float32",
    "torch.tensor([[1, 2], [3, 4]]).shape": "(2, 2)",
    "torch.zeros((2, 3), dtype=torch.float64).dtype": "np.float64",
    "torch.ones_like(t)": "np.ones((2, 3))",
    "torch.from_numpy(a)": "a",
    "torch.arange(0, 10, 2)": "np.arange(0, 10, 2)",
    "torch.linspace(0, 1, 5)": "np.linspace(0, 1, 5)",
    "torch.eye(3)": "np.eye(3)",
    "torch.rand(2, 3).shape": "(2, 3)",
    "torch.randint(0, 5, (4,)).shape": "(4,)",
    "sorted(torch.randperm(4).tolist())": "[0, 1, 2, 3]",
    "torch.full((2,), 7.0)": "[7.0, 7.0]",
    "torch.zeros(2, 3)": Exception("a shape is one tuple"),
    # shapes
    "x.view(3, 2)": "a.reshape(3, 2)",
    "x.view(-1).shape": "(6,)",
    "x.unsqueeze(0).shape": "(1, 2, 3)",
    "x.unsqueeze(0).squeeze(0).shape": "(2, 3)",
    "x.permute(1, 0)": "a.T",
    "images.flatten(1).shape": "(2, 64)",
    "torch.flatten(images, start_dim=1).shape": "(2, 64)",
    "images.transpose(2, 3)": Exception("x.swapaxes(2, 3)"),
    "x.size(0)": Exception("x.shape[0]"),
    "x.numel()": "6",
    "torch.cat([x, x], dim=1)": "np.concatenate([a, a], 1)",
    "torch.stack([x, x], dim=0).shape": "(2, 2, 3)",
    "x.chunk(3, dim=1)[2]": "a[:, 2:]",
    "x.expand(2, 2, 3).shape": "(2, 2, 3)",
    # arithmetic
    "x.sum(dim=1, keepdim=True)": "a.sum(1, keepdims=True)",
    "x.mean(dim=0)": "a.mean(0)",
    "x.max()": "6.0",
    "x.max(dim=1)": Exception("x.argmax(axis=...)"),
    "x.argmax(dim=1)": "[2, 2]",
    "x.std(dim=0)": Exception("ddof=1"),
    "x.clamp(min=2.0, max=4.0)": "a.clip(2, 4)",
    "x.norm()": "np.sqrt((a * a).sum())",
    "x.pow(2)": "a ** 2",
    "torch.matmul(x, x.T)": "a @ a.T",
    "x.mm(x.t())": "a @ a.T",
    "torch.softmax(x, dim=1).sum(1)": "[1.0, 1.0]",
    "torch.relu(x - 3)": "np.maximum(a - 3, 0)",
    "torch.where(x > 3, x, 0.0)": "np.where(a > 3, a, 0)",
    "x.masked_fill(x > 3, 0.0)": "np.where(a > 3, 0, a)",
    "x.topk(2, dim=1)[0]": "a[:, :0:-1]",
    "x.gather(1, np.array([[0], [2]]))": "[[1.0], [6.0]]",
    "x.add_(1)": Exception("x = x + 1"),
    "torch.exp(x).log()": "a",
    "x.item()": Exception("expected one element"),
    "torch.allclose(t, t)": "True",
    "torch.norm(x, p=2, dim=1)": "np.linalg.norm(a, axis=1)",
    "F.normalize(x, dim=1).norm(dim=1)": "[1.0, 1.0]",
    # gradients
    "x.requires_grad_().requires_grad": "True",
    "x.detach().requires_grad": "False",
    "x.clone().requires_grad": "True",
    "x.is_leaf": "True",
    "(x * x).sum().backward()": "None",
    "(x * x).backward()": Exception("y.sum().backward()"),
    "x.grad": "None",
    "torch.autograd.grad((x * x).sum(), x)[0]": "2 * a",
    "torch.func.jacrev(lambda v: v * v)(a[0])": "np.diag(2 * a[0])",
    "x.numpy().flags.writeable": "False",
    "np.asarray(x)": Exception("t.numpy()"),
    # types and devices
    "x.float().dtype": "np.float32",
    "x.to(torch.float32).dtype": "np.float32",
    "x.to('cpu').shape": "(2, 3)",
    "x.cuda()": Exception("there is one device, the CPU"),
    "torch.device('cuda' if torch.cuda.is_available() else 'cpu')": "'cpu'",
    # models
    "model.to('cpu') is model": "True",
    "model(rows).shape": "(2, 2)",
    "nn.Linear(3, 2, device='cpu').weight.shape": "(2, 3)",
    "nn.ReLU(inplace=True)(t - 3)": "np.maximum(a - 3, 0)",
    "nn.Flatten(start_dim=1)(images).shape": "(2, 64)",
    "nn.Conv2d(1, 4, kernel_size=3, padding=1)(images).shape": "(2, 4, 8, 8)",
    "nn.CrossEntropyLoss()(model(rows), labels).shape": "()",
    "F.cross_entropy(model(rows), labels, reduction='none').shape": "(2,)",
    "nn.utils.clip_grad_norm_(params, 1.0)": "0.0",
    "sum(p.numel() for p in model.parameters())": "26",
    "[name for name, _ in model.named_parameters()][0]": "'0.weight'",
    "optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.99)).zero_grad()": "None",
    "optim.lr_scheduler.StepLR(optim.SGD(params, lr=1.0), step_size=2).get_last_lr()": "[1.0]",
    "data.TensorDataset(a, a)[1][0]": "a[1]",
    "len(data.DataLoader(data.TensorDataset(a), batch_size=1, shuffle=True, pin_memory=True))": "2",
    "data.random_split(data.TensorDataset(a), [1, 1])[0][0][0].shape": "(3,)",
    "nn.DataParallel(model)": Exception("the model as it is"),
    "model.register_forward_hook(lambda *given: None).remove()": "None",
    "torch.autocast('cpu')": Exception("; leave it out"),
    "torch.compile(model)": Exception("the model as it is"),
}  # fmt: skip
NUMPY = {
    "np.sum(x, axis=0)": "a.sum(0)",
    "np.mean(x)": "3.5",
    "np.std(x, ddof=1)": "a.std(ddof=1)",
    "np.max(x, axis=1)": "[3.0, 6.0]",
    "np.exp(x)": "np.exp(a)",
    "np.dot(x, x.T)": "a @ a.T",
    "a @ x.T": "a @ a.T",
    "a + x": "2 * a",
    "np.float64(2) * x": "2 * a",
    "x[:, 1]": "a[:, 1]",
    "x[x > 2]": "a[a > 2]",
    "x[[0, 0, 1]].shape": "(3, 3)",
    "x[None].shape": "(1, 2, 3)",
    "x.reshape(3, -1).shape": "(3, 2)",
    "x.astype(int)": "a.astype(int)",
    "np.concatenate([x, a])": "np.concatenate([a, a])",
    "np.vstack([x, x]).shape": "(4, 3)",
    "np.where(a > 2, x, -x)": "np.where(a > 2, a, -a)",
    "np.linalg.norm(x, axis=1)": "np.linalg.norm(a, axis=1)",
    "np.linalg.solve(square, x)": "np.linalg.solve(square, a)",
    "np.einsum('ij,kj->ik', x, x)": "a @ a.T",
    "np.sort(-x, axis=1)": "np.sort(-a, axis=1)",
    "np.argsort(x[0])": "[0, 1, 2]",
    "np.cumsum(x, axis=1)": "a.cumsum(1)",
    "np.clip(x, 2, 4)": "a.clip(2, 4)",
    "np.median(x, axis=0)": "np.median(a, axis=0)",
    "np.percentile(x, 50)": "3.5",
    "np.allclose(x, a)": "True",
    "np.zeros_like(x)": "np.zeros((2, 3))",
    "x.tolist()": "a.tolist()",
    "[float(v) for v in t[0]]": "[1.0, 2.0, 3.0]",
    "len(x), x.ndim, x.size, x.shape": "2, 2, 6, (2, 3)",
    "t.__setitem__((0, 0), 1.0)": Exception("np.where(mask, value, t)"),
    "np.array([x, x])": Exception("np.stack([t, u])"),
    "np.add.at(x, [0], 1.0)": Exception("mg.scatter"),
    "np.fft.fft(x)": Exception(".numpy()"),
    "np.fft.fft(t)": "np.fft.fft(a)",
    "np.add.reduce(t)": "a.sum(0)",
    "tf.random.normal((3,))": Exception("mg.randn"),
    "mg.grad(lambda v: (v * v).sum())(a)": "2 * a",
    "mg.array([1.0, 2.0])": "[1.0, 2.0]",
    "mg.pi": Exception("np.pi"),
    "mg.gradient(t[0])": "np.gradient(a[0])",
}  # fmt: skip
SCIPY = {
    "optimize.minimize(mg.value_and_grad(bowl), a[0], jac=True).x.round(3)": "[1, 1, 1]",
    "optimize.minimize(mg.value_and_grad(bowl), a[0], jac=True, method='L-BFGS-B').x.round(3)": "[1, 1, 1]",
    "optimize.minimize(bowl, a[0], jac=mg.grad(bowl), method='SLSQP').x.round(3)": "[1, 1, 1]",
    "optimize.minimize(bowl, t[0], jac=mg.grad(bowl), method='BFGS').x.round(3)": "[1, 1, 1]",
    "optimize.minimize(bowl, a[0], jac=mg.grad(bowl), hess=mg.hessian(bowl), method='trust-exact').x.round(3)": "[1, 1, 1]",
    "optimize.minimize(bowl, a[0], jac=mg.grad(bowl), hessp=mg.hvp(bowl), method='Newton-CG').x.round(3)": "[1, 1, 1]",
    "optimize.least_squares(lambda v: v * v - 4, a[0], jac=mg.jacobian(lambda v: v * v - 4)).x": "[2, 2, 2]",
    "optimize.root(lambda v: v**3 - 8, a[0], jac=mg.jacobian(lambda v: v**3 - 8)).x": "[2, 2, 2]",
    "optimize.newton(lambda v: v * v - 4, 1.0, fprime=mg.grad(lambda v: v * v - 4))": "2",
    "integrate.solve_ivp(decay, (0, 1), a[0], jac=mg.jacobian(decay, 1), method='BDF').success": "True",
    "optimize.check_grad(bowl, mg.grad(bowl), a[0]) < 1e-5": "True",
    "special.erf(x)": "special.erf(a)",
    "special.gammaln(x)": "special.gammaln(a)",
    "special.expit(x)": "special.expit(a)",
    "special.xlogy(x, x)": "a * np.log(a)",
    "special.jv(0, x)": Exception("leave the graph on purpose with .numpy()"),
    "special.jv(0, t)": "special.jv(0, a)",
    "linalg.expm(t[:, :2]).shape": "(2, 2)",
    "stats.norm.logpdf(t)": "stats.norm.logpdf(a)",
    "interpolate.CubicSpline(np.arange(3.0), t[0])(0.5)": "1.5",
    "mg.jacobian(lambda v: v * v)(a[0])": "np.diag(2 * a[0])",
    "mg.hessian(bowl)(a[0]).shape": "(3, 3)",
    "type(mg.grad(bowl)(a[0])) is np.ndarray": "True",
}  # fmt: skip
KERAS = {
    "tf.constant([1.0])": Exception("mg.tensor"),
    "tf.Variable([1.0])": Exception("requires_grad=True"),
    "tf.cast(t, 'float32')": Exception("astype"),
    "tf.reduce_mean(t)": Exception("mg.mean"),
    "tf.function(model)": Exception("; leave it out"),
    "tf.keras.Sequential([])": Exception("from minigrad import nn"),
    "tf.zeros((2, 3)).shape": "(2, 3)",
    "tf.matmul(t, t.T)": "a @ a.T",
    "tf.GradientTape(persistent=True).persistent": "True",
    "tf.stop_gradient(x).requires_grad": "False",
    "nn.Dense(10)": Exception("nn.LazyLinear"),
    "nn.Dense(10, activation='relu')": Exception("nn.LazyLinear"),
    "nn.Conv2D(8, 3)": Exception("nn.LazyConv2d"),
    "nn.MaxPooling2D(2)": Exception("nn.MaxPool2d"),
    "nn.Conv1D(3, 8)": Exception("nn.Conv1d"),
    "nn.GlobalAveragePooling2D()": Exception("nn.AdaptiveAvgPool2d(1)"),
    "model.layers": Exception("list(model.children())"),
    "model.count_params()": Exception("p.size for p in"),
    "nn.BatchNormalization()": Exception("nn.BatchNorm2d"),
    "nn.LazyLinear(10)(rows).shape": "(2, 10)",
    "nn.LazyConv2d(8, 3, padding='same')(images).shape": "(2, 8, 8, 8)",
    "nn.Sequential([nn.Linear(3, 2)])(rows)": Exception("write Sequential(*layers)"),
    "model.compile(optimizer='adam')": Exception("mg.Trainer"),
    "model.fit(a, a)": Exception("mg.Trainer"),
    "model.predict(a)": Exception("mg.Trainer"),
    "model.evaluate(a, a)": Exception("mg.Trainer"),
    "model.summary()": Exception("mg.summary"),
    "len(str(mg.summary(model, (3,)))) > 100": "True",
    "model.trainable_variables": Exception("parameters()"),
    "model.save('m.keras')": Exception("mg.save_model"),
    "optim.Adam(params, learning_rate=0.1)": Exception("lr="),
    "optim.Adam(params, lr=0.1, beta_1=0.8)": Exception("betas="),
    "nn.Dropout(rate=0.5)": Exception("p="),
    "mg.Trainer(model, optimizer='adam', loss='mse').fit(rows.numpy(), np.zeros((2, 2), np.float32), epochs=1, verbose=0).history.keys()": "['loss']",
    "mg.Trainer(model, loss='cross_entropy').predict(rows.numpy()).shape": "(2, 2)",
    "mg.callbacks.EarlyStopping(patience=2).patience": "2",
}  # fmt: skip
LISTS = {"PyTorch": PYTORCH, "NumPy": NUMPY, "SciPy": SCIPY, "Keras": KERAS}
CALLS = [
    pytest.param(call, wanted, who == "SciPy", id=f"{who}: {call}")
    for who, calls in LISTS.items()
    for call, wanted in calls.items()
]


def test_the_lists_are_long_enough():
    assert len(CALLS) >= 120
    assert all(len(calls) >= 20 for calls in LISTS.values())


@pytest.mark.parametrize(("call", "wanted", "with_scipy"), CALLS)
def test_it_works_or_says_what_to_write(call, wanted, with_scipy):
    space = things()
    if with_scipy:
        scipy = pytest.importorskip("scipy", reason="SciPy is not installed")
        for name in ("optimize", "integrate", "special", "linalg", "stats", "interpolate"):
            space[name] = getattr(scipy, name)
        space["bowl"] = lambda v: ((v - 1.0) ** 2).sum() + 0.1 * ((v - 1.0) ** 4).sum()
        space["decay"] = lambda _, v: -v * v
    if isinstance(wanted, Exception):
        with pytest.raises((TypeError, ValueError, AttributeError, RuntimeError)) as refused:
            eval(call, space)
        assert str(wanted) in str(refused.value)
        return
    found, expected = eval(call, space), eval(wanted, space)
    if expected is None or isinstance(expected, (bool, str, tuple)):
        assert found == expected
    elif isinstance(expected, type):
        assert np.dtype(found) == np.dtype(expected)
    elif isinstance(found, (type({}.keys()), list)) and isinstance(expected, list):
        assert list(found) == expected
    else:
        found = found.detach() if isinstance(found, mg.Tensor) else found
        np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-6, atol=1e-12)
