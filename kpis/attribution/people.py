"""Who is behind a credit: the people with a conversion that a key gets something of. Pure."""

from __future__ import annotations

import numpy as np

from kpis.attribution.answer import UNTOUCHED
from kpis.attribution.models import SINGLES, Case
from kpis.attribution.paths import Flags, Ints
from kpis.series.question import QuestionError


def credited(case: Case, sellers: Ints, keys: tuple[str, ...], *, model: str, key: str) -> Ints:
    """Ascending. Models that share a sale among touches (Markov too) give something to every key on its path, the
    others to one touch; `sellers` is the person of each sale. Raises QuestionError for a key that no touch has.
    """
    sale = np.unique(case.shares.sale[case.counts > 0])
    touched = case.spans.count[sale] > 0
    if key == UNTOUCHED:
        return np.unique(sellers[sale[~touched]])
    if key not in keys:
        raise QuestionError(f"no touch of this range is of {key[:100]!r}", "place")
    mine = case.touches.key == keys.index(key)
    return np.unique(sellers[sale[touched][_given(case, sale[touched], mine, model)]])


def _given(case: Case, sale: Ints, mine: Flags, model: str) -> Flags:
    low, high = case.spans.low[sale], case.spans.high[sale]
    if model in SINGLES and len(sale):
        return mine[SINGLES[model](case, low, high)]
    before = np.concatenate([[0], np.cumsum(mine)])
    return np.asarray(before[high] > before[low])
