"""Touches put in order: parts of the people side by side, each touch as one number of person, time and kind. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from kpis.attribution.channels import Touchpoint
from kpis.attribution.paths import Flags, Ints
from kpis.funnels.rows import ordered

THREADS: Final = 4
PART: Final = 200_000
"""Touches of a part, about: what a processor's cache holds."""
BITS: Final = 63

Keep = Callable[[Ints, Ints, Ints], Flags]


@dataclass(frozen=True)
class Seen:
    """Touches with the number of what is known of where each came from: `points[kind]`."""

    person: Ints
    ts: Ints
    seq: Ints
    kind: Ints
    points: Sequence[Touchpoint]


class NotPlain(Exception):
    """Numbers cannot tell the order."""


def in_order(runs: Sequence[Seen], kinds: int, keep: Keep) -> tuple[Ints, Ints, Ints]:
    """Person, time and kind of all touches of the runs by (person, ts, seq), as far as `keep(person, ts, kind)` says.

    Every run lies by person, and the kinds of all are numbered alike. All touches of a person are kept together.
    """
    if not runs:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, empty
    with ThreadPoolExecutor(THREADS) as pool:
        parts = list(pool.map(lambda part: _kept(_sorted(part, kinds), keep), _parts(runs)))
        ends = np.cumsum([len(part[0]) for part in parts])
        whole = tuple(np.empty(int(ends[-1]), dtype=np.int64) for _ in range(3))

        def place(number: int) -> None:
            for column, values in zip(whole, parts[number], strict=True):
                column[ends[number] - len(values) : ends[number]] = values

        list(pool.map(place, range(len(parts))))
    return whole[0], whole[1], whole[2]


def _parts(runs: Sequence[Seen]) -> Iterator[list[Seen]]:
    """The touches of some of the people each, about as many in each part."""
    rows = sum(len(run.person) for run in runs)
    count = max(1, -(-rows // PART))
    stride = max(1, rows // (count * 200))
    some = np.sort(np.concatenate([run.person[::stride] for run in runs]))
    cuts = np.unique(some[len(some) * np.arange(1, count) // count])
    edges = [[0, *np.searchsorted(run.person, cuts.astype(run.person.dtype)).tolist(), len(run.person)] for run in runs]
    for part in range(len(cuts) + 1):
        places = [slice(edge[part], edge[part + 1]) for edge in edges]
        yield [
            Seen(run.person[at], run.ts[at], run.seq[at], run.kind[at], run.points)
            for run, at in zip(runs, places, strict=True)
            if at.stop > at.start
        ]


def _sorted(part: Sequence[Seen], kinds: int) -> tuple[Ints, Ints, Ints]:
    if not part:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, empty
    try:
        return _by_number(part, kinds)
    except NotPlain:
        return _by_row(part)


def _by_number(part: Sequence[Seen], kinds: int) -> tuple[Ints, Ints, Ints]:
    """Raises NotPlain when the numbers are too large, or touches of different kinds have one person and time."""
    numbers = np.concatenate([run.person for run in part]).astype(np.int64)
    ts = np.concatenate([run.ts for run in part])
    low, base, tag = int(numbers.min()), int(ts.min()), max(1, (kinds - 1).bit_length())
    width = int(ts.max() - base).bit_length()
    if (int(numbers.max()) - low).bit_length() + width + tag > BITS:
        raise NotPlain
    numbers -= low
    numbers <<= width
    numbers += ts
    numbers -= base
    numbers <<= tag
    numbers |= np.concatenate([run.kind for run in part])
    numbers.sort()
    apart = numbers[1:] ^ numbers[:-1]
    if np.any((apart > 0) & (apart >> tag == 0)):
        raise NotPlain
    kind = numbers & ((1 << tag) - 1)
    numbers >>= tag
    return (numbers >> width) + low, (numbers & ((1 << width) - 1)) + base, kind


def _by_row(runs: Sequence[Seen]) -> tuple[Ints, Ints, Ints]:
    person, ts, seq, kind = (
        np.concatenate([getattr(run, name) for run in runs]).astype(np.int64)
        for name in ("person", "ts", "seq", "kind")
    )
    order = ordered(person, ts, seq)
    return person[order], ts[order], kind[order]


def _kept(touches: tuple[Ints, Ints, Ints], keep: Keep) -> tuple[Ints, Ints, Ints]:
    rows = np.flatnonzero(keep(*touches))
    if len(rows) == len(touches[0]):
        return touches
    return touches[0][rows], touches[1][rows], touches[2][rows]
