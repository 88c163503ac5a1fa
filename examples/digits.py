"""A small convolutional network learns to read handwritten digits, in well under a minute.

    python examples/digits.py [--epochs 15] [--out demo-output]

The data are the 1,797 images of 8 x 8 pixels that come with scikit-learn; a fifth of them is held
out. The training loop is written by hand with ``mg.GradientTape``, as one would in TensorFlow.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from matplotlib.figure import Figure
from tqdm import tqdm

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--epochs", type=int, default=15)
options.add_argument("--out", type=Path, default=Path("demo-output"))
args = options.parse_args()
if args.epochs < 1:
    options.error("--epochs must be at least 1")
try:
    args.out.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=args.out).close()  # not to find out only when saving
except OSError as error:
    options.error(f"--out: {error}")

generator = mg.manual_seed(0)
(x_train, y_train), (x_test, y_test) = mg.data.load_digits()  # images (N, 1, 8, 8) in [0, 1]
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
    nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
    nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5),
    nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10),
)  # fmt: skip
parameters = list(model.parameters())
optimizer = optim.Adam(parameters, lr=3e-3)
schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)
losses, accuracies = [], []

try:
    for epoch in range(1, args.epochs + 1):
        model.train()
        batches = generator.permutation(len(x_train) // 32 * 32).reshape(-1, 32)
        bar = tqdm(batches, desc=f"epoch {epoch:2}/{args.epochs}", ncols=80)
        losses.append(0.0)
        for batch in bar:
            x, y = mg.tensor(x_train[batch]), mg.tensor(y_train[batch])
            with mg.GradientTape() as tape:
                loss = F.cross_entropy(model(x), y)
            gradients = tape.gradient(loss, parameters)
            optimizer.apply_gradients(zip(gradients, parameters, strict=True))
            losses[-1] += loss.item() / len(batches)
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        schedule.step()
        model.eval()
        with mg.no_grad():
            answers = model(mg.tensor(x_test)).argmax(axis=1).numpy()
        accuracies.append(float((answers == y_test).mean()))
except KeyboardInterrupt:
    print("\ninterrupted: what was learnt so far is kept")
curve, graph, saved = (args.out / n for n in ("curve.png", "graph.svg", "digits.safetensors"))
mg.save_model(model, saved)
if not accuracies:
    sys.exit(f"saved model: {saved}")

figure = Figure(figsize=(9, 3.2), layout="constrained")
left, right = figure.subplots(1, 2)
epochs = range(1, len(accuracies) + 1)
left.plot(epochs, losses[: len(accuracies)], marker=".")
left.set(title="loss on the training images", xlabel="epoch", yscale="log")
right.plot(epochs, accuracies, marker=".")
right.set(title="accuracy on the held-out images", xlabel="epoch")
figure.savefig(curve, dpi=120)
mg.make_dot(loss, params={"images": x, **dict(model.named_parameters())}).save(graph)

print(f"\ntest accuracy: {accuracies[-1]:.2%} of {len(y_test)} images never seen in training")
print(f"learning curve: {curve}\ncomputation graph: {graph}\nsaved model: {saved}")
