"""Data-parallel training: N ranks do what one process does with the whole batch.

The ranks are threads here; ``test_mpi.py`` runs the same programs as processes under mpiexec.
"""

import contextlib
import copy
import gc
import itertools
import os
import re
import subprocess
import sys
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import threads_as_ranks

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import distributed, nn, optim
from minigrad.data import ArrayDataset, DataLoader
from minigrad.distributed import (
    DataParallel,
    DistributedSampler,
    SyncBatchNorm,
    convert_sync_batchnorm,
    data_parallel,
)
from minigrad.distributed.buckets import split
from minigrad.engine.random import default_generator
from minigrad.training.ranks import Together

X = np.random.default_rng(0).normal(size=(23, 6))
Y = np.random.default_rng(1).integers(0, 3, 23)
OPTIMIZERS = {
    "SGD": lambda params: optim.SGD(params, lr=0.1),
    "momentum": lambda params: optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.01),
    "Adam": lambda params: optim.Adam(params, lr=0.01),
}


class Net(nn.Module):
    """A model with shared, frozen and unused parameters, and one used in every second step."""

    def __init__(self, seed=0):
        super().__init__()
        generator = np.random.default_rng(seed)
        self.first = nn.Linear(6, 6)
        self.shared = self.first
        self.frozen = nn.Linear(6, 6)
        self.frozen.requires_grad_(False)
        self.unused = nn.Linear(2, 2)
        self.sometimes = nn.Linear(6, 6)
        self.last = nn.Linear(6, 3)
        self.steps = 0
        for p in self.parameters():
            p.assign(generator.normal(size=p.shape) * 0.5)

    def forward(self, x):
        x = F.tanh(self.frozen(self.shared(F.tanh(self.first(x)))))
        return self.last(self.sometimes(x) if self.steps % 2 else x)


def train(
    model, step_model, optimizer, *, rank=0, size=1, batch=10, accumulate=1, clip=0.0, steps=8
):
    """Some steps of ``model``, on the batches' part of one rank."""
    taken = epoch = 0
    while taken < steps:
        order = np.random.default_rng(epoch).permutation(len(X))
        epoch += 1
        for start in range(0, len(X), batch):
            parts = np.array_split(order[start : start + batch], accumulate)
            optimizer.zero_grad()
            model.steps = taken
            for i, part in enumerate(parts):
                mine = part[rank::size]
                waits = size > 1 and i < len(parts) - 1
                with step_model.no_sync() if waits else contextlib.nullcontext():
                    if not len(mine):
                        if size > 1:
                            step_model.skip()
                        continue
                    x = mg.tensor(X[mine].astype(model.last.weight.dtype))
                    loss = F.cross_entropy(step_model(x), Y[mine]) / accumulate
                    loss.backward()
            if clip:
                optim.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            taken += 1
            if taken == steps:
                break
    return {name: p.numpy() for name, p in model.named_parameters()}


def alone(dtype, make, **options):
    model = Net().to(dtype)
    return train(model, model, make(model.parameters()), **options)


def together(size, dtype, make, **options):
    def rank():
        model = Net(seed=distributed.rank()).to(dtype)  # rank 0's values count
        parallel = DataParallel(model, bucket_size=400)
        return train(
            model, parallel, make(model.parameters()),
            rank=distributed.rank(), size=size, **options,
        )  # fmt: skip

    return threads_as_ranks.run(size, rank)


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"clip": 0.1}, {"batch": 11}], ids=str)
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_train_as_one_process_does(size, make, options):
    expected = alone(np.float64, make, **options)
    for found in together(size, np.float64, make, **options):
        for name, value in expected.items():
            assert np.abs(found[name] - value).max() < 1e-12, name


def test_in_float32_and_the_same_bits_each_time():
    expected = alone(np.float32, OPTIMIZERS["Adam"])
    first, again = (together(3, np.float32, OPTIMIZERS["Adam"]) for _ in range(2))
    for name, value in expected.items():
        assert first[0][name].dtype == np.float32
        assert np.abs(first[0][name] - value).max() < 1e-5
        for found in (*first[1:], *again):
            assert (found[name] == first[0][name]).all()


def test_a_rank_without_samples_takes_part():
    def rank():
        model = DataParallel(nn.Linear(6, 3, bias=False).double())
        model.module.weight.assign(np.ones((3, 6)))
        if distributed.rank():
            model.skip()
        else:
            F.cross_entropy(model(mg.tensor(X)), Y).backward()
        return model.module.weight.grad.numpy()

    def one():
        model = nn.Linear(6, 3, bias=False).double()
        model.weight.assign(np.ones((3, 6)))
        F.cross_entropy(model(mg.tensor(X)), Y).backward()
        return model.weight.grad.numpy()

    first, second = threads_as_ranks.run(2, rank)
    assert np.allclose(first, one(), atol=1e-15)
    assert (first == second).all()


def test_skip_sends_what_was_held_back():
    def rank():
        w = nn.Linear(1, 1, bias=False).double()
        model = DataParallel(w)
        with model.no_sync():
            model(mg.full((1, 1), 1.0 + distributed.rank(), dtype=np.float64)).sum().backward()
        held = w.weight.grad.item()
        model.skip()
        return held, w.weight.grad.item()

    assert threads_as_ranks.run(2, rank) == [(1.0, 1.5), (2.0, 1.5)]


def test_a_parameter_that_some_rank_uses_gets_the_mean_and_one_that_none_uses_gets_none():
    class OneOf(nn.ModuleList):
        def forward(self, x):
            return self[distributed.rank()](x)

    def rank():
        parts = OneOf([nn.Linear(1, 1, bias=False).double() for _ in range(3)])
        model = DataParallel(parts)
        model(mg.ones((2, 1), dtype=np.float64)).sum().backward()
        return [p.grad and p.grad.item() for p in parts.parameters()]

    assert threads_as_ranks.run(2, rank) == [[1.0, 1.0, None]] * 2


def test_a_gradient_kept_by_the_user_does_not_change_with_the_next_pass():
    def rank():
        model = DataParallel(nn.Linear(1, 1, bias=False).double())
        kept = []
        for factor in (1.0, 2.0):
            model.zero_grad()
            (model(mg.ones((2, 1), dtype=np.float64)).sum() * factor).backward()
            kept.append(model.module.weight.grad)
        return [g.item() for g in kept]

    assert threads_as_ranks.run(2, rank) == [[2.0, 4.0]] * 2


def test_passes_without_zero_grad_add_up():
    def rank():
        model = DataParallel(nn.Linear(1, 1, bias=False).double())
        for _ in range(3):
            x = mg.full((2, 1), 1.0 + distributed.rank(), dtype=np.float64)
            model(x).sum().backward()
        return model.module.weight.grad.item()

    assert threads_as_ranks.run(2, rank) == [9.0, 9.0]


def test_a_tape_gives_the_mean_of_all_ranks():
    def rank():
        model = DataParallel(nn.Linear(1, 1).double())
        with mg.GradientTape() as tape:
            y = model(mg.full((2, 1), 1.0 + distributed.rank(), dtype=np.float64)).sum()
        g = tape.gradient(y, model.module.weight)
        return g.item(), model.module.weight.grad

    assert threads_as_ranks.run(2, rank) == [(3.0, None)] * 2


def test_a_recorded_pass_is_refused():
    model = DataParallel(nn.Linear(1, 1))

    def rank():
        model = DataParallel(nn.Linear(1, 1))
        with pytest.raises(RuntimeError, match=r"create_graph=True.*all_reduce"):
            model(mg.ones((2, 1))).sum().backward(create_graph=True)

    threads_as_ranks.run(2, rank)
    model(mg.ones((2, 1))).sum().backward(create_graph=True)  # alone there is nothing to refuse


def test_other_models_are_none_of_its_business():
    def rank():
        model = DataParallel(nn.Linear(1, 1).double())
        other = nn.Linear(1, 1, bias=False).double()
        other(mg.full((1, 1), 1.0 + distributed.rank(), dtype=np.float64)).sum().backward()
        assert model.module.weight.grad is None
        return other.weight.grad.item()

    assert threads_as_ranks.run(2, rank) == [1.0, 2.0]


def test_a_model_that_was_called_past_the_wrapper_is_refused():
    def rank():
        model = DataParallel(nn.Linear(1, 1))
        with pytest.raises(RuntimeError, match="call the DataParallel itself"):
            model.module(mg.ones((2, 1))).sum().backward()
        model(mg.ones((2, 1))).sum().backward()
        return model.module.weight.grad.item()

    assert threads_as_ranks.run(2, rank) == [2.0, 2.0]


def test_a_model_in_evaluation_counts_its_samples_too():
    def rank():
        model = DataParallel(nn.Linear(1, 1).double()).eval()
        x = mg.full((1 + 2 * distributed.rank(), 1), 1.0 + distributed.rank(), np.float64)
        model(x).mean().backward()
        return model.module.weight.grad.item()

    assert threads_as_ranks.run(2, rank) == [1.75, 1.75]


def test_after_an_error_in_a_pass_no_message_is_taken_for_another():
    @mg.custom_gradient
    def broken(x):
        def vjp(g):
            raise ValueError("no such luck")

        return x * 1.0, vjp

    def rank():
        model = DataParallel(nn.Linear(1, 1))
        if distributed.rank() == 1:
            with pytest.raises(ValueError, match="no such luck"):
                broken(model(mg.ones((2, 1)))).sum().backward()
            for again in (model(mg.ones((2, 1))).sum().backward, model.skip):
                with pytest.raises(
                    RuntimeError, match="a backward pass of this rank has ended with an error"
                ):
                    again()
                other = mg.tensor([2.0], requires_grad=True)
                (other * other).sum().backward()  # of no concern to it
                assert other.grad.tolist() == [4.0]

    threads_as_ranks.run(2, rank)


@pytest.mark.parametrize("other", [40, 30])
def test_ranks_with_other_data_are_refused(other):
    def rank():
        x = np.zeros((36 if distributed.rank() == 0 else other, 2), np.float32)
        trainer = mg.Trainer(nn.Linear(2, 2))
        trainer._ranks = Together(data_parallel.world())
        with pytest.raises(
            ValueError, match=rf"rank 1 was given {other} samples in . batches, rank 0 36"
        ):
            trainer.fit(x, np.zeros(len(x), int), verbose=0)

    threads_as_ranks.run(2, rank)


def test_a_model_that_is_collected_during_a_pass_disturbs_no_other(monkeypatch):
    kept, reducers, told = {}, [], []

    class Reducer:
        def __init__(self, name):
            self.name = name

        def begin(self, leaves, *, accumulate, recorded):
            told.append(f"{self.name} begins")
            kept.pop("old", None)
            gc.collect()
            return leaves

        def ready(self, leaf, g):
            told.append(f"{self.name} gets {g.tolist()}")

        def finish(self, sums):
            told.append(f"{self.name} ends")

    def backward():
        told.clear()
        x = mg.tensor([2.0], requires_grad=True)
        (x * x * 3.0).sum().backward()
        return told

    for name in ("old", "new"):
        kept[name] = Reducer(name)
        reducers.append(weakref.ref(kept[name]))
    monkeypatch.setattr("minigrad.engine.tensor.REDUCERS", reducers)
    assert backward() == [
        "old begins", "new begins", "new gets [12.0]", "old ends", "new ends",
    ]  # fmt: skip
    assert backward() == ["new begins", "new gets [12.0]", "new ends"]


def test_a_collection_never_shortens_the_list_of_reducers():
    """While tuple() or list() copies a list, a collection may begin: it must leave the list alone."""

    def rank():
        reducers = data_parallel.REDUCERS
        model = DataParallel(nn.Linear(2, 1))
        model.__dict__["itself"] = model  # a circle, which only a collection finds
        assert [ref() for ref in reducers] == [model._exchange]
        del model
        gc.collect()
        assert [ref() for ref in reducers] == [None]
        other = DataParallel(nn.Linear(2, 1))
        assert [ref() for ref in reducers] == [other._exchange]

    threads_as_ranks.run(1, rank)  # one: a collection does nothing while another thread's runs


def test_recomputing_does_not_send_twice():
    def rank():
        model = DataParallel(nn.Linear(3, 3).double())
        x = mg.ones((2, 3), dtype=np.float64) * (1.0 + distributed.rank())
        mg.checkpoint(model, x).sum().backward()
        return model.module.weight.grad.numpy()

    first, second = threads_as_ranks.run(2, rank)
    assert (first == 3.0).all()
    assert (second == 3.0).all()


def test_running_statistics_are_averaged_and_constant_buffers_stay():
    def rank():
        model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1)).double()
        model[1].register_buffer("constant", mg.ones(3, dtype=np.float64))
        parallel = DataParallel(model)
        constant = model[1].constant._data
        parallel(mg.tensor(X[distributed.rank() :: 2, :2])).sum().backward()
        assert model[1].constant._data is constant
        return model[0].running_mean.numpy(), model[0].running_var.numpy()

    (mean, var), other = threads_as_ranks.run(2, rank)
    assert np.allclose(mean, 0.1 * X[:, :2].mean(0), atol=1e-14)
    weighted = [len(X[r::2]) / len(X) * X[r::2, :2].var(0, ddof=1) for r in (0, 1)]
    assert np.allclose(var, 0.9 + 0.1 * sum(weighted), atol=1e-14)
    assert (mean == other[0]).all()
    assert (var == other[1]).all()


DIFFERENT = {
    "shape": lambda: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)),
    "order": lambda: nn.Sequential(nn.ReLU(), nn.Linear(2, 3), nn.Linear(3, 1)),
    "number": lambda: nn.Sequential(nn.Linear(2, 3)),
    "dtype": lambda: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)).double(),
    "frozen": lambda: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1).requires_grad_(False)),
    "buffer": lambda: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1), nn.BatchNorm1d(1)),
}


@pytest.mark.parametrize("make", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_different_models_are_refused_on_all_ranks(make):
    def rank():
        model = (
            make() if distributed.rank() == 1 else nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        )
        with pytest.raises(RuntimeError, match=r"model of rank 1 differs.*rank 0 has .*'.*\d"):
            DataParallel(model)

    threads_as_ranks.run(3, rank)


def test_a_lazy_model_is_refused():
    with pytest.raises(ValueError, match=r"parameter '0.weight' is lazy: run one batch"):
        threads_as_ranks.run(2, lambda: DataParallel(nn.Sequential(nn.LazyLinear(2))))


def test_a_copy_trains_on_all_ranks_too():
    def rank():
        model = copy.deepcopy(DataParallel(nn.Linear(1, 1, bias=False).double()))
        model(mg.full((1, 1), 1.0 + distributed.rank(), dtype=np.float64)).sum().backward()
        return model.module.weight.grad.item()

    assert threads_as_ranks.run(2, rank) == [1.5, 1.5]


def test_half_precision_travels_as_float32():
    def rank():
        model = DataParallel(nn.Linear(1, 1, bias=False).to(np.float16))
        model(mg.ones((1, 1), dtype=np.float16)).sum().backward()
        return model.module.weight.grad.dtype, model.module.weight.grad.item()

    assert threads_as_ranks.run(2, rank) == [(np.float16, 1.0)] * 2


def test_buckets_hold_the_last_parameters_first_and_one_dtype_each():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4).double(), nn.Linear(4, 4))
    params = list(model.parameters())
    buckets = split(params, 100)
    assert sorted(id(p) for b in buckets for p in b.params) == sorted(map(id, params))
    assert buckets[0].params[0] is params[-1]
    assert all(len({p.dtype for p in b.params}) == 1 for b in buckets)
    assert all(len(b.params) == 1 or sum(p.nbytes for p in b.params) <= 100 for b in buckets)


# -- exchanges -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "expected"), [("sum", 6.0), ("mean", 2.0), ("max", 3.0), ("min", 1.0)]
)
def test_all_reduce(op, expected):
    def rank():
        mine = 1.0 + distributed.rank()
        array = np.array([mine, 0.0])
        results = (
            distributed.all_reduce(mg.tensor([mine]), op),
            distributed.all_reduce(array, op),
            distributed.all_reduce(mine, op),
            distributed.all_reduce(np.array([[int(mine)]]), op),
            distributed.all_reduce(np.full((2, 0), mine), op),
            distributed.all_reduce(np.asfortranarray(np.full((2, 3), mine)), op),
        )
        assert array[0] == mine  # what is given stays as it is
        return results

    for tensor, array, number, integers, empty, matrix in threads_as_ranks.run(3, rank):
        assert tensor.tolist() == [expected]
        assert tensor.dtype == np.float32
        assert isinstance(array, np.ndarray)
        assert array.tolist() == [expected, 0.0]
        assert number == expected
        assert integers.tolist() == [[expected]]
        assert empty.shape == (2, 0)
        assert (matrix == expected).all()


def test_the_gradient_of_a_sum_is_the_sum_of_the_gradients_to_second_order():
    def rank():
        factor = 1.0 + distributed.rank()
        x = mg.tensor([factor], requires_grad=True)
        with mg.GradientTape() as outer:
            with mg.GradientTape() as inner:
                y = (distributed.all_reduce(x) ** 3).sum() * factor
            first = inner.gradient(y, x)
        return first.item(), outer.gradient(first, x).item()

    # The sum of y over the ranks is 3 (x0 + x1)**3; that of its derivatives, 2 * 9 (x0 + x1)**2.
    assert threads_as_ranks.run(2, rank) == [(81.0, 108.0)] * 2


def test_all_reduce_refuses_to_lose_a_gradient():
    with pytest.raises(TypeError, match=r"'max' has no gradient; pass t.detach\(\)"):
        distributed.all_reduce(mg.tensor([1.0], requires_grad=True), "max")


def test_broadcast():
    def rank():
        mine = distributed.rank() * np.ones((2, 2), order="F")
        distributed.barrier()
        return distributed.broadcast(mine, root=1), distributed.broadcast(mg.tensor(mine.T), 2)

    for array, tensor in threads_as_ranks.run(3, rank):
        assert (array == 1).all()
        assert (tensor.numpy() == 2).all()


def test_alone_nothing_is_exchanged():
    x = mg.tensor([1.0], requires_grad=True)
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    assert distributed.all_reduce(x) is x
    assert distributed.broadcast(x) is x
    with pytest.raises(ValueError, match="there are 1 ranks, so root=1 is none"):
        distributed.broadcast(x, root=1)
    model = DataParallel(nn.Linear(2, 1))
    with model.no_sync():
        model(mg.ones((1, 2))).sum().backward()
    assert model.module.weight.grad.tolist() == [[1.0, 1.0]]


def test_under_mpiexec_without_mpi4py_it_says_what_to_install():
    program = (
        "import sys; sys.modules['mpi4py'] = None; sys.modules['mpi4py.MPI'] = None\n"
        "import minigrad as mg; mg.distributed.rank()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PMI_RANK": "0", "PMI_SIZE": "2"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode
    assert "needs mpi4py: pip install 'minigrad[mpi]'" in done.stderr


# -- samples ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("contiguous", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("count", "size"), [(10, 3), (2, 4), (12, 4), (0, 2), (7, 1)])
def test_every_sample_comes_once_an_epoch(count, size, shuffle, contiguous):
    ranks = [
        DistributedSampler(range(count), size, r, shuffle, contiguous=contiguous)
        for r in range(size)
    ]
    seen = []
    for epoch in (0, 1):
        for sampler in ranks:
            sampler.set_epoch(epoch)
        orders = [sampler.order().tolist() for sampler in ranks]
        assert sorted(np.concatenate(orders).astype(int).tolist()) == list(range(count))
        assert [len(order) for order in orders] == [len(sampler) for sampler in ranks]
        lengths = {len(order) for order in orders}
        assert (min(lengths), max(lengths)) == ranks[0].shared_lengths()
        seen.append(orders)
    assert (seen[0] != seen[1]) == (shuffle and count > 2)
    if contiguous:
        assert all(not o or max(o) - min(o) + 1 == len(o) for o in seen[0])


def test_the_batches_of_the_ranks_are_one_batch_of_a_process_alone():
    whole = DistributedSampler(range(26), 1, 0, seed=5).order()
    for start in range(0, 26, 12):
        parts = []
        for r in range(3):
            loader = DataLoader(
                np.arange(26), batch_size=4, sampler=DistributedSampler(range(26), 3, r, seed=5)
            )
            parts += list(loader)[start // 12][0].tolist()
        assert sorted(parts) == sorted(whole[start : start + 12].tolist())


class Squares:
    """A data set without ``take``."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return {"x": np.full(2, i), "y": float(i * i)}


@pytest.mark.parametrize("transform", [None, lambda x: x])
def test_all_ranks_get_the_same_number_of_batches(transform):
    for data in (ArrayDataset(np.arange(5.0), np.ones((5, 2))), Squares()):
        if transform is not None and isinstance(data, Squares):
            continue
        loaders = [
            DataLoader(data, 1, sampler=DistributedSampler(data, 4, r), transform=transform)
            for r in range(4)
        ]
        assert [len(loader) for loader in loaders] == [2] * 4
        last = [list(loader)[-1] for loader in loaders]
        lengths = [len(b["x"]) if isinstance(b, dict) else len(b[0]) for b in last]
        assert lengths == [1, 0, 0, 0]
        if not isinstance(data, Squares):
            assert last[1][1].shape == (0, 2)
    fewest = DistributedSampler(data, 4, 0, drop_last=True)
    assert len(DataLoader(data, 1, sampler=fewest)) == len(fewest) == 1
    kept = [
        DataLoader(data, 2, sampler=DistributedSampler(data, 4, r), drop_last=True) for r in (0, 1)
    ]
    assert [len(list(loader)) for loader in kept] == [0, 0]


def test_ranks_draw_other_numbers_for_their_transforms():
    drawn = []
    for r in range(2):
        sampler = DistributedSampler(range(4), 2, r)
        noise = lambda x: x + mg.rand(*x.shape).numpy()
        loader = DataLoader(np.zeros((4, 2)), 2, sampler=sampler, transform=noise, seed=0)
        drawn.append(next(iter(loader))[0].numpy())
    assert (drawn[0] != drawn[1]).all()


def test_a_rank_reads_its_own_part_of_a_file_alone(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(40.0).reshape(20, 2))

    class Read(ArrayDataset):
        rows = ()

        def take(self, indices):
            self.rows = {*self.rows, *indices.tolist()}
            return super().take(indices)

    for r in range(3):
        data = Read(np.load(path, mmap_mode="r"))
        assert isinstance(data.arrays[0], np.memmap)  # nothing was read into memory
        loader = DataLoader(data, 2, sampler=DistributedSampler(data, 3, r, contiguous=True))
        found = np.concatenate([x.numpy() for (x,) in loader])
        start, stop = [(0, 7), (7, 14), (14, 20)][r]
        assert data.rows == set(range(start, stop))
        assert sorted(found[:, 0]) == list(np.arange(2.0 * start, 2.0 * stop, 2.0))


def test_a_rank_out_of_range_is_refused():
    with pytest.raises(ValueError, match="rank must be below num_replicas=2, got 2"):
        DistributedSampler(range(3), 2, 2)
    with pytest.raises(TypeError, match="a data set with a length, got int"):
        DistributedSampler(3)


# -- batch statistics of all ranks -----------------------------------------------------------------


@pytest.mark.parametrize("shape", [(9, 3), (9, 3, 2), (9, 3, 2, 2)], ids=str)
def test_sync_batch_norm_trains_as_one_process_with_batch_norm(shape):
    x = np.random.default_rng(0).normal(2.0, 3.0, shape)
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d

    def make(layer):
        generator = np.random.default_rng(3)
        layer.weight.assign(generator.normal(size=3))
        layer.bias.assign(generator.normal(size=3))
        return layer

    def loss(y):
        return (y**2 * np.arange(1.0, 4.0).reshape(1, 3, *(1,) * (len(shape) - 2))).mean((0,)).sum()

    def steps(model, layer, take):
        optimizer = optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(3):
            given = mg.tensor(x[take], requires_grad=True)
            optimizer.zero_grad()
            loss(model(given * given)).backward()
            optimizer.step()
        return [
            t.numpy() for t in (layer.weight, layer.bias, layer.running_mean, layer.running_var)
        ]

    def rank():
        model = convert_sync_batchnorm(make(kind(3).double()))
        take = slice(0, 2) if distributed.rank() == 0 else slice(2, None)
        return steps(DataParallel(model), model, take)

    layer = make(kind(3).double())
    expected = steps(layer, layer, slice(None))
    for found in threads_as_ranks.run(2, rank):
        for ours, theirs in zip(found, expected):
            assert np.allclose(ours, theirs, rtol=1e-12, atol=1e-13)


def test_sync_batch_norm_has_a_second_derivative():
    x = np.random.default_rng(0).normal(size=(6, 2))

    def second(layer, given):
        with mg.GradientTape() as outer:
            outer.watch(given)
            with mg.GradientTape() as inner:
                inner.watch(given)
                y = (layer(given) ** 3).sum()
            g = inner.gradient(y, given)
            z = (g**2).sum()
        return outer.gradient(z, given).numpy()

    def rank():
        # Both ranks hold the same samples, so that each has half of the derivative by them.
        return second(SyncBatchNorm(2).double(), mg.tensor(x))

    def one():
        return second(nn.BatchNorm1d(2).double(), mg.tensor(np.concatenate([x, x])))[:6]

    for found in threads_as_ranks.run(2, rank):
        assert np.allclose(found, one(), rtol=1e-9, atol=1e-10)


def test_a_rank_without_samples_changes_no_statistics_and_no_gradients():
    def rank():
        model = nn.Sequential(SyncBatchNorm(2), nn.Linear(2, 1, bias=False)).double()
        model[1].weight.assign(np.ones((1, 2)))
        parallel = DataParallel(model)
        x = X[:6, :2] if distributed.rank() == 0 else X[:0, :2]
        y = (parallel(mg.tensor(x)) ** 3).sum()
        (y / mg.tensor(float(len(x)), dtype=np.float64) if len(x) else y * np.nan).backward()
        return model[1].weight.grad.numpy(), model[0].running_mean.numpy()

    def one():
        model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1, bias=False)).double()
        model[1].weight.assign(np.ones((1, 2)))
        (model(mg.tensor(X[:6, :2])) ** 3).mean().backward()
        return model[1].weight.grad.numpy(), model[0].running_mean.numpy()

    expected = one()
    for found in threads_as_ranks.run(2, rank):
        assert all(np.allclose(a, b, atol=1e-12) for a, b in zip(found, expected))


def test_one_value_per_channel_on_all_ranks_is_refused():
    def rank():
        samples = 1 if distributed.rank() == 0 else 0
        with pytest.raises(ValueError, match="more than one value per channel on all ranks"):
            SyncBatchNorm(2)(mg.ones((samples, 2)))

    threads_as_ranks.run(2, rank)


def test_converting_keeps_values_places_and_settings():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.BatchNorm2d(2, eps=0.5, momentum=None, affine=False)
            self.row = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, bias=False))
            self.several = [nn.BatchNorm1d(3)]
            self.named = {"a": nn.BatchNorm1d(3, track_running_stats=False)}
            self.twice = self.one

    model = Model()
    before = {name: t.numpy() for name, t in model.state_dict().items()}
    weight = model.row[1].weight
    found = convert_sync_batchnorm(model)
    assert found is model
    layers = [model.one, model.row[1], model.several[0], model.named["a"]]
    assert all(type(layer) is SyncBatchNorm for layer in layers)
    assert (model.one.eps, model.one.momentum, model.one.affine) == (0.5, None, False)
    assert model.row[1].weight is weight
    after = model.state_dict()
    assert list(after) == list(before)
    assert all((after[name].numpy() == value).all() for name, value in before.items())
    assert model.twice is model.one


def test_another_seed_gives_other_numbers_in_each_step():
    drawn = []
    for seed in range(3):
        mg.manual_seed(seed)
        ranks = Together(SimpleNamespace(rank=0, size=2))
        drawn += [mg.rand(1).item() for _ in ranks.steps(["batch"], 0, 0, {})]
    assert len(set(drawn)) == 3


def test_no_two_steps_of_any_rank_or_epoch_draw_the_same_numbers():
    # Nothing else draws from the generator between these epochs, as with shuffle=False.
    drawn = []
    before = default_generator().bit_generator.state
    for rank in range(2):
        ranks = Together(SimpleNamespace(rank=rank, size=2))
        for epoch in range(3):
            drawn += [mg.rand(1).item() for _ in ranks.steps(["one", "two"], 0, epoch, {})]
    assert len(set(drawn)) == len(drawn) == 12
    assert default_generator().bit_generator.state == before


# -- the Trainer of several ranks ------------------------------------------------------------------


class Batches:
    """Batches of the user's own, of which each rank takes its rows."""

    def __init__(self, x, y, size):
        self.parts = [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]

    def __len__(self):
        return len(self.parts)

    def __iter__(self):
        return iter(self.parts)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("kind", ["arrays", "loader", "batches"])
def test_trainers_of_several_ranks_go_the_way_of_one(tmp_path, kind, accumulate):
    """Also where the last batch leaves a rank without a sample, and from a checkpoint on."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(17, 3)), rng.integers(3, size=17)
    start = rng.normal(size=(3, 3))

    def train(ranks=None, path=tmp_path / "alone"):
        def trainer():
            model = nn.Linear(3, 3, bias=False, dtype=np.float64)
            model.weight.assign(start if ranks is None or ranks.first else 0 * start)
            made = mg.Trainer(model, optim.SGD(lr=0.5, momentum=0.9), accumulate=accumulate)
            made._ranks = ranks or made._ranks
            return made

        def fit(made, epochs):
            if kind == "arrays":
                data = {"x": x, "y": y, "batch_size": 4, "shuffle": False}
            elif kind == "loader":
                data = {"x": DataLoader(ArrayDataset(x, y), 4)}
            else:
                data = {"x": Batches(x, y, 4)}
            made.fit(**data, validation_data=(x, y), epochs=epochs, verbose=0, callbacks=[saved])

        def save(batch):
            if (len(made.history), batch) == (1, 2):
                made.save_checkpoint(path)

        made = trainer()
        saved = mg.callbacks.LambdaCallback(on_batch_end=save)
        fit(made, 2)
        again = trainer()
        again.load_checkpoint(path)
        saved = mg.callbacks.LambdaCallback()
        fit(again, 3)
        return again.model.weight.numpy(), again.history.history

    expected, history = train()

    def rank():
        return train(Together(data_parallel.world()), tmp_path / "two")

    for found, told in threads_as_ranks.run(3, rank):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert told.keys() == history.keys()
        for name, values in history.items():
            np.testing.assert_allclose(told[name], values, rtol=1e-12)


@pytest.mark.parametrize(
    ("accumulate", "weighs", "ends_on_nan"),
    [
        (1, (), False),
        (2, (), False),
        (1, ("class_weight",), True),
        (2, ("sample_weight",), True),
    ],
)
def test_statistics_of_a_batch_are_those_of_all_ranks_that_have_samples(
    accumulate, weighs, ends_on_nan
):
    """Whatever else the ranks ask each other in a step for which one of them has no sample."""
    rng = np.random.default_rng(0)
    x, y, start = rng.normal(size=(17, 3)), rng.integers(3, size=17), rng.normal(size=(3, 3))
    all_weights = {"sample_weight": rng.uniform(size=17), "class_weight": {0: 0.5, 2: 3.0}}

    def train(ranks=None):
        linear = nn.Linear(3, 3, dtype=np.float64)
        linear.weight.assign(start)
        linear.bias.assign(start[0])
        model = nn.Sequential(nn.BatchNorm1d(3, dtype=np.float64), linear)
        model = model if ranks is None else convert_sync_batchnorm(model)
        made = mg.Trainer(model, optim.SGD(lr=0.5, momentum=0.9), accumulate=accumulate)
        made._ranks = ranks or made._ranks
        ends = [mg.callbacks.TerminateOnNaN()] if ends_on_nan else []
        weights = {name: all_weights[name] for name in weighs}
        data = {"x": x, "y": y, "batch_size": 5, "shuffle": False}  # 2 in the last batch
        made.fit(**data, **weights, verbose=0, callbacks=ends)
        state = made.model.state_dict()
        del state["0.num_batches_tracked"]  # by each rank: of the batches in which it has samples
        return state, made.history.history

    def rank():
        return train(Together(data_parallel.world()))

    expected, history = train()
    for found, told in threads_as_ranks.run(3, rank):
        np.testing.assert_allclose(told["loss"], history["loss"], rtol=1e-10)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name].numpy(), value.numpy(), rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_batches_have_their_numbers_also_where_a_rank_has_no_sample(accumulate):
    x, y = np.random.default_rng(0).normal(size=(11, 3)), np.arange(11) % 3
    cuts = [0, 1, 5, 6, 8, 11]  # 1, 4, 1, 2 and 3 samples

    class Ragged(Batches):
        def __init__(self):
            self.parts = [(x[a:b], y[a:b]) for a, b in itertools.pairwise(cuts)]

    def train(ranks=None):
        model = nn.Linear(3, 3, dtype=np.float64)
        model.weight.assign(np.eye(3))
        model.bias.assign(np.zeros(3))
        made, seen = mg.Trainer(model, optim.SGD(lr=0.5), accumulate=accumulate), []
        made._ranks = ranks or made._ranks
        note = mg.callbacks.LambdaCallback(on_batch_end=lambda n: seen.append((n, made.stepped)))
        made.fit(Ragged(), epochs=2, verbose=0, callbacks=note)
        return seen, model.weight.numpy()

    seen, expected = train()
    assert [number for number, _ in seen] == [*range(5)] * 2
    for told, weight in threads_as_ranks.run(3, lambda: train(Together(data_parallel.world()))):
        assert told == seen
        np.testing.assert_allclose(weight, expected, rtol=1e-12, atol=1e-14)


def test_any_batches_are_shared_row_by_row():
    """As a loader's are: of each array every third row, whatever else a batch holds."""
    x, y = np.arange(14).reshape(7, 2), mg.tensor(np.arange(7))
    batch = [{"x": x, "y": y}, (x, "text", np.array(3), None)]
    for rank in range(3):
        ours = object.__new__(Together)
        ours._world = SimpleNamespace(rank=rank, size=3)
        ((first, (again, *rest)),) = ours.batches([batch])
        np.testing.assert_array_equal(first["x"], x[rank::3])
        np.testing.assert_array_equal(again, x[rank::3])
        assert first["y"].tolist() == [*range(rank, 7, 3)]
        assert [rest[0], rest[1].item(), rest[2]] == ["text", 3, None]
        loader = DataLoader(ArrayDataset(x), 7)
        loader._share = (rank, 3)
        ((found,),) = ours.batches(loader)
        np.testing.assert_array_equal(found.numpy(), x[rank::3])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("what", [r"the loss \(inf\)", "the gradient"])
def test_what_is_not_finite_on_one_rank_ends_all_of_them(what, ends, capsys):
    x = np.ones((12, 1))
    x[5] = 1e200 if "loss" in what else 0.0  # rank 1 gets it, in the third of six steps

    def loss(output, target):
        return (output**2 if "loss" in what else np.sqrt(abs(output))).mean()

    def rank():
        model = nn.Linear(1, 1, bias=False, dtype=np.float64)
        model.weight.assign(np.ones((1, 1)))
        made = mg.Trainer(model, optim.SGD(lr=1e-3), loss)
        made._ranks = Together(data_parallel.world())
        steps = []
        callbacks = [mg.callbacks.LambdaCallback(on_batch_end=steps.append)]
        callbacks += [mg.callbacks.TerminateOnNaN()] * ends
        made.fit(x, x, batch_size=2, epochs=3, shuffle=False, verbose=2, callbacks=callbacks)
        return steps, made.stop_training, np.isfinite(model.weight.numpy()).all()

    told = f"{what} is not finite in epoch 1, step 3, with the batch x float64"
    if not ends:
        with pytest.raises(FloatingPointError, match=told):
            threads_as_ranks.run(2, rank)
        return
    assert threads_as_ranks.run(2, rank) == [([0, 1], True, True)] * 2
    assert len(re.findall(f"Training ended: {told}", capsys.readouterr().out)) == 1
