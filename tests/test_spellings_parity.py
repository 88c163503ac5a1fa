"""What works as PyTorch spells it gives what PyTorch gives."""

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import spellings

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make parity` installs it")
pytestmark = pytest.mark.parity

#: Rows that draw numbers, name devices, or give what cannot be compared element by element.
OTHERS = {
    "torch.inference_mode()", "torch.is_grad_enabled()", "torch.randint(0, 10, (3,))", "torch.randperm(5)",
    "torch.cuda.is_available()", "torch.device('cpu')", "torch.func.jacrev(f)", "torch.is_tensor(x)",
    "x.inverse()", "torch.array(a)", "torch.jacrev(f)", "torch.jacfwd(f)", "torch.get_default_dtype()",
}  # fmt: skip
ROWS = [
    row.theirs
    for title, rows in spellings.TABLE.items()
    if not title.startswith(("Modules", "Keras"))
    for row in rows
    if row.runs is not None and row.theirs not in OTHERS
]


def names(of, tensor, functional):
    a = np.arange(6, dtype=np.float32).reshape(2, 3) / 4
    x = tensor(a)
    x.requires_grad = True
    return {
        "torch": of, "F": functional, "a": a, "x": x, "y": tensor(a[::-1].copy() + 1),
        "w": tensor(a.T.copy()), "images": tensor(np.arange(16.0).reshape(1, 1, 4, 4)),
        "index": tensor(np.array([0, 1, 1])), "places": tensor(np.array([[2, 0], [1, 1]])),
        "mask": tensor(a > 0.5), "loss": (x**2).sum(),
    }  # fmt: skip


def arrays(value):
    if isinstance(value, (tuple, list)):
        return [one for part in value for one in arrays(part)]
    if hasattr(value, "detach"):
        value = value.detach()
        return [np.asarray(value.numpy())]
    return [value]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", ROWS)
def test_it_is_what_pytorch_gives(call):
    theirs = names(torch, torch.tensor, torch.nn.functional)
    ours = names(mg, mg.tensor, F)
    if call.endswith(("mm(w)", "mv(y[0])", "bmm(w)")):  # the shapes that PyTorch asks for
        call = call.replace("bmm(w)", "unsqueeze(0).bmm(w.unsqueeze(0))")
    expected, found = arrays(eval(call, theirs)), arrays(eval(call, ours))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        if isinstance(other, torch.dtype):
            assert str(np.dtype(one)) == str(other).removeprefix("torch.")
        elif isinstance(other, np.ndarray):
            np.testing.assert_allclose(one, other, rtol=1e-6)
            assert np.asarray(one).shape == other.shape
        else:
            assert one == other


@pytest.mark.parametrize(
    "call",
    [
        lambda x, index: x.split(2, dim=1), lambda x, index: x.split([1, 4], 1), lambda x, index: x.chunk(2, dim=1),
        lambda x, index: x.chunk(4, 1), lambda x, index: x.chunk(9, 1), lambda x, index: x.topk(3, dim=1),
        lambda x, index: x.topk(1, dim=0, largest=False), lambda x, index: x.gather(0, index[:1] % 2), lambda x, index: x.gather(-1, index),
        lambda x, index: x.scatter_add(1, index, x), lambda x, index: x.scatter_add(-2, index % 2, x),
        lambda x, index: x.index_add(0, index[0, :2] % 2, x), lambda x, index: x.norm(1), lambda x, index: x.norm(dim=1, keepdim=True),
        lambda x, index: x.norm(3, dim=(0, 1)), lambda x, index: x.expand(3, -1, 5), lambda x, index: x.flatten(0, 1),
        lambda x, index: x.add(x, alpha=3), lambda x, index: x.repeat_interleave(2, dim=1), lambda x, index: x.var(dim=1, correction=1),
        lambda x, index: x.std(dim=0, unbiased=False), lambda x, index: x.narrow(1, 1, 3), lambda x, index: x.select(0, -1),
    ],
)  # fmt: skip
def test_arguments_mean_what_they_mean_in_pytorch(call):
    data = np.random.default_rng(0).standard_normal((2, 5))
    index = np.random.default_rng(1).integers(0, 5, (2, 3))
    expected = arrays(call(torch.tensor(data), torch.tensor(index)))
    found = arrays(call(mg.tensor(data), mg.tensor(index)))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
        assert one.shape == other.shape
