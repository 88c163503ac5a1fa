"""How long pictures take: ResNet-50, a chain of 20,000 operators, and the page of DeepConvNet.

python -m benchmarks.picture
"""

from __future__ import annotations

import re

import minigrad as mg
from benchmarks.timing import shortest


def main() -> None:
    mg.manual_seed(0)
    resnet = mg.models.resnet50()
    scores, params = resnet(mg.randn(2, 3, 64, 64)), dict(resnet.named_parameters())
    picture = mg.make_dot(scores, params)
    svg = picture.pipe("svg", encoding="utf-8")
    size = re.search(r'width="(\d+)pt" height="(\d+)pt"', svg)
    width, height = size.groups() if size else ("?", "?")
    plan = shortest(lambda: mg.make_dot(scores, params))
    layout = shortest(lambda: picture.pipe("svg"))
    print(f"ResNet-50: plan {plan:.2f} s, layout {layout:.2f} s, {width} x {height} pt")

    y = x = mg.tensor([1.0], requires_grad=True)
    for _ in range(20_000):
        y = mg.sin(y)
    duration = shortest(lambda: mg.make_dot(y, {"x": x}).pipe("svg"))
    print(f"a chain of 20,000 operators, laid out: {duration:.2f} s")

    net = mg.models.deep_convnet()
    with mg.observe():
        loss = net(mg.randn(2, 1, 28, 28)).sum()
        loss.backward(retain_graph=True)
    show = ("values", "gradients", "bytes", "time", "line")
    page = mg.make_dot(loss, dict(net.named_parameters()), show=show).html
    print(f"the page of DeepConvNet with every overlay: {len(page.encode()) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
