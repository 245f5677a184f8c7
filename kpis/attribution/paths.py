"""Touches and sales as columns, and which touches lie before which sale. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Touches:
    """By (person, time, receipt). `key` numbers what the credit goes to."""

    person: Ints
    ts: Ints
    key: Ints
    is_direct: Flags
    is_paid: Flags

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True)
class Sales:
    """One row a conversion, by (person, time). `amount` in minor units of the base currency."""

    person: Ints
    ts: Ints
    amount: Ints
    is_in_range: Flags
    is_first: Flags

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True)
class Spans:
    """For each sale the touches [low, high) that lie before it, within the lookback."""

    low: Ints
    high: Ints

    @property
    def count(self) -> Ints:
        return self.high - self.low


@dataclass(frozen=True)
class Shares:
    """Money to be shared like a sale: `sale` is its row, `amount` in minor units, negative for what is taken back.

    A refund is two of them: all that was refunded so far is taken back, all that had been before is given again; so
    that parts of a refund add up to exactly what the whole would have taken, and a whole one to the sale itself.
    """

    sale: Ints
    amount: Ints
    sign: Ints


def spans_of(touches: Touches, sales: Sales, lookback: int) -> Spans:
    """`lookback` in microseconds. A touch at the very moment of the sale is before it."""
    if len(touches) == 0 or len(sales) == 0:
        zeros = np.zeros(len(sales), dtype=np.int64)
        return Spans(zeros, zeros)
    low = int(min(touches.ts[0:].min(), sales.ts.min() - lookback))
    width = int(max(touches.ts.max(), sales.ts.max()) - low).bit_length()
    if int(max(touches.person.max(), sales.person.max())).bit_length() + width > 63:
        return _spans_slowly(touches, sales, lookback)
    packed = (touches.person << width) | (touches.ts - low)
    base = sales.person << width
    first = np.searchsorted(packed, base | (sales.ts - lookback - low))
    last = np.searchsorted(packed, base | (sales.ts - low), side="right")
    return Spans(first.astype(np.int64), last.astype(np.int64))


def _spans_slowly(touches: Touches, sales: Sales, lookback: int) -> Spans:
    """Without packing, for times so far apart that person and time do not fit one number: person by person."""
    low, high = np.zeros(len(sales), dtype=np.int64), np.zeros(len(sales), dtype=np.int64)
    people, starts = np.unique(sales.person, return_index=True)
    ends = np.append(starts[1:], len(sales))
    left, right = (np.searchsorted(touches.person, people, side) for side in ("left", "right"))
    for start, end, a, b in zip(starts, ends, left, right, strict=True):
        mine = touches.ts[a:b]
        low[start:end] = a + np.searchsorted(mine, sales.ts[start:end] - lookback)
        high[start:end] = a + np.searchsorted(mine, sales.ts[start:end], side="right")
    return Spans(low, high)
