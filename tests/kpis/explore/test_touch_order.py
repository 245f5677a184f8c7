"""Touches in parts of the people lie as one sort of them all would put them."""

from __future__ import annotations

import numpy as np
import pytest

from kpis.attribution import sorting
from kpis.attribution.sorting import Seen, in_order


def runs_of(seed: int, people: int, times: int, apart: int) -> list[Seen]:
    dice = np.random.default_rng(seed)
    found = []
    for number in range(5):
        rows = int(dice.integers(1, 400))
        person, ts = dice.integers(1, people, rows) * apart, dice.integers(0, times, rows) * 60_000_000
        seq = np.arange(rows) + 1000 * number
        order = np.lexsort((seq, ts, person))
        kind = dice.integers(0, 7, rows)[order]
        found.append(Seen(person[order].astype(np.int32), ts[order], seq[order], kind, ()))
    return found


@pytest.mark.parametrize("part", [50, 100_000])
@pytest.mark.parametrize(
    ("times", "apart"), [(10**8, 1), (5, 1), (10**8, 10**7)], ids=["plain", "equal times", "people far apart"]
)
def test_parts_give_what_one_sort_gives(part: int, times: int, apart: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "PART", part)
    for seed in range(20):
        runs = runs_of(seed, 90, times, apart)
        person, ts, seq, kind = (
            np.concatenate([getattr(run, name) for run in runs]) for name in ("person", "ts", "seq", "kind")
        )
        order = np.lexsort((seq, ts, person))
        order = order[kind[order] != 3]
        found = in_order(runs, 7, lambda person, ts, kind: kind != 3)
        for column, whole in zip(found, (person, ts, kind), strict=True):
            assert column.tolist() == whole[order].tolist()


def test_no_touches_are_no_touches() -> None:
    assert [len(column) for column in in_order([], 0, lambda person, ts, kind: kind >= 0)] == [0, 0, 0]
