"""The panels of a metric's page: what moved it, how it is computed, what was reported. Read when they are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.utils.text import capfirst

from analytics.periods import Calendar, Period
from kpis.base import Metric, Unit
from kpis.contracts import Number, Series
from kpis.explain import Explanation, Node, Sample, explain_read
from kpis.ledger_reading import LedgerDay, LedgerView, ledger_explained
from kpis.moved import Contribution, Contributions, contributions_read
from reports.dashboard import shown
from reports.dashboard.cards import label_of
from reports.dashboard.question import PageQuestion

TITLES: Final[Mapping[str, str]] = {
    "moved": "What moved it",
    "explained": "How is this computed?",
    "ledger": "As reported, as known now",
    "thresholds": "Thresholds",
}
MOVERS: Final = 8
HALF: Final = Decimal(50)


@dataclass(frozen=True, slots=True)
class Mover:
    """One value's part in the change: a bar to the right of the middle or to the left."""

    label: str
    amount: str
    share: str
    tone: str
    x: str
    width: str
    details: str


@dataclass(frozen=True, slots=True)
class MovedPanel:
    """Which values made the change, adding up to it exactly."""

    sentence: str
    words: str
    source: str
    movers: tuple[Mover, ...]
    overlap: str
    change: str
    by: str


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A part of the formula with its value."""

    id: str
    name: str
    how: str
    value: str
    measures: tuple[str, ...]
    parts: tuple[TreeRow, ...]


@dataclass(frozen=True, slots=True)
class SampleRow:
    """An event that counted."""

    at: str
    name: str
    amount: str
    details: str


@dataclass(frozen=True, slots=True)
class ExplainedPanel:
    """The definition with everything needed to check it."""

    metric: Metric
    value: str
    tree: TreeRow
    limits: str
    rules: tuple[str, ...]
    events: tuple[tuple[str, str, str], ...]
    samples: tuple[SampleRow, ...]
    shows_samples: bool
    lineage: tuple[tuple[str, str, str], ...]
    versions: tuple[tuple[str, str, bool], ...]
    executor: str
    period: str
    zone: str

    @property
    def has_own_names(self) -> bool:
        """Whether a name of the tenant's own counts as a standard one."""
        return any(standard for _, standard, _ in self.events)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A day: as reported, as known now, and why."""

    label: str
    reported: str
    reported_at: str
    known: str
    difference: str
    why: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LedgerPanel:
    """What was published of the range. `rows` are the days that differ; `agreeing` counts those that do not."""

    sentence: str
    reasons: tuple[tuple[str, str, str, str], ...]
    rows: tuple[LedgerRow, ...]
    agreeing: int
    unpublished: int


# --- What moved it ----------------------------------------------------------------------------------------------------


def moved_panel(metric: Metric, question: PageQuestion, by: str) -> MovedPanel:
    """The change against the comparison, taken apart by a dimension. Raises QuestionError, NoCalendar."""
    ask = replace(question.ask, by=None, limit=MOVERS)
    found = contributions_read(tenant_id=question.tenant.id, metric=metric.id, by=by, ask=ask)
    most = max((abs(item.contribution) for item in found.items), default=Decimal(0))
    return MovedPanel(
        sentence=_moved_sentence(found, question.ask.calendar),
        words=found.words,
        source=found.source,
        movers=tuple(_mover(item, found, most) for item in found.items),
        overlap=_signed(found.overlap, found) if found.overlap else "",
        change=_signed(found.change, found),
        by=shown.dimension_shown(by),
    )


def _moved_sentence(found: Contributions, calendar: Calendar) -> str:
    now, before = (
        shown.number_shown(each, found.unit, found.currency, found.exponent) for each in (found.total, found.before)
    )
    earlier = shown.period_shown(Period(found.before_start, found.before_end), calendar)
    return f"{found.name} went from {before} ({earlier}) to {now}: {_signed(found.change, found)}."


def _mover(item: Contribution, found: Contributions, most: Decimal) -> Mover:
    width = abs(item.contribution) / most * HALF if most else Decimal(0)
    is_up = item.contribution >= 0
    return Mover(
        label=label_of(item.key, found.by),
        amount=_signed(item.contribution, found),
        share="" if item.share is None else f"{item.share * 100:.0f} %",
        tone="flat" if not item.contribution else "good" if is_up == (found.better == "up") else "bad",
        x=f"{HALF if is_up else HALF - width:.2f}",
        width=f"{width:.2f}",
        details=_details(item, found),
    )


def _details(item: Contribution, found: Contributions) -> str:
    if item.mix is not None and item.rate is not None:
        return f"mix {_signed(item.mix, found)}, rate {_signed(item.rate, found)}"
    if item.new is not None and item.lost is not None:
        return f"{item.new:,} came, {item.lost:,} went"
    before, now = (
        shown.short_shown(each, found.unit, found.currency, found.exponent) for each in (item.before, item.value)
    )
    return f"{before} → {now}"


def _signed(value: Number, found: Contributions) -> str:
    """With its sign; a ratio's change is in percentage points."""
    if value is None:
        return shown.UNKNOWN
    sign = "+" if value > 0 else "−" if value < 0 else "±"
    if found.unit is Unit.RATIO:
        return f"{sign}{abs(value) * 100:.2f} pp"
    return f"{sign}{shown.number_shown(_short(abs(value), found.unit), found.unit, found.currency, found.exponent)}"


def _short(value: Decimal, unit: Unit) -> Decimal:
    return value.quantize(Decimal("0.01")) if unit in (Unit.COUNT, Unit.NUMBER) else value


# --- How is this computed? --------------------------------------------------------------------------------------------


def explained_panel(metric: Metric, question: PageQuestion, *, may_see_events: bool) -> ExplainedPanel:
    """The definition, worked out over the range. Raises QuestionError, NoCalendar."""
    ask = replace(question.ask, by=None)
    found = explain_read(tenant_id=question.tenant.id, metric=metric.id, ask=ask, with_samples=may_see_events)
    calendar, series = question.ask.calendar, found.series
    return ExplainedPanel(
        metric=metric,
        value=shown.of_series(series.total, series),
        tree=_tree(found.tree, found),
        limits=_limits(metric, found),
        rules=tuple(capfirst(text) for text in (*found.filters, *found.exclusions, *_daily(series))),
        events=tuple(
            (use.name, use.standard if use.standard != use.name else "", f"{use.count:,}")
            for use in found.events
            if use.count
        ),
        samples=tuple(_sample(each, calendar) for each in found.samples),
        shows_samples=may_see_events,
        lineage=tuple((each.measure, _buckets(each.buckets), f"{each.records:,}") for each in found.lineage),
        versions=tuple(
            (each.version, shown.moment_shown(each.first_published_at, calendar), each.is_current)
            for each in found.versions
        ),
        executor={"rollup": "roll-ups", "events": "the events themselves"}[series.executor],
        period=shown.period_shown(question.ask.period, calendar),
        zone=calendar.zone,
    )


def _daily(series: Series) -> tuple[str, ...]:
    return () if series.daily_visitors is None else (series.daily_visitors.told,)


def _tree(node: Node, found: Explanation) -> TreeRow:
    series = found.series
    return TreeRow(
        id=node.id,
        name=node.name,
        how=node.how,
        value=shown.number_shown(node.value, node.unit, series.currency, series.exponent),
        measures=tuple(
            text
            for use in node.measures
            if (text := ". ".join((capfirst(use.words), *use.conditions))).casefold() != node.how.casefold()
        ),
        parts=tuple(_tree(part, found) for part in node.parts),
    )


def _limits(metric: Metric, found: Explanation) -> str:
    named = (("warning", metric.thresholds.warning), ("critical", metric.thresholds.critical))
    side = "at or below" if metric.better == "up" else "at or above"
    by_day = " a day" if metric.thresholds.is_per_day else ""
    return ", ".join(
        f"{name} {side} {shown.of_series(limit, found.series)}{by_day}" for name, limit in named if limit is not None
    )


def _sample(sample: Sample, calendar: Calendar) -> SampleRow:
    amount = f"{sample.amount} {sample.currency}" if sample.amount and sample.currency else ""
    details = " · ".join(str(value) for value in sample.columns.values() if value not in (None, ""))
    return SampleRow(shown.moment_shown(sample.at, calendar), sample.name, amount, details)


def _buckets(buckets: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name} bucket{'' if count == 1 else 's'}" for name, count in buckets.items() if count)


# --- The ledger -------------------------------------------------------------------------------------------------------


def ledger_panel(metric: Metric, question: PageQuestion) -> LedgerPanel:
    """What was published of the range's days, and what has moved since. Raises QuestionError, NoCalendar."""
    ask = question.ask
    found = ledger_explained(
        tenant_id=question.tenant.id, metric=metric.id, start=ask.period.start, end=ask.period.end, now=ask.now
    )
    published = [day for day in found.days if day.reported_at is not None]
    moved = [day for day in published if day.difference]
    return LedgerPanel(
        sentence=_ledger_sentence(found, len(published), len(moved)),
        reasons=tuple(
            (reason.words, f"{reason.days:,}", f"{reason.records:,}", _amount(reason.amount, found) or shown.UNKNOWN)
            for reason in found.reasons
        ),
        rows=tuple(_ledger_row(day, found, ask.calendar) for day in reversed(moved)),
        agreeing=len(published) - len(moved),
        unpublished=len(found.days) - len(published),
    )


def _ledger_sentence(found: LedgerView, published: int, moved: int) -> str:
    if not published:
        return "No day of this range has been published yet. Each day is published at 04:00 of the next one."
    if not moved:
        days = "The published day still says" if published == 1 else f"All {published} published days still say"
        return f"{days} what was reported."
    total = ""
    if found.difference is not None:
        total = (
            f" Together {_plain(found.reported, found)} was reported; {_plain(found.known, found)} is known now "
            f"({_amount(found.difference, found)})."
        )
    verb = "has" if moved == 1 else "have"
    return f"{moved} of {published} published day{'' if published == 1 else 's'} {verb} moved since.{total}"


def _ledger_row(day: LedgerDay, found: LedgerView, calendar: Calendar) -> LedgerRow:
    return LedgerRow(
        label=shown.point_shown(day.start, "day", calendar),
        reported=_plain(day.reported, found),
        reported_at=_moment(day.reported_at, calendar),
        known=_plain(day.known, found),
        difference=_amount(day.difference, found),
        why=tuple((part.words, _amount(part.amount, found)) for part in day.parts),
    )


def _moment(instant: datetime | None, calendar: Calendar) -> str:
    return shown.moment_shown(instant, calendar) if instant else ""


def _plain(value: Number, found: LedgerView) -> str:
    return shown.number_shown(value, found.unit, found.currency, found.exponent)


def _amount(value: Number, found: LedgerView) -> str:
    if value is None:
        return ""
    sign = "+" if value > 0 else "−" if value < 0 else "±"
    return f"{sign}{_plain(abs(value), found)}"
