"""Programs that ``test_mpi.py`` starts with mpiexec: ``mpi_programs.py NAME ARGUMENTS``."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import test_distributed as threads

import minigrad as mg
from minigrad import callbacks, distributed, nn, optim
from minigrad.kernels import blas
from minigrad.training.ranks import Alone

X = np.random.default_rng(0).normal(size=(103, 6))
Y = np.random.default_rng(1).integers(0, 3, 103)


RUNS = [
    (np.float64, "SGD", {"accumulate": 2, "batch": 11}),
    (np.float64, "momentum", {"clip": 0.1}),
    (np.float64, "Adam", {"accumulate": 2}),
    (np.float32, "Adam", {}),
]


def equal():
    """N ranks with a batch of B / N train as one process with B, over 50 steps."""
    rank, size = distributed.rank(), distributed.world_size()
    for dtype, name, options in RUNS:
        make = threads.OPTIMIZERS[name]
        expected = threads.alone(dtype, make, steps=50, **options)
        runs = []
        for _ in range(2 if dtype == np.float32 else 1):
            model = threads.Net(seed=rank).to(dtype)
            parallel = distributed.DataParallel(model, bucket_size=400)
            params = make(model.parameters())
            runs.append(
                threads.train(model, parallel, params, rank=rank, size=size, steps=50, **options)
            )
        bound = 1e-12 if dtype == np.float64 else 1e-5
        for key, value in expected.items():
            assert np.abs(runs[0][key] - value).max() < bound, (dtype, options, key)
            assert (runs[0][key] == runs[-1][key]).all()
            assert (runs[0][key] == distributed.broadcast(runs[0][key])).all()
    same_statistics()


def same_statistics():
    def trained(layer, take, parallel):
        model = nn.Sequential(nn.Linear(6, 4), layer, nn.Linear(4, 1)).double()
        for i, p in enumerate(model.parameters()):
            p.assign(np.random.default_rng(i).normal(size=p.shape))
        step_model = distributed.DataParallel(model) if parallel else model
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            (step_model(mg.tensor(X[take])) ** 2).mean().backward()
            optimizer.step()
        return model.state_dict()

    mine = slice(distributed.rank(), None, distributed.world_size())
    found = trained(distributed.SyncBatchNorm(4), mine, True)
    expected = trained(nn.BatchNorm1d(4), slice(None), False)
    for name, value in expected.items():
        assert np.allclose(found[name].numpy(), value.numpy(), rtol=1e-11, atol=1e-12), name


def make_trainer(dropout=0.0, **options):
    mg.manual_seed(3 + 10 * distributed.rank())  # rank 0's numbers count
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 3))
    for i, p in enumerate(model.parameters()):
        p.assign(np.random.default_rng(i).normal(size=p.shape))
    model.double()
    mg.manual_seed(4 + distributed.rank())
    return mg.Trainer(
        model, optim.Adam(lr=0.01), metrics=("accuracy", "f1", "confusion_matrix"),
        distributed="auto", **options,
    )  # fmt: skip


def weights(trainer):
    return np.concatenate([p.numpy().ravel() for p in trainer.model.parameters()])


def fit(folder, name, dropout="0", stop="", resume=""):
    """Train; rank 0 writes the weights and the history to ``name``."""
    trainer = make_trainer(float(dropout), accumulate=2, clip_norm=1.0)
    folder = Path(folder)
    called = [
        callbacks.ModelCheckpoint(folder / "each.safetensors"),
        callbacks.CSVLogger(folder / "log.csv"),
        callbacks.EarlyStopping("val_loss", patience=10),
    ]
    if stop:
        called.append(callbacks.LambdaCallback(on_batch_end=lambda batch: interrupt(trainer, stop)))
    if resume:
        trainer.load_checkpoint(folder / resume)
    if distributed.rank():
        refuse_to_write()
    trainer.fit(
        X, Y, epochs=3, batch_size=10, validation_data=(X[:17], Y[:17]), callbacks=called, verbose=2
    )
    trainer.save_checkpoint(folder / "run.safetensors")
    if distributed.rank() == 0:
        values = {k: np.asarray(v) for k, v in trainer.history.history.items()}
        np.savez(folder / name, weights=weights(trainer), **values)
    everywhere = distributed.broadcast(weights(trainer))
    assert (everywhere == weights(trainer)).all()


def interrupt(trainer, stop):
    epoch, batch = map(int, stop.split("."))
    last = distributed.world_size() - 1
    if distributed.rank() == last and (trainer.epoch, trainer._running.batches) == (epoch, batch):
        os.kill(os.getpid(), signal.SIGINT)


def refuse_to_write():
    def refuse(*_, **__):
        raise AssertionError("only rank 0 writes")

    Path.write_text = Path.open = refuse
    from minigrad.io import checkpoints, tensors

    tensors.write = checkpoints.write = refuse


def diverge():
    """A NaN on one rank ends training on all of them, in words, and may be survived."""
    x = X.copy()
    trainer = make_trainer()
    trainer.model[0].register_forward_hook(
        lambda module, args, output: output * np.nan if distributed.rank() == 1 else output
    )
    with np.errstate(all="ignore"):
        trainer.fit(x, Y, epochs=3, batch_size=10, verbose=2, callbacks=callbacks.TerminateOnNaN())
    assert trainer.epoch == 0


def dropout():
    """Each rank draws its own numbers, others in each step, and the same ones in the next run."""
    size = distributed.world_size()
    x, y = np.ones((40 * size, 50)), np.zeros((40 * size, 1))
    layer = nn.Linear(50, 1, bias=False).double()
    masks = []

    def note(module, args, output):
        if len(output) == 8:  # not the look at one sample before training
            masks.append(output.numpy() > 0)

    def train(epochs):
        mg.manual_seed(5)
        masks.clear()
        layer.weight.assign(np.zeros((1, 50)))
        drop = nn.Dropout(0.5)
        drop.register_forward_hook(note)
        model = nn.Sequential(drop, layer)
        # The loss is the sum of kept inputs, so its gradient is their mean: 1, without bias.
        trainer = mg.Trainer(model, optim.SGD(lr=1.0), loss="mse", distributed="auto")
        trainer.loss.function = lambda output, target: output.mean()
        trainer.fit(x, y, epochs=epochs, batch_size=8 * size, verbose=0)
        return np.array(masks), -layer.weight.numpy() / (5 * epochs)

    found, mean = train(40)
    everyone = distributed.broadcast(found.astype(float), 0) > 0
    mine = [one.tobytes() for one in found]
    assert len(set(mine)) == 200  # steps of all epochs
    if distributed.rank():
        assert not set(mine) & {one.tobytes() for one in everyone}
        both = np.corrcoef(found.ravel(), everyone.ravel())[0, 1]
        assert abs(both) < 5 / np.sqrt(found.size)
    # A kept input counts twice: mean 1, variance 1. Each weight averages 200 steps of 8 * size.
    error = 1 / np.sqrt(200 * 8 * size)
    assert abs(mean - 1).max() < 5 * error
    # Were the masks of the ranks alike, the variance would be that of a single rank.
    assert 0.5 * error < np.std(mean - 1) < 1.3 * error, np.std(mean - 1) / error
    again, same = train(40)
    assert (again == found).all()
    assert (same == mean).all()


class iter_anew:
    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def own_iterable():
    """Batches that are no DataLoader are shared out, too."""
    batches = [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 101, 10)]
    mine = make_trainer()
    mine.fit(iter_anew(batches), epochs=2, verbose=0)
    alone = make_trainer()
    alone._ranks = Alone()
    alone.fit(iter_anew(batches), epochs=2, verbose=0)
    assert np.abs(weights(mine) - weights(alone)).max() < 1e-12


def refuse(what):
    if what == "metric":
        largest = type("Largest", (mg.metrics.Metric,), {})
        largest.reset = largest.update = lambda *_: None
        largest.name = "largest"
        trainer = make_trainer()
        trainer.metrics.append(largest())
        trainer.fit(X, Y, verbose=0)
    model = nn.Linear(2, 2 + distributed.rank())
    mg.Trainer(model, distributed=True).fit(np.ones((4, 2)), np.array([0, 1, 0, 1]), verbose=0)


def cores():
    available = len(os.sched_getaffinity(0))
    distributed.rank()
    assert blas.threads() == max(1, available // distributed.world_size()), blas.threads()


def fault(kind, which, folder):
    """Rank ``which`` fails in its step 20, while rank 0 writes checkpoints all the time."""
    path = Path(folder, "run.safetensors")
    rank = distributed.rank()
    for step in range(200_000):
        if rank == 0:
            mg.save_checkpoint(path, step=step, data=np.full(100_000, step))
        distributed.all_reduce(np.ones(3))
        if step == 19:
            time.sleep(0.5)  # the others hear of a checkpoint at the next tick of the watch
        if step == 20 and rank == int(which):
            fail(kind)
        if step == 200:
            time.sleep(0.2)


def fail(kind):
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if kind == "raise":
        raise ValueError("no such luck")
    if kind == "exit":
        sys.exit("had enough")
    if kind == "barrier":
        distributed.barrier()
    if kind == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
    if kind == "hang":
        time.sleep(1000)


def slow():
    """A rank that computes is waited for, however long it takes."""
    if distributed.rank() == 1:
        end = time.process_time() + 4.0
        while time.process_time() < end:
            sum(range(1000))
    distributed.barrier()


def forever():
    distributed.barrier()
    sys.stdout.write("running\n")
    sys.stdout.flush()
    while True:
        distributed.all_reduce(np.ones(3))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write("done\n")
