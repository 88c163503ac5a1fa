"""mg.summary: right numbers for any module, and no trace left behind."""

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn


def row(table, path):
    (found,) = [layer for layer in table.layers if layer.path == path]
    return found


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)) + x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, stride=2)
        self.blocks = [Block(4), Block(4)]
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 6 * 6, 10))

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def test_shapes_parameters_and_work():
    table = mg.summary(Net(), (1, 13, 13))
    found = [(one.path, one.depth, one.name, one.kind) for one in table.layers]
    assert found == [
        ("", 0, "Net", "Net"),
        ("stem", 1, "stem", "Conv2d"),
        ("blocks.0", 1, "blocks.0", "Block"),
        ("blocks.0.conv", 2, "conv", "Conv2d"),
        ("blocks.0.norm", 2, "norm", "BatchNorm2d"),
        ("blocks.1", 1, "blocks.1", "Block"),
        ("blocks.1.conv", 2, "conv", "Conv2d"),
        ("blocks.1.norm", 2, "norm", "BatchNorm2d"),
        ("head", 1, "head", "Sequential"),
        ("head.0", 2, "0", "Flatten"),
        ("head.1", 2, "1", "Linear"),
    ]
    assert row(table, "stem").output_shape == "(None, 4, 6, 6)"
    assert row(table, "").output_shape == "(None, 10)"
    assert row(table, "stem").multiply_adds == 4 * 6 * 6 * 9
    assert row(table, "blocks.1.conv").multiply_adds == 4 * 6 * 6 * 4 * 9
    assert row(table, "head.1").multiply_adds == 4 * 6 * 6 * 10
    assert row(table, "blocks.0.norm").params == 8
    assert table.total_params == sum(p.size for p in Net().parameters()) == 40 + 2 * 152 + 1450
    assert sum(one.params for one in table.layers) == table.total_params
    assert table.size == 4 * table.total_params
    assert table.buffers == 2 * 9
    assert "Total params: 1,794 (7.18 kB)" in str(table)
    assert "Buffers: 18" in str(table)


def test_frozen_parameters_are_counted_apart():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5))
    net[0].requires_grad_(False)
    table = mg.summary(net, 3)
    counts = table.total_params, table.trainable_params, table.non_trainable_params
    assert counts == (16 + 25, 25, 16)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.c = nn.Linear(3, 3), nn.Linear(3, 3)
        self.c.weight = self.a.weight
        self.c.bias = self.a.bias
        self.again = self.a

    def forward(self, x):
        return self.c(self.again(self.a(x)))


def test_what_is_shared_counts_once_and_works_each_time():
    table = mg.summary(Tied(), 3)
    assert [one.path for one in table.layers] == ["", "a", "c"]
    assert table.total_params == 12
    assert row(table, "a").multiply_adds == 2 * 9
    assert row(table, "c").shared
    assert row(table, "c").cells()[3] == "shared"
    assert table.multiply_adds == 27


def test_transposed_convolution_and_attention():
    table = mg.summary(nn.ConvTranspose2d(3, 5, 2, stride=2), (3, 4, 4))
    assert table.layers[0].output_shape == "(None, 5, 8, 8)"
    assert table.multiply_adds == 3 * 4 * 4 * 5 * 2 * 2

    class Self(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            return self.attention(x, x, x)

    table = mg.summary(Self(), (5, 8))
    assert row(table, "attention").output_shape == "(None, 5, 8), (None, 5, 5)"
    projections, scores = 4 * 5 * 8 * 8, 2 * (5 * 5 * 8)
    assert table.multiply_adds == projections + scores
    assert table.total_params == 4 * (8 * 8 + 8)


def test_several_inputs_and_integers():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.numbers = nn.Embedding(7, 4), nn.Linear(3, 4)

        def forward(self, words, numbers):
            assert words.dtype == np.int64
            return {"sum": self.words(words).sum(axis=1) + self.numbers(numbers)}

    table = mg.summary(Two(), [(5,), (3,)], dtype=[np.int64, np.float32])
    assert row(table, "words").output_shape == "(None, 5, 4)"
    assert row(table, "").output_shape == "(None, 4)"
    with pytest.raises(ValueError, match="2 shapes and 1 dtypes"):
        mg.summary(Two(), [(5,), (3,)], dtype=[np.int64])


@pytest.mark.parametrize("shape", [3, (3,), [3], (None, 3)])
def test_the_batch_may_be_left_out_or_none(shape):
    assert mg.summary(nn.Linear(3, 2), shape).layers[0].output_shape == "(None, 2)"


def test_the_model_runs_in_its_own_dtype():
    seen = []
    net = nn.Linear(3, 2, dtype=np.float64)
    net.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    mg.summary(net, 3)
    assert seen == [np.float64]


class Counts(nn.Module):
    """Changes its statistics whenever it runs, and draws."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", mg.tensor([0.0]))

    def forward(self, x):
        self.calls.assign(self.calls + 1.0)
        return x + mg.randn(*x.shape)


def test_nothing_is_left_behind():
    mg.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), Counts())
    net[2].eval()
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    expected = mg.engine.random.default_generator().bit_generator.state
    mg.summary(net, 3)
    assert mg.engine.random.default_generator().bit_generator.state == expected
    assert [m.training for m in net.modules()] == [True, True, True, False, True]
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name], err_msg=name)
    assert all(p.grad is None for p in net.parameters())
    assert not any(m._hooks or m._pre_hooks for m in net.modules())


def test_lazy_layers_are_shown_and_stay_lazy():
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(2))
    table = mg.summary(net, 3)
    assert table.total_params == 16 + 10
    assert isinstance(net[0].weight, nn.UninitializedParameter)


def test_layers_that_never_run_are_shown_with_their_parameters():
    net = Tied()
    net.spare = nn.Linear(2, 2)
    table = mg.summary(net, 3)
    assert row(table, "spare").cells()[2:4] == ("not run", "6")
    assert table.total_params == 18


def test_a_failure_prints_the_table_up_to_it_and_raises(capsys):
    net = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(5, 6)), nn.Linear(6, 7))
    with pytest.raises(ValueError, match=r"1\.0 \(Linear\): expected 5 features, got 4"):
        mg.summary(net, 3)
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert "(None, 4)" in next(line for line in lines if line.startswith("  0 "))
    assert "failed inside" in next(line for line in lines if line.startswith("  1 "))
    assert "failed here" in next(line for line in lines if line.startswith("    0 "))
    assert not any(line.startswith("  2 ") for line in lines)
    assert not any(m._hooks for m in net.modules())
    assert all(m.training for m in net.modules())


def test_html_for_notebooks():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("<b>", nn.Linear(3, 2))

        def forward(self, x):
            return getattr(self, "<b>")(x)

    text = mg.summary(Odd(), 3)._repr_html_()
    assert "&lt;b&gt;" in text
    assert "<b>Linear" not in text
    assert text.count("<tr>") == 3
    assert '<td style="text-align:left;padding-left:0.5em">Odd</td>' in text
    assert '<td style="text-align:left;padding-left:2em">&lt;b&gt;</td>' in text  # inside Odd
    assert '<td style="text-align:right;padding-left:0.5em">8</td>' in text
    assert "Total params: 8" in text


def test_bad_arguments_are_told():
    with pytest.raises(TypeError, match=r"model must be a Module, got .*; write Linear"):
        mg.summary(nn.Linear, 3)
    with pytest.raises(ValueError, match="tuple of numbers, without the batch"):
        mg.summary(nn.Linear(3, 2), (3.5,))
    with pytest.raises(TypeError, match="input_shape must be an int or a sequence"):
        mg.summary(nn.Linear(3, 2), "3")


def test_the_name_is_the_function_however_it_is_imported():
    import minigrad.debug.summary

    assert mg.summary is minigrad.debug.summary.summary
