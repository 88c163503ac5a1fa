"""Models that PyTorch exports give PyTorch's outputs here, and its gradients by every weight."""

import numpy as np
import pytest

import minigrad as mg

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnx")


def lenet():
    n = torch.nn
    return n.Sequential(
        n.Conv2d(1, 6, 5, padding=2), n.Tanh(), n.AvgPool2d(2), n.Conv2d(6, 16, 5), n.Tanh(),
        n.AvgPool2d(2), n.Flatten(), n.Linear(400, 120), n.Tanh(), n.Linear(120, 84), n.ReLU(),
        n.Linear(84, 10),
    ), torch.randn(3, 1, 28, 28)  # fmt: skip


class Block(torch.nn.Module):
    """ResNet-18's block."""

    def __init__(self, inside, outside, stride):
        super().__init__()
        n = torch.nn
        self.conv1 = n.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = n.BatchNorm2d(outside)
        self.conv2 = n.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = n.BatchNorm2d(outside)
        self.downsample = None
        if stride != 1 or inside != outside:
            self.downsample = n.Sequential(
                n.Conv2d(inside, outside, 1, stride, bias=False), n.BatchNorm2d(outside)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


def resnet18():
    n = torch.nn
    layers = [n.Conv2d(3, 8, 7, 2, 3, bias=False), n.BatchNorm2d(8), n.ReLU(), n.MaxPool2d(3, 2, 1)]
    inside = 8
    for i, outside in enumerate((8, 16, 32, 64)):
        layers += [Block(inside, outside, 1 + (i > 0)), Block(outside, outside, 1)]
        inside = outside
    model = n.Sequential(*layers, n.AdaptiveAvgPool2d(1), n.Flatten(), n.Linear(64, 10))
    with torch.no_grad():
        model(torch.randn(8, 3, 64, 64))  # so that the statistics are not 0 and 1
    return model, torch.randn(2, 3, 64, 64)


def transformer():
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
    return layer, torch.randn(2, 5, 8)


class LastOfLSTM(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(4, 6, num_layers=2, batch_first=True, bidirectional=True)
        self.head = torch.nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def lstm():
    return LastOfLSTM(), torch.randn(3, 5, 4)


MODELS = {"lenet": lenet, "resnet18": resnet18, "transformer": transformer, "lstm": lstm}


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "trace"])
@pytest.mark.parametrize("name", MODELS)
def test_what_pytorch_exports(name, dynamo, tmp_path):
    torch.manual_seed(0)
    model, x = MODELS[name]()
    with torch.no_grad():
        for p in model.parameters():  # an exporter makes one of equal weights
            p.add_(0.1 * torch.randn_like(p))
    model.eval()
    path = tmp_path / "a.onnx"
    # Without what an exporter does to weights: batch norm put into convolutions, and the like.
    options = {"optimize": False} if dynamo else {
        "opset_version": 17, "do_constant_folding": False,
        "training": torch.onnx.TrainingMode.PRESERVE,
    }  # fmt: skip
    try:
        torch.onnx.export(model, (x,), path, dynamo=dynamo, **options)
    except Exception as error:
        if dynamo:
            raise
        pytest.skip(f"PyTorch's tracing exporter: {error!r:.100}")
    loaded = mg.onnx.load(path)
    given = mg.tensor(x.numpy(), requires_grad=True)
    x.requires_grad_()
    ours, theirs = loaded(given), model(x)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
    (ours * ours).sum().backward()
    (theirs * theirs).sum().backward()
    np.testing.assert_allclose(given.grad.numpy(), x.grad.numpy(), rtol=1e-3, atol=1e-4)
    wanted = {n: p.grad.numpy() for n, p in model.named_parameters()}
    found = [p.grad.numpy() for p in loaded.parameters() if p.grad is not None]
    # A weight may be turned round there, have its gates in another order, or be joined to another.
    for n, w in wanted.items():
        assert any(holds(g.ravel(), w.ravel()) for g in found), n
    total = sum(np.square(w).sum() for w in wanted.values())
    np.testing.assert_allclose(sum(np.square(g).sum() for g in found), total, rtol=1e-3)


def holds(numbers, some):
    """Whether each of some numbers is among these."""
    numbers = np.sort(numbers)
    at = np.clip(np.searchsorted(numbers, some), 1, len(numbers) - 1) if len(numbers) > 1 else 0
    near = np.minimum(abs(numbers[at] - some), abs(numbers[at - 1] - some))
    return len(numbers) >= len(some) and np.all(
        near <= 1e-4 * max(1.0, abs(some).max()) + 1e-3 * abs(some)
    )
