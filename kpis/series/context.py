"""What every answer needs to know of its tenant: the calendar, how far data reach, what waits for a roll-up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection

from analytics.capture.money import exponents
from analytics.contracts import Source
from analytics.periods import Calendar, to_micros

_COUNTED = """
SELECT c.id, c.zone, c.week_start, c.base_currency, b.first_day, b.last_day, d.oldest, d.newest, d.has_people
  FROM bw_calendar c
  LEFT JOIN LATERAL (
       SELECT min(start) AS first_day, max(start) AS last_day FROM bw_bucket
        WHERE tenant_id = c.tenant_id AND calendar_id = c.id AND measure = 'events.count' AND dimension = ''
          AND grain = 3
       ) b ON true
  LEFT JOIN LATERAL (
       SELECT min(minute) AS oldest, max(minute) AS newest, bool_or(minute IS NULL) AS has_people
         FROM bw_dirty_mark WHERE tenant_id = c.tenant_id
       ) d ON true
 WHERE c.tenant_id = %(tenant)s AND c.state = 'live'
"""

# With a literal bound, the planner looks at the newest partitions only instead of at all of them.
_NEWEST = """
SELECT ts, source FROM bw_event WHERE tenant_id = %(tenant)s AND ts >= %(since)s ORDER BY ts DESC LIMIT 1
"""


class NoCalendar(LookupError):
    """The tenant has no live calendar, so nothing of it was ever counted. `manage.py rollup` makes one."""


@dataclass(frozen=True, slots=True)
class Context:
    """The state of a tenant's counting at one moment.

    `known_until`: nothing is known from then on. That is now for a tenant that is listening, and the last event for one
    whose newest events came out of a file: after the file's last row there is silence, not zero.
    """

    tenant_id: int
    calendar_id: int
    calendar: Calendar
    now: datetime
    first_day: datetime | None
    known_until: datetime
    dirty: tuple[datetime, datetime] | None

    @property
    def data_through(self) -> datetime:
        """Everything received before this instant is counted."""
        return min(self.dirty[0], self.known_until) if self.dirty else self.known_until

    @property
    def exponent(self) -> int:
        return exponents().get(self.calendar.base_currency, 2)

    def is_known(self, start: datetime, end: datetime) -> bool:
        """Whether the range touches the time that the tenant's data cover at all; if not, its values are null (S5)."""
        return self.first_day is not None and end > self.first_day and start < self.known_until

    def is_settled(self, start: datetime, end: datetime) -> bool:
        """Whether the range is over and nothing in it waits to be counted."""
        waits = self.dirty is not None and self.dirty[0] < end and self.dirty[1] >= start
        return end <= self.known_until and not waits


def context_read(*, tenant_id: int, now: datetime) -> Context:
    """The context of the tenant that is set in the open transaction. Raises NoCalendar."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED, {"tenant": tenant_id})
        row = cursor.fetchone()
        if row is None:
            raise NoCalendar("The tenant has no live calendar; nothing was counted yet.")
        id_, zone, week_start, currency, first_day, last_day, oldest, newest, has_people = row
        cursor.execute(_NEWEST, {"tenant": tenant_id, "since": last_day or datetime.min.replace(tzinfo=UTC)})
        last_at, last_source = cursor.fetchone() or (now, "")
    known_until = last_at if last_source == Source.IMPORT and last_at < now else now
    if has_people:  # a merge or an erasure whose days are not known yet may touch any of them
        oldest, newest = first_day or oldest or now, now
    return Context(
        tenant_id=tenant_id,
        calendar_id=id_,
        calendar=Calendar(zone, week_start, currency),
        now=now,
        first_day=first_day,
        known_until=known_until,
        dirty=(oldest, newest) if oldest is not None else None,
    )


def micros(span: tuple[datetime, datetime]) -> tuple[int, int]:
    return to_micros(span[0]), to_micros(span[1])
