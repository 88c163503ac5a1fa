"""A transformer and an LSTM read Python's manual letter by letter, and write some of their own.

    python examples/transformer_text.py [--quick]

The text is what ``help("topics")`` shows, which comes with Python: 460,000 characters. Both
networks see up to 64 characters and say how likely each character is to come next. A transformer
looks at all earlier places at once and weighs them by attention (Vaswani et al., "Attention is all
you need", 2017; the norms come first, as in Xiong et al., 2020); an LSTM goes from left to right
and carries a state (Hochreiter and Schmidhuber, 1997). Knowing nothing costs log2(97) = 6.6 bits
for each character; both come close to 2.

Beside the learning curve there are two ways to look inside: a picture of what each head attends to,
and the tape of one training step, a line for each operation.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from matplotlib.figure import Figure
from tqdm.auto import trange

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim

#: How many characters the networks look back on.
CONTEXT = 64
#: The characters that are told apart: all others become "?".
LETTERS = "\n" + "".join(map(chr, range(32, 127)))


def encode(text: str) -> np.ndarray:
    """The numbers of the characters, shape (len(text),)."""
    numbers = {letter: i for i, letter in enumerate(LETTERS)}
    return np.array([numbers.get(letter, numbers["?"]) for letter in text])


class Block(nn.Module):
    """Half of it moves knowledge between places, the other half thinks at each place alone."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.before_thinking = nn.LayerNorm(width)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
        """x (N, L, width) to the same shape, and the weights of attention (N, heads, L, L)."""
        places = x.shape[1]
        future = np.triu(np.ones((places, places), bool), k=1)  # True: may not be looked at
        y = self.before_attention(x)
        y, weights = self.attention(y, y, y, attn_mask=future, average_attn_weights=False)
        x = x + y
        return x + self.think(self.before_thinking(x)), weights


class Transformer(nn.Module):
    """Characters (N, L) to the scores of the next one at each place, (N, L, letters)."""

    def __init__(self, width: int = 64, heads: int = 4, blocks: int = 2) -> None:
        super().__init__()
        self.letter = nn.Embedding(len(LETTERS), width)
        self.place = nn.Embedding(CONTEXT, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, len(LETTERS))

    def forward(self, text: np.ndarray) -> mg.Tensor:
        return self.look(text)[0]

    def look(self, text: np.ndarray) -> tuple[mg.Tensor, list[mg.Tensor]]:
        """The scores, and the weights of attention of each block."""
        x = self.letter(text) + self.place(np.arange(text.shape[1]))
        seen = []
        for block in self.blocks:
            x, weights = block(x)
            seen.append(weights)
        return self.score(self.norm(x)), seen


class Recurrent(nn.Module):
    """The same from left to right, with a state that each character changes."""

    def __init__(self, width: int = 64, hidden: int = 128) -> None:
        super().__init__()
        self.letter = nn.Embedding(len(LETTERS), width)
        self.lstm = nn.LSTM(width, hidden, batch_first=True)
        self.score = nn.Linear(hidden, len(LETTERS))

    def forward(self, text: np.ndarray) -> mg.Tensor:
        hidden, _ = self.lstm(self.letter(text))
        scores: mg.Tensor = self.score(hidden)
        return scores


def bits(model: nn.Module, windows: np.ndarray) -> mg.Tensor:
    """The mean cost of the next character in bits; windows (N, L + 1)."""
    scores = model(windows[:, :-1])
    nats = F.cross_entropy(scores.reshape(-1, len(LETTERS)), windows[:, 1:].reshape(-1))
    return nats / float(np.log(2))


def train(model: nn.Module, text: np.ndarray, steps: int, lr: float, name: str) -> list[float]:
    """The bits a character at each step."""
    optimizer = optim.AdamW(model.parameters(), lr=lr)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=steps)
    generator = np.random.default_rng(0)
    parameters = list(model.parameters())
    costs = []
    bar = trange(steps, desc=f"{name:11}", ncols=80, mininterval=0.5)
    for _ in bar:
        starts = generator.integers(0, len(text) - CONTEXT - 1, size=(32, 1))
        with mg.GradientTape() as tape:
            cost = bits(model, text[starts + np.arange(CONTEXT + 1)])
        gradients = tape.gradient(cost, parameters)
        optimizer.apply_gradients(zip(gradients, parameters, strict=True))
        schedule.step()
        costs.append(cost.item())
        bar.set_postfix_str(f"{np.mean(costs[-50:]):.2f} bits a character", refresh=False)
    return costs


@mg.no_grad()
def test(model: nn.Module, text: np.ndarray) -> float:
    """The bits a character on text that was not seen, in windows side by side."""
    count = (len(text) - 1) // CONTEXT
    windows = text[np.arange(count)[:, None] * CONTEXT + np.arange(CONTEXT + 1)]
    parts = np.array_split(windows, -(-count // 64))
    return float(np.average([bits(model, p).item() for p in parts], weights=[*map(len, parts)]))


@mg.no_grad()
def write(model: nn.Module, start: str, length: int, warmth: float = 0.6) -> str:
    """Go on from ``start``: each character is drawn from what the network expects.

    The scores are divided by ``warmth`` first: near 0 the likeliest is always taken, above 1 more
    is risked.
    """
    generator = np.random.default_rng(1)
    text = list(encode(start))
    for _ in range(length):
        scores = model(np.array([text[-CONTEXT:]]))[0, -1]
        text.append(generator.choice(len(LETTERS), p=F.softmax(scores / warmth).numpy()))
    return "".join(LETTERS[i] for i in text)


def smooth(costs: list[float]) -> np.ndarray:
    """The mean of 25 steps, or of fewer in a short training."""
    over = min(25, len(costs))
    return np.convolve(costs, np.full(over, 1 / over), "valid")


def draw_curves(curves: dict[str, list[float]]) -> Figure:
    figure = Figure(figsize=(7.2, 3.4), layout="constrained", dpi=150)
    axes = figure.subplots()
    for (name, costs), colour in zip(curves.items(), ("#0072b2", "#d55e00"), strict=True):
        line = smooth(costs)
        axes.plot(np.arange(len(line)) + len(costs) - len(line), line, color=colour, label=name)
    axes.set(xlabel="step", ylabel="bits a character", ylim=(1, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e3e5e8")
    axes.legend(frameon=False, labelcolor="linecolor")
    return figure


@mg.no_grad()
def draw_attention(model: Transformer, text: str) -> Figure:
    """A panel for each head of the last block: the row's character looks at the dark columns."""
    _, seen = model.look(encode(text)[None])
    heads = seen[-1].numpy()[0]
    figure = Figure(figsize=(3.3 * len(heads), 3.7), layout="constrained", dpi=150)
    for i, (axes, weights) in enumerate(zip(figure.subplots(1, len(heads)), heads, strict=True)):
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1)
        letters = list(text.replace(" ", "\N{OPEN BOX}"))
        axes.set_xticks(range(len(text)), letters, fontsize=7, family="monospace")
        axes.set_yticks(range(len(text)), letters, fontsize=7, family="monospace")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(f"head {i + 1}", fontsize=10)
    figure.supylabel("this character", fontsize=9)
    figure.supxlabel("looks at", fontsize=9)
    return figure


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="small networks, in seconds")
    options.add_argument("--steps", type=int, help="of training; 1,000, or 20 with --quick")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("demo-output"))
    args = options.parse_args()
    steps = (20 if args.quick else 1000) if args.steps is None else args.steps
    if steps < 1:
        options.error("--steps must be at least 1")
    args.out.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=args.out).close()  # not to find out only when saving

    text = "\n\n".join(topics[name].strip() for name in sorted(topics))
    numbers = encode(text)
    border = len(text) * 19 // 20
    mg.manual_seed(args.seed)
    width = 32 if args.quick else 64
    transformer = Transformer(width)
    models = {"transformer": transformer, "LSTM": Recurrent(width, 2 * width)}
    curves = {}
    clock = time.perf_counter()
    for name, model in models.items():
        rate = 3e-3 if name == "transformer" else 6e-3
        curves[name] = train(model, numbers[:border], steps, rate, name)
    seconds = time.perf_counter() - clock
    print(f"\n{len(text):,} characters, {steps:,} steps each, {seconds:.0f} s in all")
    for name, model in models.items():
        size = sum(p.size for p in model.parameters())
        cost = test(model, numbers[border:])
        print(f"{name}: {size:,} parameters, {cost:.2f} bits a character on unseen text")

    with mg.GradientTape() as tape:
        bits(transformer, numbers[None, : CONTEXT + 1])
    (args.out / "text_tape.txt").write_text(f"{tape}\n", encoding="utf-8")
    draw_curves(curves).savefig(args.out / "text_curve.png")
    draw_attention(transformer, "The import statement").savefig(args.out / "text_attention.png")
    mg.save(transformer.state_dict(), args.out / "text_transformer.safetensors")
    for name, model in models.items():
        print(f"\n{name} writes:\n" + write(model, "The ", 60 if args.quick else 300))
    print(f"\npictures and the tape of one step in {args.out}/: text_*")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, OSError, ValueError) as error:
        sys.exit(f"{Path(__file__).name}: {str(error) or 'interrupted'}")
