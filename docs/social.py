"""Make the picture that stands beside links to the site: `python docs/social.py`.

A computation and the way back through it, as `make_dot` draws them, under the name.
"""

import io
from pathlib import Path

import matplotlib.image
import matplotlib.pyplot as plt

import minigrad as mg

OUT = Path(__file__).parent / "_static" / "social.png"
WIDTH, HEIGHT = 1200, 630  # what those who show such pictures ask for


def main() -> None:
    x = mg.tensor([0.5, 1.5], requires_grad=True)
    with mg.GradientTape():
        with mg.GradientTape() as inner:
            y = (mg.sin(x) * x).sum()
        slope = inner.gradient(y, x)
    graph = mg.make_dot({"y": y, "dy/dx": slope}, {"x": x}, direction="LR")
    graph.attr("graph", dpi="220")
    picture = matplotlib.image.imread(io.BytesIO(graph.pipe("png")), format="png")

    figure = plt.figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor="white")
    figure.text(0.05, 0.86, "minigrad", fontsize=52, weight="bold", color="#1d4ed8", va="center")
    figure.text(0.05, 0.745, "Gradients of any order, on NumPy: recorded, proven and drawn",
                fontsize=21, color="#1f2937", va="center")  # fmt: skip
    axes = figure.add_axes((0.03, 0.03, 0.94, 0.66))
    axes.imshow(picture, interpolation="antialiased")
    axes.axis("off")
    figure.savefig(OUT, metadata={"Software": None})
    print(OUT)


if __name__ == "__main__":
    main()
