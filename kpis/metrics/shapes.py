"""Shapes that many metrics have: a count of events, a sum of money, a number of people, a share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from kpis.base import Additivity, Condition, Kind, Measure, Metric, Ratio, Share, Thresholds, Unit, Value, register
from kpis.taxonomy import named

Better = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Family:
    """Metrics that one team looks after and that are broken down alike."""

    owner: str
    by: tuple[str, ...]

    def counted(
        self,
        id: str,
        name: str,
        help: str,
        *events: str,
        where: Iterable[Condition] = (),
        by: tuple[str, ...] | None = None,
        better: Better = "up",
        example: str = "2 such events: 2",
    ) -> None:
        """How many events of these standard names there were."""
        measure = Measure(id=id, aggregate="count", events=named(*events), where=tuple(where), dimensions=self._by(by))
        in_words = f"number of {' and '.join(events)} events"
        self._add(measure, name, help, in_words, example, Value(id), better=better, additivity=Additivity.ADDITIVE)

    def summed(
        self,
        id: str,
        name: str,
        help: str,
        *events: str,
        example: str,
        field: str = "amount_base",
        unit: Unit = Unit.MONEY,
        by: tuple[str, ...] | None = None,
        where: Iterable[Condition] = (),
        better: Better = "up",
    ) -> None:
        """The sum of a column of these events."""
        measure = Measure(
            id=id, aggregate="total", events=named(*events), field=field, where=tuple(where), dimensions=self._by(by)
        )
        what = "amounts" if field == "amount_base" else f"`{field}`"
        in_words = f"sum of the {what} of {' and '.join(events)}"
        form = Value(id)
        self._add(
            measure, name, help, in_words, example, form, unit=unit, better=better, additivity=Additivity.ADDITIVE
        )

    def averaged(
        self,
        id: str,
        name: str,
        help: str,
        *events: str,
        example: str,
        field: str = "duration_ms",
        unit: Unit = Unit.DURATION,
        by: tuple[str, ...] | None = None,
        better: Better = "up",
    ) -> None:
        """The mean of a column of these events; events without the column are left out."""
        measure = Measure(id=id, aggregate="moments", events=named(*events), field=field, dimensions=self._by(by))
        in_words = f"sum of `{field}` / {' and '.join(events)} events that have it"
        self._add(measure, name, help, in_words, example, Value(id, "mean"), unit=unit, better=better)

    def people(
        self,
        id: str,
        name: str,
        help: str,
        *events: str,
        by: tuple[str, ...] | None = None,
        example: str = "Ann twice, Bob once: 2",
    ) -> None:
        """How many different people did one of these things."""
        measure = Measure(id=id, aggregate="distinct", events=named(*events), dimensions=self._by(by))
        in_words = f"distinct persons with {' or '.join(events)}"
        self._add(measure, name, help, in_words, example, Value(id), additivity=Additivity.UNION)

    def ratio(
        self,
        id: str,
        name: str,
        help: str,
        numerator: str,
        denominator: str,
        *,
        in_words: str,
        example: str,
        unit: Unit = Unit.RATIO,
        better: Better = "up",
        kind: Kind = Kind.KPI,
        limits: tuple[str, str] | None = None,
    ) -> None:
        """One metric by another."""
        register(
            Metric(
                id=id,
                name=name,
                help=help,
                in_words=in_words,
                example=example,
                form=Ratio(numerator, denominator),
                unit=unit,
                better=better,
                kind=kind,
                thresholds=thresholds(limits),
                owner=self.owner,
            )
        )

    def share(
        self,
        id: str,
        name: str,
        help: str,
        form: Share,
        *,
        in_words: str,
        example: str,
        kind: Kind = Kind.KPI,
        limits: tuple[str, str] | None = None,
    ) -> None:
        """The share of some people that did something else too."""
        metric = Metric(
            id=id,
            name=name,
            help=help,
            in_words=in_words,
            example=example,
            form=form,
            unit=Unit.RATIO,
            kind=kind,
            thresholds=thresholds(limits),
            owner=self.owner,
        )
        register(metric)

    def _by(self, by: tuple[str, ...] | None) -> tuple[str, ...]:
        return self.by if by is None else by

    def _add(
        self,
        measure: Measure,
        name: str,
        help: str,
        in_words: str,
        example: str,
        form: Value,
        *,
        unit: Unit = Unit.COUNT,
        better: Better = "up",
        additivity: Additivity = Additivity.NONE,
    ) -> None:
        metric = Metric(
            id=measure.id,
            name=name,
            help=help,
            in_words=in_words,
            example=example,
            form=form,
            unit=unit,
            better=better,
            owner=self.owner,
            additivity=additivity,
        )
        register(measure, metric)


def thresholds(limits: tuple[str, str] | None) -> Thresholds:
    """Warning and critical, written as decimals."""
    return Thresholds(*map(Decimal, limits)) if limits else Thresholds()
