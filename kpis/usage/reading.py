"""Use, money and reactions out of the lake, as columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analytics.periods import Calendar, Granularity, to_micros
from kpis.attribution import Attribution
from kpis.attribution.paths import Sales, Shares
from kpis.attribution.reading import sales_read
from kpis.explore.picks import EventPick, people_only
from kpis.explore.stamp import EventSource, micros_of
from kpis.funnels.rows import coded, ordered
from kpis.rollup.keys import NONE_KEY
from kpis.taxonomy import REFUND_EVENTS, REVENUE_EVENTS
from kpis.usage.features import AGAIN_DAYS, People, Span, Uses
from kpis.usage.posts import ENGAGED, SEEN, Frame, Post, Reactions

Ints: TypeAlias = npt.NDArray[np.int64]

COLUMNS: Final = (
    "name", "person_id", "ts", "seq", "object_type", "object_id", "platform", "campaign", "amount_base", "is_bot",
    "is_internal",
)  # fmt: skip
QUARTER: Final = 15 * 60 * 1_000_000
"""Microseconds. Every midnight on earth is a whole quarter of an hour, so days can be cut from quarters."""
KINDS: Final = ("post", "campaign")
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "sold": REVENUE_EVENTS,
    "refunded": REFUND_EVENTS,
    "used": ("feature_used",),
    "published": ("post_published",),
    "engaged": ("post_engaged", "ad_clicked"),
    "advertised": ("ad_shown", "ad_clicked", "campaign_charged"),
    "charged": ("campaign_charged",),
}
"""What events do here, by their standard names. Advertisements need no object: their campaign is one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The question: a range, the window after a reaction, and under which names the tenant sends what (by role)."""

    start: datetime
    end: datetime
    window: timedelta
    calendar: Calendar
    names: Mapping[str, tuple[str, ...]]
    inactive: tuple[str, ...]
    include: tuple[str, ...]
    now: datetime

    @property
    def opens(self) -> tuple[datetime, datetime]:
        """What the store has to have open: reactions before the range, returns and refunds after it."""
        return self.start - self.window, max(self.end, self.now)


def people_read(source: EventSource, wanted: Wanted) -> People:
    """Everybody active in the range, and what they brought."""
    table = _within(people_only(source.events, wanted.include), wanted.start, wanted.end)
    table = table.filter(~table.name.isin(sorted(wanted.inactive)))
    sold, back = table.name.isin(wanted.names["sold"]), table.name.isin(wanted.names["refunded"])
    amount = table.amount_base.fill_null(0)
    found = source.run(
        table.group_by(person=table.person_id.cast("int64")).aggregate(
            sold=ibis.ifelse(sold, amount, 0).sum().cast("int64"),
            back=ibis.ifelse(back, amount.abs(), 0).sum().cast("int64"),
            sales=ibis.ifelse(sold, 1, 0).sum().cast("int64"),
        )
    )
    person = _ints(found, "person")
    order = np.argsort(person)
    revenue = _ints(found, "sold") - _ints(found, "back")
    return People(person[order], revenue[order], (_ints(found, "sales") > 0)[order])


def uses_read(source: EventSource, wanted: Wanted) -> tuple[Uses, tuple[str, ...], Span]:
    """Uses of features from the start of the range to as long after its end as coming back is looked for."""
    calendar, known = wanted.calendar, min(source.data_through, wanted.now)
    until = _looked_until(wanted)
    table = _within(people_only(source.events, wanted.include), wanted.start, until)
    table = table.filter(table.name.isin(wanted.names["used"]))
    found = source.run(
        table.group_by(
            person=table.person_id.cast("int64"),
            feature=table.object_id.fill_null(NONE_KEY),
            quarter=table.ts // QUARTER,
        ).aggregate(count=table.count())
    )
    codes, names = coded(found.column("feature"))
    edges = np.asarray(calendar.edges(wanted.start, until, Granularity.DAY), dtype=np.int64)
    day = np.searchsorted(edges, _ints(found, "quarter") * QUARTER, side="right") - 1
    over = int(np.searchsorted(edges, to_micros(min(known, until)), side="right")) - 1
    days = len(calendar.edges(wanted.start, wanted.end, Granularity.DAY)) - 1
    uses = Uses(_ints(found, "person"), codes, day.astype(np.int64), _ints(found, "count"))
    return uses, names, Span(end=days, known=over)


def _looked_until(wanted: Wanted) -> datetime:
    """Some days after the range; its end where that lies within a day, whose rest is neither in it nor after it."""
    if wanted.calendar.floor(wanted.end, Granularity.DAY) != wanted.end:
        return wanted.end
    last = wanted.calendar.local_date(wanted.end) + timedelta(days=AGAIN_DAYS)
    return max(wanted.end, min(wanted.calendar.day_start(last), wanted.now))


def posts_read(
    source: EventSource, wanted: Wanted, costs: Mapping[str, int]
) -> tuple[list[Post], Reactions, Sales, Shares, Frame]:
    """Posts and campaigns with who saw and reacted to them, and the sales of the range less what was given back of
    them. `costs` of campaigns in minor units, as imported; those that events tell stand in where there are none.
    """
    table = _posts(source, wanted)
    posts, numbers = _posts_known(source, table, wanted, costs)
    reactions = _reactions(source, table, wanted, numbers)
    question = Attribution(
        start=wanted.start,
        end=wanted.end,
        conversion=EventPick(wanted.names["sold"]),
        refund=EventPick(wanted.names["refunded"]),
        lookback=wanted.window,
        refunds="restated",
        include=wanted.include,
    )
    sold = sales_read(source, question, None)
    frame = Frame(
        to_micros(wanted.start), to_micros(wanted.end), micros_of(wanted.window), to_micros(source.data_through)
    )
    return posts, reactions, sold.sales, sold.shares, frame


def _posts(source: EventSource, wanted: Wanted) -> Any:
    """Events of posts: `kind`, `id`, and what each event does."""
    table = _within(source.events, wanted.start - wanted.window, wanted.end)
    for flag, word in (("is_bot", "bots"), ("is_internal", "internal")):
        if word not in wanted.include:
            table = table.filter(~table[flag])
    names = wanted.names
    is_object = table.object_type.isin(KINDS) & table.object_id.notnull()
    is_advert = table.name.isin(names["advertised"]) & table.campaign.notnull()
    is_loose = table.name.isin((*names["published"], *names["engaged"])) & table.object_type.isnull()
    table = table.filter((is_object | is_advert | (is_loose & table.object_id.notnull())).fill_null(False))
    table = table.filter(~table.name.isin((*names["sold"], *names["refunded"])))
    is_object = (table.object_type.isin(KINDS) & table.object_id.notnull()).fill_null(False)
    is_advert = (table.name.isin(names["advertised"]) & table.campaign.notnull()).fill_null(False)
    return table.mutate(
        kind=ibis.ifelse(is_object, table.object_type, ibis.ifelse(is_advert, "campaign", "post")),
        post=ibis.ifelse(is_object, table.object_id, ibis.ifelse(is_advert, table.campaign, table.object_id)),
        on=table.platform.fill_null(""),
        is_published=table.name.isin(names["published"]),
        is_engaged=table.name.isin(names["engaged"]),
        is_charged=table.name.isin(names["charged"]),
    )


def _posts_known(
    source: EventSource, table: Any, wanted: Wanted, costs: Mapping[str, int]
) -> tuple[list[Post], pa.Table]:
    inside = table.ts >= to_micros(wanted.start)
    rows = source.run(
        table.group_by("kind", "post", "on").aggregate(
            events=table.count(),
            engagements=ibis.ifelse(table.is_engaged & inside, 1, 0).sum().cast("int64"),
            published=ibis.ifelse(table.is_published, table.ts, None).min(),
            charged=ibis.ifelse(table.is_charged & inside, table.amount_base.abs().fill_null(0), 0).sum().cast("int64"),
            charges=ibis.ifelse(table.is_charged & inside, 1, 0).sum().cast("int64"),
        )
    ).to_pylist()
    by_post: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        by_post.setdefault((row["kind"], row["post"]), []).append(row)
    keys = sorted(by_post)
    posts = [_post(kind, name, by_post[kind, name], costs) for kind, name in keys]
    numbers = pa.table(
        {
            "n_kind": pa.array(np.array([kind for kind, _ in keys], dtype=object), pa.string()),
            "n_post": pa.array(np.array([name for _, name in keys], dtype=object), pa.string()),
            "number": pa.array(np.arange(len(keys), dtype=np.int64)),
        }
    )
    return posts, numbers


def _post(kind: str, name: str, rows: list[dict[str, Any]], costs: Mapping[str, int]) -> Post:
    told = sum(row["charged"] for row in rows) if any(row["charges"] for row in rows) else None
    published = [row["published"] for row in rows if row["published"] is not None]
    return Post(
        kind=kind,
        id=name,
        platform=max(rows, key=lambda row: (row["published"] is not None, row["events"], row["on"]))["on"],
        published_at=min(published, default=None),
        engagements=sum(row["engagements"] for row in rows),
        cost=costs.get(name, told) if kind == "campaign" else told,
    )


def _reactions(source: EventSource, table: Any, wanted: Wanted, numbers: pa.Table) -> Reactions:
    known = source.table(numbers, "post_numbers")
    told = table.filter(table.person_id.notnull() & ~table.is_published & ~table.is_charged)
    joined = told.inner_join(known, [told.kind == known.n_kind, told.post == known.n_post])
    found = source.run(
        joined.select(
            person=joined.person_id.cast("int64"),
            ts=joined.ts,
            seq=joined.seq.cast("int64"),
            number=joined.number,
            role=ibis.ifelse(joined.is_engaged, ENGAGED, SEEN).cast("int64"),
        )
    )
    person, ts, seq, number, role = (_ints(found, name) for name in ("person", "ts", "seq", "number", "role"))
    order = ordered(person, ts, seq)
    return Reactions(person[order], ts[order], number[order], role[order])


def _within(table: Any, start: datetime, end: datetime) -> Any:
    return table.filter((table.ts >= to_micros(start)) & (table.ts < to_micros(end)))


def _ints(table: pa.Table, name: str) -> Ints:
    values: Ints = table.column(name).fill_null(0).to_numpy().astype(np.int64)
    return values
