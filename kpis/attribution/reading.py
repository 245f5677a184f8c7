"""Touches, sales and refunds out of the lake, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from analytics.lake.runs import Run
from analytics.lake.schema import PROMOTED
from analytics.lazily import Lazily
from analytics.periods import to_micros
from kpis.attribution.channels import DIRECT, MISSING, Touchpoint, channel_of
from kpis.attribution.paths import Flags, Ints, Sales, Shares, Touches
from kpis.attribution.question import Attribution
from kpis.attribution.sorting import Seen, in_order
from kpis.contracts import OTHER
from kpis.explore.picks import EventPick, all_hold, column_of, fields_of, left_out, people_only, picked
from kpis.explore.stamp import EventSource
from kpis.funnels.rows import coded, ordered

if TYPE_CHECKING:
    import ibis
else:
    ibis = Lazily("ibis")

VISIT: Final = 30 * 60 * 1_000_000
"""Microseconds of silence that end a visit (S15)."""
PROPERTIES: Final = ("utm_medium", "$referring_domain")
COLUMNS: Final = (
    "name", "person_id", "ts", "seq", "channel", "campaign", "amount_base", "object_type", "object_id", "is_bot",
    "is_internal",
)  # fmt: skip
PARTS: Final = ("source", "medium", "campaign", "referrer")
TYPED_PARTS: Final = ("channel", PROMOTED["utm_medium"], "campaign", PROMOTED["$referring_domain"])
MANY: Final = 1 << 20
SEPARATOR: Final = "\x1f"
"""Between the parts of a touch; a part that holds this control character itself ends there."""


def columns_of(question: Attribution) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns and properties that the store has to have open."""
    picks = (question.conversion, question.refund, question.touches, EventPick(where=question.filters))
    columns, properties = fields_of(picks)
    return tuple(dict.fromkeys((*COLUMNS, *columns))), tuple(dict.fromkeys((*PROPERTIES, *properties)))


def names_of(question: Attribution) -> tuple[str, ...]:
    """The events that matter."""
    picks = (question.conversion, question.refund, question.touches)
    return tuple(sorted({name for pick in picks for name in pick.all_names}))


@dataclass(frozen=True)
class Keys:
    """What credit goes to, by number."""

    names: tuple[str, ...]
    seen: tuple[int, ...]


def touches_read(source: EventSource, question: Attribution) -> tuple[Touches, Keys]:
    """All touches that can matter, each with the number of its key."""
    is_plain = source.engine == "duckdb" and not question.touches.where
    runs = _read(source, question) if is_plain else [_asked(source, question)]
    numbers: dict[Touchpoint, int] = {}
    runs = [_renumbered(run, numbers) for run in runs if len(run.person)]
    named = [_named(point, question) for point in numbers]
    is_direct = np.array([direct for _, direct, _ in named], dtype=bool)

    def keep(person: Ints, ts: Ints, kind: Ints) -> Flags:
        if question.touch == "hit":
            return ~is_direct[kind]
        if not is_plain:  # the engine has found them
            return np.ones(len(person), dtype=bool)
        goes_on = (person[1:] == person[:-1]) & (ts[1:] - ts[:-1] < VISIT)
        return np.append(True, ~goes_on)[: len(person)]

    person, ts, kind = in_order(runs, len(numbers), keep)
    kinds, keys = _kinds(named, np.bincount(kind, minlength=len(named)), question)
    return Touches(person, ts, kinds.key[kind], kinds.is_direct[kind], kinds.is_paid[kind]), keys


def _read(source: EventSource, question: Attribution) -> list[Seen]:
    """Out of the files."""
    return source.each_run(
        _seen_in,
        columns=("person_id", "ts", "seq", *TYPED_PARTS),
        names=question.touches.all_names,
        start=question.touches_from,
        end=source.data_through,
        without=left_out(question.include),
    )


def _seen_in(run: Run) -> Seen:
    """The touches of a run: few different ones, so each combination of the four parts gets a number."""
    columns = [run.texts[name] for name in TYPED_PARTS]
    kind, size = np.zeros(run.rows, dtype=np.int64), 1
    for column in columns:
        kind = kind * (len(column.values) + 1) + column.codes + 1
        size *= len(column.values) + 1
        if size > MANY:  # so that numbers stay small however many there are
            kind = np.unique(kind, return_inverse=True)[1]
            size = int(kind.max()) + 1
    _, first, kind = np.unique(kind, return_index=True, return_inverse=True)
    points = [
        Touchpoint(*("" if (code := column.codes[row]) < 0 else column.values[code] for column in columns))
        for row in first.tolist()
    ]
    return Seen(run.numbers["person_id"], run.numbers["ts"], run.numbers["seq"], kind, points)


def _renumbered(run: Seen, numbers: dict[Touchpoint, int]) -> Seen:
    """The kinds of one run by the numbers of all, which grow."""
    places = [numbers.setdefault(point, len(numbers)) for point in run.points]
    return replace(run, kind=np.array(places, dtype=np.int64)[run.kind], points=())


def _asked(source: EventSource, question: Attribution) -> Seen:
    """From the engine, which knows about conditions."""
    table = _events(source, question, question.touches, question.touches_from)
    parts = {
        "source": table.channel,
        "medium": column_of(source, table, "properties.utm_medium"),
        "campaign": table.campaign,
        "referrer": column_of(source, table, "properties.$referring_domain"),
    }
    parts = {name: column.fill_null("") for name, column in parts.items()}
    table = table.select(person=table.person_id.cast("int64"), ts=table.ts, seq=table.seq.cast("int64"), **parts)
    if question.touch == "session":
        table = _begun(table)
    # One text a touch instead of four, and one reading instead of two: what differs is found in the answer.
    joined = reduce(lambda left, right: left + SEPARATOR + right, (table[name] for name in PARTS))
    found = source.run(table.select("person", "ts", "seq", parts=joined))
    kind, texts = coded(found.column("parts"))
    points = [Touchpoint(*text.split(SEPARATOR, len(PARTS) - 1)) for text in texts]
    columns = [_ints(found, name) for name in ("person", "ts", "seq")]
    order = ordered(*columns)
    person, ts, seq = (column[order] for column in columns)
    return Seen(person, ts, seq, kind[order], points)


def _begun(table: Any) -> Any:
    """The first event of each visit."""
    before = table.ts.lag(1).over(ibis.window(group_by="person", order_by=["ts", "seq"]))
    marked = table.mutate(before=before)
    return marked.filter(marked.before.isnull() | (marked.ts - marked.before >= VISIT)).drop("before")


@dataclass(frozen=True)
class Kinds:
    """What each combination of parts counts as."""

    key: Ints
    is_direct: Flags
    is_paid: Flags


def _named(touch: Touchpoint, question: Attribution) -> tuple[str, bool, bool]:
    """What the credit of such a touch goes to, whether it is direct, and whether it is paid for."""
    channel, is_paid = channel_of(touch, question.rules)
    # A tenant's rules may call touches direct that have a source; nothing else makes a touch direct.
    is_direct = channel == DIRECT or touch.is_direct
    return channel if question.by == "channel" else (getattr(touch, question.by) or MISSING), is_direct, is_paid


def _kinds(named: Sequence[tuple[str, bool, bool]], counts: Ints, question: Attribution) -> tuple[Kinds, Keys]:
    """Every combination of parts with its key; beyond the limit, the rarest keys are one."""
    seen: dict[str, int] = {}
    for (name, _, _), count in zip(named, counts.tolist(), strict=True):
        if count:
            seen[name] = seen.get(name, 0) + count
    ranked = sorted(seen, key=lambda name: (-seen[name], name))
    kept = ranked[: question.limit]
    names = [*kept, OTHER] if len(ranked) > len(kept) else kept
    place = {name: number for number, name in enumerate(kept)}
    totals = [seen[name] for name in kept] + [sum(seen[name] for name in ranked[len(kept) :])][: len(names) - len(kept)]
    found = Kinds(
        np.array([place.get(name, min(len(kept), max(0, len(names) - 1))) for name, _, _ in named], dtype=np.int64),
        np.array([direct for _, direct, _ in named], dtype=bool),
        np.array([paid for _, _, paid in named], dtype=bool),
    )
    return found, Keys(tuple(names), tuple(totals))


@dataclass(frozen=True)
class Sold:
    """Sales, what is to be shared of them and of their refunds, and what could not be placed."""

    sales: Sales
    shares: Shares
    unmatched_refunds: int
    unvalued: int


def sales_read(source: EventSource, question: Attribution, known_before: Ints | None) -> Sold:
    """Sales and refunds. `known_before`: people who had bought before the earliest sale that is read, ascending."""
    sold = _money(source, question, question.conversion, question.sales_from, question.end)
    until = question.end if question.refunds == "on_their_day" else None
    back = _money(source, question, question.refund, question.sales_from, until)
    person, ts, seq = (_ints(sold, name) for name in ("person", "ts", "seq"))
    order = ordered(person, ts, seq)
    sold, person, ts = sold.take(pa.array(order)), person[order], ts[order]
    is_in = (ts >= to_micros(question.start)) & (ts < to_micros(question.end))
    is_first = np.append(True, person[1:] != person[:-1])[: len(person)]
    if known_before is not None and len(known_before):
        is_first &= ~np.isin(person, known_before)
    sales = Sales(person, ts, np.maximum(_ints(sold, "amount"), 0), is_in, is_first)
    shares, unmatched = _shared(sales, sold, back, question)
    nulls = sold.column("amount").is_null().to_numpy()
    return Sold(sales, shares, unmatched, int((nulls & is_in).sum()))


def _money(source: EventSource, question: Attribution, pick: EventPick, start: Any, end: Any) -> pa.Table:
    table = _events(source, question, pick, start, end)
    if pick is question.conversion and question.filters:
        table = table.filter(all_hold(source, table, question.filters))
    return source.run(
        table.select(
            person=table.person_id.cast("int64"),
            ts=table.ts,
            seq=table.seq.cast("int64"),
            amount=table.amount_base.abs(),
            kind=table.object_type,
            object=table.object_id,
        )
    )


def _events(source: EventSource, question: Attribution, pick: EventPick, start: Any, end: Any = None) -> Any:
    table = people_only(source.events, question.include)
    until = to_micros(end if end is not None else source.data_through)
    table = table.filter((table.ts >= to_micros(start)) & (table.ts < until))
    return table.filter(picked(source, table, pick))


def _shared(sales: Sales, sold: pa.Table, back: pa.Table, question: Attribution) -> tuple[Shares, int]:
    """Sales of the range, then each refund as what it takes away and what the refunds before it had."""
    mine = np.flatnonzero(sales.is_in_range)
    sale, lost = _refunded(sales, sold, back)
    order = np.lexsort((_ints(back, "seq"), _ints(back, "ts"), sale))
    sale, amount, ts = sale[order], np.maximum(_ints(back, "amount"), 0)[order], _ints(back, "ts")[order]
    found = sale >= 0
    sale, amount, ts = sale[found], amount[found], ts[found]
    total = np.cumsum(amount)
    begins = np.append(True, sale[1:] != sale[:-1])[: len(sale)]
    before = total - amount
    before = before - np.maximum.accumulate(np.where(begins, before, 0)) if len(before) else before
    counts = ts >= to_micros(question.start) if question.refunds == "on_their_day" else sales.is_in_range[sale]
    sale, amount, before = sale[counts], amount[counts], before[counts]
    missing = int(np.maximum(_ints(back, "amount"), 0)[lost].sum())
    return (
        Shares(
            np.concatenate([mine, sale, sale]),
            np.concatenate([sales.amount[mine], before + amount, before]),
            np.concatenate([np.ones(len(mine)), -np.ones(len(sale)), np.ones(len(sale))]).astype(np.int64),
        ),
        missing if question.refunds == "on_their_day" else 0,
    )


def _refunded(sales: Sales, sold: pa.Table, back: pa.Table) -> tuple[Ints, Flags]:
    """For each refund the row of its sale, or -1: the latest sale of the same object before it, else of the person."""
    if back.num_rows == 0 or len(sales) == 0:
        return np.full(back.num_rows, -1), np.ones(back.num_rows, dtype=bool)
    objects = _objects(sold, back)
    mine, theirs = objects[: len(sales)], objects[len(sales) :]
    ts, person = _ints(back, "ts"), _ints(back, "person")
    by_object = _latest(mine, sales.ts, theirs, ts)
    by_person = _latest(sales.person, sales.ts, person, ts)
    found = np.where(theirs >= 0, np.where(by_object >= 0, by_object, by_person), by_person)
    return found, found < 0


def _objects(sold: pa.Table, back: pa.Table) -> Ints:
    """(type, id) of both tables' objects, in one numbering; -1 without an id."""
    kind, _ = coded(pa.chunked_array([*sold.column("kind").chunks, *back.column("kind").chunks], pa.string()))
    object_, _ = coded(pa.chunked_array([*sold.column("object").chunks, *back.column("object").chunks], pa.string()))
    return np.where(object_ >= 0, object_ * (int(kind.max(initial=0)) + 2) + kind + 1, -1)


def _latest(owner: Ints, at: Ints, asked: Ints, until: Ints) -> Ints:
    """For each asked owner the row of its latest time not after `until`; -1 without one."""
    order = np.lexsort((at, owner))
    owners, times = owner[order], at[order]
    low = np.searchsorted(owners, asked)
    high = np.searchsorted(owners, asked, side="right")
    return np.array([_row(order, times, *span) for span in zip(low, high, until, strict=True)], dtype=np.int64)


def _row(order: Ints, times: Ints, low: int, high: int, until: int) -> int:
    place = low + int(np.searchsorted(times[low:high], until, side="right")) - 1
    return int(order[place]) if place >= low else -1


def buyers_before(source: EventSource, question: Attribution) -> Ints:
    """People with a conversion before the earliest sale that is read, over all history; ascending."""
    table = people_only(source.events, question.include)
    table = table.filter((table.ts < to_micros(question.sales_from)) & picked(source, table, question.conversion))
    found = source.run(table.select(person=table.person_id.cast("int64")).distinct())
    return np.sort(_ints(found, "person"))


def _ints(table: pa.Table, name: str) -> Ints:
    column = table.column(name)
    whole = column.fill_null(0) if column.null_count else column
    values: Ints = whole.to_numpy().astype(np.int64, copy=False)
    return values


def _flags(table: pa.Table, name: str) -> Flags:
    values: Flags = table.column(name).to_numpy().astype(bool)
    return values


def loose_of(touches: Touches, question: Attribution) -> Ints:
    """Rows of touches in the range itself: those of them that no sale followed are the paths that led to nothing."""
    start, end = to_micros(question.start), to_micros(question.end)
    return np.flatnonzero((touches.ts >= start) & (touches.ts < end))
