"""The ledger as JSON-ready values."""

from __future__ import annotations

from typing import Any

from kpis.base import Unit
from kpis.contracts import Number, written
from kpis.ledger_reading import LedgerView


def ledger_plain(view: LedgerView) -> dict[str, Any]:
    """As JSON, in the shape of `GET /api/v1/kpis/{metric}/ledger/`."""

    def shown(value: Number) -> Any:
        return written(value, view.unit, view.exponent)

    return {
        "metric": view.metric,
        "name": view.name,
        "unit": view.unit.value,
        "currency": view.currency if view.unit is Unit.MONEY else None,
        **view.stamp,
        "reported": shown(view.reported),
        "known": shown(view.known),
        "difference": shown(view.difference),
        "reasons": [
            {
                "reason": found.reason,
                "words": found.words,
                "amount": shown(found.amount),
                "records": found.records,
                "days": found.days,
            }
            for found in view.reasons
        ],
        "days": [
            {
                "start": day.start.isoformat(),
                "end": day.end.isoformat(),
                "reported": shown(day.reported),
                "reported_at": day.reported_at.isoformat() if day.reported_at else None,
                "known": shown(day.known),
                "difference": shown(day.difference),
                "is_complete": day.is_complete,
                "parts": [
                    {
                        "reason": part.reason,
                        "words": part.words,
                        "amount": shown(part.amount),
                        "records": part.records,
                    }
                    for part in day.parts
                ],
                "revisions": [
                    {
                        "value": shown(revision.value),
                        "previous": shown(revision.previous),
                        "reason": revision.reason,
                        "definition_version": revision.definition_version.split(" ")[0],
                        "is_complete": revision.is_complete,
                        "published_at": revision.computed_at.isoformat(),
                    }
                    for revision in day.revisions
                ],
            }
            for day in view.days
        ],
    }
