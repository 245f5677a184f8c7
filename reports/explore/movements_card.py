"""Movements of recurring revenue as a card: the bridge without the customers behind it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from analytics.contracts import TenantInfo
from reports.dashboard import shown
from reports.dashboard.question import question_of
from reports.dashboard.reading import numbers_read
from reports.explore.card import NOTHING, CardPage, CardTable, NoCard, Parameters, pages
from reports.explore.movements import KNOWN, METRICS, WORDS, reading_of

PATH: Final = "/customers/movements/"


def movements_card(parameters: Parameters, tenant: TenantInfo, now: datetime) -> CardTable:
    """From the start of the range to its end."""
    question = question_of(parameters, tenant, now, path=PATH, known=KNOWN)
    ask = replace(question.ask, by=None, filters=(), grain="total")
    numbers = numbers_read(METRICS, ask, tenant_id=tenant.id)
    lines = {kind: numbers.series.get(f"mrr.{kind}") for kind in WORDS}
    found = {kind: series for kind, series in lines.items() if series is not None}
    if len(found) < len(WORDS):
        raise NoCard(NOTHING)
    rows = tuple(
        (
            WORDS[kind],
            shown.of_series(series.total, series),
            shown.of_series(series.comparison.total, series) if series.comparison else "",
        )
        for kind, series in found.items()
    )
    return CardTable(reading_of(numbers), ("Movement", "Amount", "Before"), rows)


pages.register(CardPage(PATH, movements_card))
