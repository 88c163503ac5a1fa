"""Modules: registration, paths, state, hooks, containers."""

import copy
import gc
import inspect
import pickle
import re
import sys
import warnings
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter([2.0])

    def forward(self, x):
        return x * self.factor


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Scale()
        self.second = Scale()

    def forward(self, x):
        return self.second(self.first(x))


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 2)

    def forward(self, x):
        return self.linear(x)


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = Head()

    def forward(self, x):
        return self.head(x)


def names(model):
    return [name for name, _ in model.named_parameters()]


# -- paths -----------------------------------------------------------------------------------------


def test_parameters_are_found_with_their_paths():
    assert names(Two()) == ["first.factor", "second.factor"]


def test_operations_carry_the_path_of_their_module():
    with mg.GradientTape() as tape:
        Two()(mg.ones(1))
    assert [node.scope for node in tape.nodes] == ["first", "second"]


def test_shape_errors_name_the_path_in_the_outermost_model():
    model = nn.Sequential(nn.Identity(), Body())
    with pytest.raises(ValueError, match=r"1\.head\.linear: expected 5 features, got 4"):
        model(mg.zeros((2, 4)))
    with pytest.raises(ValueError, match="Linear: expected 5 features, got 4"):
        nn.Linear(5, 2)(mg.zeros((2, 4)))


def test_leaves_are_named_by_their_path():
    model = nn.Sequential(nn.ReLU(), Body())
    assert model[1].head.linear.weight._node.name == "1.head.linear.weight"
    y = model(mg.zeros((1, 5))).sum()
    model[1].head.linear.weight.assign(np.zeros((2, 5)))
    x = mg.ones((1, 5), requires_grad=True)
    y = model(x).sum()
    model[1].head.linear.weight.assign(np.zeros((2, 5)))
    with pytest.raises(RuntimeError, match=r"1\.head\.linear\.weight"):
        y.backward()


def test_a_path_survives_slicing_and_is_new_in_a_copy():
    model = nn.Sequential(nn.ReLU(), Head())
    assert model[1:][0].linear._path == "1.linear"
    twin = copy.deepcopy(model[1])
    assert twin.linear._path == "linear"
    assert twin.linear.weight._node.name == "linear.weight"
    outer = nn.Sequential(twin)
    assert outer[0].linear.weight._node.name == "0.linear.weight"


def test_a_module_that_nobody_holds_works_under_its_callers_path():
    class Loose(nn.Module):
        def forward(self, x):
            return nn.ReLU()(x)

    model = nn.Sequential(Loose())
    with mg.GradientTape() as tape:
        model(mg.ones(1, requires_grad=True))
    assert [node.scope for node in tape.nodes] == ["0"]


# -- registration ----------------------------------------------------------------------------------


def test_lists_tuples_and_dicts_register_what_they_hold_also_later():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = []
            self.pair = (nn.Linear(1, 1), nn.ReLU())
            self.named = {"a": [Scale()]}
            self.scales = [nn.Parameter([1.0])]
            for _ in range(2):
                self.layers.append(nn.Linear(3, 3, bias=False))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    model = Net()
    assert names(model) == [
        "scales.0",
        "layers.0.weight",
        "layers.1.weight",
        "pair.0.weight",
        "pair.0.bias",
        "named.a.0.factor",
    ]
    with pytest.raises(ValueError, match=r"layers\.0 \(Linear\): expected 3 features, got 2"):
        model(mg.zeros((1, 2)))
    model.layers.append(nn.Linear(4, 1))
    assert "layers.2.bias" in model.state_dict()
    with pytest.raises(ValueError, match=r"layers\.2 \(Linear\): expected 4"):
        model(mg.zeros((1, 3)))


def test_assigning_before_init_tells_what_is_missing():
    class Forgetful(nn.Module):
        def __init__(self):
            self.scale = Scale()

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\) before assigning 'scale'"):
        Forgetful()


def test_a_module_without_init_tells_what_is_missing_when_used():
    class Empty(nn.Module):
        def __init__(self):
            pass

        def forward(self, x):
            return x

    with pytest.raises(AttributeError, match=r"Empty: call super\(\)"):
        Empty()(1)
    with pytest.raises(AttributeError, match="'Scale' object has no attribute 'facto'"):
        _ = Scale().facto


def test_a_tensor_in_place_of_a_parameter_is_refused_with_the_remedy():
    model = Scale()
    with pytest.raises(TypeError, match=r"factor\.assign\(value\).*nn\.Parameter"):
        model.factor = mg.ones(1)
    with pytest.raises(TypeError, match="parameter"):
        model.factor = np.ones(1)
    model.factor = nn.Parameter([5.0])
    model.factor = None
    assert names(model) == []


def test_a_tensor_in_place_of_a_module_is_refused():
    model = Head()
    with pytest.raises(TypeError, match="is a module"):
        model.linear = model.linear(mg.zeros((1, 5)))


def test_buffers():
    model = nn.Module()
    model.register_buffer("mean", mg.zeros(2))
    model.register_buffer("scratch", mg.zeros(2), persistent=False)
    model.register_buffer("none", None)
    assert list(model.state_dict()) == ["mean"]
    assert [name for name, _ in model.named_buffers()] == ["mean", "scratch"]
    with pytest.raises(TypeError, match="buffer"):
        model.mean = 3.0
    model.mean = mg.ones(2)
    assert model.state_dict()["mean"].tolist() == [1, 1]
    del model.mean
    assert list(model.state_dict()) == []


def test_register_functions_refuse_what_does_not_belong():
    model = nn.Module()
    with pytest.raises(TypeError, match=r"nn\.Parameter\(value\)"):
        model.register_parameter("w", mg.ones(1))
    with pytest.raises(TypeError, match=r"mg\.tensor"):
        model.register_buffer("w", np.ones(1))
    with pytest.raises(TypeError, match="Module"):
        model.add_module("w", 3)
    with pytest.raises(KeyError, match="dots"):
        model.register_parameter("a.b", None)
    with pytest.raises(KeyError, match="forward"):
        model.register_parameter("forward", nn.Parameter([1.0]))
    model.register_parameter("w", nn.Parameter([1.0]))
    model.add_module("child", Scale())
    assert names(model) == ["w", "child.factor"]


def test_shared_parts_are_counted_once_but_saved_under_each_path():
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    assert names(model) == ["0.weight", "0.bias"]
    assert len(list(model.modules())) == 3
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]

    tied = Two()
    tied.second.factor = tied.first.factor
    assert names(tied) == ["first.factor"]
    assert tied.first.factor._node.name == "first.factor"

    before = tied.first.factor.tolist()
    state = {"first.factor": np.full(np.shape(before), 7.0), "second.factor": np.array(before)}
    with pytest.raises(ValueError, match=r"'first\.factor' and 'second\.factor' are one parameter"):
        tied.load_state_dict(state)
    assert tied.first.factor.tolist() == before
    for same in (2.0, np.nan):
        tied.load_state_dict(dict.fromkeys(state, np.full(np.shape(before), same)))
        np.testing.assert_array_equal(tied.second.factor.numpy(), same)


def test_a_module_that_holds_its_parent_can_be_walked():
    model = Two()
    model.first.parents = [model]
    assert names(model) == ["first.factor", "second.factor"]
    assert list(model.state_dict()) == ["first.factor", "second.factor"]


# -- state -----------------------------------------------------------------------------------------


def test_state_dict_is_a_copy():
    model = Scale()
    state = model.state_dict()
    model.factor.assign([7.0])
    assert state["factor"].tolist() == [2.0]
    assert not state["factor"].requires_grad


def test_load_state_dict_round_trip_keeps_dtype_and_identity():
    model, other = nn.Linear(2, 3), nn.Linear(2, 3).double()
    weight = model.weight
    assert model.load_state_dict(other.state_dict()) == ([], [])
    assert model.weight is weight
    assert model.weight.dtype == np.float32
    np.testing.assert_array_equal(model.weight.numpy(), other.weight.numpy().astype(np.float32))


def test_a_state_may_be_parameters_arrays_or_lists():
    source = nn.Linear(2, 1)
    for kind in (lambda p: p, lambda p: p * 1.0, mg.Tensor.numpy, mg.Tensor.tolist):
        model = nn.Linear(2, 1)
        model.load_state_dict({name: kind(p) for name, p in source.named_parameters()})
        assert model.weight.tolist() == source.weight.tolist()
        model.weight.assign(mg.zeros((1, 2)))
        assert source.weight.tolist() != [[0.0, 0.0]]


def test_strict_load_reports_all_problems_at_once_and_changes_nothing():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = {k: v.numpy() for k, v in model.state_dict().items()}
    state = {
        "0.weight": np.zeros((3, 2)), "0.bias": np.zeros(4), "1.weight": [["x"]],
        "2.bias": np.zeros(1), "1.bias": np.array([1j]),
    }  # fmt: skip
    with pytest.raises(ValueError, match="left as it was") as caught:
        model.load_state_dict(state)
    text = str(caught.value)
    assert "'0.bias': expected shape (3,), got (4,)" in text
    assert "unexpected '2.bias'" in text
    assert "'1.weight': tensor: dtype" in text
    assert "'1.bias': expected float32, got complex128" in text
    del state["1.weight"]
    with pytest.raises(ValueError, match=r"missing '1.weight' \(1, 3\)"):
        model.load_state_dict(state)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_load_without_strict_returns_what_did_not_match():
    model = nn.Linear(2, 3)
    found = model.load_state_dict({"bias": np.ones(3), "more": np.ones(1)}, strict=False)
    assert found.missing_keys == ["weight"]
    assert found.unexpected_keys == ["more"]
    found = model.load_state_dict(dict.fromkeys(("c", "a", "b", 1), np.ones(1)), strict=False)
    assert found.unexpected_keys == [1, "a", "b", "c"]
    assert model.bias.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="expected shape"):
        model.load_state_dict({"bias": np.ones(4)}, strict=False)
    with pytest.raises(TypeError, match="a mapping"):
        model.load_state_dict([1, 2])


def test_deepcopy_and_pickle_are_independent_models():
    model = nn.Sequential(OrderedDict(body=nn.Linear(2, 2), act=nn.ReLU()))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert list(twin.state_dict()) == list(model.state_dict())
        assert twin.body.weight.requires_grad
        twin.body.weight.assign(np.zeros((2, 2)))
        assert not (model.body.weight == 0).all()
        assert twin(mg.ones((1, 2))).tolist() == [twin.body.bias.numpy().clip(0).tolist()]


def test_deepcopy_keeps_sharing():
    shared = nn.Linear(2, 2)
    twin = copy.deepcopy(nn.Sequential(shared, shared))
    assert twin[0] is twin[1]


def test_a_model_is_freed_without_the_cycle_collector():
    gc.disable()
    try:
        model = nn.Sequential(nn.Linear(2, 2), Two())
        model(mg.zeros((1, 2)))
        alive = weakref.ref(model[0])
        del model
        assert alive() is None
    finally:
        gc.enable()


# -- for the whole model ---------------------------------------------------------------------------


def test_train_and_eval_reach_every_module():
    model = nn.Sequential(nn.Dropout(), Two())
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    assert all(m.training for m in model.train().modules())
    with pytest.raises(TypeError, match="True or False"):
        model.train("yes")


def test_requires_grad_and_zero_grad():
    model = nn.Sequential(Head())
    model.requires_grad_(False)
    assert not model(mg.ones((1, 5))).requires_grad
    model.requires_grad_()
    assert model[0].linear.weight._node.name == "0.linear.weight"
    model(mg.ones((1, 5))).sum().backward()
    model.zero_grad(set_to_none=False)
    assert model[0].linear.bias.grad.tolist() == [0, 0]
    model.zero_grad()
    assert model[0].linear.bias.grad is None


def test_to_converts_parameters_gradients_and_buffers_in_place():
    model = nn.Linear(2, 1)
    model.register_buffer("mean", mg.zeros(1))
    model.register_buffer("count", mg.tensor(3))
    model.register_buffer("last", mg.ones(1))
    model(mg.ones((1, 2))).sum().backward()
    weight = model.weight
    assert model.double() is model
    assert model.weight is weight
    assert {weight.dtype, weight.grad.dtype, model.mean.dtype, model.last.dtype} == {
        np.dtype(np.float64)
    }
    assert model.count.dtype == np.int64
    y = model(mg.ones((1, 2), dtype=np.float64))
    assert y.dtype == np.float64
    y.sum().backward()
    assert weight.grad.dtype == np.float64
    assert model.float().weight.dtype == np.float32
    with pytest.raises(TypeError, match="floating-point"):
        model.to(np.int64)


def test_a_graph_from_before_a_conversion_is_refused():
    model = nn.Linear(2, 1)
    y = model(mg.ones((1, 2), requires_grad=True)).sum()
    model.double()
    with pytest.raises(RuntimeError, match="updated in place"):
        y.backward()


def test_apply_visits_children_first():
    seen = []
    nn.Sequential(nn.Linear(1, 1), nn.ReLU()).apply(lambda m: seen.append(type(m).__name__))
    assert seen[-1] == "Sequential"
    assert sorted(seen) == ["Linear", "ReLU", "Sequential"]


def test_get_submodule():
    model = nn.Sequential(Body())
    assert model.get_submodule("0.head") is model[0].head
    with pytest.raises(KeyError, match=r"'0\.head\.linear'"):
        model.get_submodule("0.tail")


# -- hooks -----------------------------------------------------------------------------------------


def test_hooks_change_inputs_and_outputs_until_removed():
    model = Scale()
    seen = []
    before = model.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    after = model.register_forward_hook(lambda m, args, out: out * 10)
    watch = model.register_forward_hook(lambda m, args, out: seen.append(out.tolist()))
    assert model(mg.ones(1)).tolist() == [40]
    assert seen == [[40]]
    before.remove()
    before.remove()
    assert model(mg.ones(1)).tolist() == [20]
    with after, watch:
        pass
    assert model(mg.ones(1)).tolist() == [2]
    assert len(seen) == 2


# -- containers ------------------------------------------------------------------------------------


def test_sequential_by_position_name_and_add():
    model = nn.Sequential(nn.Linear(2, 3)).add(nn.ReLU()).add(nn.Linear(3, 1), name="out")
    assert [name for name, _ in model.named_children()] == ["0", "1", "out"]
    assert model(mg.ones((4, 2))).shape == (4, 1)
    assert len(model) == 3
    assert model[-1] is model.out
    assert [type(m) for m in model[:2]] == [nn.Linear, nn.ReLU]
    assert list(model[1:].state_dict()) == ["out.weight", "out.bias"]
    with pytest.raises(IndexError, match="out of range for 3"):
        model[3]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = model.nothing
    with pytest.raises(TypeError, match=r"ReLU\(\)"):
        nn.Sequential(nn.Linear(1, 1), nn.ReLU)
    with pytest.raises(KeyError, match="already"):
        model.add(nn.ReLU(), name="forward")


def test_row_containers_edit_like_lists():
    layers = nn.ModuleList([nn.Linear(1, 1), nn.ReLU()])
    layers += [nn.Tanh()]
    layers.insert(0, nn.Sigmoid())
    assert [type(m).__name__ for m in layers] == ["Sigmoid", "Linear", "ReLU", "Tanh"]
    assert names(layers) == ["1.weight", "1.bias"]
    del layers[0]
    assert names(layers) == ["0.weight", "0.bias"]
    layers[1] = nn.ELU()
    assert isinstance(layers.pop(1), nn.ELU)
    assert len(layers) == 2
    for count in (3, 2, 1):  # the last one, unless another is named
        row = nn.ModuleList([nn.ReLU() for _ in range(count)])
        last = row[-1]
        assert row.pop() is last
        assert len(row) == count - 1
    assert layers[0] in layers
    with pytest.raises(NotImplementedError, match="no forward"):
        layers(1)


@pytest.mark.parametrize("row", [nn.Sequential, lambda *parts: nn.ModuleList(parts)])
def test_a_row_holds_its_modules_and_no_equal_ones(row):
    parts = [nn.ReLU(), nn.Linear(2, 2), nn.ReLU()]
    for count in range(4):
        held = row(*parts[:count])
        assert [part in held for part in parts] == [i < count for i in range(3)]
        assert nn.ReLU() not in held


def test_module_dict():
    heads = nn.ModuleDict({"a": nn.Linear(1, 1)})
    heads["b"] = nn.ReLU()
    heads.update({"c": nn.Tanh()})
    assert list(heads) == ["a", "b", "c"]
    assert "a" in heads
    assert names(heads) == ["a.weight", "a.bias"]
    assert isinstance(heads.pop("b"), nn.ReLU)
    with pytest.raises(KeyError, match="'a', 'c'"):
        heads["b"]
    with pytest.raises(KeyError, match="keys"):
        heads["keys"] = nn.ReLU()
    heads.clear()
    assert len(heads) == 0


# -- repr ------------------------------------------------------------------------------------------


def test_repr_is_nested():
    model = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3, padding=1), head=Head()))
    assert repr(model) == (
        "Sequential(\n"
        "  (conv): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))\n"
        "  (head): Head(\n"
        "    (linear): Linear(in_features=5, out_features=2, bias=True)\n"
        "  )\n"
        ")"
    )


# -- lazy layers -----------------------------------------------------------------------------------


def test_lazy_layers_take_their_size_from_the_first_batch():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    parameters = list(model.parameters())
    assert "UninitializedParameter" in repr(parameters[0])
    assert model(mg.zeros((2, 3, 5, 5))).shape == (2, 2)
    assert [p.shape for p in parameters] == [(4, 3, 3, 3), (4,), (2, 36), (2,)]
    assert all(type(p) is nn.Parameter for p in parameters)
    assert type(model[0]) is nn.Conv2d
    assert parameters[2]._node.name == "3.weight"
    assert float(abs(parameters[2]).max()) > 0
    model(mg.ones((1, 3, 5, 5))).sum().backward()
    assert parameters[0].grad.shape == (4, 3, 3, 3)
    with pytest.raises(ValueError, match=r"3 \(Linear\): expected 36 features, got 64"):
        model(mg.zeros((1, 3, 6, 6)))


LAZY = [name for name in nn.__all__ if name.startswith("Lazy")]


@pytest.mark.parametrize("name", LAZY)
def test_a_lazy_layer_can_be_reset_before_and_after_its_first_batch(name):
    shapes = {"Linear": (4, 3), "1d": (2, 3, 8), "2d": (2, 3, 8, 8), "3d": (1, 3, 4, 4, 4)}
    shape = next(shape for end, shape in shapes.items() if name.endswith(end))
    layer = getattr(nn, name)(*([] if "Norm" in name else [2] if "Linear" in name else [2, 3]))
    layer.reset_parameters()  # nothing to draw yet
    layer(mg.ones(shape))
    before = {key: p.tolist() for key, p in layer.named_parameters()}
    layer.reset_parameters()
    after = {key: p.tolist() for key, p in layer.named_parameters()}
    assert before.keys() == after.keys()
    assert (before == after) == ("Norm" in name)


def test_a_lazy_model_tells_that_it_cannot_load_yet():
    state = nn.Linear(3, 2).state_dict()
    with pytest.raises(ValueError, match="'weight' is lazy: run one batch"):
        nn.LazyLinear(2).load_state_dict(state)


# -- a model as a function of its parameters -------------------------------------------------------


def test_functional_call_gives_derivatives_by_parameters():
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)).double()
    x = np.array([[0.3, -0.7], [1.1, 0.4]])
    weight = model[0].weight

    def loss(w):
        return (nn.functional_call(model, {"0.weight": w}, mg.tensor(x)) ** 2).sum()

    (model(mg.tensor(x)) ** 2).sum().backward()
    np.testing.assert_allclose(mg.grad(loss)(weight.numpy()).numpy(), weight.grad.numpy())
    assert mg.hessian(loss)(weight.numpy()).shape == (2, 2, 2, 2)
    assert model[0].weight is weight


def test_functional_call_replaces_what_is_shared_or_in_lists_and_restores_after_errors():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Parameter([1.0])
            self.also = self.a
            self.more = [nn.Parameter([2.0])]

        def forward(self, fail=False):
            if fail:
                raise RuntimeError("on purpose")
            return self.a * self.also * self.more[0]

    model = Net()
    more = model.more
    assert nn.functional_call(model, {"a": [3.0], "more.0": [5.0]}).tolist() == [45]
    with pytest.raises(RuntimeError, match="on purpose"):
        nn.functional_call(model, {"a": [3.0]}, fail=True)
    assert model().tolist() == [2]
    assert model.more is more
    with pytest.raises(KeyError, match="known are a, also, more"):
        nn.functional_call(model, {"b": [1.0]})
    with pytest.raises(ValueError, match=r"shape \(1,\), got \(2,\)"):
        nn.functional_call(model, {"a": [1.0, 2.0]})


def test_a_long_list_of_numbers_is_no_burden():
    model = Scale()
    model.losses = []
    for i in range(3):
        model.losses.append(i)
        model(mg.ones(1))
    assert model._grows == {"losses": 3}
    assert names(model) == ["factor"]


def test_a_float64_batch_in_a_float32_model_is_warned_of_once_and_by_line(recwarn):
    model = nn.Sequential(nn.Linear(2, 2))
    x = np.ones((3, 2))
    warnings.simplefilter("always")
    for _ in range(3):
        model(mg.tensor(x))
    model(x)
    here = sys._getframe().f_lineno
    found = [(str(w.message), w.filename, w.lineno) for w in recwarn.list]
    assert [one[1:] for one in found] == [(__file__, here - 2), (__file__, here - 1)]
    assert found[0][0].startswith(
        "Sequential: the input (3, 2) is float64 and the parameters are f"
    )
    recwarn.clear()
    model(x.astype(np.float32))
    model(mg.tensor([[1.0, 2.0]]))
    model.to(np.float64)(x)
    nn.Sequential(nn.Identity())(x)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([nn.ReLU()], r"got list; write Sequential\(\*layers\)"),
        (nn.ReLU, r"got type; write ReLU\(\)"),
    ],
)
def test_what_is_not_a_module_is_refused_with_what_to_write(given, message):
    with pytest.raises(TypeError, match=f"Sequential: expected a Module, {message}"):
        nn.Sequential(given)


#: Constructors and functions: the last value that is allowed, and the first that is not.
LIMITS = {
    "Embedding: padding_idx": (lambda n: nn.Embedding(4, 2, padding_idx=n), 3, 4),
    "Embedding: first padding_idx": (lambda n: nn.Embedding(4, 2, padding_idx=n), -4, -5),
    "Unflatten: axis": (lambda n: nn.Unflatten(n, (2, -1))(mg.ones((4, 4))), 1, 2),
    "Unflatten: first axis": (lambda n: nn.Unflatten(n, (2, -1))(mg.ones((4, 4))), -2, -3),
    "Conv1d: padding": (lambda n: nn.Conv1d(1, 1, 3, padding=n), 0, -1),
    "Conv2d: padding": (lambda n: nn.Conv2d(1, 1, 3, padding=n), 0, -1),
    "Conv2d: kernel_size": (lambda n: nn.Conv2d(1, 1, n), 1, 0),
    "Conv2d: stride": (lambda n: nn.Conv2d(1, 1, 3, stride=n), 1, 0),
    "Conv1d: dilation": (lambda n: nn.Conv1d(1, 1, 3, dilation=n), 1, 0),
    "ConvTranspose2d: output_padding": (
        lambda n: nn.ConvTranspose2d(1, 1, 3, stride=2, output_padding=n),
        0,
        -1,
    ),
    "one_hot: num_classes": (lambda n: F.one_hot([0, 2], n), 3, 0),
    "uniform_: b": (lambda n: nn.init.uniform_(nn.Parameter(mg.zeros(2)), 1.0, n), 1.0, 0.5),
    "trunc_normal_: mean": (
        lambda n: nn.init.trunc_normal_(nn.Parameter(mg.zeros(2)), n, 0.0),
        2.0,
        2.5,
    ),
    "trunc_normal_: least mean": (
        lambda n: nn.init.trunc_normal_(nn.Parameter(mg.zeros(2)), n, 0.0),
        -2.0,
        -2.5,
    ),
    "embedding_bag: offsets": (lambda n: F.embedding_bag([0, 1, 1], np.eye(2), [n]), 0, 1),
}


@pytest.mark.parametrize("what", LIMITS)
def test_the_limits_of_settings(what):
    call, allowed, refused = LIMITS[what]
    call(allowed)
    with pytest.raises(ValueError, match=f"^{what.partition(':')[0]}"):
        call(refused)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_without_the_last_row_of_a_table_that_is_not_square(mode):
    table = np.arange(15.0).reshape(5, 3)
    index = np.array([[4, 0, 1], [3, 4, 4], [2, 2, 0]])
    bags = [table[row[row != 4]] for row in index]
    expected = np.stack([getattr(bag, mode)(axis=0) for bag in bags])
    for last in (-1, 4):
        found = F.embedding_bag(index, mg.tensor(table), mode=mode, padding_idx=last)
        np.testing.assert_allclose(found.numpy(), expected)
        flat = F.embedding_bag(
            index.ravel(), mg.tensor(table), [0, 3, 6], mode=mode, padding_idx=last
        )
        np.testing.assert_allclose(flat.numpy(), expected)


@pytest.mark.parametrize("widths", [(-1, 2), (2, -1), (-1, -1), (0, -2), (1, 1, -1, 2), ()])
def test_axes_are_made_longer_and_shorter(widths):
    x = np.arange(12.0).reshape(3, 4)
    expected = x
    for axis, (low, high) in zip((1, 0), _pairs(widths), strict=False):
        n = expected.shape[axis]
        kept = np.take(expected, range(max(-low, 0), n - max(-high, 0)), axis=axis)
        around = [(max(low, 0), max(high, 0)) if a == axis else (0, 0) for a in (0, 1)]
        expected = np.pad(kept, around, constant_values=7.0)
    np.testing.assert_array_equal(F.pad(mg.tensor(x), widths, value=7.0), expected)


def _pairs(values):
    return list(zip(values[::2], values[1::2], strict=True))


def test_nothing_is_dropped_and_nothing_is_drawn_with_probability_zero():
    mg.manual_seed(3)
    expected = mg.rand(4).numpy()
    mg.manual_seed(3)
    x = mg.ones((2, 3))
    np.testing.assert_array_equal(nn.Dropout(0.0)(x), x)
    np.testing.assert_array_equal(mg.rand(4), expected)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d, nn.InstanceNorm1d])
def test_without_momentum_statistics_stay_as_they_are(layer):
    norm = layer(
        2, momentum=0.0, **({"track_running_stats": True} if layer is nn.InstanceNorm1d else {})
    )
    norm(mg.tensor(np.arange(12.0).reshape(2, 2, 3)))
    np.testing.assert_array_equal(norm.running_mean, [0.0, 0.0])
    np.testing.assert_array_equal(norm.running_var, [1.0, 1.0])


def test_orthogonal_weights_have_the_signs_of_the_drawn_ones():
    for shape in ((4, 4), (5, 3), (3, 5)):
        drawn = np.random.default_rng(5).standard_normal(shape)
        tensor = nn.Parameter(mg.zeros(shape, dtype=np.float64))
        made = nn.init.orthogonal_(tensor, generator=np.random.default_rng(5)).numpy()
        tall = (made.T @ drawn) if shape[0] >= shape[1] else (made @ drawn.T)
        np.testing.assert_allclose(np.tril(tall, -1), 0.0, atol=1e-12)
        assert (np.diag(tall) > 0).all()


@pytest.mark.parametrize("draw", ["xavier_uniform_", "kaiming_uniform_"])
def test_a_single_weight_is_drawn_from_its_whole_interval(draw):
    limit = np.sqrt(3.0) if draw == "xavier_uniform_" else np.sqrt(6.0)
    rng = np.random.default_rng(0)
    settings = {} if draw == "xavier_uniform_" else {"nonlinearity": "relu"}
    weight = nn.Parameter(mg.zeros((1, 1), dtype=np.float64))
    values = [getattr(nn.init, draw)(weight, generator=rng, **settings).item() for _ in range(300)]
    assert 0.95 * limit < max(values) <= limit
    assert -limit <= min(values) < -0.95 * limit


def test_a_lazy_layer_counts_the_features_of_the_last_axis():
    layer = nn.LazyLinear(5)
    assert layer(mg.ones((2, 3, 4))).shape == (2, 3, 5)
    assert layer.weight.shape == (5, 4)


def test_nothing_is_drawn_and_encoded_from_nothing():
    assert F.one_hot(np.zeros(0, int)).shape == (0, 0)
    assert F.one_hot(np.zeros((2, 0), int), 3).shape == (2, 0, 3)
    for shape in ((0, 3), (3, 0)):
        for mode in ("fan_in", "fan_out"):
            weight = nn.Parameter(mg.zeros(shape))
            assert nn.init.kaiming_uniform_(weight, mode=mode) is weight
            assert nn.init.kaiming_normal_(weight, mode=mode) is weight


class Failing(nn.Module):
    def __init__(self, message):
        super().__init__()
        self.message = message

    def forward(self, x):
        raise ValueError(self.message)


@pytest.mark.parametrize(
    ("message", "told", "notes"),
    [
        ("bad", "bad", ["in module part.1 (Failing)"]),
        ("part.1 (Failing): bad", "part.1 (Failing): bad", []),
        ("add in part.1 (Failing): bad", "add in part.1 (Failing): bad", []),
        ("add in part.1: bad", "add in part.1: bad", []),
        ("tensor: expected numbers", "part.1 (Failing): expected numbers", []),
    ],
)
def test_an_error_names_the_module_it_comes_from_once(message, told, notes):
    model = nn.Sequential({"part": nn.Sequential(nn.ReLU(), Failing(message))})
    with pytest.raises(ValueError, match=rf"^{re.escape(told)}(\n|$)") as caught:
        model(mg.ones(2))
    assert getattr(caught.value, "__notes__", []) == notes
    assert caught.value.module_path == "part.1"
    with pytest.raises(ValueError, match=r"^Failing: numbers$") as caught:
        Failing("tensor: numbers")(mg.ones(2))
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_of_a_model_is_that_of_its_first_parameter_of_fractions(dtype):
    from minigrad.nn.module import float_dtype

    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 2, dtype=dtype), nn.Linear(2, 2))
    assert float_dtype(model) == dtype
    assert float_dtype(nn.ReLU()) == np.float32
    assert model.training
    assert model[0].training


def test_a_layer_of_settings_is_the_base_of_others():
    """Its constructor is made of its annotations; those of a user's class are left alone."""

    class Steep(nn.LeakyReLU):
        def __init__(self, label: str) -> None:
            super().__init__(negative_slope=0.5)
            self.label = label

    class Labelled(nn.HuberLoss):
        label: str

    steep, labelled = Steep("a"), Labelled("sum", delta=2.0)
    assert (repr(steep), steep.label) == ("Steep(negative_slope=0.5)", "a")
    assert steep(mg.tensor([-2.0])).item() == -1.0
    assert repr(labelled) == "Labelled(reduction='sum', delta=2.0)"
    assert inspect.signature(Labelled) == inspect.signature(nn.HuberLoss)
    assert str(inspect.signature(nn.Softplus)) == "(beta: 'float' = 1.0) -> 'None'"
    assert nn.Softplus.__annotations__ == {"beta": "float"}
    assert [*inspect.signature(nn.ConstantPad1d).parameters] == ["padding", "value"]
    for wrong, message in (
        (lambda: Labelled(label="a"), "^Labelled: unknown argument 'label'; it takes reduction, "),
        (lambda: nn.MaxPool1d(), "^MaxPool1d: missing argument 'kernel_size'$"),
        (lambda: nn.GLU(1, 2), r"^GLU: takes 1 argument by place \(axis\), got 2$"),
        (lambda: nn.GLU(1, axis=2), "^GLU: got 'axis' twice, by its place and by its name$"),
        (lambda: nn.Softplus(True), "^Softplus: beta must be a number, got True$"),
    ):
        with pytest.raises(TypeError, match=message):
            wrong()
    with pytest.raises(ValueError, match=r"^Softplus: beta must be above 0, got 0\.0$"):
        nn.Softplus(0.0)
    copied = pickle.loads(pickle.dumps(nn.MultiMarginLoss(p=2, weight=[1.0, 3.0])))
    assert (copied.p, copied.weight.tolist()) == (2, [1.0, 3.0])
