"""What moved a metric of a tenant: the states of two ranges, taken apart by the arithmetic of `contributions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from analytics.aggregates import Distinct, DistinctKeys
from analytics.tenancy import tenant_context
from kpis.base import Additivity, Metric, Ratio, Unit, Value, measures
from kpis.catalogue import Catalogue, definition_version
from kpis.compare import range_before
from kpis.contracts import OTHER, Number, written
from kpis.contributions import (
    OVERLAP,
    PLACES,
    Pair,
    Term,
    difference_terms,
    ratio_terms,
    rounded,
    with_overlap,
)
from kpis.explore.stamp import Stamp
from kpis.needs import days_after, lag_days
from kpis.parameters import Ask
from kpis.ranges import Reading, ranges_read
from kpis.series import QuestionError
from kpis.series.context import context_read
from kpis.series.evaluate import Evaluator, read

Method = Literal["additive", "ratio", "union"]

WORDS: Mapping[Method, str] = {
    "additive": "Each value contributes the difference of its own sums; they add up to the change.",
    "ratio": "mix = (w₁ − w₀) × ((r₀ + r₁)/2 − (R₀ + R₁)/2), rate = (r₁ − r₀) × (w₀ + w₁)/2 with w the value's share "
    "of the denominator, r its own ratio and R that of the whole; they add up to the change.",
    "union": "Each value contributes the difference of those under it. Who stands under several values counts once in "
    "the whole: what is left over is the overlap.",
}
SOURCES: Mapping[Method, str] = {
    "additive": "",
    "ratio": "E. M. Kitagawa, Components of a Difference Between Two Rates, JASA 50 (1955); midpoint weights",
    "union": "",
}


@dataclass(frozen=True, slots=True)
class Contribution:
    """One value of the dimension: its own numbers, what it contributed, and (of people) who came, went and stayed.

    `share` is contribution / change. `weight` and `weight_before` are its shares of a ratio's denominator.
    """

    key: str
    value: Number
    before: Number
    contribution: Decimal
    share: Number
    mix: Number = None
    rate: Number = None
    weight: Number = None
    weight_before: Number = None
    new: int | None = None
    lost: int | None = None
    stayed: int | None = None


@dataclass(frozen=True, slots=True)
class Contributions:
    """What moved the metric from `before` to `total`. Σ contribution + overlap = change, to the last digit."""

    metric: str
    name: str
    by: str
    method: Method
    words: str
    source: str
    unit: Unit
    better: str
    currency: str
    exponent: int
    start: datetime
    end: datetime
    before_start: datetime
    before_end: datetime
    total: Number
    before: Number
    change: Number
    items: tuple[Contribution, ...]
    overlap: Decimal
    stamp: Stamp


def contributions_read(*, tenant_id: int, metric: str, by: str, ask: Ask) -> Contributions:
    """How much each value of `by` contributed to the change against the range of `ask.compare` (else: previous).

    The `ask.limit` strongest are told apart, the rest is one. Raises UnknownName, NoCalendar, and QuestionError for a
    metric that cannot be taken apart exactly.
    """
    with tenant_context(tenant_id):
        context = context_read(tenant_id=tenant_id, now=ask.now)
        declared = Catalogue(tenant_id)[metric]
        _check(declared, Catalogue(tenant_id))
        earlier = range_before(
            ask.period,
            replace(ask, compare=ask.compare or "previous").against or "previous",
            context.calendar,
            through=context.known_until,
            match_weekday=ask.match_weekday,
        )
        spans = ((earlier.start, earlier.end), (ask.period.start, ask.period.end))
        reading = ranges_read(
            tenant_id=tenant_id, metrics=[metric], spans=spans, filters=ask.filters, by=by, context=context, now=ask.now
        )
    return _Apart(declared, by, reading, *spans).contributions(ask)


def _check(metric: Metric, catalogue: Catalogue) -> None:
    """Raise QuestionError unless the metric can be taken apart."""
    form = metric.form
    if metric.additivity is Additivity.ADDITIVE or _is_mean(metric):
        return
    if metric.additivity is Additivity.UNION and isinstance(form, Value):
        return
    if isinstance(form, Ratio):
        parts = [catalogue[name] for name in (form.numerator, form.denominator)]
        if all(part.additivity is not Additivity.NONE for part in parts):
            return
    raise QuestionError(
        f"{metric.id} cannot be taken apart exactly: only sums, ratios of sums, and counts of people can", "metric"
    )


def _is_mean(metric: Metric) -> bool:
    form = metric.form
    return isinstance(form, Value) and (
        form.statistic == "mean" or (not form.statistic and measures[form.measure].aggregate == "moments")
    )


@dataclass(frozen=True)
class _Apart:
    """One metric over two ranges, by value."""

    metric: Metric
    by: str
    reading: Reading
    earlier: tuple[datetime, datetime]
    later: tuple[datetime, datetime]

    @property
    def method(self) -> Method:
        if self.metric.additivity is Additivity.ADDITIVE:
            return "additive"
        return "union" if self.metric.additivity is Additivity.UNION else "ratio"

    def contributions(self, ask: Ask) -> Contributions:
        total, before = (self.reading.number(self.metric.id, *span) for span in (self.later, self.earlier))
        if total is None or before is None:
            raise QuestionError(
                f"{self.metric.id} has no value in {'the range' if total is None else 'the range before'}", "period"
            )
        terms, change = self._terms(total, before)
        parts = [term for term in terms if term.key != OVERLAP]
        parts.sort(key=lambda term: (-abs(term.contribution), term.key))
        shown, rest = parts[: ask.limit], parts[ask.limit :]
        groups: list[tuple[tuple[str, ...], Term]] = [((term.key,), term) for term in shown]
        if rest:
            groups.append((tuple(term.key for term in rest), _together(rest)))
        left = change - sum((term.contribution for term in parts), Fraction(0))
        amounts = _amounts([term for _, term in groups], left)
        items = tuple(
            self._item(keys, term, *amount, change) for (keys, term), amount in zip(groups, amounts[:-1], strict=True)
        )
        context = self.reading.context
        return Contributions(
            metric=self.metric.id,
            name=self.metric.name,
            by=self.by,
            method=self.method,
            words=WORDS[self.method],
            source=SOURCES[self.method],
            unit=self.metric.unit,
            better=self.metric.better,
            currency=context.calendar.base_currency,
            exponent=context.exponent,
            start=self.later[0],
            end=self.later[1],
            before_start=self.earlier[0],
            before_end=self.earlier[1],
            total=total,
            before=before,
            change=rounded([change])[0],
            items=items,
            overlap=amounts[-1][0],
            stamp=self._stamp(ask),
        )

    def _stamp(self, ask: Ask) -> Stamp:
        """As complete as the less complete of both ranges."""
        context = self.reading.context
        lag = lag_days(self.metric, self.reading.catalogue)
        return Stamp(
            timezone=context.calendar.zone,
            start=self.later[0],
            end=self.later[1],
            filters=ask.filters,
            include=(),
            definition_version=definition_version(self.metric, self.reading.catalogue),
            data_through=context.data_through,
            is_complete=all(
                context.is_settled(start, days_after(context.calendar, end, lag) if lag else end)
                for start, end in (self.earlier, self.later)
            ),
            computed_at=context.now,
            executor=self.reading.executor,
        )

    def _terms(self, total: Decimal, before: Decimal) -> tuple[list[Term], Fraction]:
        keys = self.reading.strips.keys
        if self.method != "ratio":
            late, early = (
                {key: _fraction(self._number(key, self.metric.id, span)) for key in keys}
                for span in (self.later, self.earlier)
            )
            return difference_terms(early, late), Fraction(total) - Fraction(before)
        pairs = []
        for span in (self.earlier, self.later):
            found = {key: pair for key in keys if any(pair := self._pair(self.reading.of_key(key), span))}
            pairs.append(with_overlap(found, self._pair(self.reading.evaluator, span)))
        terms = ratio_terms(*pairs)
        return terms, sum((term.contribution for term in terms), Fraction(0))

    def _number(self, key: str, metric: str, span: tuple[datetime, datetime]) -> Number:
        return self.reading.of_key(key).number(metric, *span)

    def _pair(self, evaluator: Evaluator, span: tuple[datetime, datetime]) -> Pair:
        form = self.metric.form
        if isinstance(form, Ratio):
            over, under = (evaluator.number(name, *span) for name in (form.numerator, form.denominator))
            return _fraction(over), _fraction(under)
        assert isinstance(form, Value)
        measure, state = measures[form.measure], evaluator.state(form.measure, *span)
        total, count = (
            read(state, Value(form.measure, statistic), measure, self.reading.context.exponent)
            for statistic in ("total", "count")
        )
        return _fraction(total), _fraction(count)

    def _item(
        self,
        keys: tuple[str, ...],
        term: Term,
        contribution: Decimal,
        mix: Number,
        rate: Number,
        change: Fraction,
    ) -> Contribution:
        evaluator = Evaluator(self.reading.strips.shelf(keys), self.reading.context, self.reading.catalogue)
        value, before = (evaluator.number(self.metric.id, *span) for span in (self.later, self.earlier))
        share = Decimal(repr(float(term.contribution / change))) if change else None
        weights = self._weights(evaluator) if self.method == "ratio" else (None, None)
        moves = self._moves(evaluator) if self.method == "union" else (None, None, None)
        key = keys[0] if len(keys) == 1 and term.key != OTHER else OTHER
        return Contribution(key, value, before, contribution, share, mix, rate, *weights, *moves)

    def _weights(self, evaluator: Evaluator) -> tuple[Number, Number]:
        whole = self.reading.evaluator
        found = []
        for span in (self.later, self.earlier):
            under, all_of_it = self._pair(evaluator, span)[1], self._pair(whole, span)[1]
            found.append(Decimal(repr(float(under / all_of_it))) if all_of_it else None)
        return found[0], found[1]

    def _moves(self, evaluator: Evaluator) -> tuple[int, int, int]:
        """Who came, who went, who stayed under these values."""
        assert isinstance(self.metric.form, Value)
        late, early = (_members(evaluator, self.metric.form.measure, span) for span in (self.later, self.earlier))
        return len(late - early), len(early - late), len(late & early)


def _members(evaluator: Evaluator, measure: str, span: tuple[datetime, datetime]) -> Any:
    state = evaluator.state(measure, *span)
    if isinstance(state, DistinctKeys):
        return state.keys
    return state.ids if isinstance(state, Distinct) else frozenset()


def _together(terms: Sequence[Term]) -> Term:
    """The rest as one; its contribution is the sum of theirs."""
    has_mix = all(term.mix is not None for term in terms)
    mix = sum((term.mix or Fraction(0) for term in terms), Fraction(0)) if has_mix else None
    rate = sum((term.rate or Fraction(0) for term in terms), Fraction(0)) if has_mix else None
    return Term(OTHER, sum((term.contribution for term in terms), Fraction(0)), mix, rate)


def _amounts(terms: Sequence[Term], left: Fraction) -> list[tuple[Decimal, Number, Number]]:
    """(contribution, mix, rate) of each term, and of what is left over, rounded so that they add up."""
    flat: list[Fraction] = []
    for term in terms:
        flat += [term.contribution] if term.mix is None or term.rate is None else [term.mix, term.rate]
    numbers = iter(rounded([*flat, left], PLACES))
    found: list[tuple[Decimal, Number, Number]] = []
    for term in terms:
        if term.mix is None:
            found.append((next(numbers), None, None))
        else:
            mix, rate = next(numbers), next(numbers)
            found.append((mix + rate, mix, rate))
    return [*found, (next(numbers), None, None)]


def _fraction(value: Number) -> Fraction:
    return Fraction(0) if value is None else Fraction(value)


def contributions_plain(found: Contributions) -> dict[str, Any]:
    """As JSON, in the shape of `GET /api/v1/kpis/{metric}/contributions/`. Contributions keep all their digits."""

    def shown(value: Number) -> Any:
        return written(value, found.unit, found.exponent)

    def exact(value: Number) -> Any:
        if value is None:
            return None
        return format(value.normalize(), "f") if found.unit is Unit.MONEY else float(value)

    def share(value: Number) -> float | None:
        return None if value is None else float(value)

    return {
        "metric": found.metric,
        "name": found.name,
        "by": found.by,
        "method": found.method,
        "words": found.words,
        "source": found.source,
        "unit": found.unit.value,
        "better": found.better,
        "currency": found.currency if found.unit is Unit.MONEY else None,
        **found.stamp.plain(),
        "before": {
            "from": found.before_start.isoformat(),
            "to": found.before_end.isoformat(),
            "total": shown(found.before),
        },
        "total": shown(found.total),
        "change": exact(found.change),
        "overlap": exact(found.overlap),
        "items": [
            {
                "key": item.key,
                "value": shown(item.value),
                "before": shown(item.before),
                "contribution": exact(item.contribution),
                "share": share(item.share),
                "mix": exact(item.mix),
                "rate": exact(item.rate),
                "weight": share(item.weight),
                "weight_before": share(item.weight_before),
                "new": item.new,
                "lost": item.lost,
                "stayed": item.stayed,
            }
            for item in found.items
        ],
    }
