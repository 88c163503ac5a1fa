"""A bad call says the same through a layer as through its function, but for the place.

So a check stands once, in the function. What only the layer can know (that a BatchNorm2d is for
images) it checks itself; then the function accepts the call.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.nn.layer import FunctionLayer

#: Arguments for the constructors that need some.
NEEDED: dict[str, dict[str, Any]] = {
    "MaxPool2d": {"kernel_size": 3}, "AvgPool2d": {"kernel_size": 3},
    "AdaptiveAvgPool2d": {"output_size": 2}, "LocalResponseNorm": {"size": 2},
    "Upsample": {"scale_factor": 2},
    "AvgPool1d": {"kernel_size": 3}, "MaxPool1d": {"kernel_size": 3},
    "MaxUnpool1d": {"kernel_size": 2}, "MaxUnpool2d": {"kernel_size": 2},
    "AdaptiveAvgPool1d": {"output_size": 2}, "AdaptiveMaxPool1d": {"output_size": 2},
    "AdaptiveMaxPool2d": {"output_size": 2},
}  # fmt: skip


def function_layers() -> dict[str, FunctionLayer]:
    """Those that do nothing but run their function with their settings."""
    more = re.compile("Conv|Dropout|Pad|Unflatten")
    kinds = [getattr(nn, name) for name in nn.__all__ if not more.search(name)]
    return {
        kind.__name__: kind(**NEEDED.get(kind.__name__, {}))
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, FunctionLayer)
    }


def settled(layer: Any) -> Callable[..., Any]:
    """The function of a layer with the settings of the layer."""
    names = inspect.signature(type(layer)).parameters
    return lambda *inputs: layer._function(
        *inputs, **{name: getattr(layer, name) for name in names}
    )


LAYERS: dict[str, tuple[nn.Module, Callable[..., Any]]] = {
    name: (layer, settled(layer)) for name, layer in function_layers().items()
}


def add(layer: Any, function: Callable[..., Any]) -> None:
    LAYERS[type(layer).__name__] = layer, lambda x: function(layer, x)


add(nn.Linear(3, 2), lambda m, x: F.linear(x, m.weight, m.bias))
add(nn.Conv2d(3, 2, 3), lambda m, x: F.conv2d(x, m.weight, m.bias))
add(nn.ConvTranspose2d(3, 2, 3), lambda m, x: F.conv_transpose2d(x, m.weight, m.bias))
add(nn.LayerNorm((3, 4)), lambda m, x: F.layer_norm(x, (3, 4), m.weight, m.bias))
add(
    nn.BatchNorm1d(3),
    lambda m, x: F.batch_norm(x, m.running_mean, m.running_var, m.weight, m.bias, training=True),
)
add(nn.GroupNorm(1, 3), lambda m, x: F.group_norm(x, 1, m.weight, m.bias))
add(nn.Dropout(0.5), lambda _, x: F.dropout(x, 0.5))
add(nn.Embedding(3, 2), lambda m, x: F.embedding(x, m.weight))
add(nn.Flatten(), lambda _, x: F.flatten(x, 1))

#: Each fits some layer; none fits them all.
INPUTS: dict[str, Any] = {
    "number": np.array(1.0), "vector": np.ones(4), "matrix": np.ones((2, 4)), "one row": np.ones((1, 3)),
    "signal": np.ones((2, 4, 5)), "image": np.ones((3, 8, 8)), "images": np.ones((2, 4, 8, 8)),
    "channels last": np.ones((2, 8, 8, 3)), "tiny": np.ones((2, 3, 1, 1)),
    "empty": np.ones((2, 3, 0, 4)), "complex": np.ones((2, 3, 4, 4)) * 1j,
    "text": "banana", "objects": np.array([None, 1], object), "large index": np.array([7]),
}  # fmt: skip
#: Layers whose own checks come before those of the function, and say more.
KNOW_MORE = {"BatchNorm1d", "GroupNorm"}


def complaint(call: Callable[..., Any], *inputs: Any) -> tuple[type[Exception], str] | None:
    """The error of a call and its text, without the place and the list of arguments."""
    try:
        call(*inputs)
    except (TypeError, ValueError, IndexError) as error:
        return type(error), re.sub(r"^(\w+) in [\w.]+: ", r"\1: ", str(error).split(" (got ")[0])
    return None


def test_a_message_of_one_axis_speaks_of_one_axis() -> None:
    with pytest.raises(
        ValueError, match=r"input of shape \(2, 8, 5\), weight of shape \(4, 3, 3\)"
    ):
        nn.Conv1d(3, 4, 3)(mg.zeros((2, 8, 5)))
    with pytest.raises(ValueError, match="groups=3 must be at least 1 and divide the weight's 4"):
        F.conv1d(mg.zeros((2, 3, 5)), mg.zeros((4, 1, 3)), groups=3)


def test_a_transformer_speaks_of_its_own_arguments() -> None:
    with pytest.raises(ValueError, match="TransformerEncoderLayer: nhead=3 must divide d_model=16"):
        nn.TransformerEncoderLayer(16, 3)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("given", INPUTS)
@pytest.mark.parametrize("name", LAYERS)
def test_layer_and_function_say_the_same(name: str, given: str) -> None:
    layer, function = LAYERS[name]
    parameters = inspect.signature(layer.forward).parameters.values()
    inputs = [INPUTS[given]] * sum(p.default is p.empty for p in parameters)
    expected = complaint(function, *inputs)
    found = complaint(layer, *inputs)
    if name in KNOW_MORE and found is not None:
        return
    assert found == expected


BAD: list[tuple[Callable[[], nn.Module], tuple[int, ...], str]] = [
    (lambda: nn.Linear(3, 2), (2, 4), "linear"),
    (lambda: nn.Conv2d(3, 2, 3), (1, 8, 8, 3), "conv2d"),
    (lambda: nn.LayerNorm(3), (2, 4), "layer_norm"),
    (lambda: nn.MaxPool2d(3), (8, 8), "max_pool2d"),
    (lambda: nn.AvgPool2d(3), (8, 8), "avg_pool2d"),
    (lambda: nn.LocalResponseNorm(3), (8, 8), "local_response_norm"),
    (lambda: nn.BatchNorm1d(3), (1, 3), "batch_norm"),
    (lambda: nn.Embedding(3, 2), (2,), "embedding"),
    (lambda: nn.Flatten(5), (2, 3), "flatten"),
]


@pytest.mark.parametrize(("make", "shape", "function"), BAD)
def test_the_message_begins_with_the_function_and_its_layer(
    make: Callable[[], nn.Module], shape: tuple[int, ...], function: str
) -> None:
    alone = make()
    with pytest.raises((ValueError, TypeError)) as caught:
        alone(mg.zeros(shape))
    assert str(caught.value).startswith(f"{function} in {type(alone).__name__}: ")
    model = nn.Sequential(nn.Identity(), nn.Sequential(make()))
    with pytest.raises((ValueError, TypeError)) as caught:
        model(mg.zeros(shape))
    # A number says little, so the class stands with it; a name speaks for itself.
    assert str(caught.value).startswith(f"{function} in 1.0 ({type(alone).__name__}): ")
    model = nn.Sequential()
    model.add_module("named", make())
    with pytest.raises((ValueError, TypeError)) as caught:
        model(mg.zeros(shape))
    assert str(caught.value).startswith(f"{function} in named: ")


@pytest.mark.parametrize("tracked", [True, False])
@pytest.mark.parametrize("name", ["Linear", "Conv2d", "ConvTranspose2d"])
def test_complex_input_is_refused_with_and_without_recording(name: str, tracked: bool) -> None:
    layer, _ = LAYERS[name]
    x = np.ones((2, 3, 4, 3)) * 1j
    refused = pytest.raises(TypeError, match=rf"in {name}: expected real numbers, got input of com")
    with mg.GradientTape() if tracked else mg.no_grad(), refused:
        layer(x)


def test_a_refused_batch_leaves_the_statistics_as_they_were() -> None:
    layer = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="more than one value per channel"):
        layer(mg.zeros((1, 3)))
    assert layer.num_batches_tracked is not None
    assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize("momentum", [0.5, None])
def test_batches_are_counted_and_averaged(momentum: float | None) -> None:
    layer = nn.BatchNorm1d(1, momentum=momentum)
    for mean in (1.0, 3.0, 8.0):
        layer(mg.tensor([[mean - 1.0], [mean + 1.0]]))
    layer.eval()(mg.zeros((2, 1)))
    assert layer.num_batches_tracked is not None
    assert layer.running_mean is not None
    assert layer.num_batches_tracked.item() == 3
    expected = 4.0 if momentum is None else 0.125 * 1.0 + 0.25 * 3.0 + 0.5 * 8.0
    np.testing.assert_allclose(layer.running_mean.numpy(), [expected], rtol=1e-6)


def test_a_lazy_layer_is_named_by_the_class_that_it_has_become() -> None:
    layer = nn.LazyLinear(2)
    layer(mg.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"^linear in Linear: expected 3 features, got 4"):
        layer(mg.zeros((1, 4)))


# -- repr ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Linear(2, 3, bias=False), "Linear(in_features=2, out_features=3, bias=False)"),
        (
            nn.Conv2d(1, 2, 3, padding="SAME", groups=1, bias=False),
            "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=same, bias=False)",
        ),
        (
            nn.ConvTranspose2d(2, 2, 2, 2, output_padding=(0, 1), dilation=2),
            (
                "ConvTranspose2d(2, 2, kernel_size=(2, 2), stride=(2, 2), dilation=(2, 2), "
                "output_padding=(0, 1))"
            ),
        ),
        (nn.ReLU(), "ReLU()"),
        (nn.GELU("tanh"), "GELU(approximate='tanh')"),
        (nn.LogSoftmax(1), "LogSoftmax(axis=1)"),
        (nn.Dropout(0.25), "Dropout(p=0.25)"),
        (nn.Embedding(4, 3, padding_idx=-1), "Embedding(4, 3, padding_idx=3)"),
        (nn.GRU(2, 3, bias=False, batch_first=True), "GRU(2, 3, bias=False, batch_first=True)"),
        (nn.RNN(2, 3, bidirectional=True), "RNN(2, 3, bidirectional=True)"),
        (
            nn.CrossEntropyLoss(weight=[1.0, 2.0]),
            "CrossEntropyLoss(reduction='mean', label_smoothing=0.0)",
        ),
        (nn.HuberLoss("sum", 2.0), "HuberLoss(reduction='sum', delta=2.0)"),
        (nn.Upsample(scale_factor=2), "Upsample(scale_factor=2, mode='nearest')"),
        (nn.LazyLinear(3), "LazyLinear(in_features=0, out_features=3, bias=True)"),
        (
            nn.BatchNorm2d(3, affine=False),
            (
                "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, "
                "track_running_stats=True)"
            ),
        ),
    ],
    ids=lambda value: value.split("(")[0] if isinstance(value, str) else "",
)
def test_repr_shows_the_arguments(layer: nn.Module, text: str) -> None:
    assert repr(layer) == text


def test_subclasses_with_arguments_of_their_own_print_and_run_as_the_layer() -> None:
    class Square(nn.Linear):
        def __init__(self, size: int) -> None:
            super().__init__(size, size)

    class Smooth(nn.CrossEntropyLoss):
        def __init__(self, classes: int) -> None:
            super().__init__(label_smoothing=1.0 / classes)

    assert repr(Square(3)) == "Square(in_features=3, out_features=3, bias=True)"
    smooth = Smooth(4)
    assert repr(smooth) == "Smooth(reduction='mean', label_smoothing=0.25)"
    logits, labels = mg.tensor([[1.0, 2.0]]), mg.tensor([1])
    np.testing.assert_array_equal(
        smooth(logits, labels).numpy(),
        F.cross_entropy(logits, labels, label_smoothing=0.25).numpy(),
    )


# -- what an editor shows --------------------------------------------------------------------------


def test_functional_lists_its_names() -> None:
    """Completion, and ``from ... import *``, give the functions and nothing that they are made of."""
    assert len(F.__all__) == len(set(F.__all__)) > 45
    for name in F.__all__:
        assert inspect.isfunction(getattr(F, name)), name
        assert inspect.getdoc(getattr(F, name)), name
