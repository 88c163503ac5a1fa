"""Write tests/oracles/*.npz: what PyTorch computes for tests/nn_cases.py and optim_cases.py.

    python -m tools.write_oracles

The tests compare with these figures where there is no PyTorch. Run it, with PyTorch installed,
after a change to the cases. It draws no random numbers: running it twice writes the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests import nn_cases, optim_cases
from tests.nn_cases import Case, Library

FOLDER = Path(__file__).parent.parent / "tests" / "oracles"
Parts = dict[str, NDArray[Any]]


def tensor(array: Any) -> Any:
    return torch.tensor(np.asarray(array))


def call(module: Any, parameters: Any, arguments: Any) -> Any:
    return torch.func.functional_call(module, parameters, arguments)


LIBRARY = Library(torch.nn, torch.nn.functional, tensor, call)


def figures(case: Case) -> Parts:
    """Outputs, gradients, one number of the second order, buffers afterwards."""
    xs = [tensor(x).requires_grad_(x.dtype.kind == "f") for x in case.inputs]
    sources = {f"input {i}": x for i, x in enumerate(xs) if x.requires_grad}
    settings = {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in case.settings.items()}
    layer = None
    if case.make is not None:
        layer = case.make(torch.nn)
        if any(isinstance(p, torch.nn.UninitializedParameter) for p in layer.parameters()):
            layer(xs[0].detach())
        layer = layer.double().train(case.training)
        layer.load_state_dict(
            {k: tensor(nn_cases.initial(k, tuple(v.shape))) for k, v in layer.state_dict().items()}
        )
        sources |= dict(layer.named_parameters())
        outputs = flat(case.run(layer, *xs, **settings))
    else:
        outputs = flat((case.theirs or case.run)(LIBRARY, *xs))
    parts = {f"output {i}": y.detach().numpy() for i, y in enumerate(outputs)}
    total: Any = sum(
        (y * tensor(nn_cases.cotangent(i, tuple(y.shape)))).sum() for i, y in enumerate(outputs)
    )
    if total.requires_grad:
        first = gradients(total, sources)
        parts |= {f"gradient of {k}": g.detach().numpy() for k, g in first.items()}
        if case.order > 1:
            second = gradients(sum(g @ u for g, u in directed(first, 0)), sources)
            number = sum((h.detach() @ v).item() for h, v in directed(second, 1))
            parts["second order"] = np.asarray(number)
    if layer is not None:
        parts |= {f"buffer {k}": b.numpy() for k, b in layer.named_buffers()}
    return parts


def gradients(total: Any, sources: dict[str, Any]) -> dict[str, Any]:
    if not total.requires_grad:
        return {k: torch.zeros_like(x) for k, x in sources.items()}
    found = torch.autograd.grad(
        total, list(sources.values()), create_graph=True, materialize_grads=True
    )
    return dict(zip(sources, found, strict=True))


def directed(found: dict[str, Any], seed: int) -> list[tuple[Any, Any]]:
    return [
        (g.ravel(), tensor(nn_cases.direction(i, tuple(g.shape), seed)).ravel())
        for i, g in enumerate(found.values())
    ]


def flat(output: Any) -> list[Any]:
    if isinstance(output, tuple):
        return [y for one in output for y in flat(one)]
    return [] if output is None else [output]


def write(name: str, found: dict[str, Parts]) -> None:
    """All figures one after the other, and a table of which are whose."""
    contents = {k: {part: a.shape for part, a in parts.items()} for k, parts in found.items()}
    numbers = [nn_cases.kept(a) for parts in found.values() for a in parts.values()]
    FOLDER.mkdir(exist_ok=True)
    np.savez_compressed(
        FOLDER / f"{name}.npz",
        contents=np.frombuffer(json.dumps(contents).encode(), np.uint8),
        figures=np.concatenate(numbers),
    )
    print(f"{name}: {len(found)} cases, {(FOLDER / f'{name}.npz').stat().st_size:,} bytes")


def main() -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)  # NAdam keeps a number of its state in this dtype
    with sdpa_kernel(SDPBackend.MATH):  # the others have no second order
        write("nn", {name: figures(case) for name, case in nn_cases.CASES.items()})
    runs = optim_cases.RUNS.items()
    write("optim", {name: {"all": run(torch.optim, tensor)} for name, run in runs})


if __name__ == "__main__":
    main()
