"""Questions that every engine has to answer alike: what Ibis has to translate for funnels, paths, sums and windows.

Another question is one more entry. Each is a function of a store to an Ibis table whose rows are in a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable

import ibis
import pyarrow as pa
from ibis.expr import types as ir

from analytics.store import EventStore

Question = Callable[[EventStore], ir.Table]
WEEK = 7 * 86_400_000_000


def counts(store: EventStore) -> ir.Table:
    """Events, people, money and extremes by name."""
    e = store.events
    return e.group_by("name").agg(
        n=e.count(), people=e.person_id.nunique(), worth=e.amount_base.sum(), mean=e.duration_ms.mean(),
        first=e.ts.min(), last=e.ts.max(), bots=e.is_bot.ifelse(1, 0).sum(),
    ).order_by("name")  # fmt: skip


def breakdown(store: EventStore) -> ir.Table:
    """Nulls are a group of their own; a share is a division that may meet zero."""
    e = store.events
    table = e.group_by("country").agg(n=e.count(), paid=(e.amount > 0).ifelse(1, 0).sum(), worth=e.amount.sum())
    return table.mutate(share=table.paid / table.n.nullif(0), rest=table.worth // table.paid.nullif(0)).order_by(
        table.n.desc(), table.country.asc(nulls_first=True)
    )


def properties(store: EventStore) -> ir.Table:
    """Texts of properties, absent ones too."""
    plan = store.property("plan")
    return store.events.group_by(plan=plan).agg(n=store.events.count()).order_by(ibis._.plan.asc(nulls_first=True))


def hostile_properties(store: EventStore) -> ir.Table:
    """Names that would break out of a path or a literal."""
    e, columns = store.events, [store.property(name) for name in HOSTILE]
    return e.agg(**{f"c{at}": column.count() for at, column in enumerate(columns)})


def previous(store: EventStore) -> ir.Table:
    """The event before, in the order of a person's events."""
    e = store.events.filter(store.events.person_id.notnull())
    window = ibis.window(group_by="person_id", order_by=["ts", "seq"])
    pairs = e.select("person_id", "name", before=e.name.lag().over(window), pause=e.ts - e.ts.lag().over(window))
    return (
        pairs.group_by("before", "name")
        .agg(n=pairs.count(), pause=pairs.pause.sum())
        .order_by(ibis._.before.asc(nulls_first=True), "name")
    )


def funnel(store: EventStore) -> ir.Table:
    """Who viewed, then bought within a week: an ordered funnel of two steps by a self join."""
    e = store.events.filter(store.events.person_id.notnull())
    views = e.filter(e.name == "product_viewed").select("person_id", at=e.ts)
    buys = e.filter(e.name == "order_completed").select("person_id", bought=e.ts)
    joined = views.join(buys, "person_id").filter(lambda t: (t.bought > t.at) & (t.bought - t.at <= WEEK))
    return ibis.union(
        views.agg(step=ibis.literal(1), people=views.person_id.nunique()),
        joined.agg(step=ibis.literal(2), people=joined.person_id.nunique()),
    ).order_by("step")


def sequence(store: EventStore) -> ir.Table:
    """Running numbers and sums."""
    e = store.events.filter(store.events.person_id.notnull())
    window = ibis.window(group_by="person_id", order_by=["ts", "seq"])
    told = e.select("person_id", "ts", "seq", place=ibis.row_number().over(window), total=e.amount.sum().over(
        ibis.cumulative_window(group_by="person_id", order_by=["ts", "seq"])))  # fmt: skip
    return told.order_by("person_id", "ts", "seq")


def joined_table(store: EventStore) -> ir.Table:
    """With a small table of the caller's."""
    weights = store.table(
        pa.table({"name": pa.array(["order_completed", "signup"]), "weight": pa.array([2.0, 0.5])}), "weights"
    )
    e = store.events.left_join(weights, "name")
    return e.group_by(e.weight).agg(n=e.count()).order_by(ibis._.weight.asc(nulls_first=True))


def ids(store: EventStore) -> ir.Table:
    """The files stay aligned: each event with its id and session."""
    e = store.events
    return e.select("event_id", "session_id", "name", "ts").order_by("event_id")


HOSTILE = ("plan", "$browser", "a.b", "it's", 'q"uote', "back\\slash", "`tick`", "ü", "a/b~c", "%s", "\\'", "'']")

QUESTIONS: dict[str, Question] = {
    each.__name__: each
    for each in (counts, breakdown, properties, hostile_properties, previous, funnel, sequence, joined_table, ids)
}
