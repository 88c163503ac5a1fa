"""What a step of data-parallel training costs: how long ranks take to add up their gradients.

A message of n bytes takes ``latency + per_byte * n`` seconds, and adding up n bytes of two ranks
takes ``per_sum * n`` (Hockney, 1994; Thakur, Rabenseifner and Gropp, "Optimization of collective
communication operations in MPICH", 2005). All else follows from how often an algorithm sends, and
how much, and from when the backward pass has the gradients ready. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np


class Link(NamedTuple):
    """What connects two ranks."""

    latency: float
    per_byte: float
    per_sum: float = 0.0


def network(gigabits: float, latency: float, per_sum: float = 0.0) -> Link:
    """A network of so many gigabits a second."""
    return Link(latency, 8e-9 / gigabits, per_sum)


def recursive_doubling(link: Link, ranks: int, size: float) -> float:
    """Each rank swaps all it has with one that is 1, 2, 4, ... ranks away, and adds it up."""
    rounds, rest = _rounds(ranks)
    return rounds * (link.latency + size * (link.per_byte + link.per_sum)) + rest * _aside(
        link, size
    )


def halving_and_doubling(link: Link, ranks: int, size: float) -> float:
    """Swap and add up half of the rest in each round; then collect the sums the same way back."""
    rounds, rest = _rounds(ranks)
    part = 1.0 - 0.5**rounds
    there_and_back = 2.0 * (rounds * link.latency + part * size * link.per_byte)
    return there_and_back + part * size * link.per_sum + rest * _aside(link, size)


def ring(link: Link, ranks: int, size: float) -> float:
    """Parts of 1 / ranks of the data go round the ranks twice: added up, then handed out."""
    part = (ranks - 1) / ranks
    return (
        2.0 * (ranks - 1) * link.latency
        + 2.0 * part * size * link.per_byte
        + part * size * link.per_sum
    )


Algorithm = Callable[[Link, int, float], float]
ALGORITHMS: tuple[Algorithm, ...] = (recursive_doubling, halving_and_doubling, ring)


def quickest(link: Link, ranks: int, size: float) -> float:
    """The time of the algorithm that suits this size and number of ranks best."""
    return min(algorithm(link, ranks, size) for algorithm in ALGORITHMS) if ranks > 1 else 0.0


def _rounds(ranks: int) -> tuple[int, bool]:
    """How often the largest power of two of ranks can be halved; and whether ranks are left."""
    rounds = ranks.bit_length() - 1
    return rounds, ranks != 1 << rounds


def _aside(link: Link, size: float) -> float:
    """Ranks beyond a power of two hand theirs to a neighbour first, and get the sum at the end."""
    return 2.0 * (link.latency + size * link.per_byte) + size * link.per_sum


def fit_messages(sizes: Sequence[float], seconds: Sequence[float]) -> Link:
    """The link of messages of these sizes that took so long: the least relative errors squared."""
    t = np.asarray(seconds, np.float64)
    columns = np.stack([1.0 / t, np.asarray(sizes, np.float64) / t], axis=1)
    scale = np.linalg.norm(columns, axis=0)
    found = np.linalg.lstsq(columns / scale, np.ones_like(t), rcond=None)[0] / scale
    return Link(max(0.0, float(found[0])), max(0.0, float(found[1])))


def fit_sums(link: Link, sizes: Sequence[float], seconds: Sequence[float], ranks: int = 2) -> Link:
    """The link with the cost of adding up that explains these exchanges of all ranks best."""
    free = link._replace(per_sum=0.0)
    sums = Link(0.0, 0.0, 1.0)
    each = [
        (t - halving_and_doubling(free, ranks, n)) / halving_and_doubling(sums, ranks, n)
        for n, t in zip(sizes, seconds, strict=True)
    ]
    return link._replace(per_sum=max(0.0, float(np.median(each))))


class Step(NamedTuple):
    """A training step of one rank, without any exchange.

    ``gradients``: for each parameter, as the backward pass comes to them, how much of that pass is
    over when its gradient is complete, from 0 to 1, and its bytes.
    """

    forward: float
    backward: float
    update: float
    gradients: Sequence[tuple[float, float]]

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.forward + self.backward + self.update

    @property
    def size(self) -> float:
        """The bytes of all gradients."""
        return sum(size for _, size in self.gradients)


class Growth(NamedTuple):
    """How a step grows with its batch: in a straight line through two that were measured."""

    small: int
    of_small: Step
    large: int
    of_large: Step

    def step(self, batch: float) -> Step:
        """The step of another batch; when its gradients are complete is that of ``of_large``."""
        way = (batch - self.small) / (self.large - self.small)
        forward, backward = (
            a + way * (b - a) for a, b in zip(self.of_small[:2], self.of_large[:2], strict=True)
        )
        return self.of_large._replace(forward=forward, backward=backward)


def buckets(gradients: Iterable[tuple[float, float]], size: float) -> list[tuple[float, float]]:
    """The gradients in buckets of at most ``size`` bytes: when each is complete, and its bytes."""
    made: list[tuple[float, float]] = []
    for ready, n in gradients:
        if made and made[-1][1] + n <= size:
            made[-1] = max(made[-1][0], ready), made[-1][1] + n
        else:
            made.append((ready, n))
    return made


def exposed(
    step: Step, link: Link, ranks: int, bucket_size: float = 4e6, algorithm: Algorithm = quickest
) -> float:
    """How long the exchange goes on after the backward pass: one bucket after the other.

    It assumes that the network works while the processor computes. ``bucket_size=inf`` is one
    bucket, so that nothing is hidden.
    """
    end = 0.0
    for ready, size in buckets(step.gradients, bucket_size):
        end = max(end, ready * step.backward) + algorithm(link, ranks, size)
    return max(0.0, end - step.backward)


def step_time(
    step: Step, link: Link, ranks: int, bucket_size: float = 4e6, algorithm: Algorithm = quickest
) -> float:
    """A step of each of so many ranks, with the part of the exchange that is not hidden."""
    return step.seconds + exposed(step, link, ranks, bucket_size, algorithm)


def weak(step: Step, link: Link, ranks: int, bucket_size: float = 4e6) -> float:
    """Efficiency if each rank keeps its batch: the part of its time in which it computes."""
    return step.seconds / step_time(step, link, ranks, bucket_size)


def strong(growth: Growth, batch: float, link: Link, ranks: int, bucket_size: float = 4e6) -> float:
    """Efficiency if ranks share a batch: how much faster they are than one, over their number."""
    share = growth.step(batch / ranks)
    return growth.step(batch).seconds / (ranks * step_time(share, link, ranks, bucket_size))


def last_that_pays(efficiencies: Iterable[tuple[int, float]], least: float = 0.5) -> int:
    """The largest number of ranks up to which efficiency is never below ``least``; 0 if none."""
    last = 0
    for ranks, efficiency in efficiencies:
        if efficiency < least:
            break
        last = ranks
    return last
