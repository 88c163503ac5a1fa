"""Optimizers: parameter groups, refusals, and state that is saved and resumed."""

import copy
import pickle

import numpy as np
import pytest
from optim_cases import CASES, give, gradients, tensors, torch, values

import minigrad as mg
from minigrad import nn, optim
from minigrad.optim.buffer import ParameterBuffer, only_reads

__all__ = ["torch"]  # a fixture


def leaf(*data):
    return mg.tensor(list(data) or [1.0], requires_grad=True)


# -- groups ----------------------------------------------------------------------------------------


def test_groups_have_settings_of_their_own():
    a, b, c = leaf(), leaf(), leaf()
    optimizer = optim.SGD([{"params": [a], "lr": 0.5}, {"params": b}], lr=0.25)
    optimizer.add_param_group({"params": (p for p in [c]), "lr": 0.125, "weight_decay": 1.0})
    for p in (a, b, c):
        p.grad = mg.ones(1)
    optimizer.step()
    assert [p.item() for p in (a, b, c)] == [0.5, 0.75, 0.75]
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 1, 1]


def test_names_come_with_pairs_and_stand_in_the_group():
    model = nn.Module()
    model.first, model.second = nn.Parameter([1.0]), nn.Parameter([2.0])
    optimizer = optim.Adam(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["first", "second"]
    assert optimizer.param_groups[0]["params"][0] is model.first
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["first", "second"]
    with pytest.raises(ValueError, match="names in all groups or in none"):
        optimizer.add_param_group({"params": [leaf()]})


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (lambda: leaf(), TypeError, r"single Tensor.*\[tensor\]"),
        (lambda: nn.Parameter([1.0]), TypeError, "single Parameter"),
        (lambda: np.ones(2), TypeError, "single ndarray"),
        (lambda: {"w": leaf()}, TypeError, "got a dict.*items"),
        (lambda: 0.1, TypeError, r"SGD\(lr=0.1\)"),
        (object, TypeError, "iterable of tensors or of groups, got <object"),
        (lambda: "weights", TypeError, "got 'weights'"),
        (lambda: b"w", TypeError, "got b'w'"),
        (list, ValueError, "no parameters.*used up"),
        (lambda: nn.Linear(2, 2), TypeError, r"got a Linear; write SGD\(model.parameters\(\)\)"),
        (lambda: nn.Linear(2, 2).parameters, TypeError, r"got a method; call it, parameters\(\)"),
        (lambda: [{"params": leaf()}, leaf()], TypeError, "a group is a dict with 'params', got tensor"),
        (lambda: [{"params": []}], ValueError, "group 0 has no parameters"),
        (lambda: [{"parameters": [leaf()]}], TypeError, "dict with 'params'"),
        (lambda: [{"params": [leaf()], "learning_rate": 1}], ValueError, "unknown settings.*lr, momentum"),
        (lambda: [np.ones(2)], TypeError, "parameter 0 is ndarray.*requires_grad=True"),
        (lambda: [leaf(), leaf() * 2], ValueError, "parameter 1 is a result of multiply, not a leaf"),
        (lambda: [mg.ones(3)], ValueError, r"parameter 0 of shape \(3,\) has requires_grad=False"),
        (lambda: [mg.tensor([1, 2])], ValueError, "requires_grad=False"),
        (lambda: [leaf()] * 2, ValueError, "parameter 1 appears more than once"),
        (lambda: [("a", p := leaf()), ("b", p)], ValueError, "parameter 'b' appears more than once"),
        (lambda: [("a", leaf()), leaf()], ValueError, "all parameters as"),
        (lambda: [("a", leaf()), leaf(1.0, 2.0)], ValueError, "all parameters as"),
        (lambda: [("a", leaf(), 1)], ValueError, "all parameters as"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_optimized_are_refused(params, error, message):
    with pytest.raises(error, match=message):
        optim.SGD(params(), lr=0.1)


def test_a_parameter_in_two_groups_is_refused_and_leaves_the_optimizer_whole():
    w = leaf()
    optimizer = optim.SGD([w], lr=0.5)
    with pytest.raises(ValueError, match="more than once"):
        optimizer.add_param_group({"params": [leaf(), w]})
    assert len(optimizer.param_groups) == 1
    w.grad = mg.ones(1)
    optimizer.step()
    assert w.item() == 0.5


def test_frozen_parameters_are_taken_and_left_alone():
    frozen, free = nn.Parameter([1.0], requires_grad=False), nn.Parameter([1.0])
    optimizer = optim.SGD([frozen, free], lr=0.5, weight_decay=0.5)
    free.grad = mg.ones(1)
    optimizer.step()
    assert (frozen.item(), free.item()) == (1.0, 0.25)


OUT_OF_RANGE = pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("SGD", {"lr": -0.1}, "lr must be 0 or more, got -0.1"),
        ("SGD", {"lr": float("nan")}, "lr"),
        ("SGD", {"momentum": -1.0}, "momentum"),
        ("SGD", {"weight_decay": -1.0}, "weight_decay"),
        ("SGD", {"nesterov": True}, "nesterov needs momentum > 0"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "dampening = 0"),
        ("Adagrad", {"lr_decay": -1.0}, "lr_decay"),
        ("Adagrad", {"initial_accumulator_value": -1.0}, "initial_accumulator_value"),
        ("RMSprop", {"alpha": 1.5}, "alpha must be between 0 and 1"),
        ("RMSprop", {"eps": -1.0}, "eps"),
        ("Adadelta", {"rho": 1.5}, "rho must be between 0 and 1"),
        ("Adam", {"betas": (0.9, 1.0)}, r"betas must be in \[0, 1\)"),
        ("Adam", {"betas": (0.9,)}, "betas"),
        ("NAdam", {"momentum_decay": -1.0}, "momentum_decay"),
    ],
)


@OUT_OF_RANGE
def test_settings_out_of_range_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        getattr(optim, name)([leaf()], **settings)
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)([{"params": [leaf()], **settings}])


@OUT_OF_RANGE
@pytest.mark.parametrize("steps", [0, 1])
def test_settings_that_are_put_out_of_range_later_are_refused(name, settings, message, steps):
    w, v = leaf(1.0), leaf(2.0)
    optimizer = getattr(optim, name)([{"params": [w]}, {"params": [v]}])
    w.grad = v.grad = mg.ones(1)
    for _ in range(steps):
        optimizer.step()
    before = w.tolist(), v.tolist(), optimizer.steps
    optimizer.param_groups[1].update(settings)
    for _ in range(2):
        with pytest.raises(ValueError, match=f"{name}: .*{message}"):
            optimizer.step()
    assert (w.tolist(), v.tolist(), optimizer.steps) == before
    optimizer.param_groups[1].update({key: optimizer.defaults[key] for key in settings})
    optimizer.step()
    assert w.tolist() != before[0]


def test_a_group_without_a_setting_and_one_that_was_not_added_are_refused():
    w = leaf(1.0)
    w.grad = mg.ones(1)
    optimizer = optim.SGD([w], lr=0.5)
    del optimizer.param_groups[0]["momentum"]
    with pytest.raises(ValueError, match=r"SGD: group 0 of param_groups has no 'momentum'"):
        optimizer.step()
    optimizer = optim.SGD([w], lr=0.5)
    optimizer.param_groups.append({"params": [leaf(2.0)], **optimizer.defaults})
    with pytest.raises(ValueError, match=r"2 groups, of which 1 were added; .*add_param_group"):
        optimizer.step()


def test_a_learning_rate_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match="lr must be a number"):
        optim.SGD([leaf()], lr="fast")


# -- apply_gradients -------------------------------------------------------------------------------


def test_wrong_pairs_are_refused_before_anything_changes():
    w, v = leaf(1.0, 2.0), leaf(3.0)
    optimizer = optim.SGD([w, v], lr=0.5)
    g, h = mg.ones(2), mg.ones(1)
    other = nn.Parameter([1.0])
    other._node.name = "head.bias"
    for pairs, error, message in [
        ([(g, w), (g, v)], ValueError, r"gradient 1 has shape \(2,\), its parameter \(1,\)"),
        ([(g, w), (g, w)], ValueError, "twice"),
        ([(None, w), (None, v)], ValueError, "no gradient at all"),
        ([], ValueError, "no gradient at all"),
        ([(g, w), (h, other)], ValueError, "'head.bias' .*not among those given at construction"),
        ([(g, w), (np.ones(1, int), v)], TypeError, "expected floats"),
        ([g, w], TypeError, r"zip\(grads, params\)"),
        ([(g, "w")], TypeError, r"zip\(grads, params\)"),
        ([(g, w), (h, mg.ones(1))], ValueError, "requires_grad=False"),
    ]:
        with pytest.raises(error, match=message):
            optimizer.apply_gradients(pairs)
    assert w.tolist() == [1.0, 2.0]


def test_step_without_parameters_says_what_to_do():
    with pytest.raises(RuntimeError, match=r"Adam\(model.parameters\(\)\); or use apply_gradients"):
        optim.Adam().step()


def test_an_optimizer_without_parameters_meets_them_one_by_one():
    a, b = leaf(), leaf()
    optimizer = optim.Adam(lr=0.5)
    optimizer.apply_gradients([(mg.ones(1), a)])
    optimizer.apply_gradients([(mg.ones(1), b), (None, a)])
    assert optimizer.param_groups[0]["params"] == [a, b]
    assert [optimizer.state[p]["step"] for p in (a, b)] == [1, 1]
    optimizer.apply_gradients([(mg.ones(1), a)])
    assert [optimizer.state[p]["step"] for p in (a, b)] == [2, 1]
    np.testing.assert_allclose([a.item(), b.item()], [0.0, 0.5], atol=1e-6)


def test_an_optimizer_without_parameters_takes_groups_and_then_others():
    a, b, c = leaf(), leaf(), leaf()
    optimizer = optim.SGD(lr=1.0, momentum=0.5)
    optimizer.add_param_group({"params": [a], "lr": 0.5})  # in place of the empty group
    optimizer.add_param_group({"params": [b], "lr": 0.25})
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25]
    optimizer.apply_gradients([(mg.ones(1), p) for p in (a, b, c)])  # the last group takes c
    optimizer.apply_gradients([(mg.ones(1), c)])
    assert [a.item(), b.item(), c.item()] == [0.5, 0.75, 1.0 - 0.25 - 0.25 * 1.5]
    assert optimizer.param_groups[1]["params"] == [b, c]
    assert [optimizer.state[p]["momentum_buffer"].item() for p in (a, b, c)] == [1.0, 1.0, 1.5]
    assert optimizer.steps == 2
    with pytest.raises(ValueError, match="appears more than once"):
        optimizer.add_param_group({"params": [c]})


def test_gradients_of_parameters_that_cannot_be_taken_in_are_refused():
    optimizer = optim.SGD(lr=1.0)
    with pytest.raises(ValueError, match=r"parameter 1 of shape \(2,\) has requires_grad=False"):
        optimizer.apply_gradients([(mg.ones(1), leaf()), (mg.ones(2), mg.ones(2))])
    with pytest.raises(ValueError, match="parameter 0 is a result of multiply, not a leaf"):
        optimizer.apply_gradients([(mg.ones(1), leaf() * 2)])
    closed, known = optim.SGD([a := leaf()], lr=1.0), nn.Linear(1, 1)
    unknown = [known.weight, known.bias]
    for p, name in zip(unknown, ("first", "second"), strict=True):
        p._node.name = name
    with pytest.raises(ValueError, match=r"parameter 'first' of shape \(1, 1\) that was not among"):
        closed.apply_gradients([(mg.ones(p.shape), p) for p in (a, *unknown)])
    assert a.item() == 1.0


def test_a_rule_of_ones_own_needs_no_setting_but_its_own():
    class Signs(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def initial_state(self, group):
            return {}

        def update_rule(self, group, scalars):
            def update(chunk):
                chunk.p -= group["lr"] * np.sign(chunk.g)

            return update

    p = leaf(1.0, 2.0)
    optimizer = Signs([p], lr=0.5)
    optimizer.apply_gradients([(mg.tensor([0.5, -0.5]), p)])  # a decay would change their signs
    assert p.tolist() == [0.5, 2.5]


# -- saved state -----------------------------------------------------------------------------------


def run(optimizer, params, arrays):
    for one in arrays:
        give(params, one, mg.tensor)
        optimizer.step()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_a_resumed_run_goes_on_bit_for_bit(name, settings, dtype, tmp_path):
    whole, halves = tensors(values(dtype)), tensors(values(dtype))
    steps = list(gradients(dtype, 10))
    make = getattr(optim, name)
    run(make(whole, **settings), whole, steps)

    first = make(halves, **settings)
    run(first, halves, steps[:5])
    path = tmp_path / "run.safetensors"
    mg.save_checkpoint(path, optimizer=first, weights=halves)
    state = mg.load_checkpoint(path)
    resumed = tensors([w.numpy() for w in state["weights"]])
    second = make(resumed)  # the settings come from the file
    second.load_state_dict(state["optimizer"])
    run(second, resumed, steps[5:])
    for p, q in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


@pytest.mark.parity
@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_the_state_of_a_run_in_pytorch_is_taken_over_and_given_back(torch, name, settings):
    start, steps = values(np.float64), list(gradients(np.float64, 9))
    theirs = [torch.tensor(v, requires_grad=True) for v in start]
    oracle = getattr(torch.optim, name)(theirs, **settings)
    for one in steps[:3]:
        give(theirs, one, torch.tensor)
        oracle.step()

    ours = tensors([q.detach().numpy() for q in theirs])
    optimizer = getattr(optim, name)(ours)
    optimizer.load_state_dict(oracle.state_dict())
    run(optimizer, ours, steps[3:6])
    for one in steps[3:6]:
        give(theirs, one, torch.tensor)
        oracle.step()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), 1e-12, 1e-12)

    state = optimizer.state_dict()
    expected = oracle.state_dict()
    for i, one in expected["state"].items():
        for key, value in one.items():
            if value is not None and np.any(np.asarray(value)):
                np.testing.assert_allclose(
                    np.asarray(state["state"][i][key]), np.asarray(value), 1e-12, 1e-12
                )


def test_state_dict_has_the_structure_of_pytorch():
    a, b, c = leaf(1.0, 2.0), leaf(), leaf()
    optimizer = optim.Adam([{"params": [a, b]}, {"params": [c], "lr": 0.5}])
    optimizer.apply_gradients([(mg.ones(2), a), (mg.ones(1), c)])
    state = optimizer.state_dict()
    assert set(state) == {"state", "param_groups"}
    assert list(state["state"]) == [0, 2]
    assert state["state"][0]["step"] == 1
    assert set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2]]
    assert [group["lr"] for group in state["param_groups"]] == [1e-3, 0.5]


def test_a_state_dict_does_not_change_with_later_steps():
    w = leaf(1.0, 2.0)
    optimizer = optim.Adam([w])
    w.grad = mg.ones(2)
    optimizer.step()
    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step()
    assert state["state"][0]["step"] == 1
    assert state["state"][0]["exp_avg"].tolist() == kept["state"][0]["exp_avg"].tolist()
    assert state["param_groups"][0]["lr"] == 1e-3
    optimizer.load_state_dict(state)
    optimizer.step()
    assert state["state"][0]["exp_avg"].tolist() == kept["state"][0]["exp_avg"].tolist()


KEPT = {
    "SGD": set(), "Adagrad": {"sum"}, "RMSprop": {"square_avg"}, "Adam": {"exp_avg", "exp_avg_sq"},
    "AdamW": {"exp_avg", "exp_avg_sq"}, "Adadelta": {"square_avg", "acc_delta"},
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_only_what_the_formula_needs_is_kept(name):
    p = leaf()
    optimizer = getattr(optim, name)([p], lr=0.1)
    run(optimizer, [p], [[np.ones(1, np.float32)]])
    state = optimizer.state.get(p, {})
    assert {k for k, v in state.items() if isinstance(v, mg.Tensor)} == KEPT[name]


def test_a_centred_variance_that_rounding_makes_negative_counts_as_zero():
    for constant in np.random.default_rng(0).uniform(0.1, 3.0, 30).astype(np.float32):
        p = leaf(0.0)
        optimizer = optim.RMSprop([p], lr=0.0, centered=True, alpha=0.5, eps=1e-3)
        run(optimizer, [p], [[np.full(1, constant)]] * 40)
        assert p.item() == 0.0


def test_state_of_a_setting_that_was_switched_off_is_not_saved():
    w = leaf(1.0, 2.0)
    w.grad = mg.ones(2)
    optimizer = optim.SGD([w], lr=0.5, momentum=0.9)
    optimizer.step()
    optimizer.param_groups[0]["momentum"] = 0.0
    optimizer.step()
    assert optimizer.state_dict()["state"] == {}
    optim.SGD([leaf(1.0, 2.0)]).load_state_dict(optimizer.state_dict())


def test_parameters_with_names_get_their_own_state_in_any_order():
    def pair(order):
        named = {"a": leaf(1.0, 1.0), "b": leaf(1.0, 1.0)}
        return named, optim.SGD([(name, named[name]) for name in order], lr=0.1, momentum=0.9)

    first, saved = pair("ab")
    first["a"].grad, first["b"].grad = mg.ones(2), mg.full((2,), 5.0)
    saved.step()
    second, loaded = pair("ba")
    loaded.load_state_dict(saved.state_dict())
    assert loaded.state[second["a"]]["momentum_buffer"].tolist() == [1.0, 1.0]
    assert loaded.state[second["b"]]["momentum_buffer"].tolist() == [5.0, 5.0]


def test_state_that_does_not_fit_is_told_at_once_and_changes_nothing():
    w, v = leaf(1.0, 2.0), leaf(3.0)
    optimizer = optim.Adam([w, v], lr=0.5)
    run(optimizer, [w, v], [[np.ones(2, np.float32), np.ones(1, np.float32)]])
    good = optimizer.state_dict()

    bad = copy.deepcopy(good)
    bad["state"][0]["exp_avg"] = mg.ones(7)
    del bad["state"][1]["exp_avg_sq"]
    bad["state"][1]["novel"] = mg.ones(1)
    bad["param_groups"][0]["lr"] = 99.0
    with pytest.raises(ValueError, match="load_state_dict") as caught:
        optimizer.load_state_dict(bad)
    for part in (r"(7,)", "'exp_avg_sq' is missing", "'novel' is unknown"):
        assert part in str(caught.value)
    after = optimizer.state_dict()
    assert after["param_groups"] == good["param_groups"]
    assert after["state"][0]["exp_avg"].tolist() == good["state"][0]["exp_avg"].tolist()

    for state, message in [
        ({}, r"dict with state, param_groups; the state has no state, .*, its keys are \[\]"),
        ({"a": 1, "state": {}}, r"the state has no param_groups, its keys are \['a', 'state'\]"),
        (optim.SGD([leaf(1.0, 2.0), leaf()]).state_dict(), "saved by another optimizer"),
        (optim.Adam([leaf(1.0, 2.0)]).state_dict(), "1 parameters were saved, it has 2"),
        (optim.Adam([{"params": leaf()}, {"params": leaf()}]).state_dict(), "2 parameter groups"),
    ]:
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict(state)
    with pytest.raises(ValueError, match=r"no state for \['b'\], state of no use \['a'\]"):
        optim.SGD([("b", leaf())]).load_state_dict(optim.SGD([("a", leaf())]).state_dict())


def test_every_group_that_does_not_fit_is_named():
    def groups(count):
        return [{"params": [(f"{i}", leaf(1.0))]} for i in range(count)]

    optimizer = optim.Adam(groups(4))
    state = optim.Adam(groups(4)).state_dict()
    first, second, third, fourth = state["param_groups"]
    first["params"] = [0, 1]
    second["param_names"] = ["another"]
    del third["eps"]
    fourth["novel"] = 1
    with pytest.raises(ValueError, match="load_state_dict") as caught:
        optimizer.load_state_dict(state)
    for part in (
        "group 0: 2 parameters were saved, it has 1",
        "group 1: no state for ['1'], state of no use ['another']",
        "group 2: settings [] are unknown and ['eps'] are missing",
        "group 3: settings ['novel'] are unknown and [] are missing",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("named", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("kind", [np.asarray, mg.tensor])
def test_state_in_arrays_or_tensors_goes_by_name_or_place(named, kind):
    def made(names):
        leaves = [leaf(1.0), leaf(2.0, 3.0)]
        return leaves, optim.Adam([*zip("ab", leaves, strict=True)] if names else leaves)

    (params, saved), (others, loaded) = map(made, named)
    run(saved, params, [[np.ones(1, np.float32), np.full(2, 2.0, np.float32)]])
    state = saved.state_dict()
    for one in state["state"].values():
        one |= {k: kind(v.numpy()) for k, v in one.items() if isinstance(v, mg.Tensor)}
    loaded.load_state_dict(state)
    for p, q in zip(params, others, strict=True):
        assert loaded.state[q]["exp_avg"].tolist() == saved.state[p]["exp_avg"].tolist()
        assert loaded.state[q]["step"] == 1

    if all(named):
        state["param_groups"][0]["param_names"] = ["a", "b", "a"]
        with pytest.raises(ValueError, match=r"zip|load_state_dict"):
            loaded.load_state_dict(state)
    state["state"][0] |= {"novel": mg.ones(1), "other": mg.ones(1)}
    state["param_groups"] = saved.state_dict()["param_groups"]
    with pytest.raises(ValueError, match=r"'novel' is unknown.*'other' is unknown"):
        loaded.load_state_dict(state)


@pytest.mark.parametrize(
    ("group", "given"),
    [({}, "{}"), (3, "3"), (None, "None"), ({"params": 0}, "{'params': 0}"), ([], r"\[\]")],
)
@pytest.mark.parametrize("parameters", [[nn.Parameter([1.0])], None])
def test_a_group_that_is_none_is_named(group, given, parameters):
    opt = optim.Adam(parameters)
    words = rf"Adam: load_state_dict: group 0 must be a dict with the list 'params', got {given}"
    with pytest.raises(ValueError, match=words):
        opt.load_state_dict({"state": {}, "param_groups": [group]})


def test_an_optimizer_without_parameters_takes_up_its_state_when_it_meets_them():
    whole, halves = tensors(values(np.float32)), tensors(values(np.float32))
    steps = list(gradients(np.float32, 6))
    reference, first, second = (optim.NAdam(lr=0.1) for _ in range(3))
    for one in steps:
        reference.apply_gradients(zip(one, whole, strict=True))
    for one in steps[:3]:
        first.apply_gradients(zip(one, halves, strict=True))
    second.load_state_dict(first.state_dict())
    with pytest.raises(ValueError, match="4 parameters were saved, it has 1"):
        second.apply_gradients([(np.ones((3, 4), np.float32), leaf_of((3, 4)))])
    for one in steps[3:]:
        second.apply_gradients(zip(one, halves, strict=True))
    for p, q in zip(whole, halves, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


def leaf_of(shape):
    return mg.ones(shape, requires_grad=True)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_model_and_optimizer_trains_on_its_own(how):
    params = tensors(values(np.float32))
    optimizer = optim.Adam(params, lr=0.1)
    steps = list(gradients(np.float32, 4))
    run(optimizer, params, steps[:2])
    others, other = how((params, optimizer))
    before = [p.numpy() for p in params]
    run(other, others, steps[2:])
    for p, old in zip(params, before, strict=True):
        np.testing.assert_array_equal(p.numpy(), old)
    run(optimizer, params, steps[2:])
    for p, q in zip(params, others, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


def test_lazy_parameters_are_taken_in_once_they_have_their_shape():
    model = nn.Sequential(nn.Linear(2, 4), nn.LazyLinear(1))
    optimizer = optim.Adam(model.parameters(), lr=0.5)
    model[0].bias.grad = mg.ones(4)
    optimizer.step()
    model(mg.ones((3, 2))).sum().backward()
    before = model[1].bias.numpy()
    optimizer.step()
    assert optimizer.state[model[0].bias]["step"] == 2
    assert optimizer.state[model[1].weight]["step"] == 1
    np.testing.assert_allclose(model[1].bias.numpy(), before - 0.5, atol=1e-6)


def test_repr_names_the_settings():
    text = repr(optim.SGD([leaf()], lr=0.5))
    assert text.startswith("SGD (\n  group 0: 1 parameters\n")
    assert "lr: 0.5" in text


@pytest.mark.parametrize("to_none", [True, False])
def test_zero_grad_leaves_what_has_no_gradient(to_none):
    used, unused, frozen = leaf(1.0, 2.0), leaf(3.0), leaf(4.0)
    optimizer = optim.SGD([used, unused, frozen], lr=0.1)
    frozen.requires_grad = False
    used.sum().backward()
    optimizer.zero_grad(set_to_none=to_none)
    assert used.grad is None if to_none else used.grad.tolist() == [0.0, 0.0]
    assert unused.grad is None


@pytest.mark.parametrize("others", [0, 1, 2])
def test_a_single_parameter_that_changes_its_dtype_keeps_its_state(others):
    p, more = leaf(1.0), [leaf(5.0) for _ in range(others)]
    optimizer = optim.SGD([p, *more], lr=0.5, momentum=0.5)
    for dtype, expected in ((np.float32, 0.5), (np.float64, -0.25), (np.float64, -1.125)):
        nn.module.to(_Holding(p), dtype)
        optimizer.apply_gradients([(np.ones(1, dtype), p)])
        assert (p.dtype, p.tolist()) == (dtype, [expected])


class _Holding(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.register_buffer("p", p)


def test_a_rule_that_only_reads_gets_the_gradient_itself_where_it_can():
    seen = []
    rule = only_reads(lambda chunk: seen.append((chunk.g.dtype, chunk.g.copy(), chunk.g)))
    one, other = np.arange(3, dtype=np.float32), np.arange(4.0)
    for sizes, slopes, shared in (
        ((3,), [one], True),
        ((4,), [other], False),
        ((3, 4), [one, other], False),
    ):
        buffer = ParameterBuffer([leaf(*[0.0] * n) for n in sizes], {})
        buffer.update(slopes, lambda scalars: rule)
        ((dtype, values, given),) = seen
        np.testing.assert_array_equal(values, np.concatenate(slopes))
        assert dtype == np.float32
        assert np.shares_memory(given, slopes[0]) == shared
        seen.clear()
