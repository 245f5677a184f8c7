"""Customers by segment as a card: the newest snapshot, or that of the day in the address."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from analytics.contracts import TenantInfo
from insights.contracts import SnapshotView
from insights.selectors import NoSnapshot, snapshot_read
from reports.dashboard import shown
from reports.explore.card import CardPage, CardTable, NoCard, Parameters, pages
from reports.explore.frame import count, share

PATH: Final = "/customers/"


def customers_card(parameters: Parameters, tenant: TenantInfo, now: datetime) -> CardTable:
    """One segment to a row."""
    try:
        day = parameters.get("taken_on")
        found = snapshot_read(tenant_id=tenant.id, taken_on=date.fromisoformat(day) if day else None)
    except ValueError:
        raise NoCard("The day of this card is no date: add it again.") from None
    except NoSnapshot as problem:
        raise NoCard(str(problem)) from None
    rows = tuple(
        (each.name, count(each.size), share(each.share), shown.minor_shown(each.net, found.currency))
        for each in found.segments
    )
    return CardTable(reading_of(found), ("Segment", "Customers", "Share", "Net revenue"), rows)


def reading_of(found: SnapshotView) -> str:
    """How many there are, and what they may bring."""
    told = f"{found.customers:,} customer{'' if found.customers == 1 else 's'} on {found.taken_on:%-d %b %Y}."
    if not found.prediction:
        return told
    value, low, high = (shown.minor_shown(int(str(found.prediction[name])), found.currency) for name in
                        ("value", "low", "high"))  # fmt: skip
    return f"{told} They may bring {value} ({low} to {high}) in the {found.prediction['days']} days after."


pages.register(CardPage(PATH, customers_card))
