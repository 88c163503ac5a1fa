"""Data sets, loaders, splits and transforms: nothing lost, nothing twice, everything repeatable."""

import pickle
import threading
import tracemalloc

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import (
    ArrayDataset,
    ColorJitter,
    Compose,
    DataLoader,
    MixUp,
    Normalize,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomSampler,
    Sampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
    random_split,
    train_test_split,
    transforms,
)
from minigrad.engine.tensor import plain


def values(loader):
    return [x.tolist() for (x,) in loader]


def flat(batches):
    return [value for batch in batches for value in batch]


# -- loaders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [0, 1, 3])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("count", [0, 1, 4, 7, 8])
def test_each_sample_comes_once_in_the_right_batches(count, drop_last, prefetch):
    loader = DataLoader(
        ArrayDataset(np.arange(count)), batch_size=4, drop_last=drop_last, prefetch=prefetch
    )
    batches = values(loader)
    assert len(batches) == len(loader)
    kept = count // 4 * 4 if drop_last else count
    assert flat(batches) == list(range(kept))
    assert all(len(b) == 4 for b in batches[:-1])


def test_batches_are_constant_tensors_of_their_own():
    x, y = np.zeros((4, 2), np.float32), np.zeros(4, np.int32)
    ((x_batch, y_batch),) = DataLoader(ArrayDataset(x, y), batch_size=4)
    x += 1
    assert isinstance(x_batch, mg.Tensor)
    assert not x_batch.requires_grad
    assert (x_batch.dtype, y_batch.dtype) == (np.float32, np.int32)
    assert not x_batch.numpy().any()


def test_shuffling_repeats_with_its_seed_and_changes_from_epoch_to_epoch():
    data = ArrayDataset(np.arange(100))
    a, b = (DataLoader(data, 10, shuffle=True, seed=3) for _ in range(2))
    first, second = values(a), values(a)
    assert sorted(flat(first)) == list(range(100))
    assert first != second
    assert [values(b), values(b)] == [first, second]
    assert values(DataLoader(data, 10, shuffle=True, seed=4)) != first


class Drawing:
    """A data set whose samples are random numbers."""

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return mg.rand(1).item()


def test_a_seed_stands_for_these_numbers():
    """The numbers of a run that was published, or interrupted, must come again."""
    drawn = np.random.default_rng(5)
    loader = DataLoader(np.arange(30), 4, shuffle=True, seed=5)
    for _ in range(2):
        order = np.arange(30)
        np.random.default_rng(drawn.integers(2**63)).shuffle(order)
        assert flat(values(loader)) == order.tolist()
    epoch = int(np.random.default_rng(5).integers(2**63))
    order = np.random.default_rng(epoch).permutation(30)[:9].tolist()
    sampler = RandomSampler(range(30), num_samples=9)
    assert flat(values(DataLoader(np.arange(30), 4, sampler=sampler, seed=5))) == order
    # What a data set, or a transform, draws: from a generator for each batch.
    expected = []
    for number, size in enumerate((3, 3, 1)):
        generator = np.random.default_rng([epoch, number])
        expected.append(generator.random(size).tolist())
    found = [x.tolist() for x in DataLoader(Drawing(), 3, seed=5)]
    np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 5, 8, 9])
@pytest.mark.parametrize("sampled", [False, True])
def test_the_shares_of_each_batch_make_the_batch(count, sampled):
    """As processes share an epoch: also those that have no sample of a batch take part in it."""
    x, y = np.arange(3.0 * count).reshape(count, 3), np.arange(count)
    sampler = range(count - 1, -1, -1) if sampled else None

    def batches(which, of, **settings):
        loader = DataLoader(ArrayDataset(x, y), 4, sampler=sampler, seed=1, **settings)
        loader._share = (which, of)
        return [[part.numpy() for part in batch] for batch in loader]

    whole, shares = batches(0, 1), [batches(i, 3) for i in range(3)]
    assert [len(share) for share in shares] == [len(whole)] * 3 == [-(-count // 4)] * 3
    for number, batch in enumerate(whole):
        for part, array in enumerate(batch):
            together = np.concatenate([share[number][part] for share in shares])
            assert together.dtype == array.dtype
            assert sorted(together.tolist()) == sorted(array.tolist())
            for which in range(3):
                np.testing.assert_array_equal(shares[which][number][part], array[which::3])
    # What a transform draws differs from share to share; the first one's is that of one process.
    drawn = [batches(i, 3, transform=lambda a: a + mg.rand(1).numpy()) for i in (0, 1)]
    if count:
        assert drawn[1][0][0].shape == shares[1][0][0].shape
        if count > 1:
            assert (drawn[0][0][0] - shares[0][0][0]).max() != (
                drawn[1][0][0] - shares[1][0][0]
            ).max()


def test_the_default_order_comes_from_manual_seed():
    loader = DataLoader(np.arange(50), 5, shuffle=True)
    orders = []
    for seed in (1, 1, 2):
        mg.manual_seed(seed)
        orders.append(values(loader))
    assert orders[0] == orders[1] != orders[2]


def test_a_loader_in_order_draws_no_random_numbers():
    mg.manual_seed(0)
    expected = mg.rand(1).item()
    mg.manual_seed(0)
    values(DataLoader(np.arange(5)))
    assert mg.rand(1).item() == expected


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("stop", [0, 1, 3, 5])
def test_a_loader_resumes_with_the_next_batch(stop, prefetch):
    images = np.random.default_rng(0).random((23, 1, 6, 6)).astype(np.float32)

    def make():
        transform = Compose([RandomCrop(6, padding=2), RandomHorizontalFlip()])
        return DataLoader(images, 5, shuffle=True, seed=9, transform=transform, prefetch=prefetch)

    whole = make()
    batches = [x.numpy() for _ in range(3) for (x,) in whole]
    loader = make()
    done = [x.numpy() for (x,) in loader]
    running = iter(loader)
    done += [next(running)[0].numpy() for _ in range(stop)]
    if stop == 5:
        assert next(running, None) is None
    other = make()
    other.load_state_dict(loader.state_dict())
    del running
    if 0 < stop < 5:
        done += [x.numpy() for (x,) in other]
    while len(done) < len(batches):
        done += [x.numpy() for (x,) in other]
    np.testing.assert_array_equal(np.concatenate(done), np.concatenate(batches))


def test_the_middle_of_other_data_is_refused():
    loader = DataLoader(np.arange(10), 2, shuffle=True, seed=0)
    next(iter(loader))
    with pytest.raises(ValueError, match="10 samples in batches of 2; this loader has 12 in "):
        DataLoader(np.arange(12), 2).load_state_dict(loader.state_dict())


class Squares:
    """A data set without arrays."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        if not 0 <= index < 5:
            raise IndexError(index)
        return {"x": np.full(2, float(index)), "y": (index**2, f"no. {index}")}


def test_samples_of_any_nesting_are_stacked():
    last = list(DataLoader(Squares(), 2))[1]
    np.testing.assert_array_equal(last["x"].numpy(), [[2, 2], [3, 3]])
    assert last["x"].dtype == np.float64
    y, names = last["y"]
    assert y.tolist() == [4, 9]
    assert y.dtype == np.int64
    assert names == ["no. 2", "no. 3"]


def test_subsets_of_any_dataset_can_be_loaded():
    part = random_split(ArrayDataset(np.arange(10), np.arange(10) * 2), [3, 7], seed=0)[1]
    (batch,) = DataLoader(part, 10)
    np.testing.assert_array_equal(batch[0].numpy() * 2, batch[1].numpy())
    assert sorted(batch[0].tolist()) == sorted(part[i][0] for i in range(7))
    (part,) = random_split([(i, -i) for i in range(4)], [4], seed=0)
    (batch,) = DataLoader(part, 10)
    assert (batch[0] + batch[1]).tolist() == [0] * 4


def test_collate_makes_batches_of_ragged_samples():
    data = [np.ones(n) for n in (1, 3, 2)]
    with pytest.raises(ValueError, match=r"one shape, got \(1,\) and \(2,\) and \(3,\); pass coll"):
        list(DataLoader(data, 3))

    def padded(samples):
        return np.stack([np.pad(s, (0, 3 - len(s))) for s in samples]), len(samples)

    ((x, count),) = DataLoader(data, 3, collate_fn=padded)
    assert isinstance(x, mg.Tensor)
    assert x.numpy().sum(axis=1).tolist() == [1, 3, 2]
    assert count == 3


def test_a_transform_that_takes_targets_gets_the_last_part():
    class Swap:
        takes_targets = True

        def __call__(self, images):
            raise NotImplementedError

        def mix(self, images, targets, generator):
            return images + 1, -targets

    data = ArrayDataset(np.zeros((3, 2)), np.arange(3), np.arange(1, 4))
    ((x, between, y),) = DataLoader(data, 3, transform=Swap())
    assert (x.tolist(), between.tolist(), y.tolist()) == ([[1, 1]] * 3, [0, 1, 2], [-1, -2, -3])


def test_transform_changes_samples_that_are_arrays_alone():
    images = [np.full((1, 2, 2), i, np.float32) for i in range(3)]
    found = list(DataLoader(images, 2, transform=lambda x: x + 10))
    assert [batch.numpy().mean(axis=(1, 2, 3)).tolist() for batch in found] == [[10, 11], [12]]


def test_transform_changes_the_first_array_only():
    x, y = np.ones((3, 2)), np.ones(3)
    ((a, b),) = DataLoader(ArrayDataset(x, y), 3, transform=lambda x: x * 2)
    assert a.numpy().sum() == 12
    assert b.numpy().sum() == 3


@pytest.mark.parametrize("kind", [tuple, list])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_transform_keeps_the_kind_of_a_batch(kind, parts):
    samples = [kind(np.full(2, float(10 * i + part)) for part in range(parts)) for i in range(3)]
    (found,) = DataLoader(samples, 3, transform=lambda x: x + 100)
    assert type(found) is kind
    for part, batch in enumerate(found):
        first = part + 100 * (part == 0)
        assert batch.numpy()[:, 0].tolist() == [first, first + 10, first + 20]


class Fails:
    def __len__(self):
        return 100

    def __getitem__(self, index):
        if index == 7:
            raise ZeroDivisionError("sample 7")
        return index


def prefetching():
    return [t for t in threading.enumerate() if t.name == "minigrad-prefetch"]


@pytest.mark.parametrize("prefetch", [1, 4])
def test_an_error_while_prefetching_comes_at_its_batch_and_ends_the_thread(prefetch):
    batches = iter(DataLoader(Fails(), 2, prefetch=prefetch))
    assert [next(batches).tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    assert all(thread.daemon for thread in prefetching())  # none holds up the end of a program
    with pytest.raises(ZeroDivisionError, match="sample 7"):
        next(batches)
    assert not prefetching()


@pytest.mark.parametrize("prefetch", [1, 4])
def test_stopping_early_leaves_no_thread(prefetch):
    for (batch,) in DataLoader(np.arange(1000), 2, prefetch=prefetch):
        if batch.tolist() == [4, 5]:
            break
    del batch
    assert not prefetching()
    unused = iter(DataLoader(np.arange(1000), 2, prefetch=prefetch))
    del unused
    assert not prefetching()


def test_bad_arguments_are_told():
    with pytest.raises(ValueError, match="one length, got 3 and 4"):
        ArrayDataset(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="at least one array"):
        ArrayDataset()
    with pytest.raises(ValueError, match="single number"):
        ArrayDataset(3.0)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        DataLoader(np.zeros(3), 0)
    with pytest.raises(ValueError, match="prefetch must be 0 or more, got -1"):
        DataLoader(np.zeros(3), prefetch=-1)
    with pytest.raises(ValueError, match="not both"):
        DataLoader(np.zeros(3), seed=0, generator=np.random.default_rng(0))
    with pytest.raises(TypeError, match="got generator"):
        DataLoader(i for i in range(3))


@pytest.mark.parametrize(
    ("samples", "dtype"),
    [
        ([0.5, 1.5], np.float32),
        ([1, 2], np.int64),
        ([True, False], bool),
        ([np.float64(0.5), np.float64(1.5)], np.float64),
        ([np.int8(1), np.int8(2)], np.int8),
        ([np.zeros(2), np.ones(2)], np.float64),
        ([mg.zeros(2), mg.ones(2)], np.float32),
        ([mg.tensor(np.zeros(2)), mg.tensor(np.ones(2))], np.float64),
    ],
)
def test_samples_of_each_kind_keep_their_dtype(samples, dtype):
    for made in (default_collate(samples), default_collate([(s, "a") for s in samples])[0]):
        assert (type(made), made.dtype) == (np.ndarray, dtype)
        assert made.tolist() == [np.asarray(plain(s)).tolist() for s in samples]
    with pytest.raises(ValueError, match="samples of one batch must have one shape"):
        default_collate([samples[0], np.zeros(3)])
    with pytest.raises(ValueError, match="got none"):
        default_collate(samples[:0])


def test_masked_samples_are_refused():
    with pytest.raises((TypeError, ValueError), match="mask"):
        default_collate([np.ma.masked_array([1.0, 2.0], [True, False])] * 2)


def test_indices_are_integers_in_range():
    data = ArrayDataset(np.arange(0, 50, 10), np.arange(5))
    part = Subset(data, [4, 0, 2])
    for rows, of, name in (
        (data, [0, 10, 20, 30, 40], "ArrayDataset"),
        (part, [40, 0, 20], "Subset"),
    ):
        count = len(of)
        for indices in ([1, 0], np.array([2, -1], np.int8), np.array([-count, count - 1]), []):
            expected = [of[i] for i in indices]
            assert rows.take(np.asarray(indices, int))[0].tolist() == expected
            assert rows.take(indices)[0].tolist() == expected
        for wrong in ([0.5], np.array([1.0]), [[0]], [True]):
            with pytest.raises(TypeError, match=rf"{name}.take: indices must be integers \(n,\)"):
                rows.take(wrong)
        for wrong in ([0, count], [-count - 1]):
            with pytest.raises(IndexError, match=f"{name}.take: indices go up to {count - 1}, got"):
                rows.take(np.array(wrong, np.int32))
    assert len(Subset(data, [])) == len(Subset(data, np.zeros(0))) == 0


@pytest.mark.parametrize("size", [1, 8, 9])
def test_an_error_names_up_to_eight_samples(size):
    class Broken:
        def __len__(self):
            return size

        def __getitem__(self, i):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        next(iter(DataLoader(Broken(), size)))
    named = ", ".join(map(str, range(min(size, 8)))) + ", ..." * (size > 8)
    assert caught.value.__notes__ == [
        "DataLoader: while reading sample 0",
        f"DataLoader: in batch 0, of the samples {named}",
    ]


def test_the_position_is_that_of_the_epoch():
    loader = DataLoader(np.arange(5), 2, seed=0, shuffle=True)
    assert (loader.state_dict()["position"], loader.state_dict()["epoch_seed"]) == (0, None)
    positions = [loader.state_dict()["position"] for _ in loader]
    assert positions == [1, 2, 3]
    assert (loader.state_dict()["position"], loader.state_dict()["epoch_seed"]) == (0, None)
    later = DataLoader(np.arange(5), 2, seed=0, shuffle=True)
    later.load_state_dict(loader.state_dict())
    assert len(list(later)) == 3  # a whole epoch: nothing was under way


def test_a_memory_map_is_never_read_whole(tmp_path, monkeypatch):
    rows = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (40_000, 100))
    rows[::7] = np.arange(100) / 100
    rows.flush()
    labels = (np.arange(40_000) % 7 == 0).astype(np.int64)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    looked_at = []
    monkeypatch.setattr(
        "minigrad.training.checks.check_finite", lambda array, _: looked_at.append(array.shape)
    )
    loader = DataLoader(ArrayDataset(x, labels), 500, shuffle=True, seed=0)
    model = mg.nn.Linear(100, 2)
    tracemalloc.start()
    part = DataLoader(random_split(ArrayDataset(x), [100, 39_900], seed=0)[0], 100)
    ((some,),) = part
    for source in ((loader,), (x, labels)):
        trainer = mg.Trainer(model)
        trainer.fit(*source, batch_size=500, verbose=0)
    assert tracemalloc.get_traced_memory()[1] < x.nbytes / 4
    tracemalloc.stop()
    assert trainer.score(x, labels) == 1.0
    assert max(shape[0] for shape in looked_at) == 500
    assert type(some._data) is np.ndarray
    assert some.shape == (100, 100)


def test_a_memory_map_is_pickled_as_its_file(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6000.0).reshape(1000, 6))
    np.save(tmp_path / "f.npy", np.asfortranarray(np.arange(6000).reshape(1000, 6)))
    x, f = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xf")
    data = ArrayDataset(x, f)
    content = pickle.dumps(data)
    assert len(content) < 2000
    again = pickle.loads(content)
    assert type(again.arrays[0]) is np.memmap
    for a, b in zip(data.arrays, again.arrays, strict=True):
        np.testing.assert_array_equal(a, b)
    part = ArrayDataset(x[500:], np.arange(500))  # a part is pickled with its rows
    for a, b in zip(part.arrays, pickle.loads(pickle.dumps(part)).arrays, strict=True):
        np.testing.assert_array_equal(a, b)


# -- samplers --------------------------------------------------------------------------------------


def test_random_samplers_draw_what_they_say():
    generator = np.random.default_rng(0)
    assert sorted(RandomSampler(range(9)).order(generator)) == list(range(9))
    few = RandomSampler(range(9), num_samples=5).order(generator)
    assert len(set(few.tolist())) == 5
    many = RandomSampler(range(9), replacement=True, num_samples=900).order(generator)
    assert np.bincount(many).min() > 60
    assert len(np.bincount(many)) == 9
    assert sorted(SubsetRandomSampler([7, 3, 3]).order(generator)) == [3, 3, 7]


def test_weights_are_frequencies():
    weights = np.array([0.0, 1.0, 3.0])
    order = WeightedRandomSampler(weights, 8000).order(np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(order, minlength=3) / 8000, weights / 4, atol=0.02)
    once = WeightedRandomSampler(mg.tensor([2.0, 0.0, 1.0]), 2, replacement=False)
    assert sorted(once) == [0, 2]


@pytest.mark.parametrize(
    "sampler",
    [
        RandomSampler(range(23), num_samples=17),
        SubsetRandomSampler(range(3, 20)),
        WeightedRandomSampler(np.arange(23.0), 17),
        range(22, 5, -1),
        np.arange(17),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_an_epoch_of_a_sampler_repeats_and_resumes(sampler):
    def make():
        return DataLoader(np.arange(23), 5, sampler=sampler, seed=4)

    a, b = make(), make()
    assert len(a) == 4
    epochs = [values(a), values(a)]
    assert [values(b), values(b)] == epochs
    assert [len(flat(epoch)) for epoch in epochs] == [17, 17]
    assert (epochs[0] != epochs[1]) == isinstance(sampler, Sampler)
    loader, other = make(), make()
    running = iter(loader)
    next(running), next(running)
    other.load_state_dict(loader.state_dict())
    assert values(other) == epochs[0][2:]
    # A look at the first samples takes them from the sampler.
    assert set(make().peek()[0].tolist()) <= set(flat(epochs[0] + epochs[1]) + list(range(3, 23)))
    assert set(DataLoader(np.arange(23), 9, sampler=[5, 6]).peek()[0].tolist()) == {5, 6}


def test_impossible_samplers_are_told():
    class Short(Sampler):
        def __len__(self):
            return 3

        def draw(self, generator):
            return [0, 1]

    data = np.arange(4)
    for sampler, error, text in [
        (Short(), ValueError, "DataLoader: Short has length 3 and gave 2 indices"),
        ([0, 4], IndexError, "DataLoader: list: indices go up to 3, got 0 to 4"),
        ([0.5], TypeError, "sampler must be a Sampler or a collection of which each"),
    ]:
        with pytest.raises(error, match=text):
            list(DataLoader(data, sampler=sampler))
    with pytest.raises(ValueError, match="give shuffle or a sampler, not both"):
        DataLoader(data, shuffle=True, sampler=[0])
    with pytest.raises(ValueError, match="num_samples=5 cannot be drawn from 4 samples; pass repl"):
        RandomSampler(data, num_samples=5)
    with pytest.raises(ValueError, match=r"drawn from 0 samples$"):
        RandomSampler([], replacement=True, num_samples=1)
    with pytest.raises(ValueError, match="num_samples=2 cannot be drawn from 1 samples of a weigh"):
        WeightedRandomSampler([0.0, 1.0], 2, replacement=False)
    for weights in ([0.0], [-1.0, 2.0], [np.nan, 1.0], []):
        with pytest.raises(ValueError, match="weights must be finite and not negative"):
            WeightedRandomSampler(weights, 1)


# -- splits ----------------------------------------------------------------------------------------


def test_random_split_gives_each_sample_to_one_part():
    data = ArrayDataset(np.arange(11))
    for lengths, sizes in [
        ([4, 7], [4, 7]),
        ([0, 11], [0, 11]),
        ([0.0, 1.0], [0, 11]),
        ([0.5, 0.3, 0.2], [6, 3, 2]),
    ]:
        parts = random_split(data, lengths, seed=0)
        assert [len(p) for p in parts] == sizes
        assert sorted(int(p[i][0]) for p in parts for i in range(len(p))) == list(range(11))
    for lengths in ([5, 5], [0.5, 0.4], [-1, 12]):
        with pytest.raises(ValueError, match="random_split"):
            random_split(data, lengths)


def test_train_test_split_keeps_rows_together_and_repeats():
    x = np.arange(40).reshape(20, 2)
    y = x[:, 0] * 10
    first = train_test_split(x, y, test_size=0.3, seed=1)
    x_train, x_test, y_train, y_test = first
    assert (len(x_train), len(x_test)) == (14, 6)
    np.testing.assert_array_equal(x_train[:, 0] * 10, y_train)
    np.testing.assert_array_equal(x_test[:, 0] * 10, y_test)
    assert set(y_train) | set(y_test) == set(y)
    for a, b in zip(first, train_test_split(x, y, test_size=0.3, seed=1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert train_test_split(x, test_size=5)[1].shape == (5, 2)


@pytest.mark.parametrize("test_size", [0.2, 0.33, 7, 50])
def test_stratified_parts_have_every_label_in_proportion(test_size):
    labels = np.repeat([0, 5, 9], [60, 30, 11])
    mixed = np.random.default_rng(0).permutation(labels)
    y_train, y_test = train_test_split(mixed, test_size=test_size, stratify=mixed, seed=2)
    wanted = test_size if isinstance(test_size, int) else int(np.ceil(test_size * 101))
    assert len(y_test) == wanted
    for label, count in ((0, 60), (5, 30), (9, 11)):
        assert abs((y_test == label).sum() - wanted * count / 101) < 1
        assert (y_test == label).sum() + (y_train == label).sum() == count


def test_a_part_may_be_one_sample():
    for size in (1, 2):
        train, test = train_test_split(np.arange(3), test_size=size)
        assert (len(train), len(test)) == (3 - size, size)


def test_a_data_set_has_a_length_and_samples():
    class Counted:
        def __len__(self):
            return 3

    class Endless:
        def __getitem__(self, i):
            return i

    for wrong in (Counted(), Endless(), 3):
        with pytest.raises(
            TypeError, match=r"Subset: a data set needs a length and samples by ind"
        ):
            Subset(wrong, [0])
    with pytest.raises(TypeError, match=r"got its class; write Counted\(\.\.\.\)"):
        Subset(Counted, [0])


@pytest.mark.parametrize(
    ("counts", "wanted", "expected"),
    [((13, 7), 3, [2, 1]), ((7, 13), 3, [1, 2]), ((7, 3), 3, [2, 1]), ((5, 3, 2), 3, [1, 1, 1])],
)
def test_the_label_that_rounding_cut_most_gets_what_is_left(counts, wanted, expected):
    labels = np.repeat(np.arange(len(counts)), counts)
    _, test = train_test_split(labels, test_size=wanted, stratify=labels, seed=0)
    assert np.bincount(test, minlength=len(counts)).tolist() == expected


def test_impossible_splits_are_told():
    for test_size in (0.0, 1.0, 0, 10):
        with pytest.raises(ValueError, match="both parts need at least one"):
            train_test_split(np.zeros(10), test_size=test_size)
    with pytest.raises(ValueError, match=r"each of the 10 samples, got shape \(3,\)"):
        train_test_split(np.zeros(10), stratify=[1, 2, 3])


# -- transforms ------------------------------------------------------------------------------------


def test_normalize_per_channel():
    images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    found = Normalize([0.0, 1.0, 2.0], [1.0, 2.0, 4.0])(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 2], (images[:, 2] - 2.0) / 4.0)
    assert Normalize(0.0, 1.0)(images.astype(np.float64)).dtype == np.float64
    with pytest.raises(ValueError, match="expected 1 or 3 values of mean"):
        Normalize([0.0, 1.0], 1.0)(images)
    with pytest.raises(ValueError, match="must be positive"):
        Normalize(0.0, 0.0)
    with pytest.raises(ValueError, match=r"add the channels with x\[:, None\]"):
        Normalize(0.0, 1.0)(images[0, 0])


def test_crops_are_windows_of_the_padded_image_and_differ_between_images():
    images = np.arange(1, 1 + 300 * 2 * 5 * 4).reshape(300, 2, 5, 4)
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    crops = RandomCrop((4, 3), padding=1)(images, np.random.default_rng(0))
    assert crops.shape == (300, 2, 4, 3)
    corners = set()
    for crop, image in zip(crops, padded, strict=True):
        found = [
            (i, j)
            for i in range(4)
            for j in range(4)
            if np.array_equal(image[:, i : i + 4, j : j + 3], crop)
        ]
        assert len(found) == 1
        corners.update(found)
    assert corners == {(i, j) for i in range(4) for j in range(4)}
    with pytest.raises(ValueError, match="9 x 9 does not fit into images of 5 x 4 with padding 1"):
        RandomCrop(9, padding=1)(images)


def test_flips_mirror_whole_images_as_often_as_asked():
    images = np.random.default_rng(0).random((400, 1, 2, 3))
    flipped = RandomHorizontalFlip(0.25)(images, np.random.default_rng(1))
    changed = np.array([not np.array_equal(a, b) for a, b in zip(flipped, images, strict=True)])
    np.testing.assert_array_equal(flipped[changed], images[changed][..., ::-1])
    assert 70 < changed.sum() < 130
    np.testing.assert_array_equal(RandomHorizontalFlip(0.0)(images), images)
    assert RandomHorizontalFlip(1.0)(images[0]).shape == (1, 2, 3)
    with pytest.raises(ValueError, match="between 0 and 1, got 2"):
        RandomHorizontalFlip(2)


def resized_by_hand(image, top, left, height, width, size):
    """One channel, bilinear, pixel by pixel."""
    out = np.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y = min(max((i + 0.5) * height / size[0] - 0.5, 0), height - 1)
            x = min(max((j + 0.5) * width / size[1] - 0.5, 0), width - 1)
            for a, wa in ((int(y), 1 - y % 1), (min(int(y) + 1, height - 1), y % 1)):
                for b, wb in ((int(x), 1 - x % 1), (min(int(x) + 1, width - 1), x % 1)):
                    out[i, j] += wa * wb * image[top + a, left + b]
    return out


def test_windows_are_resized_with_bilinear_weights():
    images = np.random.default_rng(0).random((40, 2, 9, 12))
    crop = RandomResizedCrop((5, 7), scale=(0.1, 0.9), ratio=(0.5, 2.0))
    found = crop(images, np.random.default_rng(3))
    windows = transforms._windows(images.shape, crop.scale, crop.ratio, np.random.default_rng(3))
    for image, out, *window in zip(images, found, *windows, strict=True):
        for channel, expected in zip(image, out, strict=True):
            by_hand = resized_by_hand(channel, *window, (5, 7))
            np.testing.assert_allclose(expected, by_hand, rtol=1e-12, atol=1e-12)
    same = RandomResizedCrop((9, 12), scale=(1.0, 1.0), ratio=(12 / 9, 12 / 9))(images)
    np.testing.assert_allclose(same, images)
    whole = (images[:1] * 255).astype(np.uint8)
    assert RandomResizedCrop(4)(whole).dtype == np.uint8
    assert RandomResizedCrop(4)(images[0]).shape == (2, 4, 4)


def test_windows_are_one_pixel_at_least_and_the_image_at_most():
    rng = np.random.default_rng(0)
    for scale, ratio, heights, widths in (
        ((1e-9, 1e-9), (1.0, 1.0), {1}, {1}),
        ((1.0, 1.0), (1e-3, 1e-3), {6}, {1}),
        ((1.0, 1.0), (1e3, 1e3), {1}, {9}),
        ((1.0, 1.0), (1.5, 1.5), {6}, {9}),
    ):
        top, left, height, width = transforms._windows((50, 1, 6, 9), scale, ratio, rng)
        assert (set(height.tolist()), set(width.tolist())) == (heights, widths)
        assert (top.max(), left.max()) == (6 - height[0], 9 - width[0])


def test_windows_have_the_areas_and_shapes_that_were_asked_for():
    shape = (2000, 1, 100, 100)
    top, left, height, width = transforms._windows(
        shape, (0.1, 0.5), (0.5, 2.0), np.random.default_rng(0)
    )
    for start, length in ((top, height), (left, width)):
        assert start.min() >= 0
        assert (start + length).max() <= 100
        assert start.min() < 3
        assert (start + length).max() > 97
    area, ratio = height * width / 1e4, width / height
    np.testing.assert_allclose([area.min(), area.max()], [0.1, 0.5], atol=0.02)
    np.testing.assert_allclose([ratio.min(), ratio.max()], [0.5, 2.0], rtol=0.05)


def test_colours_change_by_the_factors_that_were_drawn():
    images = np.random.default_rng(0).random((50, 3, 4, 4)).astype(np.float32) * 0.5 + 0.2
    grey = (images * np.array([0.299, 0.587, 0.114], np.float32)[:, None, None]).sum(1)[:, None]

    def factors(value):
        return np.random.default_rng(1).uniform(1 - value, 1 + value, 50)[:, None, None, None]

    for settings, other in (
        ({"brightness": 0.3}, 0.0),
        ({"contrast": 0.3}, grey.mean(axis=(2, 3), keepdims=True)),
        ({"saturation": 0.3}, grey),
    ):
        f = factors(0.3)
        found = ColorJitter(**settings)(images, np.random.default_rng(1))
        np.testing.assert_allclose(found, f * images + (1 - f) * other, rtol=1e-5)
        assert found.dtype == np.float32
    np.testing.assert_array_equal(ColorJitter()(images), images)
    bright = ColorJitter(brightness=5.0)((images * 255).astype(np.uint8), np.random.default_rng(0))
    assert bright.dtype == np.uint8
    assert bright.max() == 255
    with pytest.raises(ValueError, match="expected images of 1 or 3 channels, got shape"):
        ColorJitter(0.1)(images[:, :2])


def test_erased_rectangles_are_filled_in_some_images():
    images = np.random.default_rng(0).random((300, 2, 20, 30)) + 1
    found = RandomErasing(0.4, value=0.5)(images, np.random.default_rng(2))
    erased = found == 0.5
    np.testing.assert_array_equal(found[~erased], images[~erased])
    assert (erased[:, 0] == erased[:, 1]).all()
    hit = erased.any(axis=(1, 2, 3))
    assert 90 < hit.sum() < 150
    for mask in erased[hit, 0]:
        rows, columns = mask.any(1), mask.any(0)
        assert mask.sum() == rows.sum() * columns.sum()
        assert np.count_nonzero(np.diff(rows.astype(int))) <= 2
    np.testing.assert_array_equal(RandomErasing(0.0)(images), images)


def test_mixed_images_and_targets_have_the_same_weights():
    x = np.arange(24, dtype=np.float32).reshape(6, 1, 2, 2)
    y = np.array([0, 1, 2, 2, 1, 0])
    loader = DataLoader(ArrayDataset(x, y), 6, transform=Compose([MixUp(3, alpha=1.0)]), seed=0)
    ((images, targets),) = loader
    assert targets.shape == (6, 3)
    np.testing.assert_allclose(targets.numpy().sum(axis=1), 1, rtol=1e-6)
    one_hot = np.eye(3)[y]
    found = set()
    for image, target in zip(images.numpy(), targets.numpy(), strict=True):
        fits = [
            (i, j)
            for i in range(6)
            for j in range(6)
            for w in [np.linalg.lstsq(np.stack([x[i].ravel() - x[j].ravel()], 1),
                                      image.ravel() - x[j].ravel(), rcond=None)[0][0]]
            if np.allclose(w * x[i] + (1 - w) * x[j], image, atol=1e-4)
            and np.allclose(w * one_hot[i] + (1 - w) * one_hot[j], target, atol=1e-4)
        ]  # fmt: skip
        assert fits
        found.update(i for pair in fits for i in pair)
    assert found == set(range(6))
    trainer = mg.Trainer(mg.nn.Sequential(mg.nn.Flatten(), mg.nn.Linear(4, 3)))
    trainer.fit(loader, validation_data=(x, y), verbose=0)
    with pytest.raises(ValueError, match="MixUp: labels go from 0 to 1, got 0 to 2"):
        MixUp(2).mix(x, y)
    with pytest.raises(ValueError, match=r"MixUp: it mixes targets, too, so the loader's samples"):
        next(iter(DataLoader(x, transform=MixUp(2))))
    with pytest.raises(TypeError, match="call mix"):
        MixUp(2)(x)


@pytest.mark.parametrize(
    ("size", "padding", "fits"),
    [
        (4, 0, True),
        (5, 0, False),
        ((4, 5), 0, True),
        ((4, 6), 0, False),
        (6, 1, True),
        (7, 1, False),
    ],
)
def test_a_window_is_as_large_as_the_padded_image_at_most(size, padding, fits):
    crop, images = RandomCrop(size, padding), np.ones((2, 1, 4, 5))
    if fits:
        height, width = crop.size
        assert crop(images).shape == (2, 1, height, width)
    else:
        with pytest.raises(ValueError, match=r"RandomCrop: a window of . x . does not fit into"):
            crop(images)


@pytest.mark.parametrize("labels", [[0, 0], [2, 2], [1], [], [0, 2]])
def test_all_labels_may_be_one(labels):
    images = np.ones((len(labels), 1, 2, 2), np.float32)
    _, y = MixUp(3).mix(images, np.array(labels, int), np.random.default_rng(0))
    assert (y.sum(axis=1) == 1).all()
    for wrong in (-1, 3):
        with pytest.raises(ValueError, match=f"labels go from 0 to 2, got .*{wrong}"):
            MixUp(3).mix(np.ones((2, 1, 2, 2)), np.array([wrong, wrong]))


def test_ranges_the_wrong_way_round_are_told():
    with pytest.raises(ValueError, match=r"RandomErasing: scale must be \(least, largest\), got"):
        RandomErasing(scale=(0.5, 0.1))


# -- transforms, against what they say, with the numbers that they draw ----------------------------

RNG = 11


def flat_images(dtype, channels=3):
    images = np.random.default_rng(2).integers(0, 256, (40, channels, 7, 9))
    return images.astype(dtype) if np.dtype(dtype).kind != "f" else (images / 255).astype(dtype)


def jittered(images, generator, brightness, contrast, saturation):
    most = 255.0 if images.dtype.kind != "f" else 1.0
    x = images.astype(np.float64)
    for kind, value in enumerate((brightness, contrast, saturation)):
        if value == 0:
            continue
        weights = np.array([0.299, 0.587, 0.114] if x.shape[1] == 3 else [1.0])
        grey = np.tensordot(x, weights, (1, 0))[:, None]
        other = (0 * x, grey.mean((2, 3), keepdims=True), grey)[kind]
        f = generator.uniform(max(0.0, 1 - value), 1 + value, len(x))[:, None, None, None]
        x = np.clip(f * x + (1 - f) * other, 0, most)
    return x


def erased(images, generator, p, scale, ratio, value):
    chosen = generator.random(len(images)) < p
    windows = transforms._windows(images.shape, scale, ratio, generator)
    out = images.copy()
    for one, hit, top, left, height, width in zip(out, chosen, *windows, strict=True):
        if hit:
            one[:, top : top + height, left : left + width] = value
    return out


def mirrored(images, generator, p):
    chosen = generator.random(len(images)) < p
    return np.stack([x[..., ::-1] if c else x for x, c in zip(images, chosen, strict=True)])


def cut(images, generator, size, padding):
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    top = generator.integers(padded.shape[2] - size[0] + 1, size=len(images))
    left = generator.integers(padded.shape[3] - size[1] + 1, size=len(images))
    return np.stack(
        [x[:, i : i + size[0], j : j + size[1]] for x, i, j in zip(padded, top, left, strict=True)]
    )


def resized(images, generator, size, scale, ratio):
    windows = transforms._windows(images.shape, scale, ratio, generator)
    return np.stack(
        [
            [resized_by_hand(channel.astype(float), *window, size) for channel in image]
            for image, *window in zip(images, *windows, strict=True)
        ]
    )


#: A transform, and what it does written down once more.
REFERENCES = {
    "jitter": (ColorJitter(0.4, 0.3, 0.2), lambda x, g: jittered(x, g, 0.4, 0.3, 0.2)),
    "strong": (ColorJitter(3.0, 2.0, 1.5), lambda x, g: jittered(x, g, 3.0, 2.0, 1.5)),
    "saturation": (ColorJitter(saturation=1.0), lambda x, g: jittered(x, g, 0, 0, 1.0)),
    "nothing": (ColorJitter(), lambda x, g: x),
    "erasing": (RandomErasing(), lambda x, g: erased(x, g, 0.5, (0.02, 0.33), (0.3, 3.3), 0)),
    "filled": (
        RandomErasing(0.9, (0.5, 1.0), (1.0, 1.0), value=1),
        lambda x, g: erased(x, g, 0.9, (0.5, 1.0), (1.0, 1.0), 1),
    ),
    "flip": (RandomHorizontalFlip(), lambda x, g: mirrored(x, g, 0.5)),
    "crop": (RandomCrop((7, 9)), lambda x, g: cut(x, g, (7, 9), 0)),
    "padded": (RandomCrop(8, padding=1), lambda x, g: cut(x, g, (8, 8), 1)),
    "resized": (
        RandomResizedCrop(4),
        lambda x, g: resized(x, g, (4, 4), (0.08, 1.0), (3 / 4, 4 / 3)),
    ),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("name", REFERENCES)
def test_transforms_do_what_they_say_with_the_numbers_they_draw(name, dtype, channels):
    transform, reference = REFERENCES[name]
    images = flat_images(dtype, channels)
    found = transform(images, np.random.default_rng(RNG))
    expected = reference(images, np.random.default_rng(RNG))
    assert found.dtype == images.dtype
    if images.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    else:  # rounded, once, at the end; a tie may go either way
        assert np.abs(found - expected).max() <= 0.5 + 1e-3
    # One image, without the axis of a batch, is a batch of one.
    one = transform(images[0], np.random.default_rng(RNG))
    np.testing.assert_array_equal(one, transform(images[:1], np.random.default_rng(RNG))[0])


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_mixing_uses_one_weight_for_all(dtype):
    images, labels = flat_images(dtype)[:6], np.array([0, 3, 1, 2, 2, 0])
    generator = np.random.default_rng(2)
    w, others = generator.beta(0.2, 0.2), generator.permutation(6)
    assert 0.3 < w < 0.4
    x, y = MixUp(4).mix(images, labels, np.random.default_rng(2))
    assert x.dtype == y.dtype == (np.float32 if dtype == "uint8" else dtype)
    wide, one_hot = images.astype(np.float64), np.eye(4)[labels]
    np.testing.assert_allclose(x, w * wide + (1 - w) * wide[others], rtol=1e-6)
    np.testing.assert_allclose(y, w * one_hot + (1 - w) * one_hot[others], rtol=1e-6, atol=1e-7)
    x, y = MixUp(3).mix(images[:0], labels[:0])
    assert (x.shape, y.shape) == ((0, 3, 7, 9), (0, 3))
    for wrong in (labels[:5], labels / 1.0, labels[:, None]):
        with pytest.raises(ValueError, match=r"MixUp: expected class indices \(6,\)"):
            MixUp(4).mix(images, wrong)
    for wrong, ends in ((labels - 1, "-1 to 2"), (labels + 1, "1 to 4")):
        with pytest.raises(ValueError, match=f"labels go from 0 to 3, got {ends}"):
            MixUp(4).mix(images, wrong)


@pytest.mark.parametrize(
    "shape", [(1, 3, 4, 5), (2, 3, 1, 4), (3, 3, 3, 3), (1, 3, 1, 1), (2, 1, 3, 4)]
)
def test_grey_images_are_the_luminance_of_three_channels(shape):
    x = np.random.default_rng(0).uniform(size=shape)
    expected = x if shape[1] == 1 else np.einsum("nchw,c->nhw", x, [0.299, 0.587, 0.114])[:, None]
    np.testing.assert_allclose(transforms._grey(x), expected, rtol=1e-12)


def test_a_loader_reads_a_batch_when_it_is_asked_for():
    read = []

    class Noting:
        def __len__(self):
            return 9

        def __getitem__(self, i):
            read.append(i)
            return np.float32(i)

    batches = iter(DataLoader(Noting(), 2))
    for i in range(4):
        assert next(batches).tolist() == [2 * i, 2 * i + 1]
        assert read == [*range(2 * i + 2)]


@pytest.mark.parametrize(
    "weights", [np.ones((2, 2)), ["a", "b"], np.float64(1.0), [[1]], np.array([1j])]
)
def test_weights_of_a_sampler_are_one_number_each(weights):
    with pytest.raises((TypeError, ValueError), match="WeightedRandomSampler"):
        WeightedRandomSampler(weights, 2)


def test_what_rounding_leaves_goes_to_the_first_parts_one_each():
    data = ArrayDataset(np.arange(11))
    parts = random_split(data, [0.25] * 4)
    assert [len(part) for part in parts] == [3, 3, 3, 2]
    assert [len(part) for part in random_split(data, [0.5, 0.5])] == [6, 5]


@pytest.mark.parametrize("seeds", [(None, None), (1, None), (None, 1), (1, 2)], ids=str)
def test_a_loader_with_or_without_a_generator_takes_the_place_of_any(seeds):
    data = ArrayDataset(np.arange(8))
    first, second = (DataLoader(data, 2, shuffle=True, seed=seed) for seed in seeds)
    batches = iter(first)
    next(batches)
    state = first.state_dict()
    second.load_state_dict(state)
    rest = [x.tolist() for (x,) in second]
    assert rest == [x.tolist() for (x,) in batches]
