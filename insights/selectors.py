"""What is read of `insights`: snapshots of customers, the value of one of them, observed curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

import numpy as np
from django.db import connection
from pyroaring import BitMap

from analytics.capture.money import exponents
from analytics.periods import Calendar, Granularity, from_micros
from analytics.selectors import people_erased
from analytics.tenancy import tenant_context
from insights.contracts import CohortCurve, CustomerValue, LifetimeCurves, SegmentView, SnapshotView
from insights.customers.histories import Customers, Sales, customers_of, observed_curves
from insights.customers.lifetime import Purchases, Spending, alive_chance
from insights.customers.prediction import LEVEL, predicted
from insights.customers.reading import SaleNames, local_days, sale_names, sales_read
from insights.customers.rfm import OTHERS, Rule, Scored, Segment, score, segments_of
from insights.customers.services import (
    DAYS_A_WEEK,
    HORIZON_DAYS,
    SEED,
    VERSION,
    purchases_model,
    segment_table,
    spending_model,
)
from insights.models import CustomerSegment, CustomerSnapshot
from kpis.explore.stamp import Stamp, fingerprint
from kpis.series.context import Context, context_read

CURVES_VERSION: Final = 1
"""Of the arithmetic of observed curves: it goes up whenever the same sales give another curve."""
UNITS: Final = (Granularity.WEEK, Granularity.MONTH, Granularity.QUARTER)
MOST_UNITS: Final = 60
DRAWS_OF_ONE: Final = 2000
MOVED_OVER_DAYS: Final = 28

_SALES = """
SELECT (extract(epoch FROM e.ts) * 1000000)::int8, coalesce(e.amount_base, 0), e.name = ANY (%(refunded)s)
  FROM bw_event e JOIN bw_subject s ON s.tenant_id = e.tenant_id AND s.id = e.subject_id
 WHERE e.tenant_id = %(tenant)s AND s.person_id = %(person)s AND e.name = ANY (%(names)s)
   AND NOT e.is_bot AND NOT e.is_internal AND e.ts < %(until)s"""

_PERSON = "SELECT person_id FROM bw_subject WHERE tenant_id = %s AND id = %s AND erased_at IS NULL"


class NoSnapshot(LookupError):
    """No snapshot of the customers was taken yet, or none on that day."""


class NoCustomer(LookupError):
    """Nobody of that id is known to the tenant."""


def snapshots_list(*, tenant_id: int) -> list[date]:
    """The days of which there are snapshots, newest first."""
    with tenant_context(tenant_id):
        return list(CustomerSnapshot.objects.filter(tenant_id=tenant_id).values_list("taken_on", flat=True))


def snapshot_read(*, tenant_id: int, taken_on: date | None = None, compare: date | None = None) -> SnapshotView:
    """A snapshot (the newest), and who moved since another (the nearest one at least 28 days older). NoSnapshot."""
    with tenant_context(tenant_id):
        snapshot = _snapshot(tenant_id, taken_on)
        segments = list(snapshot.segments.all())
        former = _former(tenant_id, snapshot, compare)
        moves = _moves(former, segments) if former else {}
        stamp = _stamp_of_snapshot(snapshot)
    net = sum(row.net for row in segments)
    return SnapshotView(
        taken_on=snapshot.taken_on,
        stamp=stamp,
        currency=snapshot.currency,
        customers=snapshot.customers,
        rule=snapshot.rule,
        edges={name: tuple(edges) for name, edges in snapshot.edges.items()},
        segments=tuple(_view(row, snapshot.customers, net) for row in segments),
        compared_with=former.taken_on if former else None,
        moves=moves,
        prediction=snapshot.prediction,
        calibration=snapshot.calibration,
        models=_models(snapshot),
        fit_note=snapshot.fit_note,
    )


def segment_members(*, tenant_id: int, name: str, taken_on: date | None = None) -> tuple[date, BitMap]:
    """The persons of a segment, and the day they were in it. Raises NoSnapshot for an unknown segment too."""
    with tenant_context(tenant_id):
        snapshot = _snapshot(tenant_id, taken_on)
        row = snapshot.segments.filter(name=name).first()
        if row is None:
            known = ", ".join(snapshot.segments.values_list("name", flat=True))
            raise NoSnapshot(f"There is no segment {name!r} on {snapshot.taken_on}; there are {known}.")
        members = BitMap.deserialize(bytes(row.members))
        return snapshot.taken_on, members - BitMap(people_erased(tenant_id=tenant_id))


def customer_value(*, tenant_id: int, subject: int, now: datetime) -> CustomerValue:
    """What the person behind the subject brought until now, how they score, what they may still bring. NoCustomer."""
    with tenant_context(tenant_id):
        context = context_read(tenant_id=tenant_id, now=now)
        person = _person(tenant_id, subject)
        snapshot = CustomerSnapshot.objects.filter(tenant_id=tenant_id).first()
        table = segment_table(tenant_id=tenant_id)
        names = sale_names(tenant_id)
        rows = _sales(tenant_id, person, now, names)
    calendar = context.calendar
    stamp = _stamp_of_value(context, fingerprint(VERSION, (names, table, HORIZON_DAYS)))
    if not rows:
        return _nothing(person, calendar.base_currency, snapshot, stamp)
    instants = np.array([row[0] for row in rows], dtype=np.int64)
    start = calendar.floor(from_micros(int(instants.min())), Granularity.DAY)
    first = calendar.local_date(start)
    days = local_days(calendar, start, now, instants)
    amounts = np.array([row[1] for row in rows], dtype=np.int64)
    refunds = np.array([row[2] for row in rows], dtype=np.bool_)
    sales = Sales(np.full(len(rows), person, dtype=np.int64), days, amounts, refunds)
    customers = customers_of(sales)
    if not len(customers.person):
        return _nothing(person, calendar.base_currency, snapshot, stamp)
    end = (calendar.local_date(now) - first).days + 1
    scores, segment = _scored(customers, end, snapshot, table)
    alive, expected, note = _foreseen(customers, end, snapshot)
    return CustomerValue(
        person=person,
        currency=calendar.base_currency,
        taken_on=calendar.local_date(now),
        first_purchase_on=_date(first, customers.first_day[0]),
        last_purchase_on=_date(first, customers.last_day[0]),
        purchases=int(customers.purchases[0]),
        orders=int(customers.orders[0]),
        gross=int(customers.gross[0]),
        refunds=int(customers.refunds[0]),
        net=int(customers.net[0]),
        scores=scores,
        segment=segment,
        alive=alive,
        expected_purchases=expected[0],
        expected_value=expected[1],
        expected_low=expected[2],
        expected_high=expected[3],
        horizon_days=HORIZON_DAYS,
        level=LEVEL,
        note=note,
        stamp=stamp,
    )


def lifetime_curves(*, tenant_id: int, unit: str = "month", units: int = 12, now: datetime) -> LifetimeCurves:
    """Observed value of the cohorts of the last `units` whole units and the one that runs. Raises ValueError."""
    if unit not in UNITS or not 1 <= units <= MOST_UNITS:
        raise ValueError(f"unit is one of {', '.join(UNITS)}, and units from 1 to {MOST_UNITS}")
    ledger = sales_read(tenant_id=tenant_id, until=now, now=now)
    calendar, grain = ledger.calendar, Granularity(unit)
    period = calendar.last(units, grain, now)
    starts = [*calendar.starts_between(period.start, now, grain), calendar.ceil(now, grain)]
    version = fingerprint(CURVES_VERSION, ledger.names)
    stamp = ledger.stamp(start=starts[0], end=starts[-1], definition_version=version, now=now)
    if not ledger.has_events:
        return LifetimeCurves(unit, calendar.base_currency, (), (), stamp)
    edges = np.array([ledger.day(calendar.local_date(start)) for start in starts], dtype=np.int64)
    known = ledger.day(calendar.local_date(ledger.data_through))
    curves = observed_curves(ledger.sales, edges, known_until=known)
    cohorts = tuple(
        CohortCurve(
            ledger.date_of(int(edges[curve.cohort])),
            curve.size,
            curve.net,
            tuple(None if net is None else net / curve.size for net in curve.net),
        )
        for curve in curves
    )
    return LifetimeCurves(unit, calendar.base_currency, cohorts, _means(cohorts), stamp)


def _means(cohorts: tuple[CohortCurve, ...]) -> tuple[float | None, ...]:
    means: list[float | None] = []
    for age in range(max((len(cohort.net) for cohort in cohorts), default=0)):
        known = [
            (cohort.net[age] or 0, cohort.size)
            for cohort in cohorts
            if age < len(cohort.net) and cohort.net[age] is not None
        ]
        size = sum(people for _, people in known)
        means.append(sum(net for net, _ in known) / size if size else None)
    return tuple(means)


def _snapshot(tenant_id: int, taken_on: date | None) -> CustomerSnapshot:
    rows = CustomerSnapshot.objects.filter(tenant_id=tenant_id)
    found = rows.first() if taken_on is None else rows.filter(taken_on=taken_on).first()
    if found is None:
        raise NoSnapshot(
            "No snapshot of the customers was taken yet: `manage.py customers --tenant SLUG` takes one."
            if taken_on is None
            else f"There is no snapshot of {taken_on}."
        )
    return found


def _stamp_of_snapshot(snapshot: CustomerSnapshot) -> Stamp:
    """As it was taken; of those that did not keep it, what the tenant's counting still knows."""
    zone, start = snapshot.zone, snapshot.starts_at
    if not zone or start is None:
        context = context_read(tenant_id=snapshot.tenant_id, now=snapshot.created_at)
        zone, start = context.calendar.zone, context.first_day or snapshot.data_through
    end = Calendar(zone).day(snapshot.taken_on).end
    return Stamp(
        timezone=zone,
        start=start,
        end=end,
        filters=(),
        include=(),
        definition_version=snapshot.definition_version,
        data_through=snapshot.data_through,
        is_complete=snapshot.data_through >= end,
        computed_at=snapshot.created_at,
        executor=snapshot.executor,
    )


def _stamp_of_value(context: Context, definition_version: str) -> Stamp:
    """From the first event until the end of today, of which the answer is: so it is never complete."""
    calendar, now = context.calendar, context.now
    end = calendar.day(calendar.local_date(now)).end
    start = context.first_day or calendar.floor(now, Granularity.DAY)
    return Stamp(
        timezone=calendar.zone,
        start=start,
        end=end,
        filters=(),
        include=(),
        definition_version=definition_version,
        data_through=context.data_through,
        is_complete=context.is_settled(start, end),
        computed_at=now,
        executor="events",
    )


def _former(tenant_id: int, snapshot: CustomerSnapshot, compare: date | None) -> CustomerSnapshot | None:
    rows = CustomerSnapshot.objects.filter(tenant_id=tenant_id, taken_on__lt=snapshot.taken_on)
    if compare is not None:
        found = rows.filter(taken_on=compare).first()
        if found is None:
            raise NoSnapshot(f"There is no snapshot of {compare} before {snapshot.taken_on}.")
        return found
    day = date.fromordinal(snapshot.taken_on.toordinal() - MOVED_OVER_DAYS)
    return rows.filter(taken_on__lte=day).first() or rows.last()


def _moves(former: CustomerSnapshot, segments: list[CustomerSegment]) -> dict[tuple[str, str], int]:
    """By intersections of bitmaps; '' is nobody's segment: not a customer then, or not any more."""
    before = {row.name: BitMap.deserialize(bytes(row.members)) for row in former.segments.all()}
    after = {row.name: BitMap.deserialize(bytes(row.members)) for row in segments}
    moves = {(old, new): len(was & now) for old, was in before.items() for new, now in after.items()}
    everyone_before, everyone_after = BitMap.union(BitMap(), *before.values()), BitMap.union(BitMap(), *after.values())
    moves |= {("", new): len(now - everyone_before) for new, now in after.items()}
    moves |= {(old, ""): len(was - everyone_after) for old, was in before.items()}
    return {move: people for move, people in moves.items() if people}


def _view(row: CustomerSegment, customers: int, net: int) -> SegmentView:
    return SegmentView(
        name=row.name,
        size=row.size,
        share=row.size / customers if customers else 0.0,
        orders=row.orders,
        net=row.net,
        net_share=row.net / net if net > 0 else None,
        recency_days=row.recency_days,
        predicted=row.predicted,
    )


def _models(snapshot: CustomerSnapshot) -> Mapping[str, object] | None:
    if snapshot.purchases_model is None:
        return None
    return {"purchases": snapshot.purchases_model, "spending": snapshot.spending_model}


def _person(tenant_id: int, subject: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_PERSON, [tenant_id, subject])
        row = cursor.fetchone()
    if row is None:
        raise NoCustomer(f"There is nobody {subject}.")
    return int(row[0])


def _sales(tenant_id: int, person: int, until: datetime, names: SaleNames) -> list[tuple[int, int, bool]]:
    sold, refunded = names
    with connection.cursor() as cursor:
        cursor.execute(
            _SALES,
            {
                "tenant": tenant_id,
                "person": person,
                "names": [*sold, *refunded],
                "refunded": list(refunded),
                "until": until,
            },
        )
        return list(cursor.fetchall())


def _scored(
    customers: Customers, end: int, snapshot: CustomerSnapshot | None, table: Sequence[Segment]
) -> tuple[tuple[int, int, int] | None, str | None]:
    """By the edges of the newest snapshot, so that one customer scores as all do."""
    if snapshot is None or not snapshot.edges.get("recency"):
        return None, None
    edges = snapshot.edges
    recency = len(edges["recency"]) + 2 - score(customers.recency_days(end), edges["recency"])
    scores = Scored(
        recency.astype(np.int8),
        score(customers.orders.astype(np.float64), edges["frequency"]),
        score(customers.net / 10 ** exponents().get(snapshot.currency, 2), edges["monetary"]),
        Rule(snapshot.rule),
        {},
    )
    place = int(segments_of(scores, table)[0])
    name = OTHERS if place < 0 else table[place].name
    return (int(scores.recency[0]), int(scores.frequency[0]), int(scores.monetary[0])), name


Expected = tuple[float | None, float | None, float | None, float | None]
NOTHING: Final[Expected] = (None, None, None, None)


def _foreseen(customers: Customers, end: int, snapshot: CustomerSnapshot | None) -> tuple[float | None, Expected, str]:
    if snapshot is None:
        return None, NOTHING, "no snapshot of the customers was taken yet"
    purchases: Purchases | None = purchases_model(snapshot.purchases_model)
    spending: Spending | None = spending_model(snapshot.spending_model)
    if purchases is None:
        return None, NOTHING, snapshot.fit_note
    histories = customers.histories(end)
    alive = float(alive_chance(purchases, histories)[0])
    if spending is None:
        return alive, NOTHING, snapshot.fit_note
    drawn = predicted(
        purchases,
        spending,
        histories,
        count=customers.repeats,
        mean=customers.repeat_mean,
        horizon=HORIZON_DAYS / DAYS_A_WEEK,
        seed=SEED,
        draws=DRAWS_OF_ONE,
    )
    is_first = customers.purchases[0] == 1
    note = "one purchase only: the value is drawn towards everybody's mean" if is_first else snapshot.fit_note
    return alive, (float(drawn.purchases[0]), float(drawn.value[0]), float(drawn.lower[0]), float(drawn.upper[0])), note


def _nothing(person: int, currency: str, snapshot: CustomerSnapshot | None, stamp: Stamp) -> CustomerValue:
    return CustomerValue(
        person=person, currency=currency, taken_on=snapshot.taken_on if snapshot else None, first_purchase_on=None,
        last_purchase_on=None, purchases=0, orders=0, gross=0, refunds=0, net=0, scores=None, segment=None, alive=None,
        expected_purchases=None, expected_value=None, expected_low=None, expected_high=None,
        horizon_days=HORIZON_DAYS, level=LEVEL, note="never bought anything",
        stamp=stamp,
    )  # fmt: skip


def _date(first: date, day: int) -> date:
    return date.fromordinal(first.toordinal() + int(day))
