"""The values of a breakdown: those that most have, and all others as one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from kpis.contracts import OTHER
from kpis.rollup.keys import NONE_KEY

Ints: TypeAlias = npt.NDArray[np.int64]


def largest(code: Ints, values: Sequence[str], limit: int, counted: Any = None) -> Iterator[tuple[str, Ints]]:
    """Each value that is shown with the codes that make it: the `limit` values that most have (ties by value), then
    OTHER for the rest. Every code that anybody has is in exactly one of them.

    `code`: for each who is counted the number of their value among `values`, −1 for none (NONE_KEY). `counted`: who is
    (all when left out). A value that is spelled like NONE_KEY or OTHER counts as that, so that keys tell parts apart.
    """
    names = [NONE_KEY, *values]
    counts = np.bincount(code + 1, weights=counted, minlength=len(names))
    codes: dict[str, list[int]] = {}
    size: dict[str, float] = {}
    for place in np.flatnonzero(counts).tolist():
        codes.setdefault(names[place], []).append(place - 1)
        size[names[place]] = size.get(names[place], 0) + counts[place]
    rest = codes.pop(OTHER, [])
    ranked = sorted(codes, key=lambda name: (-size[name], name))
    for name in ranked[:limit]:
        yield name, np.array(codes[name])
    rest += [each for name in ranked[limit:] for each in codes[name]]
    if rest:
        yield OTHER, np.array(rest)
