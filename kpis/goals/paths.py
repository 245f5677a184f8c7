"""What is drawn for a goal, read from the buckets: its metric's own days, growths and sketches; then `chance.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Literal, cast

import numpy as np

from analytics.aggregates import Quantiles, bin_value
from analytics.periods import Granularity
from kpis.base import Condition, Metric
from kpis.contracts import Number
from kpis.goals import chance as chances
from kpis.goals.chance import Bins, Floats, Growths, Past, Rest, Simulated, Wish
from kpis.goals.parts import Parts, Spectrum, parts_of_metric
from kpis.goals.timing import Timing
from kpis.needs import period_before
from kpis.ranges import Reading, ranges_read

Drawn = Literal["sum", "ratio", "daily_mean", "level"]
Finish = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Paths:
    """The paths of a metric through the rest of a period. `reading` covers the period and its past."""

    metric: Metric
    filters: tuple[Condition, ...]
    reading: Reading
    timing: Timing

    @cached_property
    def parts(self) -> Parts:
        """How the metric is drawn."""
        return parts_of_metric(self.metric, self.reading.catalogue)

    def simulated(self, wish: Wish) -> Simulated:
        """Draw, or say why not."""
        parts = self.parts
        if parts.method == "none":
            return Simulated(chances.no_chance(parts.why))
        if parts.grows:
            return self._against_before(parts, wish)
        return self._drawn(parts, wish, lambda values: values)

    def past_days(self, before: date) -> list[date]:
        """Whole days with data before a date: the very first day of data may be half a day, so it is left out."""
        context, calendar = self.reading.context, self.timing.calendar
        if context.first_day is None:
            return []
        first = max(self.timing.past_first, calendar.local_date(context.first_day) + timedelta(days=1))
        days = (first + timedelta(days=number) for number in range(max((before - first).days, 0)))
        return [day for day in days if calendar.day(day).elapsed]

    def of_day(self, day: date) -> Number:
        """The metric over one local day."""
        period = self.timing.calendar.day(day)
        return self.reading.number(self.metric.id, period.start, period.end)

    def growths(self, parts: Parts, before: date) -> Growths:
        """Earlier periods as long as this one, a week apart from each other, that ended before the date."""
        days, length = self.past_days(before), len(self.timing.days)
        firsts = [place for place, day in enumerate(days) if day.weekday() == self.timing.days[0].weekday()]
        rows = [self._climbed(parts, days[place : place + length]) for place in firsts if place + length <= len(days)]
        return Growths(np.array(rows, dtype=np.float64).reshape(len(rows), length, len(parts.leaves)), len(days))

    def _climbed(self, parts: Parts, days: Sequence[date]) -> list[list[float]]:
        spans = [self.timing.calendar.day(day) for day in days]
        columns = []
        for leaf in parts.leaves:
            if leaf.climb is None:
                columns.append([_float(leaf.of_range(self.reading, span.start, span.end)) for span in spans])
                continue
            climb = leaf.climb(self.reading, spans[0].start)
            reached = np.nan_to_num([0.0, *(climb(span.start, span.end) for span in spans)])
            columns.append(np.diff(reached).tolist())
        return np.nan_to_num(np.array(columns)).T.tolist()  # type: ignore[no-any-return]

    def _against_before(self, parts: Parts, wish: Wish) -> Simulated:
        """(what grows / what it was in the period before) - 1: what grows is drawn, the other is known."""
        calendar, start, end = self.timing.calendar, self.timing.start, self.timing.end
        before = period_before(calendar, start, end, end)
        first_day = self.reading.context.first_day
        if first_day is None or before.start < first_day:
            return Simulated(chances.no_chance("The data begin within the period before: nothing to grow from."))
        inner = self._of(parts.grows, min(before.start, calendar.day_start(self.timing.past_first)))
        base = inner.reading.number(parts.grows, before.start, before.end)
        if not base:
            return Simulated(chances.no_chance("The period before had nothing: growth from zero is no percentage."))
        return inner._drawn(parts, wish, lambda values: (values - float(base)) / abs(float(base)))

    def _of(self, name: str, first: datetime) -> Paths:
        """The same of another metric, read from that instant on."""
        context = self.reading.context
        reading = ranges_read(
            tenant_id=context.tenant_id,
            metrics=[name],
            spans=[(first, self.timing.calendar.ceil(self.timing.as_of, Granularity.DAY))],
            filters=self.filters,
            context=context,
            now=context.now,
        )
        return Paths(reading.catalogue[name], self.filters, reading, self.timing)

    def _drawn(self, parts: Parts, wish: Wish, finish: Finish) -> Simulated:
        if parts.spectrum is not None:
            return self._quantile(parts.spectrum, wish)
        quick = Wish(wish.target, wish.better, wish.seed, wish.paths, wish.with_days and parts.is_quick)
        value_of = self._value_of(parts)

        def finished(sums: Floats, days: Floats) -> Floats:
            return finish(value_of(sums, days))

        rest = self._rest(is_partial=parts.method in ("sum", "ratio", "growth"))
        if parts.method == "growth":
            earlier, so_far = self.growths(parts, self.timing.today), self._so_far(parts)
            return chances.simulate_growth(earlier, rest, quick, value_of=finished, so_far=so_far)
        days, rows = self._rows(parts)
        past = Past(days[0].weekday() if days else 0, rows)
        return chances.simulate(past, rest, quick, method=cast(Drawn, parts.method), value_of=finished)

    def _rest(self, *, is_partial: bool) -> Rest:
        """The days to come, and which share of the first one is still ahead."""
        days, elapsed = self.timing.days, self.timing.elapsed
        ahead = days[int(elapsed) :]
        return Rest(ahead[0].weekday(), len(ahead), float(1 - (elapsed - int(elapsed))) if is_partial else 1.0)

    def _rows(self, parts: Parts) -> tuple[list[date], Floats]:
        """The parts of each day; a day on which nothing is known adds nothing to a sum and is as the mean to a mean."""
        days = self.past_days(self.timing.today)
        spans = [self.timing.calendar.day(day) for day in days]
        found = np.array(
            [[_float(leaf.of_range(self.reading, span.start, span.end)) for leaf in parts.leaves] for span in spans],
            dtype=np.float64,
        ).reshape(len(days), len(parts.leaves))
        if parts.method not in ("daily_mean", "level"):
            return days, np.where(np.isfinite(found), found, 0.0)
        known = found[np.isfinite(found)]
        found = np.where(np.isfinite(found), found, known.mean() if len(known) else 0.0)
        return (days[1:], np.diff(found, axis=0)) if parts.method == "level" else (days, found)

    def _value_of(self, parts: Parts) -> chances.ValueOf:
        timing = self.timing
        if parts.method == "level":
            today = _float(self.of_day(timing.today))
            return lambda sums, days: today + sums[..., 0]
        if parts.method == "daily_mean":
            over = timing.days[: int(timing.elapsed)]
            known = [value for day in over if (value := self.of_day(day)) is not None]
            total = float(sum(known, Decimal(0)))
            return lambda sums, days: (total + sums[..., 0]) / (len(known) + days)
        base = self._so_far(parts)
        return lambda sums, days: parts.combine(base + sums)

    def _so_far(self, parts: Parts) -> Floats:
        """Each part over what has passed of the period."""
        if not self.timing.has_begun:
            return np.zeros(len(parts.leaves))
        spans = (self.timing.start, self.timing.until)
        found = np.array([_float(leaf.of_range(self.reading, *spans)) for leaf in parts.leaves], dtype=np.float64)
        return np.where(np.isfinite(found), found, 0.0)

    def _quantile(self, spectrum: Spectrum, wish: Wish) -> Simulated:
        days = self.past_days(self.timing.today)
        spans = [self.timing.calendar.day(day) for day in days]
        sketches = [self._sketch(spectrum.measure, span.start, span.end) for span in spans]
        so_far = self._sketch(spectrum.measure, self.timing.start, self.timing.until)
        index = sorted({bin for sketch in (*sketches, so_far) for bin in sketch})
        if not index:
            return Simulated(chances.no_chance("Nothing was ever measured: there is nothing to draw.", len(days)))
        rows = np.array([[sketch.get(bin, 0) for bin in index] for sketch in sketches], dtype=np.float64)
        scale = 10.0**-self.reading.context.exponent if spectrum.is_amount else 1.0
        bins = Bins(
            Past(days[0].weekday() if days else 0, rows.reshape(len(days), len(index))),
            np.array([so_far.get(bin, 0) for bin in index], dtype=np.float64),
            np.array([bin_value(bin) * scale for bin in index]),
            spectrum.q,
        )
        return chances.simulate_quantile(bins, self._rest(is_partial=True), wish)

    def _sketch(self, measure: str, start: datetime, end: datetime) -> dict[int, int]:
        state = self.reading.evaluator.state(measure, start, end)
        return dict(state.bins) if isinstance(state, Quantiles) else {}


def _float(value: Number) -> float:
    return float("nan") if value is None else float(value)
