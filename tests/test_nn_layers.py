"""Each layer against PyTorch: value, gradients, buffers, state_dict both ways; and dtypes."""

import copy

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from tests.nn_cases import ATTENTIONS, IMAGES, LAYERS, QUERIES, ROUGH, SCALED, label

torch = pytest.importorskip("torch")
tnn = torch.nn
t_functional = torch.nn.functional

pytestmark = pytest.mark.parity


def draw(*shape, seed=0, positive=False):
    x = np.random.default_rng(seed).standard_normal(shape)
    return abs(x) + 0.1 if positive else x


def flat(output):
    """The tensors of an output that is a tensor or nested tuples of them; None left out."""
    if isinstance(output, tuple):
        return [t for one in output for t in flat(one)]
    return [] if output is None else [output]


def assert_close(ours, theirs, what, rtol=1e-9):
    a = ours.numpy() if isinstance(ours, mg.Tensor) else ours
    b = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
    assert a.shape == b.shape, what
    np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-9, err_msg=what)


def randomise(module):
    """Other weights and statistics than the constants that many layers start with."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.dtype.is_floating_point:
                noise = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
                tensor.copy_(noise + 0.5 if "var" in name else noise - 0.4)


def same(ours, theirs, *inputs, training=True, random=True, rtol=1e-9, **kwargs):
    """Assert that both layers agree in everything that can be seen of them."""
    ours, theirs = ours.double().train(training), theirs.double().train(training)
    if random:
        randomise(theirs)
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    back = {k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()}
    assert list(back) == list(theirs.state_dict())
    theirs.load_state_dict(back)

    xs = [mg.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    ts = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    ys = flat(ours(*xs, **kwargs))
    tys = flat(theirs(*ts, **{k: _torch(v) for k, v in kwargs.items()}))
    assert len(ys) == len(tys)
    total, ttotal = 0.0, 0.0
    for i, (y, ty) in enumerate(zip(ys, tys, strict=True)):
        assert_close(y, ty, f"output {i}")
        if y.dtype == np.int64 == ty.numpy(force=True).dtype:
            continue
        assert y.dtype == np.float64
        g = draw(*y.shape, seed=i + 1)
        total, ttotal = total + (y * g).sum(), ttotal + (ty * torch.tensor(g)).sum()
    total.backward()
    ttotal.backward()
    for i, (x, t) in enumerate(zip(xs, ts, strict=True)):
        if t.grad is not None:
            assert_close(x.grad, t.grad, f"gradient of input {i}", rtol)
    theirs_by_name = dict(theirs.named_parameters())
    assert list(theirs_by_name) == [name for name, _ in ours.named_parameters()]
    for name, p in ours.named_parameters():
        assert_close(p.grad, theirs_by_name[name].grad, f"gradient of {name}")
    for (name, b), (tname, tb) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
        assert name == tname
        assert_close(b, tb, f"buffer {name}")


def _torch(value):
    return torch.tensor(value) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_pytorchs(name):
    make, x = LAYERS[name]
    same(make(nn), make(tnn), x, rtol=np.finfo(np.float32).eps if name in ROUGH else 1e-9)


@pytest.mark.parametrize("name", [n for n in LAYERS if "norm" in n or "local" in n])
def test_normalisation_in_evaluation_is_pytorchs(name):
    make, x = LAYERS[name]
    same(make(nn), make(tnn), x, training=False)


@pytest.mark.parametrize("name", LAYERS)
def test_float32_stays_float32(name):
    make, x = LAYERS[name]
    layer = make(nn)
    kind = np.float32 if x.dtype.kind == "f" else x.dtype
    given = mg.tensor(x.astype(kind), requires_grad=x.dtype.kind == "f")
    outputs = [y for y in flat(layer(given)) if not name.endswith("indices") or y.requires_grad]
    sum(y.sum() for y in outputs).backward()
    assert {y.dtype for y in outputs} == {np.dtype(np.float32)}
    for p in [*layer.parameters(), given]:
        assert p.grad is None or p.grad.dtype == np.float32
    assert {b.dtype for b in layer.buffers()} <= {np.dtype(np.float32), np.dtype(np.int64)}


RENAMED = [
    n for n in LAYERS if n.split()[0] in ("softmax", "log", "flatten", "unflatten", "gelu", "softplus")
    or "norm" in n or "upsample" in n or n in ("softmin", "glu", "max pool 1d overlapping")
]  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_repr_is_pytorchs(name):
    make, _ = LAYERS[name]
    if name in RENAMED:
        pytest.skip("axis for dim, 3 for (3,), or what differs between versions of PyTorch")
    assert repr(make(nn)) == repr(make(tnn))


@pytest.mark.parametrize("name", LAYERS)
def test_deepcopy_computes_the_same(name):
    make, x = LAYERS[name]
    layer = make(nn).double().eval()
    twin = copy.deepcopy(layer)
    for a, b in zip(flat(layer(mg.tensor(x))), flat(twin(mg.tensor(x))), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


STARTS = {
    n: make
    for n, (make, _) in LAYERS.items()
    if n != "batch norm average" and list(make(nn).parameters())
} | {
    "attention": lambda n: n.MultiheadAttention(8, 2),
    "attention across": lambda n: n.MultiheadAttention(8, 2, kdim=6),
}


@pytest.mark.parametrize("name", STARTS)
def test_weights_start_from_pytorchs_distribution(name):
    """Mean square and largest value, pooled over enough draws to tell."""
    ours, theirs = STARTS[name], STARTS[name]
    torch.manual_seed(0)
    found = [dict(ours(nn).named_parameters()) for _ in range(60)]
    expected = [dict(theirs(tnn).named_parameters()) for _ in range(60)]
    for key in found[0]:
        a = np.concatenate([f[key].numpy().ravel() for f in found])
        b = np.concatenate([e[key].detach().numpy().ravel() for e in expected])
        np.testing.assert_allclose(np.mean(a**2), np.mean(b**2), rtol=0.35, atol=1e-9, err_msg=key)
        if "embedding" not in name:  # a normal distribution has no largest value
            np.testing.assert_allclose(abs(a).max(), abs(b).max(), rtol=0.15, err_msg=key)


# -- recurrent layers ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("batched", [True, False])
def test_recurrent_layers_take_an_initial_state(kind, batched):
    ours, theirs = (getattr(n, kind)(4, 3, 2, bidirectional=True).double() for n in (nn, tnn))
    ours.load_state_dict(theirs.state_dict())
    shape = (4, 2, 3) if batched else (4, 3)
    x = draw(5, 2, 4) if batched else draw(5, 4)
    states = [draw(*shape, seed=i) for i in range(2 if kind == "LSTM" else 1)]
    h = [mg.tensor(s, requires_grad=True) for s in states]
    th = [torch.tensor(s, requires_grad=True) for s in states]
    ys = flat(ours(mg.tensor(x), tuple(h) if kind == "LSTM" else h[0]))
    tys = flat(theirs(torch.tensor(x), tuple(th) if kind == "LSTM" else th[0]))
    for y, ty in zip(ys, tys, strict=True):
        assert_close(y, ty, "output")
    sum((y * y).sum() for y in ys).backward()
    sum((y * y).sum() for y in tys).backward()
    for a, b in zip(h, th, strict=True):
        assert_close(a.grad, b.grad, "gradient of the state")


# -- attention -------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kwargs", ATTENTIONS, ids=label)
def test_self_attention_is_pytorchs(batch_first, kwargs):
    ours, theirs = (n.MultiheadAttention(6, 2, batch_first=batch_first) for n in (nn, tnn))
    x = draw(2, 5, 6) if batch_first else draw(5, 2, 6)
    same(SelfAttention(ours), TorchSelfAttention(theirs), x, **kwargs)


class SelfAttention(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, x, **kwargs):
        return self.attention(x, x, x, **kwargs)


class TorchSelfAttention(tnn.Module):
    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, x, **kwargs):
        return self.attention(x, x, x, **kwargs)


@pytest.mark.parametrize("kwargs", [{}, {"bias": False}, {"kdim": 3, "vdim": 4}])
def test_cross_attention_is_pytorchs(kwargs):
    ours, theirs = (n.MultiheadAttention(6, 3, **kwargs) for n in (nn, tnn))
    k, v = kwargs.get("kdim", 6), kwargs.get("vdim", 6)
    same(ours, theirs, draw(4, 2, 6), draw(5, 2, k, seed=1), draw(5, 2, v, seed=2))


def test_attention_without_a_batch_axis_is_pytorchs():
    ours, theirs = (n.MultiheadAttention(6, 3) for n in (nn, tnn))
    same(ours, theirs, draw(4, 6), draw(5, 6, seed=1), draw(5, 6, seed=2))


@pytest.mark.parametrize("kwargs", SCALED, ids=label)
def test_scaled_dot_product_attention_is_pytorchs(kwargs):
    xs = [mg.tensor(a, requires_grad=True) for a in QUERIES]
    ts = [torch.tensor(a, requires_grad=True) for a in QUERIES]
    y = F.scaled_dot_product_attention(*xs, **kwargs)
    ty = t_functional.scaled_dot_product_attention(*ts, **{k: _torch(v) for k, v in kwargs.items()})
    assert_close(y, ty, "output")
    g = draw(*y.shape, seed=3)
    y.backward(g)
    ty.backward(torch.tensor(g))
    for x, t in zip(xs, ts, strict=True):
        assert_close(x.grad, t.grad, "gradient")


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad_is_pytorchs(mode):
    x, t = mg.tensor(IMAGES, requires_grad=True), torch.tensor(IMAGES, requires_grad=True)
    y, ty = F.pad(x, (1, 2, 3, 0), mode), t_functional.pad(t, (1, 2, 3, 0), mode)
    assert_close(y, ty, "output")
    g = draw(*y.shape, seed=3)
    y.backward(g)
    ty.backward(torch.tensor(g))
    assert_close(x.grad, t.grad, "gradient")


# -- a model ---------------------------------------------------------------------------------------


def test_a_convolutional_network_trains_as_pytorchs():
    def make(n):
        return n.Sequential(
            n.Conv2d(1, 4, 3, padding=1), n.BatchNorm2d(4), n.ReLU(), n.MaxPool2d(2),
            n.Conv2d(4, 8, 3, bias=False), n.GELU(), n.AdaptiveAvgPool2d(1), n.Flatten(),
            n.Linear(8, 3),
        )  # fmt: skip

    ours, theirs = make(nn).double(), make(tnn).double()
    ours.load_state_dict(theirs.state_dict())
    rng = np.random.default_rng(0)
    for _ in range(5):
        x, labels = rng.standard_normal((6, 1, 8, 8)), rng.integers(0, 3, 6)
        loss = F.cross_entropy(ours(mg.tensor(x)), labels, label_smoothing=0.1)
        tloss = t_functional.cross_entropy(
            theirs(torch.tensor(x)), torch.tensor(labels), label_smoothing=0.1
        )
        assert_close(loss, tloss, "loss")
        ours.zero_grad()
        theirs.zero_grad()
        loss.backward()
        tloss.backward()
        for p, t in zip(ours.parameters(), theirs.parameters(), strict=True):
            p.assign(p.numpy() - 0.1 * p.grad.numpy())
            t.data -= 0.1 * t.grad
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert_close(a, b, name)


@pytest.mark.parametrize("name", ["Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"])
def test_the_axes_of_a_convolution_are_those_of_its_name(name):
    axes = int(name[-2])
    layer = getattr(nn, name)(3, 4, kernel_size=2, stride=1, padding=0)
    assert layer.weight.ndim == axes + 2
    longer = 1 if "Transpose" in name else -1
    for rank in range(1, 6):
        shape = (2, 3, 5, 5, 5)[:rank] if rank == axes + 2 else (3, 5, 5, 5, 5)[:rank]
        if rank in (axes + 1, axes + 2):
            lead = (2, 4) if rank == axes + 2 else (4,)
            assert layer(mg.zeros(shape)).shape == (*lead, *[5 + longer] * axes)
        else:
            with pytest.raises(ValueError, match=name):
                layer(mg.zeros(shape))


@pytest.mark.parametrize("path", ["0", "1", "2.0", "2.1"])
def test_a_shared_module_is_found_under_each_of_its_paths(path):
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, shared, nn.Sequential(shared, shared))
    assert model.get_submodule(path) is shared
