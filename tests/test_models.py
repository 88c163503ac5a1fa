"""The networks: how they start, what they refuse, small variants. test_models_parity.py has more."""

import numpy as np
import pytest

import minigrad as mg

ours = mg.models


def count(model):
    return sum(parameter.size for parameter in model.parameters())


def test_googlenet_without_auxiliary_heads_has_the_published_size():
    assert count(ours.googlenet(aux_logits=False, init_weights=False)) == 6_624_904


def test_googlenet_gives_its_auxiliary_logits_by_name_in_training_only():
    model = ours.googlenet(num_classes=3, init_weights=False)
    out = model(mg.zeros((2, 3, 32, 32)))
    assert isinstance(out, ours.GoogLeNetOutputs)
    assert [part.shape for part in out] == [(2, 3)] * 3
    assert model.eval()(mg.zeros((2, 3, 32, 32))).shape == (2, 3)


# -- how they start --------------------------------------------------------------------------------


def test_residual_blocks_can_start_as_the_identity():
    model = ours.resnet18(num_classes=2, zero_init_residual=True)
    block = model.layer1[0]
    assert not block.bn2.weight.numpy().any()
    assert block.bn1.weight.numpy().all()
    x = mg.tensor(np.abs(np.random.default_rng(0).normal(size=(1, 64, 4, 4))).astype(np.float32))
    np.testing.assert_array_equal(block.eval()(x).numpy(), x.numpy())


def test_starting_values_have_the_papers_spread():
    resnet = ours.resnet18()
    std = resnet.layer4[0].conv2.weight.numpy().std()
    assert std == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)
    googlenet = ours.googlenet(aux_logits=False)
    assert googlenet.fc.weight.numpy().std() == pytest.approx(0.01, rel=0.01)
    deep = ours.deep_convnet()
    assert deep.features[12].weight.numpy().std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert not deep.classifier[0].bias.numpy().any()


def test_blocks_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match="BasicBlock: expected groups=1"):
        ours.ResNet(ours.BasicBlock, (1, 1, 1, 1), groups=2)
    with pytest.raises(ValueError, match="replace_stride_with_dilation"):
        ours.resnet50(replace_stride_with_dilation=(True,))


def test_weights_saved_before_batches_were_counted_load():
    """Several of torchvision's files are from then; PyTorch takes them too."""
    source, model = ours.resnet_small(), ours.resnet_small()
    old = {k: v for k, v in source.state_dict().items() if not k.endswith("num_batches_tracked")}
    model.load_state_dict(old)
    x = mg.randn(1, 3, 8, 8)
    np.testing.assert_array_equal(model.eval()(x).numpy(), source.eval()(x).numpy())
    with pytest.raises(ValueError, match=r"missing 'bn1\.running_var'"):
        model.load_state_dict({k: v for k, v in old.items() if k != "bn1.running_var"})


# -- small variants --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "channels", "size"),
    [
        (lambda: ours.alexnet_small(), 1, 28),
        (lambda: ours.alexnet_small(num_classes=4, in_channels=3), 3, 32),
        (lambda: ours.googlenet_small(in_channels=1), 1, 28),
        (lambda: ours.googlenet_small(num_classes=4), 3, 32),
        (lambda: ours.resnet_small(in_channels=1), 1, 28),
        (lambda: ours.resnet_small(num_classes=4, blocks=2, width=8), 3, 32),
        (lambda: ours.deep_convnet(), 1, 28),
    ],
)
def test_every_parameter_of_a_small_network_gets_a_gradient(build, channels, size):
    model = build()
    with mg.GradientTape() as tape:
        out = model(mg.randn(2, channels, size, size))
        loss = (out * out).sum()
    assert out.shape[0] == 2
    for name, gradient in zip(
        dict(model.named_parameters()), tape.gradient(loss, list(model.parameters())), strict=True
    ):
        assert np.isfinite(gradient.numpy()).all(), name
        assert gradient.numpy().any(), name


def test_resnet_small_has_the_papers_sizes():
    """ResNet-20 has 0.27 million parameters (table 6), ResNet-56 0.85 million."""
    assert count(ours.resnet_small(blocks=3)) == pytest.approx(0.27e6, rel=0.02)
    assert count(ours.resnet_small(blocks=9)) == pytest.approx(0.85e6, rel=0.02)


@pytest.mark.parametrize("block", [ours.BasicBlock(4, 4), ours.Bottleneck(4, 1)])
def test_a_block_whose_last_weights_are_zero_is_relu_of_its_input(block):
    last = block.bn2 if isinstance(block, ours.BasicBlock) else block.bn3
    mg.nn.init.zeros_(last.weight)
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(block(mg.tensor(x)).numpy(), np.maximum(x, 0))
