"""How long events are kept, and from when on they are: the rules, and the two instants of a tenant that say how far the
clean-up has come.

`events_gone_before`: no event before it is kept. `events_kept_from`, at least as late: from it on all are, so hours can
be counted again; hours before it are frozen, whatever asks for them. Both only ever rise, and they do so before the
first event goes. See `analytics/README.md`, Retention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
from django.db import OperationalError, connections

from analytics.failpoints import failpoint
from analytics.locks import COUNTING, KEEPING, hold
from analytics.models import Calendar as CalendarRow
from analytics.models import DirtyMark, EventRetention, Tenant
from analytics.models.tenants import platform_days
from analytics.periods import Calendar, Granularity
from analytics.signals import counting_due
from analytics.tenancy import tenant_context

TRIES: Final = 3
PATIENCE: Final = "10s"


class RetentionPostponed(Exception):
    """Nothing was deleted; the message says what it waits for. The next clean-up tries again."""


@dataclass(frozen=True, slots=True)
class Rule:
    """For how many days events are kept: by the tenant (None: as the platform), the platform (0: for ever), by name."""

    days: int | None = None
    platform_days: int = 0
    names: Mapping[str, int] = field(default_factory=dict)

    @property
    def own_days(self) -> int | None:
        """Days by which the tenant's events are deleted day by day; None where whole months go, or none."""
        if self.days is None or not self.platform_days:
            return self.days
        return min(self.days, self.platform_days)


@dataclass(frozen=True, slots=True)
class Floors:
    """The two instants of a tenant. None where everything is kept."""

    gone_before: datetime | None = None
    kept_from: datetime | None = None

    def risen(self, due: Floors) -> Floors:
        """The later of each."""
        return Floors(_later(self.gone_before, due.gone_before), _later(self.kept_from, due.kept_from))


def floors_due(rule: Rule, calendar: Calendar, now: datetime) -> Floors:
    """Where the rule would have the floors now: always the start of a day of the tenant. Pure."""
    gone = _gone_before(rule, calendar, now)
    cuts = [cut(calendar, days, now) for days in rule.names.values()]
    return Floors(gone, max([*cuts, gone] if gone is not None else cuts, default=None))


def cut(calendar: Calendar, days: int, now: datetime) -> datetime:
    """The start of the oldest local day that is kept: today and so many whole days before it."""
    return calendar.day_start(calendar.local_date(now) - timedelta(days=days))


def _gone_before(rule: Rule, calendar: Calendar, now: datetime) -> datetime | None:
    if rule.own_days is not None:
        return cut(calendar, rule.own_days, now)
    if not rule.platform_days:
        return None
    limit = cut(calendar, rule.platform_days, now)
    month = limit.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    # A month of the platform (UTC) ends within a local day, which goes with it when it is old enough too.
    while (floor := day_from(calendar, month)) > limit:
        month = (month - timedelta(days=1)).replace(day=1)
    return floor


def day_from(calendar: Calendar, instant: datetime) -> datetime:
    """The first start of a local day that is not before the instant."""
    floor = calendar.floor(instant, Granularity.DAY)
    return floor if floor == instant else calendar.ceil(instant, Granularity.DAY)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((each for each in (one, other) if each is not None), default=None)


# --- Of one tenant ----------------------------------------------------------------------------------------------------


def rule_read(tenant_id: int, *, using: str = "default") -> Rule:
    """The rule as it stands; in the tenant's context."""
    days = Tenant.objects.using(using).values_list("retention_days", flat=True).get(pk=tenant_id)
    names = EventRetention.objects.using(using).filter(tenant_id=tenant_id).values_list("name", "days")
    return Rule(days, platform_days(), dict(names))


def floors_read(tenant_id: int, *, using: str = "default") -> Floors:
    """How far the clean-up has come; in the tenant's context."""
    found = Tenant.objects.using(using).values_list("events_gone_before", "events_kept_from").filter(pk=tenant_id)
    return Floors(*(found.first() or (None, None)))


def kept_from(*, tenant_id: int, using: str = "default") -> datetime | None:
    """From when on all events of the tenant are kept; None: no event was ever let go."""
    with tenant_context(tenant_id, using=using):
        return floors_read(tenant_id, using=using).kept_from


def calendar_live(tenant_id: int, *, using: str = "default") -> Calendar:
    """How the tenant cuts time; in its context."""
    row = CalendarRow.objects.using(using).get(tenant_id=tenant_id, state=CalendarRow.State.LIVE)
    return Calendar(row.zone, row.week_start, row.base_currency)


def floors_raise(*, tenant_id: int, now: datetime, using: str = "default") -> Floors:
    """Raise the tenant's floors to where they are due, after everything below has been counted; the floors.

    Raises RetentionPostponed.
    """
    for _ in range(TRIES):
        try:
            with tenant_context(tenant_id, using=using):
                due = floors_due(rule_read(tenant_id, using=using), calendar_live(tenant_id, using=using), now)
                known = floors_read(tenant_id, using=using)
                floors = known.risen(due)
                if floors == known:
                    return known
                if _raised(tenant_id, floors, using):
                    return floors
        except OperationalError as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise RetentionPostponed("its events are being written or counted right now") from error
            raise
        counting_due.send(sender=None, tenant_id=tenant_id, now=now)
    raise RetentionPostponed("events of days that are to go still wait to be counted: manage.py rollup")


def _raised(tenant_id: int, floors: Floors, using: str) -> bool:
    """In the open transaction: raise them; False when something below waits to be counted."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [PATIENCE])
        for lock in (COUNTING, KEEPING):
            hold(lock, tenant_id, cursor=cursor)
    versions = CalendarRow.objects.using(using).filter(tenant_id=tenant_id)
    if versions.filter(state=CalendarRow.State.BUILDING).exists():
        raise RetentionPostponed("another calendar or meaning of events is being counted from them")
    if DirtyMark.objects.using(using).filter(tenant_id=tenant_id, minute__lt=floors.kept_from).exists():
        return False
    Tenant.objects.using(using).filter(pk=tenant_id).update(
        events_gone_before=floors.gone_before, events_kept_from=floors.kept_from
    )
    failpoint("retention.before_floors")
    return True
