"""What every answer needs to know of its tenant: the calendar, how far data reach, what waits for a roll-up."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from pyroaring import FrozenBitMap

from analytics.capture.money import exponents
from analytics.contracts import Source
from analytics.daily_visitors import NOBODY, daily_visitors
from analytics.periods import Calendar, to_micros

_COUNTING = """
SELECT calendar_id, zone, week_start, base_currency, first_day, oldest, newest, has_people, last_at, last_source,
       daily_through
  FROM bw_counting(%s)"""


class NoCalendar(LookupError):
    """The tenant has no live calendar, so nothing of it was ever counted. `manage.py rollup` makes one."""


@dataclass(frozen=True, slots=True)
class Context:
    """The state of a tenant's counting at one moment.

    `known_until`: nothing is known from then on. That is now for a tenant that is listening, and the last event for one
    whose newest events came out of a file: after the file's last row there is silence, not zero.
    `daily_through`: the newest daily visitor (S35), None where the tenant has none.
    """

    tenant_id: int
    calendar_id: int
    calendar: Calendar
    now: datetime
    first_day: datetime | None
    known_until: datetime
    dirty: tuple[datetime, datetime] | None
    daily_through: int | None = None
    _daily: list[FrozenBitMap] = field(default_factory=list, compare=False, repr=False)

    @property
    def daily(self) -> FrozenBitMap:
        """Who are daily visitors. Asked for once, and never of a tenant that has none."""
        if self.daily_through is None:
            return NOBODY
        if not self._daily:
            self._daily.append(daily_visitors(tenant_id=self.tenant_id, through=self.daily_through))
        return self._daily[0]

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

    def covered(self, start: datetime, end: datetime) -> tuple[datetime, datetime] | None:
        """The part of the range that has passed and that the tenant's data cover, or None."""
        if self.first_day is None:
            return None
        first, last = max(start, self.first_day), min(end, self.known_until)
        return (first, last) if first < last else None

    def is_settled(self, start: datetime, end: datetime) -> bool:
        """Whether the range is over and nothing in it waits to be counted."""
        waits = self.dirty is not None and self.dirty[0] < end and self.dirty[1] >= start
        return end <= self.known_until and not waits


def context_read(*, tenant_id: int, now: datetime) -> Context:
    """The context of the tenant that is set in the open transaction. Raises NoCalendar."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTING, [tenant_id])
        row = cursor.fetchone()
    if row is None:
        raise NoCalendar("The tenant has no live calendar; nothing was counted yet.")
    id_, zone, week_start, currency, first_day, oldest, newest, has_people, last_at, last_source, daily_through = row
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
        daily_through=daily_through,
    )


def micros(span: tuple[datetime, datetime]) -> tuple[int, int]:
    return to_micros(span[0]), to_micros(span[1])
