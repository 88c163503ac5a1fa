"""VGG16 looks at a photograph: its stages, what they cost, and which pixels matter.

    python examples/vgg16.py [--photo china] [--weights vgg16.safetensors] [--quick]

VGG (Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition",
2014) is depth from nothing but 3 x 3 convolutions: two of them see as far as one of 5 x 5, with
fewer weights. Thirteen convolutions in five stages, and three dense layers with most of the
138,357,544 parameters.

The program runs the network forward and backward, stage by stage, on a photograph that comes with
scikit-learn, and prints time and memory of each. The gradient of the strongest class with respect
to the image says which pixels would change it most (Simonyan, Vedaldi and Zisserman, "Deep inside
convolutional networks", 2013). --weights takes torchvision's, saved with safetensors; without them
the network is as it starts, and the pattern is faint.
"""

import argparse
import sys
import tempfile
import time
import tracemalloc
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from minigrad import data, models, nn

mpl.use("Agg")  # draw into files, without a screen

IMAGENET = data.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def photograph(name: str, size: int) -> np.ndarray:
    """The middle of one of scikit-learn's photographs: (size, size, 3), from 0 to 1."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    whole = load_sample_image(f"{name}.jpg")
    height, width, _ = whole.shape
    left = (width - height) // 2
    square = Image.fromarray(whole[:, left : left + height])
    return np.asarray(square.resize((size, size)), np.float32) / 255


def stages(model: models.VGG) -> dict[str, nn.Module]:
    """The convolutions up to each pooling, and the dense layers."""
    layers = list(model.features.children())
    cut = [i + 1 for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    pieces = [nn.Sequential(*layers[i:j]) for i, j in pairwise([0, *cut])]
    named: dict[str, nn.Module] = {f"stage {n}": piece for n, piece in enumerate(pieces, 1)}
    return named | {"dense": nn.Sequential(model.avgpool, nn.Flatten(), model.classifier)}


def run(model: models.VGG, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Forward and backward with a table; returns the logits and the gradient of the image.

    Each stage starts from a tensor of its own, so that its backward pass can be timed by itself.
    """
    print(f"\n{'':10}{'output':>19}{'parameters':>14}{'forward':>11}{'kept':>11}{'backward':>11}")
    x = mg.tensor(image, requires_grad=True)
    passes, forward, kept = [], [], []
    tracemalloc.start()
    for stage in stages(model).values():
        before, clock = tracemalloc.get_traced_memory()[0], time.perf_counter()
        out = stage(x)
        forward.append(time.perf_counter() - clock)
        kept.append(tracemalloc.get_traced_memory()[0] - before)
        passes.append((x, out))
        x = out.detach()
        x.requires_grad = True
    logits = x.numpy()
    g = mg.tensor(np.eye(logits.size, dtype=np.float32)[logits.argmax()][None])
    backward = []
    for x, out in reversed(passes):
        clock = time.perf_counter()
        out.backward(g)
        backward.append(time.perf_counter() - clock)
        g = x.grad
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    rows: list[tuple[str, str, int, float, float, float]] = [
        (name, str(out.shape), sum(p.size for p in stage.parameters()), ahead, held, back)
        for (name, stage), (_, out), ahead, held, back in zip(
            stages(model).items(), passes, forward, kept, reversed(backward), strict=True
        )
    ]
    total = sum(p.size for p in model.parameters())
    rows.append(("in all", "", total, sum(forward), sum(kept), sum(backward)))
    for name, shape, count, ahead, held, back in rows:
        print(f"{name:10}{shape:>19}{count:>14,}{ahead:>9.2f} s{held / 1e6:>8.1f} MB{back:>9.2f} s")
    print(f"at most {peak / 1e6:,.0f} MB at once, beside the weights: activations and gradients")
    return logits[0], g.numpy()[0]


def draw(photo: np.ndarray, gradient: np.ndarray, title: str, path: Path) -> None:
    """The photograph, the pixels that matter, and both."""
    evidence = np.abs(gradient).max(axis=0)
    evidence = np.clip(evidence / np.percentile(evidence, 99.5), 0, 1)
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.7), layout="constrained")
    panels[0].imshow(photo)
    panels[1].imshow(evidence, cmap="magma")
    panels[2].imshow(photo * (0.25 + 0.75 * evidence[:, :, None] ** 0.5))
    names = ("photograph", "|d score / d pixel|", "what the score rests on")
    for axes, name in zip(panels, names, strict=True):
        axes.set_title(name, fontsize=11)
        axes.set_axis_off()
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=150)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="VGG11 and a small image")
    options.add_argument("--photo", choices=("china", "flower"), default="china")
    options.add_argument("--weights", type=Path, help="torchvision's vgg16, as .safetensors")
    options.add_argument("--out", type=Path, default=Path("demo-output"))
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=args.out).close()  # not to find out only when saving

    size = 32 if args.quick else 224
    try:
        photo = photograph(args.photo, size)
    except ImportError as error:
        sys.exit(f"no photograph: {error}; pip install 'minigrad[data,plot]'")
    mg.manual_seed(0)
    # In quick mode fewer layers, and their weights drawn once instead of twice.
    model = (models.vgg11(init_weights=False) if args.quick else models.vgg16()).eval()
    if args.weights:
        try:
            model.load_state_dict(mg.load(args.weights))
        except (OSError, ValueError) as error:
            sys.exit(f"cannot read the weights: {error}")
    print(mg.summary(model, (3, size, size)))
    logits, gradient = run(model, IMAGENET(photo.transpose(2, 0, 1))[None])
    best = np.argsort(logits)[::-1][:5]
    print(f"\nstrongest classes: {', '.join(f'{i} ({logits[i]:.2f})' for i in best)}")
    state = "trained" if args.weights else "untrained"
    path = args.out / "vgg16_evidence.png"
    draw(photo, gradient, f"{state} network, class {best[0]}", path)
    print(f"class evidence: {path}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, OSError, ValueError) as error:
        sys.exit(f"{Path(__file__).name}: {str(error) or 'interrupted'}")
