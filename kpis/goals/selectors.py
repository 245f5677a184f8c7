"""What is read of goals: how they stand, and their lines for charts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from analytics.capture.money import exponents
from analytics.periods import Calendar
from analytics.tenancy import tenant_context
from kpis.base import Unit
from kpis.catalogue import Catalogue, definition_version
from kpis.contracts import Number
from kpis.explore.stamp import Stamp
from kpis.goals.contracts import (
    CheckInView,
    Frozen,
    GoalLine,
    GoalView,
    Shape,
    Standing,
    Status,
)
from kpis.goals.models import CheckIn, Goal
from kpis.goals.reading import Seen, conditions_of, seen, seen_together
from kpis.series.context import Context, context_read

MAX_GOALS = 200
MAX_SHOWN = 10


class UnknownGoal(LookupError):
    """The tenant has no goal of that id."""


@dataclass(frozen=True, slots=True)
class GoalFilter:
    """Which goals are meant; empty texts mean any."""

    metric: str = ""
    objective: str = ""
    owner: str = ""
    include_archived: bool = False


def goals_list(
    *,
    tenant_id: int,
    now: datetime,
    metric: str = "",
    objective: str = "",
    objective_id: UUID | None = None,
    owner: str = "",
    include_archived: bool = False,
    only: Collection[UUID] | None = None,
) -> tuple[GoalView, ...]:
    """Goals as they stand (`only` of these), those that end last first, each with its newest check-in, without points.

    Raises NoCalendar for a tenant that never counted anything.
    """
    with tenant_context(tenant_id):
        wanted = GoalFilter(metric, objective, owner, include_archived)
        chosen = goals_matching(tenant_id=tenant_id, wanted=wanted)
        chosen = chosen if only is None else chosen.filter(pk__in=only)
        rows = (chosen.filter(objective_id=objective_id) if objective_id else chosen)[:MAX_GOALS]
        return goals_seen(tenant_id=tenant_id, rows=list(rows), now=now)


def goals_seen(*, tenant_id: int, rows: Sequence[Goal], now: datetime) -> tuple[GoalView, ...]:
    """These goals as they stand, within the tenant that is set. Raises NoCalendar when there is one."""
    if not rows:
        return ()
    context = context_read(tenant_id=tenant_id, now=now)
    catalogue = Catalogue(tenant_id)
    said = _newest_check_ins(tenant_id, [row.pk for row in rows])
    found = seen_together(rows, context, catalogue, with_points=False)
    return tuple(
        _view(row, each, said.get(row.pk, ()), catalogue, context) for row, each in zip(rows, found, strict=True)
    )


def goals_named(*, tenant_id: int) -> list[tuple[UUID, str]]:
    """Ids and names of all that are not put away, those that end last first."""
    with tenant_context(tenant_id):
        return list(goals_matching(tenant_id=tenant_id, wanted=GoalFilter()).values_list("pk", "name"))


def goal_read(*, tenant_id: int, goal_id: UUID, now: datetime) -> GoalView:
    """One goal with a point for each local day and everything said of it, newest first. Raises UnknownGoal."""
    with tenant_context(tenant_id):
        row = goal_row(tenant_id=tenant_id, goal_id=goal_id)
        context = context_read(tenant_id=tenant_id, now=now)
        catalogue = Catalogue(tenant_id)
        said = tuple(map(check_in_view, CheckIn.objects.filter(tenant_id=tenant_id, goal=row).order_by("-at", "-id")))
        return _view(row, seen(row, context, catalogue, with_points=True), said, catalogue, context)


def goal_lines(*, tenant_id: int, metric: str, start: datetime, end: datetime, now: datetime) -> tuple[GoalLine, ...]:
    """The goals of the metric whose period overlaps [start, end) and that look at all of it (no filter)."""
    with tenant_context(tenant_id):
        context = context_read(tenant_id=tenant_id, now=now)
        first, last = context.calendar.local_date(start), context.calendar.local_date(end)
        catalogue = Catalogue(tenant_id)
        rows = goals_matching(tenant_id=tenant_id, wanted=GoalFilter(metric))
        rows = rows.filter(first__lte=last, end__gt=first, filters=[])
        return tuple(
            GoalLine(row.pk, row.name, row.target, row.stretch, seen(row, context, catalogue, with_points=True).points)
            for row in rows[:5]
        )


def goals_shown(
    *, tenant_id: int, metrics: Collection[str], start: datetime, end: datetime, now: datetime
) -> tuple[GoalView, ...]:
    """The goals of a page of these metrics, with their points: whose period overlaps [start, end) and that look at all
    of the metric (no filter), those that end first first. Within the tenant that is set; as many statements for all as
    for one, one statement without any. Raises NoCalendar.
    """
    rows = Goal.objects.filter(tenant_id=tenant_id, metric__in=list(metrics), is_archived=False, filters=[])
    rows = rows.select_related("objective")
    # A day more on either side: local days are told apart below, where the calendar is known.
    near = list(rows.filter(first__lte=end.date(), end__gte=start.date()).order_by("end", "name", "id")[:MAX_SHOWN])
    if not near:
        return ()
    context, catalogue = context_read(tenant_id=tenant_id, now=now), Catalogue(tenant_id)
    first, last = context.calendar.local_date(start), context.calendar.local_date(end)
    rows_shown = [row for row in near if row.first <= last and row.end > first]
    found = seen_together(rows_shown, context, catalogue, with_points=True)
    return tuple(_view(row, each, (), catalogue, context) for row, each in zip(rows_shown, found, strict=True))


_VERSION = """
SELECT concat_ws('/', g.rows, g.away, g.closed, g.newest, o.rows, o.away, o.closed, o.newest, c.rows, c.newest)
  FROM (SELECT count(*) AS rows, count(*) FILTER (WHERE is_archived) AS away, count(frozen_at) AS closed,
               max(updated_at) AS newest FROM bw_goal WHERE tenant_id = %(tenant)s) g,
       (SELECT count(*) AS rows, count(*) FILTER (WHERE is_archived) AS away, count(frozen_at) AS closed,
               max(updated_at) AS newest FROM bw_objective WHERE tenant_id = %(tenant)s) o,
       (SELECT count(*) AS rows, max(at) AS newest FROM bw_check_in WHERE tenant_id = %(tenant)s) c"""


def goals_version(*, tenant_id: int) -> str:
    """Changes whenever somebody changed a goal or an objective, checked in, or a goal was closed."""
    with tenant_context(tenant_id), connection.cursor() as cursor:
        cursor.execute(_VERSION, {"tenant": tenant_id})
        return str(cursor.fetchone()[0])


def metric_of_goals(*, tenant_id: int, metric: str) -> None:
    """Raises UnknownName, with the nearest, for a metric that neither is there nor has a goal."""
    with tenant_context(tenant_id):
        if not Goal.objects.filter(tenant_id=tenant_id, metric=metric).exists():
            Catalogue(tenant_id)[metric]


def goals_matching(*, tenant_id: int, wanted: GoalFilter) -> QuerySet[Goal]:
    """The rows of goals, those that end last first, within the tenant that is set."""
    rows = Goal.objects.filter(tenant_id=tenant_id).select_related("objective")
    tests = {"metric": wanted.metric, "objective__name__iexact": wanted.objective, "owner": wanted.owner}
    rows = rows.filter(**{name: value for name, value in tests.items() if value})
    return (rows if wanted.include_archived else rows.filter(is_archived=False)).order_by("-end", "name", "id")


def goal_row(*, tenant_id: int, goal_id: UUID) -> Goal:
    """The row, within the tenant that is set. Raises UnknownGoal."""
    row = Goal.objects.filter(tenant_id=tenant_id, pk=goal_id).select_related("objective").first()
    if row is None:
        raise UnknownGoal("There is no such goal.")
    return row


def check_in_view(row: CheckIn) -> CheckInView:
    return CheckInView(row.pk, row.at, row.author, row.confidence, row.note, row.probability, row.value)


def _newest_check_ins(tenant_id: int, goals: Sequence[UUID]) -> dict[UUID, tuple[CheckInView, ...]]:
    rows = CheckIn.objects.filter(tenant_id=tenant_id, goal_id__in=goals)
    newest = rows.order_by("goal_id", "-at", "-id").distinct("goal_id")
    return {row.goal_id: (check_in_view(row),) for row in newest}


def _view(row: Goal, found: Seen, said: tuple[CheckInView, ...], catalogue: Catalogue, context: Context) -> GoalView:
    metric = catalogue.get(row.metric)
    currency = context.calendar.base_currency
    frozen = _frozen(row, found.standing)
    objective = row.objective if row.objective is not None and not row.objective.is_archived else None
    return GoalView(
        id=row.pk,
        name=row.name,
        metric=row.metric,
        metric_name=metric.name if metric else row.metric,
        unit=metric.unit if metric else Unit.NUMBER,
        currency=currency,
        exponent=exponents().get(currency, 2),
        better=metric.better if metric else "up",
        owner=row.owner,
        objective=objective.name if objective else "",
        objective_id=objective.pk if objective else None,
        weight=row.weight,
        baseline=row.baseline,
        target=row.target,
        stretch=row.stretch,
        period=row.period,
        first=row.first,
        end=row.end,
        shape=Shape(row.shape),
        filters=conditions_of(row),
        note=row.note,
        standing=_as_frozen(found.standing, frozen, context.calendar) if frozen else found.standing,
        frozen=frozen,
        check_ins=said,
        stamp=_stamp(row, found, catalogue, context),
        points=found.points,
    )


def _stamp(row: Goal, found: Seen, catalogue: Catalogue, context: Context) -> Stamp:
    metric = catalogue.get(row.metric)
    return Stamp(
        timezone=context.calendar.zone,
        start=found.start,
        end=found.end,
        filters=conditions_of(row),
        include=(),
        definition_version=definition_version(metric, catalogue) if metric else "",
        data_through=found.standing.data_through,
        is_complete=found.standing.is_complete,
        computed_at=context.now,
        executor=found.executor,
    )


def _frozen(row: Goal, standing: Standing) -> Frozen | None:
    if row.frozen_at is None:
        return None
    known = _quantized(standing.value)
    return Frozen(
        row.frozen_value, Status(row.frozen_status), row.frozen_at, None if known == row.frozen_value else known
    )


def _as_frozen(standing: Standing, frozen: Frozen, calendar: Calendar) -> Standing:
    """A goal whose period was closed stands as it stood then, whatever came in since."""
    from dataclasses import replace

    day = frozen.frozen_at.astimezone(calendar.tz).date()
    return replace(standing, status=frozen.status, value=frozen.value, rule=f"Closed on {day}. {standing.rule}")


def _quantized(value: Number) -> Number:
    return None if value is None else value.quantize(Decimal("1e-10"))
