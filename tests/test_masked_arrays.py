"""A masked array is refused wherever its mask would be lost, and never taken for its numbers."""

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import data, nn, optim

X, Y = np.ones((4, 3), np.float32), np.zeros(4, np.int64)


def masked(*shape, dtype=np.float32):
    values = np.ones(shape, dtype)
    return np.ma.masked_array(values, mask=np.arange(values.size).reshape(shape) % 2 == 0)


def batches(*batch):
    return data.DataLoader(data.ArrayDataset(X, Y), collate_fn=lambda _: batch)


def trainer():
    return mg.Trainer(nn.Linear(3, 2), "sgd")


def fit(x=X, y=Y, **settings):
    trainer().fit(x, y, epochs=1, verbose=0, **settings)


PLACES = masked(4, dtype=np.int64)
CALLS = {
    "array": lambda _: data.ArrayDataset(masked(4, 3)),
    "subset": lambda _: data.Subset(data.ArrayDataset(X), PLACES),
    "take": lambda _: data.ArrayDataset(X).take(PLACES),
    "drawn weights": lambda _: data.WeightedRandomSampler(masked(4), 3),
    "samples": lambda _: list(data.DataLoader([(masked(3), 1), (X[0], 1)], batch_size=2)),
    "images": lambda _: data.RandomHorizontalFlip()(masked(2, 1, 4, 4)),
    "normalized images": lambda _: data.Normalize(0.5, 0.5)(masked(2, 1, 4, 4)),
    "inputs": lambda _: fit(x=masked(4, 3)),
    "targets": lambda _: fit(y=PLACES),
    "batches": lambda _: trainer().evaluate(batches(X, PLACES)),
    "inputs of batches": lambda _: trainer().evaluate(batches(masked(4, 3), Y)),
    "validation": lambda _: fit(validation_data=(X, PLACES)),
    "sample weights": lambda _: fit(sample_weight=masked(4)),
    "class weights": lambda _: fit(class_weight=masked(2)),
    "evaluate": lambda _: trainer().evaluate(X, PLACES),
    "predict": lambda _: trainer().predict(masked(4, 3)),
    "score": lambda _: trainer().score(masked(4, 3), Y),
    "labels": lambda _: F.cross_entropy(mg.tensor(X), PLACES),
    "index": lambda _: mg.tensor(X)[PLACES],
    "index of rows": lambda _: mg.tensor(X)[masked(4, dtype=bool)],
    "parameter": lambda _: nn.Linear(3, 2).weight.assign(masked(2, 3)),
    "state": lambda _: nn.Linear(3, 1).load_state_dict({"weight": masked(1, 3), "bias": X[0, :1]}),
    "gradients": lambda _: optim.clip_by_global_norm([masked(3)], 1.0),
    "checked": lambda _: mg.testing.check_grads(lambda x: x * x, masked(3)),
    "file": lambda path: mg.save({"a": masked(3)}, path),
    "checkpoint": lambda path: mg.save_checkpoint(path, a=masked(3)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_masked_array_is_refused(name, tmp_path):
    with pytest.raises(
        (TypeError, ValueError), match=r"a masked array would lose its mask here; give data.filled"
    ):
        CALLS[name](tmp_path / "file")


def test_one_without_masked_elements_is_an_array():
    whole = np.ma.masked_array(X, mask=False)
    fit(x=whole, y=np.ma.masked_array(Y), sample_weight=np.ma.masked_array(np.ones(4)))
    assert trainer().predict(whole).shape == (4, 2)
