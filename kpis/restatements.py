"""Why published days move: what each dirty mark's reason did to each measure, kept while a refresh does its work.

A day that has been published is counted again reason by reason, and what changed in its whole (no dimension) is added
to `bw_restatement`. Rows of one reason add up, so that the ledger can go back from what is known now to what was
published, one reason at a time. Days that were never published cost one look-up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connections
from django.db.models import Max

from analytics.contracts import Grain
from analytics.periods import from_micros, to_micros
from kpis.base import measures
from kpis.models import MetricValue
from kpis.rollup.dirty import DirtyMinutes
from kpis.rollup.store import Store
from kpis.taxonomy import named

LATE, REFUNDS, RATES, MERGE, UNMERGE = "late_events", "refunds", "rates", "merge", "unmerge"
ERASURE, MAPPING, SESSIONS, RECOUNT = "erasure", "mapping", "sessions", "recount"
REASONS: Mapping[str, str] = {
    "event": LATE,
    "rate": RATES,
    "merge": MERGE,
    "unmerge": UNMERGE,
    "erasure": ERASURE,
    "mapping": MAPPING,
    "session": SESSIONS,
}
"""What a mark's reason is called to people; any other (a command, a backfill) is a recount. The order of counting: a
minute with several marks is counted for the first of them.
"""
REFUND_NAMES = named("order_refunded", "payment_refunded", "item_returned")

ADD = """
INSERT INTO bw_restatement AS r (tenant_id, day, since, measure, reason, n, total, minutes, at)
SELECT %(tenant)s, u.day, u.since, u.measure, u.reason, u.n, u.total, %(minutes)s, %(now)s
  FROM unnest(%(days)s::timestamptz[], %(sinces)s::timestamptz[], %(measures)s::text[], %(reasons)s::text[],
              %(ns)s::int8[], %(totals)s::numeric[]) AS u (day, since, measure, reason, n, total)
 ORDER BY u.day, u.since, u.measure, u.reason
ON CONFLICT (tenant_id, day, since, measure, reason) DO UPDATE
   SET n = r.n + excluded.n, total = r.total + excluded.total, minutes = r.minutes + excluded.minutes,
       at = excluded.at"""

# Without the states: sets of people are large, and what is kept of them is how many they are.
WHOLES = """
SELECT b.start, b.measure, b.n, b.total FROM unnest(%(measures)s::text[]) AS m (measure)
  JOIN bw_bucket b ON b.tenant_id = %(tenant)s AND b.calendar_id = %(calendar)s AND b.measure = m.measure
   AND b.dimension = '' AND b.grain = %(grain)s AND b.start >= %(start)s AND b.start < %(end)s AND b.key = ''"""

State = tuple[int, Decimal]
Key = tuple[int, str]
"""The start of a day in microseconds, and a measure."""


@dataclass
class Journal:
    """What happens to the published days of a span while it is counted again, inside the open transaction."""

    store: Store
    start: datetime
    end: datetime
    published: Mapping[int, datetime]
    now: datetime
    before: dict[Key, State] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store, start: datetime, end: datetime, now: datetime) -> Journal:
        """Of the days in [start, end) in the store of the live calendar."""
        rows = MetricValue.objects.using(store.using).filter(
            tenant_id=store.tenant_id, grain="day", start__gte=start, start__lt=end
        )
        found = rows.values_list("start").annotate(last=Max("computed_at"))
        published = {to_micros(day): last for day, last in found if last is not None}
        journal = cls(store, start, end, published, now)
        if published:
            journal.before = journal.read()
        return journal

    def parts(self, dirty: DirtyMinutes) -> Iterator[tuple[str, DirtyMinutes]]:
        """The dirty minutes by reason where that matters, all at once where nothing was published."""
        if not self.published:
            yield RECOUNT, dirty
            return
        waiting = dict(dirty.reasons)
        for reason in (*REASONS, ""):
            chosen = {minute: marks for minute, marks in waiting.items() if not reason or reason in marks}
            if chosen:
                waiting = {minute: marks for minute, marks in waiting.items() if minute not in chosen}
                yield REASONS.get(reason, RECOUNT), DirtyMinutes(chosen)

    def write(self, reason: str, minutes: int) -> None:
        """Add what has changed since the last call, for this reason."""
        if not self.published:
            return
        after = self.read()
        changed = [
            (*key, _less(after.get(key), self.before.get(key)))
            for key in sorted(after.keys() | self.before.keys())
            if after.get(key) != self.before.get(key) and key[0] in self.published
        ]
        self.before = after
        if changed:
            self._add([(day, measure, *difference) for day, measure, difference in changed], reason, minutes)

    def read(self) -> dict[Key, State]:
        """The whole of each measure by day, for everyone but bots and internal users."""
        parameters: dict[str, Any] = {
            "tenant": self.store.tenant_id,
            "calendar": self.store.calendar_id,
            "measures": sorted({measure for measure, _ in self.store.pairs}),
            "grain": int(Grain.DAY),
            "start": self.start,
            "end": self.end,
        }
        with connections[self.store.using].cursor() as cursor:
            cursor.execute(WHOLES, parameters)
            return {
                (to_micros(day), measure): (n, total if total is not None else Decimal(0))
                for day, measure, n, total in cursor.fetchall()
            }

    def _add(self, rows: list[tuple[int, str, int, Decimal]], reason: str, minutes: int) -> None:
        parameters: dict[str, Any] = {
            "tenant": self.store.tenant_id,
            "minutes": minutes,
            "now": self.now,
            "days": [from_micros(day) for day, *_ in rows],
            "sinces": [self.published[day] for day, *_ in rows],
            "measures": [measure for _, measure, *_ in rows],
            "reasons": [reason_of(measure, reason) for _, measure, *_ in rows],
            "ns": [n for *_, n, _ in rows],
            "totals": [total for *_, total in rows],
        }
        with connections[self.store.using].cursor() as cursor:
            cursor.execute(ADD, parameters)


def reason_of(measure: str, reason: str) -> str:
    """Late events of a measure of refunds are refunds; they are told apart because a business expects them."""
    declared = measures.get(measure)
    names = declared.events if declared else None
    return REFUNDS if reason == LATE and names is not None and names <= REFUND_NAMES else reason


def _less(after: State | None, before: State | None) -> State:
    late, early = after or (0, Decimal(0)), before or (0, Decimal(0))
    return late[0] - early[0], late[1] - early[1]
