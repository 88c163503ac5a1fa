"""One valid call of every public class, method and function that is no operator.

``test_walk_objects`` walks their arguments; a public name without a call here fails it.
"""

import functools
import importlib.util
import inspect
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad import callbacks, data, distributed, metrics, models, nn, optim, testing, viz
from minigrad.optim import lr_scheduler

GROUPS: dict[str, Any] = {
    "mg": mg, "nn": nn, "nn.init": nn.init, "optim": optim, "lr_scheduler": lr_scheduler,
    "data": data, "metrics": metrics, "callbacks": callbacks, "models": models,
    "testing": testing, "viz": viz, "distributed": distributed,
}  # fmt: skip
if importlib.util.find_spec("onnx") is not None:  # its calls need the package
    GROUPS["onnx"] = mg.onnx

#: Pieces that the calls are made of. Each is made anew, as calls may change it.
HELD = tempfile.TemporaryDirectory(prefix="minigrad-walk-")
FOLDER = Path(HELD.name)


def images() -> mg.Tensor:
    return mg.tensor(np.linspace(-1, 1, 2 * 4 * 6 * 6).reshape(2, 4, 6, 6).astype(np.float32))


def lines() -> mg.Tensor:
    return mg.tensor(np.linspace(-1, 1, 2 * 4 * 6).reshape(2, 4, 6).astype(np.float32))


def rows() -> mg.Tensor:
    return mg.tensor(np.linspace(-1, 1, 8).reshape(2, 4).astype(np.float32))


def sequence() -> mg.Tensor:
    return mg.tensor(np.linspace(-1, 1, 24).reshape(3, 2, 4).astype(np.float32))


def weight() -> nn.Parameter:
    return nn.Parameter(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4))


def variable() -> mg.Tensor:
    return mg.tensor([1.0, 2.0], requires_grad=True)


def with_gradient() -> list[mg.Tensor]:
    w = variable()
    (w * w).sum().backward()
    return [w]


def sgd(**settings: Any) -> optim.SGD:
    return optim.SGD(with_gradient(), lr=0.1, **settings)


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)
Y = np.array([0, 1, 0, 1, 1, 0])


def trainer() -> mg.Trainer:
    return mg.Trainer(model(), optim.SGD(lr=0.1))


def fitted() -> mg.Trainer:
    made = trainer()
    made.fit(X, Y, epochs=1, batch_size=3, verbose=0)
    return made


def path(name: str) -> Path:
    return FOLDER / name


def written(name: str, write: Callable[[Path], Any]) -> Path:
    """A file of this name, made when it is first asked for."""
    if not path(name).exists():
        write(path(name))
    return path(name)


def recorded() -> tuple[mg.GradientTape, mg.Tensor, mg.Tensor]:
    x = variable()
    with mg.GradientTape(persistent=True) as tape:
        y = x * x
    return tape, y, x


def filmed() -> Any:
    with mg.film() as steps:
        (variable() * 2).sum().backward()
    return steps


def idx_file() -> Path:
    content = bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])
    return written("labels-idx1-ubyte", lambda to: to.write_bytes(content))


class Call(NamedTuple):
    """A valid call: the function, its arguments, and what is done with the result.

    ``heavy``: so slow that only what is refused at once is tried.
    """

    function: Callable[..., Any]
    arguments: dict[str, Any]
    use: Callable[[Any], Any] | None = None
    heavy: bool = False


def layer(kind: Any, x: Callable[[], Any], **arguments: Any) -> Call:
    return Call(kind, arguments, lambda made: made(x()))


def loss(kind: Any, target: Any, **arguments: Any) -> Call:
    return Call(kind, arguments, lambda made: made(rows(), mg.tensor(target)))


def schedule(kind: Any, **arguments: Any) -> Call:
    def use(made: Any) -> None:
        for _ in range(3):
            made.optimizer.step()
            made.step(1.0) if kind is lr_scheduler.ReduceLROnPlateau else made.step()

    return Call(kind, {"optimizer": sgd(momentum=0.9), **arguments}, use)


def optimizer(kind: Any, **arguments: Any) -> Call:
    return Call(kind, {"params": with_gradient(), **arguments}, lambda made: made.step())


def metric(kind: Any, **arguments: Any) -> Call:
    def use(made: Any) -> Any:
        made.reset()
        made.update(X[:, :2], Y)
        return made.result()

    return Call(kind, arguments, use)


def ready(kind: str, *args: Any) -> Any:
    made = getattr(metrics, kind)(*args)
    made.reset()
    return made


def callback(kind: Any, **arguments: Any) -> Call:
    def use(made: Any) -> None:
        trainer().fit(X, Y, epochs=1, batch_size=6, verbose=0, callbacks=made)

    return Call(kind, arguments, use)


def transform(kind: Any, **arguments: Any) -> Call:
    return Call(kind, arguments, lambda made: made(images().numpy()))


def initialiser(function: Any, **arguments: Any) -> Call:
    return Call(function, {"tensor": weight(), **arguments})


def square(x: Any) -> Any:
    return (x * x).sum()


def calls() -> dict[str, Callable[[], Call]]:
    """The table: name -> a function that makes the call anew."""
    table: dict[str, Callable[[], Call]] = {}

    def add(name: str, make: Callable[..., Call], /, *args: Any, **kwargs: Any) -> None:
        table[name] = functools.partial(make, *args, **kwargs)

    # -- layers
    for name in (
        *("ReLU", "SELU", "SiLU", "Sigmoid", "LogSigmoid", "Tanh", "LeakyReLU", "ELU", "GELU"),
        *("Softplus", "Softmax", "LogSoftmax", "Dropout", "Flatten", "Identity", "Softmin"),
        *("Softsign", "Mish", "CELU", "GLU", "Hardtanh", "ReLU6", "Hardsigmoid", "Hardswish"),
        "PReLU",
    ):
        add(f"nn.{name}", layer, getattr(nn, name), rows)
    add("nn.Dropout2d", layer, nn.Dropout2d, images)
    add("nn.Linear", layer, nn.Linear, rows, in_features=4, out_features=3)
    add("nn.LazyLinear", layer, nn.LazyLinear, rows, out_features=3)
    conv = {"out_channels": 2, "kernel_size": 3}
    add("nn.Conv2d", layer, nn.Conv2d, images, in_channels=4, **conv)
    add("nn.LazyConv2d", layer, nn.LazyConv2d, images, **conv)
    add("nn.ConvTranspose2d", layer, nn.ConvTranspose2d, images, in_channels=4, **conv)
    add("nn.MaxPool2d", layer, nn.MaxPool2d, images, kernel_size=2)
    add("nn.AvgPool2d", layer, nn.AvgPool2d, images, kernel_size=2)
    add("nn.AdaptiveAvgPool2d", layer, nn.AdaptiveAvgPool2d, images, output_size=2)
    add("nn.AdaptiveMaxPool2d", layer, nn.AdaptiveMaxPool2d, images, output_size=2)
    for kind in ("Zero", "Reflection", "Replication", "Circular", "Constant"):
        value = {"value": 1.5} if kind == "Constant" else {}
        for axes, x in ((1, lines), (2, images)):
            name = f"{kind}Pad{axes}d"
            add(f"nn.{name}", layer, getattr(nn, name), x, padding=1, **value)
    add("nn.Conv1d", layer, nn.Conv1d, lines, in_channels=4, **conv)
    add("nn.ConvTranspose1d", layer, nn.ConvTranspose1d, lines, in_channels=4, **conv)
    add("nn.MaxPool1d", layer, nn.MaxPool1d, lines, kernel_size=2)
    add("nn.AvgPool1d", layer, nn.AvgPool1d, lines, kernel_size=2)
    for name in ("AdaptiveAvgPool1d", "AdaptiveMaxPool1d"):
        add(f"nn.{name}", layer, getattr(nn, name), lines, output_size=2)
    for name, x in (("MaxUnpool2d", images), ("MaxUnpool1d", lines)):
        table[f"nn.{name}"] = lambda name=name, x=x: Call(
            getattr(nn, name), {"kernel_size": 2}, lambda made: made(x(), x().astype(np.int64) * 0)
        )
    add("nn.BatchNorm1d", layer, nn.BatchNorm1d, rows, num_features=4)
    add("nn.BatchNorm2d", layer, nn.BatchNorm2d, images, num_features=4)
    add("nn.InstanceNorm1d", layer, nn.InstanceNorm1d, lines, num_features=4)
    add("nn.InstanceNorm2d", layer, nn.InstanceNorm2d, images, num_features=4)
    add("nn.RMSNorm", layer, nn.RMSNorm, rows, normalized_shape=4)
    add("nn.LayerNorm", layer, nn.LayerNorm, rows, normalized_shape=4)
    add("nn.GroupNorm", layer, nn.GroupNorm, images, num_groups=2, num_channels=4)
    add("nn.LocalResponseNorm", layer, nn.LocalResponseNorm, images, size=3)
    add("nn.Embedding", layer, nn.Embedding, lambda: mg.tensor([1, 0]), num_embeddings=3,
        embedding_dim=2)  # fmt: skip
    for name in ("RNN", "LSTM", "GRU"):
        add(f"nn.{name}", layer, getattr(nn, name), sequence, input_size=4, hidden_size=3)
    for name in ("RNNCell", "LSTMCell", "GRUCell"):
        add(f"nn.{name}", layer, getattr(nn, name), rows, input_size=4, hidden_size=3)
    add("nn.TransformerEncoderLayer", layer, nn.TransformerEncoderLayer, sequence, d_model=4,
        nhead=2, dim_feedforward=3)  # fmt: skip
    table["nn.TransformerEncoder"] = lambda: Call(
        nn.TransformerEncoder,
        {"encoder_layer": nn.TransformerEncoderLayer(4, 2, 3), "num_layers": 2},
        lambda made: made(sequence()),
    )
    table["nn.Bilinear"] = lambda: Call(
        nn.Bilinear,
        {"in1_features": 4, "in2_features": 4, "out_features": 2},
        lambda made: made(rows(), rows()),
    )
    table["nn.EmbeddingBag"] = lambda: Call(
        nn.EmbeddingBag,
        {"num_embeddings": 3, "embedding_dim": 2},
        lambda made: made(mg.tensor([[1, 0], [2, 2]])),
    )
    table["nn.MultiheadAttention"] = lambda: Call(
        nn.MultiheadAttention,
        {"embed_dim": 4, "num_heads": 2},
        lambda made: made(sequence(), sequence(), sequence()),
    )
    add("nn.Unflatten", layer, nn.Unflatten, rows, axis=1, unflattened_size=(2, 2))
    add("nn.Upsample", layer, nn.Upsample, images, scale_factor=2)
    table["nn.Module"] = lambda: Call(nn.Module, {})
    table["nn.Sequential"] = lambda: Call(nn.Sequential, {"modules": [nn.ReLU()]})
    table["nn.ModuleList"] = lambda: Call(nn.ModuleList, {"modules": [nn.ReLU()]})
    table["nn.ModuleDict"] = lambda: Call(nn.ModuleDict, {"modules": {"a": nn.ReLU()}})
    table["nn.Parameter"] = lambda: Call(nn.Parameter, {"data": [1.0]})
    table["nn.UninitializedParameter"] = lambda: Call(nn.UninitializedParameter, {})
    table["nn.functional_call"] = lambda: Call(
        nn.functional_call,
        {"module": nn.Linear(4, 2, bias=False), "parameters": {"weight": mg.ones((2, 4))},
         "args": [rows()]},
    )  # fmt: skip
    table["nn.l2_penalty"] = lambda: Call(nn.l2_penalty, {"parameters": with_gradient()})
    # -- losses
    for name in ("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "BCEWithLogitsLoss"):
        add(f"nn.{name}", loss, getattr(nn, name), np.zeros((2, 4), np.float32))
    add("nn.CrossEntropyLoss", loss, nn.CrossEntropyLoss, [0, 1])
    add("nn.NLLLoss", loss, nn.NLLLoss, [0, 1])
    add("nn.MultiMarginLoss", loss, nn.MultiMarginLoss, [0, 1])
    for name in (
        "KLDivLoss",
        "PoissonNLLLoss",
        "HingeEmbeddingLoss",
        "SoftMarginLoss",
        "MultiLabelSoftMarginLoss",
    ):
        add(f"nn.{name}", loss, getattr(nn, name), np.ones((2, 4), np.float32))
    thirds: dict[str, Any] = {
        "GaussianNLLLoss": np.ones((2, 4)), "TripletMarginLoss": np.zeros((2, 4)),
        "MarginRankingLoss": np.ones((2, 4)), "CosineEmbeddingLoss": np.ones(2),
    }  # fmt: skip
    for name, third in thirds.items():
        table[f"nn.{name}"] = lambda name=name, third=third: Call(
            getattr(nn, name), {}, lambda made: made(rows(), rows() + 1.0, mg.tensor(third))
        )
    for name in ("CosineSimilarity", "PairwiseDistance"):
        table[f"nn.{name}"] = lambda name=name: Call(
            getattr(nn, name), {}, lambda made: made(rows(), rows() + 1.0)
        )
    table["nn.BCELoss"] = lambda: Call(
        nn.BCELoss, {}, lambda made: made(mg.tensor([0.5]), mg.tensor([1.0]))
    )
    # -- initialisers
    for name in (
        *("zeros_", "ones_", "eye_", "uniform_", "normal_", "trunc_normal_", "orthogonal_"),
        *("xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"),
        *("lecun_uniform_", "lecun_normal_"),
        *("glorot_uniform_", "glorot_normal_", "he_uniform_", "he_normal_"),
    ):
        add(f"nn.init.{name}", initialiser, getattr(nn.init, name))
    add("nn.init.constant_", initialiser, nn.init.constant_, val=0.5)
    table["nn.init.calculate_gain"] = lambda: Call(nn.init.calculate_gain, {"nonlinearity": "tanh"})
    table["nn.init.weight_and_bias_"] = lambda: Call(
        nn.init.weight_and_bias_, {"weight": weight(), "bias": None}
    )
    # -- Module's methods
    methods: dict[str, dict[str, Any]] = {
        "register_parameter": {"name": "w", "parameter": weight()},
        "register_buffer": {"name": "b", "tensor": mg.ones(2)},
        "add_module": {"name": "m", "module": nn.ReLU()},
        "register_module": {"name": "m", "module": nn.ReLU()}, "astype": {"dtype": np.float64},
        "named_modules": {}, "named_parameters": {}, "parameters": {}, "named_buffers": {},
        "buffers": {}, "get_submodule": {"path": "0"},
        "apply": {"function": lambda module: None}, "train": {}, "requires_grad_": {},
        "zero_grad": {}, "to": {"dtype": np.float64},
        "register_forward_pre_hook": {"hook": lambda module, args: None},
        "register_forward_hook": {"hook": lambda module, args, output: None},
    }  # fmt: skip
    listed = ("named_modules", "named_parameters", "parameters", "named_buffers", "buffers")
    for name, arguments in methods.items():
        use = list if name in listed else None
        table[f"nn.Module.{name}"] = lambda name=name, arguments=arguments, use=use: Call(
            getattr(model(), name), dict(arguments), use
        )
    table["nn.Module.load_state_dict"] = lambda: Call(
        model().load_state_dict, {"state_dict": model().state_dict()}
    )
    row: dict[str, dict[str, Any]] = {
        "append": {"module": nn.ReLU()}, "extend": {"modules": [nn.ReLU()]},
        "insert": {"index": 0, "module": nn.ReLU()}, "pop": {"index": 0},
    }  # fmt: skip
    for name, arguments in row.items():
        for kind in ("Sequential", "ModuleList"):
            table[f"nn.{kind}.{name}"] = lambda k=kind, n=name, a=arguments: Call(
                getattr(nn.ModuleList([nn.Tanh()]) if k == "ModuleList" else model(), n), dict(a)
            )
    table["nn.Sequential.add"] = lambda: Call(model().add, {"module": nn.ReLU(), "name": "last"})
    table["nn.ModuleDict.update"] = lambda: Call(
        nn.ModuleDict().update, {"modules": {"a": nn.ReLU()}}
    )
    table["nn.ModuleDict.pop"] = lambda: Call(nn.ModuleDict({"a": nn.ReLU()}).pop, {"key": "a"})
    table["nn.UninitializedParameter.materialize"] = lambda: Call(
        nn.UninitializedParameter().materialize, {"shape": (2, 3)}
    )
    # -- optimizers and schedules
    for name in ("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "NAdam", "RAdam"):
        add(f"optim.{name}", optimizer, getattr(optim, name))
    table["optim.LBFGS"] = lambda: Call(
        optim.LBFGS, {"params": with_gradient()}, lambda made: made.step(lambda: 1.0)
    )
    table["optim.LBFGS.step"] = lambda: Call(
        optim.LBFGS(with_gradient()).step, {"closure": lambda: 1.0}
    )
    table["optim.LBFGS.add_param_group"] = lambda: Call(lambda: None, {})
    table["optim.Optimizer"] = lambda: Call(
        optim.Optimizer, {"params": [variable()], "defaults": {"lr": 0.1}}
    )
    table["optim.Optimizer.add_param_group"] = lambda: Call(
        sgd().add_param_group, {"group": {"params": [variable()]}}
    )
    table["optim.Optimizer.zero_grad"] = lambda: Call(sgd().zero_grad, {})
    table["optim.Optimizer.step"] = lambda: Call(sgd().step, {"closure": lambda: 1.0})
    table["optim.Optimizer.apply_gradients"] = lambda: Call(
        optim.SGD(lr=0.1).apply_gradients, {"grads_and_vars": [(mg.ones(2), variable())]}
    )
    table["optim.Optimizer.load_state_dict"] = lambda: Call(
        sgd().load_state_dict, {"state_dict": sgd().state_dict()}
    )
    table["optim.clip_grad_norm_"] = lambda: Call(
        optim.clip_grad_norm_, {"parameters": with_gradient(), "max_norm": 1.0}
    )
    table["optim.clip_grad_value_"] = lambda: Call(
        optim.clip_grad_value_, {"parameters": with_gradient(), "clip_value": 1.0}
    )
    table["optim.clip_by_global_norm"] = lambda: Call(
        optim.clip_by_global_norm, {"grads": [mg.ones(2)], "max_norm": 1.0}
    )
    base = type("LRScheduler", (lr_scheduler.LRScheduler,), {"get_lr": lambda self: [0.1]})
    table["lr_scheduler.LRScheduler"] = lambda: Call(base, {"optimizer": sgd()})
    add("lr_scheduler.LambdaLR", schedule, lr_scheduler.LambdaLR, lr_lambda=lambda step: 0.5)
    add("lr_scheduler.StepLR", schedule, lr_scheduler.StepLR, step_size=1)
    add("lr_scheduler.MultiStepLR", schedule, lr_scheduler.MultiStepLR, milestones=[1])
    add("lr_scheduler.ExponentialLR", schedule, lr_scheduler.ExponentialLR, gamma=0.5)
    add("lr_scheduler.LinearLR", schedule, lr_scheduler.LinearLR)
    add("lr_scheduler.CosineAnnealingLR", schedule, lr_scheduler.CosineAnnealingLR, T_max=3)
    add("lr_scheduler.OneCycleLR", schedule, lr_scheduler.OneCycleLR, max_lr=1.0, total_steps=5)
    add("lr_scheduler.CosineAnnealingWarmRestarts", schedule,
        lr_scheduler.CosineAnnealingWarmRestarts, T_0=3)  # fmt: skip
    table["lr_scheduler.CosineAnnealingWarmRestarts.step"] = lambda: Call(
        lr_scheduler.CosineAnnealingWarmRestarts(sgd(), 3).step, {"epoch": 1.5}
    )

    def in_turn() -> tuple[optim.SGD, list[lr_scheduler.LRScheduler]]:
        made = sgd()
        one, two = (lr_scheduler.ExponentialLR(made, g) for g in (0.5, 0.9))
        return made, [one, two]

    def sequence_of_schedules() -> lr_scheduler.SequentialLR:
        return lr_scheduler.SequentialLR(*in_turn(), [1])

    table["lr_scheduler.SequentialLR"] = lambda: Call(
        lr_scheduler.SequentialLR,
        {**dict(zip(("optimizer", "schedulers"), in_turn(), strict=True)), "milestones": [2]},
    )
    table["lr_scheduler.SequentialLR.load_state_dict"] = lambda: Call(
        sequence_of_schedules().load_state_dict,
        {"state_dict": sequence_of_schedules().state_dict()},
    )
    add("lr_scheduler.ReduceLROnPlateau", schedule, lr_scheduler.ReduceLROnPlateau)
    table["lr_scheduler.LRScheduler.load_state_dict"] = lambda: Call(
        lr_scheduler.ExponentialLR(sgd(), 0.5).load_state_dict,
        {"state_dict": lr_scheduler.ExponentialLR(sgd(), 0.5).state_dict()},
    )
    table["lr_scheduler.ReduceLROnPlateau.step"] = lambda: Call(
        lr_scheduler.ReduceLROnPlateau(sgd()).step, {"metrics": 1.0}
    )
    # -- data
    table["data.ArrayDataset"] = lambda: Call(data.ArrayDataset, {"arrays": [X, Y]}, len)
    table["data.ArrayDataset.take"] = lambda: Call(
        data.ArrayDataset(X).take, {"indices": np.array([1])}
    )
    table["data.Subset"] = lambda: Call(
        data.Subset, {"dataset": data.ArrayDataset(X), "indices": [1, 0]}, len
    )
    table["data.Subset.take"] = lambda: Call(
        data.Subset(data.ArrayDataset(X), [1, 0]).take, {"indices": np.array([1])}
    )
    table["data.DataLoader"] = lambda: Call(
        data.DataLoader, {"dataset": data.ArrayDataset(X, Y)}, list
    )
    table["data.DataLoader.load_state_dict"] = lambda: Call(
        data.DataLoader(X).load_state_dict, {"state": data.DataLoader(X).state_dict()}
    )
    table["data.Sampler"] = lambda: Call(data.Sampler, {})
    add("data.RandomSampler", Call, data.RandomSampler, {"data_source": X}, list)
    add("data.SubsetRandomSampler", Call, data.SubsetRandomSampler, {"indices": [2, 0]}, list)
    add("data.WeightedRandomSampler", Call, data.WeightedRandomSampler,
        {"weights": [0.5, 1.0], "num_samples": 3}, list)  # fmt: skip
    table["data.Sampler.order"] = lambda: Call(
        data.RandomSampler(X).order, {"generator": np.random.default_rng(0)}
    )
    table["data.default_collate"] = lambda: Call(data.default_collate, {"samples": [(X, 0)]})
    table["data.random_split"] = lambda: Call(
        data.random_split, {"dataset": data.ArrayDataset(X), "lengths": [4, 2]}
    )
    table["data.train_test_split"] = lambda: Call(data.train_test_split, {"arrays": [X, Y]})
    table["data.load_digits"] = lambda: Call(data.load_digits, {}, heavy=True)
    for name in ("load_mnist", "load_fashion_mnist"):
        table[f"data.{name}"] = lambda name=name: Call(
            getattr(data, name), {"root": FOLDER}, heavy=True
        )
    table["data.read_idx"] = lambda: Call(data.read_idx, {"path": idx_file()})
    add("data.Compose", transform, data.Compose, transforms=[lambda x: x])
    add("data.Normalize", transform, data.Normalize, mean=0.5, std=0.5)
    add("data.RandomCrop", transform, data.RandomCrop, size=3)
    add("data.RandomHorizontalFlip", transform, data.RandomHorizontalFlip)
    add("data.RandomResizedCrop", transform, data.RandomResizedCrop, size=3)
    add("data.RandomErasing", transform, data.RandomErasing)
    add("data.ColorJitter", Call, data.ColorJitter, {"brightness": 0.5, "saturation": 0.5},
        lambda made: made(np.full((1, 3, 2, 2), 0.5, np.float32)))  # fmt: skip
    add("data.MixUp", Call, data.MixUp, {"num_classes": 3, "alpha": 0.5},
        lambda made: made.mix(np.ones((2, 1, 2, 2)), np.array([0, 2])))  # fmt: skip
    mixed = {"images": np.ones((2, 1, 2, 2)), "targets": np.array([0, 1])}
    table["data.MixUp.mix"] = lambda: Call(data.MixUp(2).mix, dict(mixed))
    table["data.Compose.mix"] = lambda: Call(data.Compose([data.MixUp(2)]).mix, dict(mixed))
    table["data.RandomTransform"] = lambda: Call(data.RandomTransform, {})
    # -- several processes
    table["distributed.rank"] = lambda: Call(distributed.rank, {})
    table["distributed.world_size"] = lambda: Call(distributed.world_size, {})
    table["distributed.barrier"] = lambda: Call(distributed.barrier, {})
    for name in ("all_reduce", "broadcast"):
        table[f"distributed.{name}"] = lambda name=name: Call(
            getattr(distributed, name), {"x": rows()}
        )
    table["distributed.DataParallel"] = lambda: Call(
        distributed.DataParallel, {"module": model()}, lambda made: made(rows())
    )
    for name in ("no_sync", "skip"):
        table[f"distributed.DataParallel.{name}"] = lambda name=name: Call(
            getattr(distributed.DataParallel(model()), name), {}
        )
    add("distributed.DistributedSampler", Call, distributed.DistributedSampler,
        {"dataset": X}, list)  # fmt: skip
    table["distributed.DistributedSampler.set_epoch"] = lambda: Call(
        distributed.DistributedSampler(X).set_epoch, {"epoch": 1}
    )
    add("distributed.SyncBatchNorm", layer, distributed.SyncBatchNorm, rows, num_features=4)
    table["distributed.convert_sync_batchnorm"] = lambda: Call(
        distributed.convert_sync_batchnorm, {"module": nn.Sequential(nn.BatchNorm1d(4))}
    )
    # -- metrics, callbacks, training
    for name in (*("Accuracy", "ConfusionMatrix", "F1", "Precision", "Recall"),):
        add(f"metrics.{name}", metric, getattr(metrics, name))
    add("metrics.TopKAccuracy", metric, metrics.TopKAccuracy, k=1)
    table["metrics.Metric"] = lambda: Call(metrics.Metric, {})
    for name in ("MeanAbsoluteError", "MeanSquaredError"):
        table[f"metrics.{name}"] = lambda name=name: Call(getattr(metrics, name), {})
    table["callbacks.Callback"] = lambda: Call(callbacks.Callback, {})
    add("callbacks.EarlyStopping", callback, callbacks.EarlyStopping, monitor="loss")
    add("callbacks.ModelCheckpoint", callback, callbacks.ModelCheckpoint, path=path("run.st"),
        monitor="loss")  # fmt: skip
    add("callbacks.LearningRateScheduler", callback, callbacks.LearningRateScheduler,
        schedule=lambda epoch: 0.1)  # fmt: skip
    add("callbacks.LambdaCallback", callback, callbacks.LambdaCallback)
    add("callbacks.TerminateOnNaN", callback, callbacks.TerminateOnNaN)
    table["callbacks.TensorBoard"] = lambda: Call(callbacks.TensorBoard, {"log_dir": FOLDER})
    add("callbacks.CSVLogger", callback, callbacks.CSVLogger, path=path("run.csv"))
    table["mg.Trainer"] = lambda: Call(
        mg.Trainer, {"model": model(), "loss": "cross_entropy"},
        lambda made: made.fit(X, Y, batch_size=6, verbose=0),
    )  # fmt: skip
    table["mg.Trainer.fit"] = lambda: Call(
        trainer().fit, {"x": X, "y": Y, "batch_size": 6, "verbose": 0}
    )
    for name in ("evaluate", "score"):
        table[f"mg.Trainer.{name}"] = lambda name=name: Call(
            getattr(trainer(), name), {"x": X, "y": Y}
        )
    table["mg.Trainer.lr_find"] = lambda: Call(
        trainer().lr_find, {"x": X, "y": Y, "steps": 5}, lambda found: found.suggestion
    )
    table["mg.Trainer.predict"] = lambda: Call(trainer().predict, {"x": X})
    table["mg.Trainer.load_state_dict"] = lambda: Call(
        trainer().load_state_dict, {"state": fitted().state_dict()}
    )
    table["mg.Trainer.save_checkpoint"] = lambda: Call(
        fitted().save_checkpoint, {"path": path("saved.st")}
    )
    table["mg.Trainer.load_checkpoint"] = lambda: Call(
        trainer().load_checkpoint,
        {"path": written("fitted.st", lambda to: fitted().save_checkpoint(to))},
    )
    table["mg.History"] = lambda: Call(mg.History, {})
    table["mg.History.load_state_dict"] = lambda: Call(
        mg.History().load_state_dict, {"state": {"loss": [1.0]}}
    )
    table["mg.History.plot"] = lambda: Call(
        fitted().history.plot, {"path": path("h.svg")}, heavy=True
    )
    table["mg.Trainer.epochs_seen_by"] = lambda: Call(
        fitted().epochs_seen_by, {"callback": callbacks.Callback()}
    )
    table["metrics.Metric.merge"] = lambda: Call(
        ready("Accuracy").merge, {"other": ready("Accuracy")}
    )
    for name in ("Accuracy", "ConfusionMatrix", "Precision"):
        table[f"metrics.{name}.merge"] = lambda name=name: Call(
            ready(name).merge, {"other": ready(name)}
        )
    scores = {"output": X[:, :2], "target": Y}
    for name in ("Accuracy", "ConfusionMatrix", "TopKAccuracy"):
        table[f"metrics.{name}.update"] = lambda name=name: Call(
            ready(name, *(1,) * (name == "TopKAccuracy")).update, dict(scores)
        )
    for name in ("MeanAbsoluteError", "MeanSquaredError"):
        table[f"metrics.{name}.update"] = lambda name=name: Call(
            ready(name).update, {"output": X, "target": X}
        )
    table["metrics.Metric.update"] = lambda: Call(ready("F1").update, dict(scores))
    table["metrics.Metric.load_state_dict"] = lambda: Call(
        ready("F1").load_state_dict, {"state": ready("F1").state_dict()}
    )
    watchers: dict[str, Callable[[], callbacks.Callback]] = {
        "Callback": callbacks.Callback, "EarlyStopping": callbacks.EarlyStopping,
        "ModelCheckpoint": lambda: callbacks.ModelCheckpoint(path("x.st")),
        "LearningRateScheduler": lambda: callbacks.LearningRateScheduler(lambda epoch: 0.1),
    }  # fmt: skip
    for name, made in watchers.items():
        table[f"callbacks.{name}.load_state_dict"] = lambda made=made: Call(
            made().load_state_dict, {"state": made().state_dict()}
        )
    table["models.DeepConvNet.load_book"] = lambda: Call(
        models.DeepConvNet().load_book, {"arrays": {}}, heavy=True
    )
    table["viz.LayerHistograms.record"] = lambda: Call(viz.LayerHistograms(model()).record, {})
    table["viz.LayerHistograms.plot"] = lambda: Call(
        viz.LayerHistograms(model()).plot, {}, heavy=True
    )
    # -- models
    for name in models.__all__:
        table[f"models.{name}"] = lambda name=name: Call(getattr(models, name), {}, heavy=True)
    table["models.Inception"] = lambda: Call(
        models.Inception,
        {"in_channels": 4, "ch1x1": 2, "ch3x3red": 2, "ch3x3": 2, "ch5x5red": 2, "ch5x5": 2,
         "pool_proj": 2},
        lambda made: made(images()),
    )  # fmt: skip
    for name in ("BasicBlock", "Bottleneck"):
        table[f"models.{name}"] = lambda name=name: Call(
            getattr(models, name),
            {"inplanes": 4, "planes": 1 if name == "Bottleneck" else 4},
            lambda made: made(images()),
        )
    table["models.ResNet"] = lambda: Call(
        models.ResNet, {"block": models.BasicBlock, "layers": [1, 1, 1, 1]}, heavy=True
    )
    table["models.VGG"] = lambda: Call(models.VGG, {"features": nn.ReLU()}, heavy=True)
    table["models.GoogLeNetOutputs"] = lambda: Call(
        models.GoogLeNetOutputs, {"logits": rows(), "aux_logits2": None, "aux_logits1": None}
    )
    # -- making tensors
    for name in ("zeros", "ones"):
        table[f"mg.{name}"] = lambda name=name: Call(getattr(mg, name), {"shape": (2, 3)})
    table["mg.full"] = lambda: Call(mg.full, {"shape": 2, "value": 1.0})
    table["mg.arange"] = lambda: Call(mg.arange, {"start": 3})
    table["mg.linspace"] = lambda: Call(mg.linspace, {"start": 0, "stop": 1, "num": 3})
    table["mg.eye"] = lambda: Call(mg.eye, {"n": 2})
    for name in ("zeros_like", "ones_like"):
        table[f"mg.{name}"] = lambda name=name: Call(getattr(mg, name), {"a": rows()})
    table["mg.full_like"] = lambda: Call(mg.full_like, {"a": rows(), "fill_value": 2.0})
    table["mg.tensor"] = lambda: Call(mg.tensor, {"data": [1.0, 2.0]})
    for name in ("rand", "randn"):
        table[f"mg.{name}"] = lambda name=name: Call(getattr(mg, name), {"shape": [2, 3]})
    table["mg.manual_seed"] = lambda: Call(mg.manual_seed, {"seed": 0})
    table["mg.Tensor"] = lambda: Call(mg.Tensor, {"data": np.ones(2)})
    table["mg.Tensor.backward"] = lambda: Call((variable() * 2).backward, {"gradient": mg.ones(2)})
    table["mg.Tensor.assign"] = lambda: Call(variable().assign, {"value": [1.0, 2.0]})
    # -- derivatives
    for name in ("grad", "value_and_grad", "jacobian", "hessian"):
        table[f"mg.{name}"] = lambda name=name: Call(
            getattr(mg, name), {"f": square}, lambda made: made(rows())
        )
    table["mg.vjp"] = lambda: Call(mg.vjp, {"f": square, "args": [rows()]})
    for name in ("jvp", "hvp"):
        table[f"mg.{name}"] = lambda name=name: Call(
            getattr(mg, name), {"f": square, "x": rows(), "v": rows()}
        )
    table["mg.custom_gradient"] = lambda: Call(
        mg.custom_gradient, {"f": lambda x: (x, lambda g: g)}, lambda made: made(variable())
    )
    table["mg.checkpoint"] = lambda: Call(mg.checkpoint, {"f": square, "args": [variable()]})
    table["mg.stop_gradient"] = lambda: Call(mg.stop_gradient, {"x": rows()})
    table["mg.no_grad"] = lambda: Call(mg.no_grad, {})
    table["mg.is_recording"] = lambda: Call(mg.is_recording, {})
    table["mg.GradientTape"] = lambda: Call(mg.GradientTape, {})
    table["mg.GradientTape.watch"] = lambda: Call(mg.GradientTape().watch, {"tensor": rows()})

    def of_tape(name: str) -> Call:
        tape, y, x = recorded()
        sources = "source" if name == "batch_jacobian" else "sources"
        return Call(getattr(tape, name), {"target": y, sources: x})

    for name in ("gradient", "jacobian", "batch_jacobian"):
        table[f"mg.GradientTape.{name}"] = lambda name=name: of_tape(name)
    # -- looking on, files, pictures
    table["mg.detect_anomaly"] = lambda: Call(mg.detect_anomaly, {})
    table["mg.observe"] = lambda: Call(mg.observe, {})
    table["mg.AnomalyError"] = lambda: Call(lambda: None, {})
    table["mg.explain"] = lambda: Call(
        mg.explain, dict(zip(("tape", "target", "source"), recorded(), strict=True))
    )
    table["mg.show_config"] = lambda: Call(mg.show_config, {})
    table["mg.summary"] = lambda: Call(mg.summary, {"model": model(), "input_shape": 4})
    table["mg.Summary"] = lambda: Call(lambda: None, {})
    table["mg.film"] = lambda: Call(mg.film, {"steps": 3})
    table["mg.film.page"] = lambda: Call(
        filmed().page, {"params": {}, "height": 100, "max_nodes": 9}, str
    )
    table["mg.film.save"] = lambda: Call(filmed().save, {"path": path("film.html"), "params": {}})
    table["mg.film.to_records"] = lambda: Call(filmed().to_records, {})
    table["mg.make_dot"] = lambda: Call(
        mg.make_dot, {"target": variable() * 2, "params": {}}, lambda made: made.source
    )
    weights = {"w": mg.ones(2)}
    table["mg.save"] = lambda: Call(mg.save, {"state_dict": weights, "path": path("w.st")})
    for name in ("load", "load_metadata"):
        table[f"mg.{name}"] = lambda name=name: Call(
            getattr(mg, name), {"path": written("loaded.st", lambda to: mg.save(weights, to))}
        )
    table["mg.save_checkpoint"] = lambda: Call(mg.save_checkpoint, {"path": path("c.st")})
    table["mg.load_checkpoint"] = lambda: Call(
        mg.load_checkpoint,
        {"path": written("checkpoint.st", lambda to: mg.save_checkpoint(to, epoch=1))},
    )
    table["mg.save_model"] = lambda: Call(mg.save_model, {"model": model(), "path": path("m.st")})
    table["mg.load_model"] = lambda: Call(
        mg.load_model, {"path": written("model.st", lambda to: mg.save_model(model(), to))}
    )
    if "onnx" in GROUPS:
        table["onnx.export"] = lambda: Call(
            mg.onnx.export, {"model": model(), "args": rows(), "path": path("m.onnx")}
        )
        table["onnx.load"] = lambda: Call(
            mg.onnx.load,
            {"path": written("m.onnx", lambda to: mg.onnx.export(model(), rows(), to))},
        )
    # -- proofs
    table["testing.check_grads"] = lambda: Call(
        testing.check_grads, {"f": square, "args": [np.array([1.0])]}
    )
    table["testing.given_grads"] = lambda: Call(
        testing.given_grads, {"drawn": [testing.strategies.arrays((2,))]}
    )
    for name in ("GradientInconclusive", "GradientMismatch", "GradientReport", "Verdict"):
        table[f"testing.{name}"] = lambda: Call(lambda: None, {})  # results, not made by users
    # -- pictures of what is trained
    figures: dict[str, Callable[[], dict[str, Any]]] = {
        "confusion_matrix": lambda: {"labels": [0, 1], "predictions": [0, 1]},
        "feature_maps": lambda: {"model": nn.Conv2d(4, 2, 3), "x": images()},
        "filters": lambda: {"weight": nn.Conv2d(1, 2, 3)},
        "learning_curves": lambda: {"history": {"loss": [1.0, 0.5]}},
        "loss_landscape": lambda: {"model": model(), "loss": lambda: mg.ones(())},
        "misclassified": lambda: {"images": images()[:, 0], "labels": [0, 1],
                                  "predictions": [1, 0]},
    }  # fmt: skip
    for name, made in figures.items():
        table[f"viz.{name}"] = lambda name=name, made=made: Call(
            getattr(viz, name), made(), heavy=True
        )
    table["viz.LayerHistograms"] = lambda: Call(viz.LayerHistograms, {"model": model()})
    return table


#: Methods that a class only has for those who write subclasses, and what NumPy's protocols call.
FOR_SUBCLASSES = {
    *("forward", "draw", "check", "update_rule", "export", "restore", "initial_state"),
    *("initial_scalars", "get_lr", "score", "parameter_shapes"),
    *("on_train_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_train_end"),
    *("backward", "detached", "improves"),
}


def public_names() -> Iterator[tuple[str, Any]]:
    """Every public class, function and method that is no operator, with its name in the table."""
    for group, module in GROUPS.items():
        listed = getattr(module, "__all__", None) or [n for n in dir(module) if n[:1] != "_"]
        for name in listed:
            found = getattr(module, name)
            home = str(getattr(found, "__module__", ""))
            if not callable(found) or not home.startswith("minigrad"):
                continue
            if home.startswith("minigrad.operators") or inspect.ismodule(found):
                continue
            # What a file imports for its own use is public where it comes from.
            if not hasattr(module, "__all__") and module is not mg and home != module.__name__:
                continue
            yield f"{group}.{name}", found
