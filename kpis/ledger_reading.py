"""The ledger for people: as reported then, as known now, and why they differ, reason by reason, to the last unit.

From the states of today the journal of restatements goes back to those of the publication; the metric is worked out
again after each reason. The first step (the old states under today's definition, less what was published) is what the
definition, the calendar or the mapping of names did. So the parts add up to the difference by construction. A metric
whose value does not follow from a count and a sum (quantiles, people of 30 days) has one part: its only reason, or
all of them together when there were several.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from analytics.contracts import Grain
from analytics.models import Calendar as CalendarRow
from analytics.periods import Granularity, to_micros
from analytics.tenancy import tenant_context
from kpis.base import Additivity, Metric, Unit
from kpis.catalogue import Catalogue, definition_version
from kpis.contracts import Number
from kpis.day_values import Irreducible, State, States, value_of
from kpis.ledger import PLACES, Revision
from kpis.models import MetricValue, Restatement
from kpis.needs import measures_in
from kpis.restatements import ERASURE, LATE, MAPPING, MERGE, RATES, RECOUNT, REFUNDS, SESSIONS, UNMERGE
from kpis.rollup.store import Store
from kpis.series import QuestionError, metric_series
from kpis.series.context import Context, context_read
from kpis.stamps import stamp_of

DEFINITION, CALENDAR, SEVERAL = "definition", "calendar", "several"
MAX_DAYS = 400

WORDS: Mapping[str, str] = {
    DEFINITION: "The definition of the metric was changed.",
    CALENDAR: "Days are cut in another time zone, or money is counted in another currency.",
    MAPPING: "Events of other names are taken for the standard ones.",
    LATE: "Events arrived after the day was published.",
    REFUNDS: "Refunds arrived after the day was published.",
    RATES: "Exchange rates arrived or were corrected.",
    MERGE: "Persons turned out to be one.",
    UNMERGE: "Persons were told apart again.",
    ERASURE: "A person was erased.",
    SESSIONS: "Visits turned out to begin or end elsewhere.",
    RECOUNT: "The day was counted again from its events.",
    SEVERAL: "Several reasons together, which cannot be told apart for this kind of metric.",
}
ORDER = (LATE, REFUNDS, RATES, MERGE, UNMERGE, ERASURE, MAPPING, SESSIONS, RECOUNT)
"""The order in which reasons are gone through; the sum does not depend on it."""


@dataclass(frozen=True, slots=True)
class LedgerPart:
    """What one reason did: `records` events or people more or fewer, `amount` of the metric."""

    reason: str
    words: str
    amount: Number
    records: int


@dataclass(frozen=True, slots=True)
class LedgerDay:
    """A local day: the value as reported (null: never, or not known then), as known now, and why they differ."""

    start: datetime
    end: datetime
    reported: Number
    reported_at: datetime | None
    known: Number
    difference: Number
    is_complete: bool
    parts: tuple[LedgerPart, ...]
    revisions: tuple[Revision, ...]


@dataclass(frozen=True, slots=True)
class ReasonSum:
    """A reason over all days; `amount` is null for metrics whose days do not add up."""

    reason: str
    words: str
    amount: Number
    records: int
    days: int


@dataclass(frozen=True, slots=True)
class LedgerView:
    """A metric over [start, end) by local day. Sums are of published days only, and null where days do not add up.

    `stamp` is of what is known now.
    """

    metric: str
    name: str
    unit: Unit
    currency: str
    exponent: int
    timezone: str
    start: datetime
    end: datetime
    days: tuple[LedgerDay, ...]
    reasons: tuple[ReasonSum, ...]
    reported: Number
    known: Number
    difference: Number
    stamp: Mapping[str, Any]


def ledger_explained(
    *, tenant_id: int, metric: str, start: datetime, end: datetime, at: datetime | None = None, now: datetime
) -> LedgerView:
    """The ledger of the local days in [start, end). `at`: as reported at that time; else as first reported.

    Raises UnknownName, QuestionError (no local days, or more than MAX_DAYS), NoCalendar.
    """
    with tenant_context(tenant_id):
        context = context_read(tenant_id=tenant_id, now=now)
        if (end - start).days > MAX_DAYS:
            raise QuestionError(f"the ledger shows at most {MAX_DAYS} days at once", "to")
        catalogue = Catalogue(tenant_id)
        declared = catalogue[metric]
        series = metric_series(tenant_id=tenant_id, metric=metric, start=start, end=end, grain="day", now=now)
        sheet = _Sheet.read(declared, catalogue, context, start, end, at)
    known = {point.start: (point.value, point.is_complete) for point in series.points}
    days = tuple(sheet.day(day, *known[day]) for day in sorted(known))
    adds_up = declared.additivity is Additivity.ADDITIVE
    published = [day for day in days if day.reported_at is not None]
    return LedgerView(
        metric=metric,
        name=declared.name,
        unit=declared.unit,
        currency=series.currency,
        exponent=series.exponent,
        timezone=series.timezone,
        start=start,
        end=end,
        days=days,
        reasons=_reasons(published, adds_up),
        reported=_sum([day.reported for day in published]) if adds_up else None,
        known=_sum([day.known for day in published]) if adds_up else None,
        difference=_sum([day.difference for day in published]) if adds_up else None,
        stamp=stamp_of([series]),
    )


@dataclass(frozen=True)
class _Sheet:
    """Everything the days are explained from."""

    metric: Metric
    catalogue: Catalogue
    context: Context
    at: datetime | None
    rows: Mapping[datetime, Sequence[MetricValue]]
    moved: Mapping[datetime, Sequence[Restatement]]
    states: Mapping[datetime, States]
    switched_at: datetime | None

    @classmethod
    def read(
        cls,
        metric: Metric,
        catalogue: Catalogue,
        context: Context,
        start: datetime,
        end: datetime,
        at: datetime | None,
    ) -> _Sheet:
        behind = sorted(measures_in(metric, catalogue))
        tenant = {"tenant_id": context.tenant_id}
        rows: dict[datetime, list[MetricValue]] = defaultdict(list)
        published = MetricValue.objects.filter(metric=metric.id, grain="day", dimension="", key="", **tenant)
        for row in published.filter(start__gte=start, start__lt=end).order_by("computed_at", "id"):
            rows[row.start].append(row)
        moved: dict[datetime, list[Restatement]] = defaultdict(list)
        for change in Restatement.objects.filter(day__gte=start, day__lt=end, measure__in=behind, **tenant):
            moved[change.day].append(change)
        version = CalendarRow.objects.get(pk=context.calendar_id)
        switched_at = version.created_at if version.version > 1 else None
        return cls(metric, catalogue, context, at, rows, moved, _states(context, behind, start, end), switched_at)

    def day(self, start: datetime, known: Number, is_complete: bool) -> LedgerDay:
        rows = self.rows.get(start, ())
        until = [row for row in rows if self.at is None or row.computed_at <= self.at]
        row = (until[0] if self.at is None else until[-1]) if until else None
        value = None if known is None else known.quantize(PLACES)
        difference = value - row.value if row is not None and value is not None and row.value is not None else None
        return LedgerDay(
            start=start,
            end=self.context.calendar.day(self.context.calendar.local_date(start)).end,
            reported=row.value if row else None,
            reported_at=row.computed_at if row else None,
            known=value,
            difference=difference,
            is_complete=is_complete,
            parts=tuple(self._parts(row, difference)) if row is not None and difference else (),
            revisions=_revisions(rows),
        )

    def _parts(self, row: MetricValue, difference: Decimal) -> list[LedgerPart]:
        assert row.value is not None
        changes = [change for change in self.moved.get(row.start, ()) if change.since >= row.computed_at]
        by_reason: dict[str, dict[str, State]] = defaultdict(dict)
        for change in changes:
            n, total = by_reason[change.reason].get(change.measure, (0, Decimal(0)))
            by_reason[change.reason][change.measure] = (n + change.n, total + change.total)
        records = {reason: max(abs(n) for n, _ in found.values()) for reason, found in by_reason.items()}
        try:
            steps = self._steps(row, by_reason, row.value + difference)
        except Irreducible:
            steps = self._together(row, by_reason, difference)
        return [LedgerPart(reason, WORDS[reason], amount, records.get(reason, 0)) for reason, amount in steps if amount]

    def _steps(self, row: MetricValue, by_reason: Mapping[str, States], known: Decimal) -> list[tuple[str, Decimal]]:
        """(reason, amount) in ORDER, the definition's part first."""
        assert row.value is not None
        states = dict(self.states.get(row.start, {}))
        for found in by_reason.values():
            states = _added(states, found, -1)
        value = self._value(states)
        steps = [(self._frame(row), value - row.value)]
        for reason in sorted(by_reason, key=ORDER.index):
            states = _added(states, by_reason[reason], 1)
            after = self._value(states)
            steps.append((reason, after - value))
            value = after
        if value != known:  # what the buckets say is not what these states say: a state of another kind is in it
            raise Irreducible
        return steps

    def _together(
        self, row: MetricValue, by_reason: Mapping[str, States], difference: Decimal
    ) -> list[tuple[str, Decimal]]:
        is_reframed = self._frame(row) != RECOUNT
        if len(by_reason) + is_reframed > 1:
            return [(SEVERAL, difference)]
        return [(next(iter(by_reason), self._frame(row)), difference)]

    def _frame(self, row: MetricValue) -> str:
        """What changed besides the events: the definition, the calendar, or which names count."""
        before = row.definition_version.split(" ")
        calendar = self.context.calendar
        if before[0] != definition_version(self.metric, self.catalogue):
            return DEFINITION
        if before[1:] != [calendar.zone, calendar.base_currency]:
            return CALENDAR
        return MAPPING if self.switched_at is not None and self.switched_at > row.computed_at else RECOUNT

    def _value(self, states: States) -> Decimal:
        found = value_of(self.metric, self.catalogue, states, self.context.exponent)
        if found is None:
            raise Irreducible
        return found.quantize(PLACES)


def _states(context: Context, behind: Sequence[str], start: datetime, end: datetime) -> dict[datetime, States]:
    store = Store(context.tenant_id, context.calendar_id, tuple((name, "") for name in behind))
    found: dict[datetime, dict[str, State]] = defaultdict(dict)
    starts = {to_micros(day): day for day in context.calendar.starts_between(start, end, Granularity.DAY)}
    for cell in store.read(Grain.DAY, to_micros(start), to_micros(end)):
        if cell.start in starts:
            found[starts[cell.start]][cell.measure] = (cell.n, cell.total or Decimal(0))
    return dict(found)


def _added(states: States, changes: States, sign: int) -> dict[str, State]:
    found = dict(states)
    for measure, (n, total) in changes.items():
        before = found.get(measure, (0, Decimal(0)))
        found[measure] = (before[0] + sign * n, before[1] + sign * total)
    return found


def _revisions(rows: Sequence[MetricValue]) -> tuple[Revision, ...]:
    before: list[Number] = [None, *(row.value for row in rows)]
    return tuple(
        Revision(row.value, previous, row.reason, row.definition_version, row.is_complete, row.computed_at)
        for row, previous in zip(rows, before, strict=False)
    )


def _reasons(days: Sequence[LedgerDay], adds_up: bool) -> tuple[ReasonSum, ...]:
    found: dict[str, list[LedgerPart]] = defaultdict(list)
    for day in days:
        for part in day.parts:
            found[part.reason].append(part)
    return tuple(
        ReasonSum(
            reason,
            WORDS[reason],
            _sum([part.amount for part in parts]) if adds_up else None,
            sum(part.records for part in parts),
            len(parts),
        )
        for reason, parts in sorted(found.items())
    )


def _sum(values: Sequence[Number]) -> Number:
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None
