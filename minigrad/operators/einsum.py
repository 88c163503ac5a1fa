"""Einstein's summation convention, and products over chosen axes that are written with it.

A call is first brought to one plain form, as in "ij,jk->ik": no ellipsis, no implied output. The
gradient of an operand is then again such a sum, over the cotangent and the other operands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.operators.declare import Array, composite, dtypes_of, engine, operator, weak
from minigrad.operators.domain import sample
from minigrad.operators.indexing import one_axis

# string.ascii_letters, without an import that takes as long as all operators together.
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _einsum_vjp(g: Any, needed: list[int], _ans: Any, *xs: Any, subscripts: str) -> list[Any]:
    left, out = subscripts.split("->")
    terms = left.split(",")

    def gradient_of(i: int) -> Any:
        wanted, shape = terms[i], xs[i].shape
        others = [(t, x) for j, (t, x) in enumerate(zip(terms, xs, strict=True)) if j != i]
        sums = [(out, g), *others]
        # Letters of length 1 broadcast.
        long = {c for term, x in sums for c, n in zip(term, x.shape, strict=True) if n != 1}
        result = ""
        for letter, n in zip(wanted, shape, strict=True):
            if letter in result:
                continue
            result += letter
            if letter not in long:
                # Summed out over this operand alone: g goes to every element.
                sums.append((letter, np.ones(n, dtype=g.dtype)))
        back = ",".join(term for term, _ in sums) + "->" + result
        found = np.einsum(back, *[x for _, x in sums], optimize=True)
        return found if len(result) == len(wanted) else _on_diagonal(found, wanted, shape)

    return [gradient_of(i) for i in needed]


def _on_diagonal(x: Any, letters: str, shape: tuple[int, ...]) -> Any:
    """x where the places of all equal letters agree, and zeros beside it."""
    places = np.indices(shape, sparse=True)
    kept: Any = True
    once = []
    for i, first in enumerate(map(letters.index, letters)):
        kept = kept & (places[i] == places[first])
        once.append(shape[i] if first == i else 1)
    return np.where(kept, np.reshape(x, once), 0.0)


@operator(
    vjp_all=_einsum_vjp,
    variadic=True,
    view=True,
    samples=[
        sample([(2, 3), (3, 4)], subscripts="ij,jk->ik"), sample([(3, 3)], subscripts="ii->i"),
        sample([(3, 3)], subscripts="ii->"), sample([(2, 3)], subscripts="ij->j"),
        sample([(3, 2, 3), (3,)], subscripts="iji,i->j"), sample([(2,), (3,)], subscripts="i,j->"),
        sample([(2, 3), (2, 3), (3,)], subscripts="ij,ij,j->i"),
        sample([(2, 2, 2)], subscripts="iii->i"), sample([(3,), (1,)], subscripts="i,i->i"),
        sample([(3,), (1,)], subscripts="i,i->"), sample([(0, 3), (3, 2)], subscripts="ij,jk->ik"),
        sample([(), (2,)], subscripts=",i->i"), sample([(2, 0)], subscripts="ij->i"),
    ],
    reference=lambda arrays, subscripts: np.einsum(subscripts, *arrays),
)  # fmt: skip
def _einsum(arrays: Any, subscripts: str) -> Any:
    return np.einsum(subscripts, *arrays, optimize=len(arrays) > 1)


def _letters(operands: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """Both ways to call einsum, brought to a string and the arrays."""
    if isinstance(operands[0], str):
        return operands[0].replace(" ", ""), list(operands[1:])

    def term(axes: Any) -> str:
        return "".join("..." if a is Ellipsis else LETTERS[a] for a in axes)

    arrays, axes = operands[::2], operands[1::2]
    out = "->" + term(arrays[-1]) if len(arrays) > len(axes) else ""
    return ",".join(map(term, axes)) + out, list(arrays[: len(axes)])


def _plain_form(subscripts: str, shapes: list[tuple[int, ...]]) -> str:
    """The subscripts with a letter for each axis of an ellipsis, and with their output."""
    left, arrow, out = subscripts.partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ValueError(f"{subscripts!r} is for {len(terms)} operands, got {len(shapes)}")
    bad = set(subscripts.replace("...", "")) - set(LETTERS + ",->")
    if bad or "." in subscripts.replace("...", ""):
        raise ValueError(f"{subscripts!r}: expected letters, commas, '...' and '->'")
    free = [c for c in LETTERS if c not in subscripts]
    wide = [len(s) - len(t.replace("...", "")) for t, s in zip(terms, shapes, strict=True)]
    for term, shape, extra in zip(terms, shapes, wide, strict=True):
        if extra < 0 or (extra and "..." not in term):
            letters = len(term.replace("...", ""))
            raise ValueError(f"{term!r} names {letters} axes, its operand has shape {shape}")
    most = max(wide)
    # Ellipses broadcast, so they share their last letters.
    hidden = "".join(free[:most])
    full = [t.replace("...", hidden[most - n :]) for t, n in zip(terms, wide, strict=True)]
    if arrow:
        out = out.replace("...", hidden)
    else:
        every = "".join(terms).replace("...", "")
        out = hidden + "".join(sorted(c for c in set(every) if every.count(c) == 1))
    return ",".join(full) + "->" + out


@composite(
    np.einsum,
    arrays=0,
    samples=[
        sample("ij,jk", (2, 3), (3, 2)), sample("ii", (3, 3)), sample("ba", (2, 3)),
        sample("...ij,...jk->...ik", (2, 2, 3), (3, 2)), sample("i...->...", (2, 3, 2)),
        sample("...i,i", (2, 1, 3), (3,)), sample("i...,j...", (2, 3), (4, 1, 3)),
        sample("ij, kj -> ik", (2, 3), (4, 3), optimize=True), sample("i,i", (0,), (0,)),
    ],
)  # fmt: skip
def einsum(*operands: Any, optimize: Any = True) -> Array:
    """Sums of products after Einstein's convention, as in "ij,jk->ik" for a matrix product.

    Letters may repeat in an operand (a diagonal), be summed out, and stand for broadcast axes
    as "..."; without "->" the output has the letters that occur once, in order. Axes can also be
    numbers: einsum(x, [0, 1], y, [1, 2], [0, 2]). ``optimize`` is accepted as in NumPy; pairs of
    operands always go by the fastest way. Raises ValueError for subscripts that do not fit.

    >>> einsum("ij,j->i", tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    if len(operands) < 2:
        raise ValueError("expected subscripts and at least one operand")
    subscripts, arrays = _letters(operands)
    dtypes = dtypes_of(arrays)
    tensors = [engine.as_tensor(weak(a, dtypes)) for a in arrays]
    return _einsum(tensors, _plain_form(subscripts, [t.shape for t in tensors]))


@composite(
    (np.tensordot, np.linalg.tensordot),
    arrays=2,
    samples=[
        sample((2, 3), (3, 4), axes=1), sample((2, 3, 4), (4, 3, 2), axes=([1, 2], [1, 0])),
        sample((2,), (3,), axes=0), sample((2, 3), (2, 3)), sample((3, 2), (4, 3), axes=(0, 1)),
        sample((0, 2), (2, 3), axes=1), sample((2, 3), (3, 5), axes=(-1, -2)),
    ],
)  # fmt: skip
def tensordot(a: Array, b: Array, axes: Any = 2) -> Array:
    """The sum of products over axes: the last n of ``a`` and the first n of b, or pairs of lists.

    Raises ValueError when the axes differ in number or in length.

    >>> tensordot(tensor([[1.0, 2.0]]), tensor([[3.0], [4.0]]), axes=1)
    tensor([[11.]])
    """
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise ValueError(f"axes must be 0 to {min(a.ndim, b.ndim)}, or two lists, got {axes}")
        axes = (range(a.ndim - int(axes), a.ndim), range(int(axes)))
    first, second = (
        [one_axis(i, t.ndim) for i in ([one] if isinstance(one, (int, np.integer)) else one)]
        for one, t in zip(axes, (a, b), strict=True)
    )
    lengths = [a.shape[i] for i in first], [b.shape[i] for i in second]
    if lengths[0] != lengths[1]:
        raise ValueError(f"the summed axes have lengths {lengths[0]} in a and {lengths[1]} in b")
    left = list(LETTERS[: a.ndim])
    right = list(LETTERS[a.ndim : a.ndim + b.ndim])
    for i, j in zip(first, second, strict=True):
        right[j] = left[i]
    out = [c for i, c in enumerate(left) if i not in first]
    out += [c for i, c in enumerate(right) if i not in second]
    return _einsum([a, b], f"{''.join(left)},{''.join(right)}->{''.join(out)}")
