"""What is asked of the reference: each number by going through everything that was told, with persons put in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

from tests.model.reference import Reference, Told

# DECISIONS 15: these make nobody active. S15: so long a pause ends a session.
NOT_ACTIVE = {"$set", "$identify", "$create_alias", "$groupidentify", "$feature_flag_called", "$pageleave"}
INACTIVITY = timedelta(minutes=30)


def value_of(
    reference: Reference,
    metric: str,
    start: datetime,
    end: datetime,
    now: datetime,
    *,
    country: str | None = None,
    name: str | None = None,
    internal: bool = False,
) -> Decimal | None:
    """The metric over [start, end); None where nothing can be known yet (S5). "" is no country."""
    ours = [told for told in reference.told if not told.is_internal]
    if not ours or end <= reference.day(min(told.ts for told in ours)) or start >= now:
        return None
    told = [each for each in reference.in_person() if internal or not each.is_internal]
    told = [each for each in told if country is None or (each.country or "") == country]
    told = [each for each in told if name is None or each.name == name]
    return Decimal(METRICS[metric](reference, told, start, end))


def within(told: list[Told], start: datetime, end: datetime, *names: str) -> list[Told]:
    return [t for t in told if start <= t.ts < end and (not names or t.name in names)]


def active(told: list[Told]) -> list[Told]:
    return [t for t in told if t.name not in NOT_ACTIVE and t.who is not None]


def money(told: list[Told]) -> Decimal:
    return sum((t.amount for t in told if t.amount is not None), Decimal(0))


def refunds(r: Reference, told: list[Told], a: datetime, b: datetime) -> Decimal:
    return sum((abs(t.amount) for t in within(told, a, b, "order_refunded") if t.amount is not None), Decimal(0))


def buyers(told: list[Told], a: datetime, b: datetime) -> Counter[str]:
    return Counter(t.who for t in within(told, a, b, "order_completed") if t.who is not None)


def wau(r: Reference, told: list[Told], a: datetime, b: datetime) -> int:
    return len({t.who for t in active(within(told, r.day(b - timedelta(microseconds=1), -6), b))})


def new(r: Reference, told: list[Told], a: datetime, b: datetime) -> int:
    before = {t.who for t in active(told) if t.ts < a}
    return len({t.who for t in active(within(told, a, b))} - before)


def sessions(r: Reference, told: list[Told], a: datetime, b: datetime) -> int:
    last: dict[tuple[str | None, bool], datetime] = {}
    starts = []
    for t in sorted(active(told), key=lambda t: t.ts):
        if (t.who, t.is_internal) not in last or t.ts - last[t.who, t.is_internal] > INACTIVITY:
            starts.append(t.ts)
        last[t.who, t.is_internal] = t.ts
    return sum(a <= start < b for start in starts)


METRICS: dict[str, Callable[[Reference, list[Told], datetime, datetime], Decimal | int]] = {
    "events.count": lambda r, told, a, b: len(within(told, a, b)),
    "users.active": lambda r, told, a, b: len({t.who for t in active(within(told, a, b))}),
    "users.wau": wau,
    "users.new": new,
    "orders.count": lambda r, told, a, b: len(within(told, a, b, "order_completed")),
    "revenue.gross": lambda r, told, a, b: money(within(told, a, b, "order_completed")),
    "revenue.refunds": refunds,
    "users.paying": lambda r, told, a, b: len(buyers(told, a, b)),
    "orders.repeat_customers": lambda r, told, a, b: sum(n > 1 for n in buyers(told, a, b).values()),
    "sessions.count": sessions,
}
