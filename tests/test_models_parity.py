"""The networks beside PyTorch's: keys, sizes, outputs, gradients; weights that pass through files."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

torch = pytest.importorskip("torch", reason="the networks are compared with PyTorch")
import torch_models as theirs  # noqa: E402  (it needs torch)

pytestmark = pytest.mark.parity

ours = mg.models
RESNET18, RESNET50 = (2, 2, 2, 2), (3, 4, 6, 3)

#: For each network: ours, PyTorch's (made without memory), torchvision's number of parameters.
NETWORKS = {
    "alexnet": (lambda: theirs.AlexNet(), 61_100_840),
    "vgg11": (lambda: theirs.VGG(theirs.A, False), 132_863_336),
    "vgg11_bn": (lambda: theirs.VGG(theirs.A, True), 132_868_840),
    "vgg13": (lambda: theirs.VGG(theirs.B, False), 133_047_848),
    "vgg13_bn": (lambda: theirs.VGG(theirs.B, True), 133_053_736),
    "vgg16": (lambda: theirs.VGG(theirs.D, False), 138_357_544),
    "vgg16_bn": (lambda: theirs.VGG(theirs.D, True), 138_365_992),
    "vgg19": (lambda: theirs.VGG(theirs.E, False), 143_667_240),
    "vgg19_bn": (lambda: theirs.VGG(theirs.E, True), 143_678_248),
    "googlenet": (lambda: theirs.GoogLeNet(), 13_004_888),
    "resnet18": (lambda: theirs.ResNet(theirs.BasicBlock, RESNET18), 11_689_512),
    "resnet34": (lambda: theirs.ResNet(theirs.BasicBlock, RESNET50), 21_797_672),
    "resnet50": (lambda: theirs.ResNet(theirs.Bottleneck, RESNET50), 25_557_032),
}


@pytest.fixture
def blank(monkeypatch):
    """Weights that are not drawn: 138 million random numbers take seconds."""
    for name in ("weight_and_bias_", "kaiming_normal_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(nn.init, name, lambda *_, **__: None)


def shapes(model):
    """Of all that the state_dict holds; ours would copy it, which for VGG is half a gigabyte."""
    state = model._state() if isinstance(model, nn.Module) else model.state_dict().items()
    return [(name, tuple(value.shape)) for name, value in state]


def count(model):
    return sum(parameter.size for parameter in model.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_keys_shapes_and_number_of_parameters(name, blank):
    build, parameters = NETWORKS[name]
    with torch.device("meta"):
        expected = build()
    model = getattr(ours, name)()
    assert shapes(model) == shapes(expected)
    assert count(model) == parameters
    if hasattr(expected, "classifier"):
        dense, theirs_ = ([type(m).__name__ for m in net.classifier] for net in (model, expected))
        assert dense == theirs_


def twins(model, reference, seed=0):
    """Both with the same random weights and statistics, in float64."""
    torch.manual_seed(seed)
    for name, value in reference.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif name.endswith("running_mean"):
            value.normal_(0.0, 0.1)
    model.load_state_dict(reference.state_dict())
    return model.double(), reference.double()


def check(model, reference, size, training, atol=1e-9):
    """Outputs, gradients of every parameter and of the image, statistics of the batch norms."""
    model.train(training)
    reference.train(training)
    images = np.random.default_rng(1).normal(size=(2, 3, size, size))
    x = mg.tensor(images, requires_grad=True)
    x_theirs = torch.tensor(images, requires_grad=True)
    with mg.GradientTape() as tape:
        out = model(x)
        parts = out if isinstance(out, tuple) else (out,)
        loss = sum((part * part).sum() for part in parts)
    parameters = dict(model.named_parameters())
    image_gradient, *gradients = tape.gradient(loss, [x, *parameters.values()])
    out_theirs = reference(x_theirs)
    parts_theirs = out_theirs if isinstance(out_theirs, tuple) else (out_theirs,)
    sum((part * part).sum() for part in parts_theirs).backward()

    assert len(parts) == len(parts_theirs)
    for part, expected in zip(parts, parts_theirs, strict=True):
        np.testing.assert_allclose(part.numpy(), expected.detach().numpy(), rtol=1e-7, atol=atol)
    largest = max(float(p.grad.abs().max()) for p in reference.parameters() if p.grad is not None)

    def close(gradient, expected, name):
        expected = expected.numpy()
        # A bias before a batch norm has no gradient: what is there is rounding of larger ones.
        atol = 1e-8 * np.abs(expected).max() + 1e-12 * largest
        np.testing.assert_allclose(gradient.numpy(), expected, 1e-6, atol, err_msg=name)

    close(image_gradient, x_theirs.grad, "the image")
    for (name, expected), gradient in zip(reference.named_parameters(), gradients, strict=True):
        if expected.grad is None:
            assert gradient is None, name
        else:
            close(gradient, expected.grad, name)
    for (name, buffer), expected in zip(model.named_buffers(), reference.buffers(), strict=True):
        np.testing.assert_allclose(buffer.numpy(), expected.numpy(), rtol=1e-7, err_msg=name)


@pytest.mark.parametrize("training", [False, True])
def test_resnet18_as_pytorch(training):
    model = ours.resnet18(num_classes=7)
    reference = theirs.ResNet(theirs.BasicBlock, RESNET18, num_classes=7)
    check(*twins(model, reference), size=48, training=training)


@pytest.mark.parametrize("training", [False, True])
def test_bottlenecks_with_groups_and_dilation_as_pytorch(training):
    """One block a stage: what ResNet-50 repeats, and what ResNeXt and segmentation networks ask."""
    model = ours.ResNet(
        ours.Bottleneck, (1, 2, 1, 1), num_classes=7, groups=4, width_per_group=4,
        replace_stride_with_dilation=(False, True, True),
    )  # fmt: skip
    reference = theirs.ResNet(
        theirs.Bottleneck, (1, 2, 1, 1), num_classes=7, groups=4, width=4, dilated=(0, 1, 1)
    )
    check(*twins(model, reference), size=40, training=training)


def test_resnet50_as_pytorch():
    model = ours.resnet50(num_classes=7)
    reference = theirs.ResNet(theirs.Bottleneck, RESNET50, num_classes=7)
    check(*twins(model, reference), size=33, training=False)


@pytest.mark.parametrize("training", [False, True])
def test_googlenet_as_pytorch(training):
    model = ours.googlenet(num_classes=7, transform_input=True, dropout=0.0, dropout_aux=0.0)
    reference = theirs.GoogLeNet(7, transform_input=True, dropout=0.0, dropout_aux=0.0)
    check(*twins(model, reference), size=64, training=training)


def with_a_small_head(model, features, classes=5):
    """AlexNet or VGG with the dense layers cut down: all of their 4,096 units take gigabytes."""
    library = nn if isinstance(model, nn.Module) else torch.nn
    model.classifier = library.Sequential(
        library.Linear(features, 16), library.ReLU(), library.Linear(16, classes)
    )
    return model


def test_alexnet_as_pytorch(blank):
    model = with_a_small_head(ours.alexnet(), 256 * 6 * 6)
    reference = with_a_small_head(theirs.AlexNet(), 256 * 6 * 6)
    check(*twins(model, reference), size=79, training=True)


@pytest.mark.parametrize(("build", "plan", "norm"), [
    (ours.vgg11_bn, theirs.A, True), (ours.vgg16, theirs.D, False),
])  # fmt: skip
def test_vgg_as_pytorch(build, plan, norm, blank):
    model = with_a_small_head(build(), 512 * 7 * 7)
    reference = with_a_small_head(theirs.VGG(plan, norm), 512 * 7 * 7)
    check(*twins(model, reference), size=32, training=True)


def test_weights_pass_through_a_safetensors_file_of_pytorch(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    reference = theirs.ResNet(theirs.BasicBlock, (1, 1, 1, 1), num_classes=4)
    safetensors.save_file(reference.state_dict(), tmp_path / "w.safetensors")
    model = ours.ResNet(ours.BasicBlock, (1, 1, 1, 1), num_classes=4)
    model.load_state_dict(mg.load(tmp_path / "w.safetensors"))
    x = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    with torch.no_grad():
        expected = reference.eval()(torch.tensor(x)).numpy()
    np.testing.assert_allclose(model.eval()(mg.tensor(x)).numpy(), expected, rtol=1e-4, atol=1e-5)


# -- DeepConvNet -----------------------------------------------------------------------------------


def book_weights(generator):
    shapes = [(16, 1), (16, 16), (32, 16), (32, 32), (64, 32), (64, 64)]
    arrays = {f"W{i}": generator.normal(size=(*s, 3, 3)) for i, s in enumerate(shapes, 1)}
    arrays |= {f"W{i}": arrays[f"W{i}"] / (9 * s[1]) ** 0.5 for i, s in enumerate(shapes, 1)}
    arrays["W7"] = generator.normal(size=(1024, 50)) / 32
    arrays["W8"] = generator.normal(size=(50, 10)) / 7
    sizes = [s[0] for s in shapes] + [50, 10]
    return arrays | {f"b{i}": generator.normal(size=n) for i, n in enumerate(sizes, 1)}


def test_the_books_weights_give_what_its_layers_give():
    """Its network in NumPy's words: PyTorch's convolution, x @ W + b, dropout that scales by 0.5."""
    generator = np.random.default_rng(0)
    arrays = book_weights(generator)
    images = generator.random((3, 1, 28, 28))
    h = torch.tensor(images)
    for i, padding in enumerate((1, 1, 1, 2, 1, 1), start=1):
        w, b = torch.tensor(arrays[f"W{i}"]), torch.tensor(arrays[f"b{i}"])
        h = torch.relu(torch.nn.functional.conv2d(h, w, b, padding=padding))
        h = torch.nn.functional.max_pool2d(h, 2) if i % 2 == 0 else h
    h = h.flatten(1).numpy()
    h = 0.5 * np.maximum(h @ arrays["W7"] + arrays["b7"], 0)
    expected = 0.5 * (h @ arrays["W8"] + arrays["b8"])

    model = ours.deep_convnet().double().eval()
    model.load_book(arrays)
    np.testing.assert_allclose(model(mg.tensor(images)).numpy(), expected, rtol=1e-10)
    with pytest.raises(ValueError, match="expected the arrays W1 to W8 and b1 to b8"):
        model.load_book({"W1": arrays["W1"]})
