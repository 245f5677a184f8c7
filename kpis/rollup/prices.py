"""Events of subscriptions as the last word on each: what `prices` keeps (`analytics.aggregates.Prices`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.aggregates import INTERVALS, Encoded, Price, Prices
from analytics.columns import Block, Numbers, Rows, Texts
from kpis.rollup.keys import key_hash
from kpis.taxonomy import STANDARD_NAMES

ENDED = "subscription_cancelled"
MONTH = INTERVALS.index("month")
COUNT_DIGITS = 3


def prices(
    block: Block, rows: Rows, of_row: npt.NDArray[np.int64], count: int, names: Mapping[str, str]
) -> list[Encoded]:
    """One state for each group. `names` are the tenant's own names of events with what they stand for.

    Rows of nobody known are left out. An interval that is none of ours is a month, a count that is no whole number up
    to 999 is one; an amount without an exchange rate costs nothing until the rate comes.
    """
    persons = block.numbers("person_id")
    found: dict[int, list[Price]] = defaultdict(list)
    for place, row in zip(of_row.tolist(), rows.tolist(), strict=True):
        if not persons.is_null[row]:
            found[place].append(_price(block, row, names))
    return [Prices.of(found[place]).encode() if place in found else (0, None, None) for place in range(count)]


def _price(block: Block, row: int, names: Mapping[str, str]) -> Price:
    name = _text(block, "name", row)
    has_ended = STANDARD_NAMES.get(names.get(name, name)) == ENDED
    base = 0 if has_ended else _number(block, "amount_base", row)
    return Price(
        person=int(block.numbers("person_id").values[row]),
        key=key_hash(_text(block, "object_id", row)),
        at=int(block.numbers("ts").values[row]),
        base=base,
        amount=_number(block, "amount", row) if base else 0,
        currency=_text(block, "currency", row)[:3] if base else "",
        interval=_interval(_text(block, "properties.interval", row)),
        intervals=_count(_text(block, "properties.interval_count", row)),
        was_paid=base != 0,
    )


def _interval(text: str) -> int:
    return INTERVALS.index(text) if text in INTERVALS else MONTH


def _count(text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= COUNT_DIGITS
    return max(1, int(text)) if is_number else 1


def _text(block: Block, column: str, row: int) -> str:
    texts = block.columns[column]
    assert isinstance(texts, Texts)
    code = int(texts.codes[row])
    return texts.values[code] if code >= 0 else ""


def _number(block: Block, column: str, row: int) -> int:
    numbers: Numbers | Any = block.columns[column]
    return 0 if numbers.is_null[row] else int(numbers.values[row])
