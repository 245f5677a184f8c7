"""Matching as an Ibis expression, for engines that hold more events than one machine should fetch.

Within each unit every event knows the next event of each step; from an entry the steps are followed by joins on the
row number. What comes back is one row a person, as the kernel makes it. For funnels whose steps have an order.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from analytics.lazily import Lazily
from analytics.periods import to_micros
from kpis.explore.stamp import EventSource, micros_of
from kpis.funnels.attempts import NEVER, Attempts, Ints
from kpis.funnels.question import Funnel
from kpis.funnels.rows import coded, selection

if TYPE_CHECKING:
    import ibis
else:
    ibis = Lazily("ibis")


def planned(source: EventSource, funnel: Funnel, data_through: int) -> Attempts:
    """One attempt for each person, worked out by the engine."""
    if funnel.order == "any":
        raise NotImplementedError("steps in any order are matched by the kernel")
    return _attempts(source.run(expression(source, funnel, data_through)), funnel)


def expression(source: EventSource, funnel: Funnel, data_through: int) -> Any:
    """The whole plan: numbered events, chains of steps, one chain a person, what it excludes."""
    events = _numbered(selection(source, funnel), funnel)
    chains = _entries(events, funnel)
    for index in funnel.required[1:]:
        chains = _followed(chains, events, funnel, index)
    chosen = _best(chains, funnel, data_through)
    chosen = _with_optional(chosen, events, funnel)
    return _shown(chosen, events, funnel)


def _unit(funnel: Funnel) -> list[str]:
    return ["person_id", "held"] if funnel.hold else ["person_id"]


def _numbered(found: Any, funnel: Funnel) -> Any:
    """Events with their row number in the unit (`pos`) and, for each step and exclusion, the next such row (`n…`)."""
    unit = _unit(funnel)
    whole = ibis.window(group_by=unit, order_by=["ts", "seq"])
    later = ibis.window(group_by=unit, order_by=["pos"], rows=(1, None))
    numbered = found.mutate(pos=ibis.row_number().over(whole).cast("int64"))
    count = len(funnel.steps) + len(funnel.exclusions)
    strict = funnel.order == "strict"
    columns = {}
    for index in range(1, count):
        own = ibis.ifelse(_has(numbered, index), numbered.pos, ibis.null("int64"))
        columns[f"n{index}"] = (
            own.lead(1).over(ibis.window(group_by=unit, order_by=["pos"])) if strict else (own.min().over(later))
        )
    return numbered.mutate(**columns)


def _has(table: Any, index: int) -> Any:
    return (table.flags // (1 << index)) % 2 == 1


def _entries(events: Any, funnel: Funnel) -> Any:
    """Chains of one row: each entry in the range, or each person's first."""
    start, end = to_micros(funnel.start), to_micros(funnel.end)
    found = events.filter(_has(events, 0) & (events.ts >= start) & (events.ts < end))
    if funnel.entry == "first":
        order = ibis.window(group_by="person_id", order_by=["ts", "seq"])
        found = found.mutate(rank=ibis.row_number().over(order)).filter(lambda table: table.rank == 0)
    return found.select(
        **{name: found[name] for name in _unit(funnel)},
        seq0=found.seq,
        p0=found.pos,
        t0=found.ts,
        level=ibis.literal(1, "int64"),
        anchor=found.pos,
        anchor_ts=found.ts,
        deadline=found.ts + micros_of(funnel.window),
        window=found.ts + micros_of(funnel.window),
        **_nexts(found, funnel),
    )


def _nexts(table: Any, funnel: Funnel) -> dict[str, Any]:
    """The next rows as seen from the anchor."""
    count = len(funnel.steps) + len(funnel.exclusions)
    return {f"n{index}": table[f"n{index}"] for index in range(1, count)}


def _limit(chains: Any, funnel: Funnel, index: int) -> Any:
    within = funnel.steps[index].within
    return chains.window if within is None else ibis.least(chains.window, chains.anchor_ts + micros_of(within))


def _followed(chains: Any, events: Any, funnel: Funnel, index: int) -> Any:
    """Chains with one more required step, where it happened in time; the others keep their anchor."""
    order = funnel.required.index(index)
    limit = _limit(chains, funnel, index)
    chains = chains.mutate(
        until=limit,
        wanted=ibis.ifelse(chains.level == order, chains[f"n{index}"], ibis.null("int64")),
    )
    there = events.select(
        **{f"r_{name}": events[name] for name in (*_unit(funnel), "pos", "ts")},
        **{f"r_{name}": column for name, column in _nexts(events, funnel).items()},
    )
    same = [chains[name] == there[f"r_{name}"] for name in _unit(funnel)]
    joined = chains.left_join(there, [*same, chains.wanted == there.r_pos])
    is_here = joined.r_ts.notnull() & (joined.r_ts <= joined.until)
    is_here = is_here.fill_null(False)
    moved = {
        f"n{number}": ibis.ifelse(is_here, joined[f"r_n{number}"], joined[f"n{number}"])
        for number in range(1, len(funnel.steps) + len(funnel.exclusions))
    }
    joined = joined.mutate(
        deadline=ibis.ifelse(joined.level == order, joined.until, joined.deadline),
        **{f"p{index}": ibis.ifelse(is_here, joined.r_pos, ibis.null("int64"))},
        **{f"t{index}": ibis.ifelse(is_here, joined.r_ts, ibis.null("int64"))},
        anchor=ibis.ifelse(is_here, joined.r_pos, joined.anchor),
        anchor_ts=ibis.ifelse(is_here, joined.r_ts, joined.anchor_ts),
        level=joined.level + ibis.ifelse(is_here, 1, 0),
        **moved,
    )
    return joined.drop(*(name for name in joined.columns if name.startswith("r_")), "until", "wanted")


def _best(chains: Any, funnel: Funnel, data_through: int) -> Any:
    """One chain a person: furthest, then still open, then earliest."""
    is_open = (chains.level < len(funnel.required)) & (chains.deadline >= data_through)
    score = chains.level * 2 + ibis.ifelse(is_open, 1, 0)
    order = ibis.window(group_by="person_id", order_by=[ibis.desc("score"), "t0", "seq0"])
    ranked = chains.mutate(score=score)
    ranked = ranked.mutate(rank=ibis.row_number().over(order))
    return ranked.filter(ranked.rank == 0).drop("rank", "score")


def _with_optional(chosen: Any, events: Any, funnel: Funnel) -> Any:
    """Chains with their optional steps, each after the last step found and before the next required one."""
    ends = (*funnel.required[1:], len(funnel.steps))
    for before, following in zip(funnel.required, ends, strict=True):
        chosen = chosen.mutate(last=chosen[f"p{before}"])
        for index in range(before + 1, following):
            chosen = _optional(chosen, events, funnel, (before, index, following))
    return chosen


def _optional(chosen: Any, events: Any, funnel: Funnel, at: tuple[int, int, int]) -> Any:
    before, index, following = at
    within = funnel.steps[index].within
    anchor_ts = chosen[f"t{before}"]
    limit = chosen.window if within is None else ibis.least(chosen.window, anchor_ts + micros_of(within))
    chosen = chosen.mutate(optional_limit=limit)
    unit = _unit(funnel)
    steps = events.filter(_has(events, index))
    there = steps.select(**{f"r_{name}": steps[name] for name in (*unit, "pos", "ts")})
    same = [chosen[name] == there[f"r_{name}"] for name in unit]
    joined = chosen.left_join(there, [*same, there.r_pos > chosen.last, there.r_ts <= chosen.optional_limit])
    fits = joined.r_pos.notnull()
    if following in funnel.required:
        fits &= joined[f"p{following}"].isnull() | (joined.r_pos < joined[f"p{following}"])
    first = joined.mutate(
        r_pos=ibis.ifelse(fits, joined.r_pos, ibis.null("int64")),
        r_ts=ibis.ifelse(fits, joined.r_ts, ibis.null("int64")),
    )
    kept = [name for name in chosen.columns if name != "optional_limit"]
    grouped = first.group_by(kept).aggregate(**{f"p{index}": first.r_pos.min(), f"t{index}": first.r_ts.min()})
    return grouped.mutate(last=ibis.coalesce(grouped[f"p{index}"], grouped.last))


def _shown(chosen: Any, events: Any, funnel: Funnel) -> Any:
    """The columns of an attempt."""
    columns = {"person_id": chosen.person_id, "deadline": chosen.deadline, "settles": chosen.window}
    columns |= {f"t{index}": chosen[f"t{index}"].fill_null(NEVER) for index in range(len(funnel.steps))}
    columns["row"] = _row_of_key(chosen, funnel)
    unit = [name for name in _unit(funnel) if name != "person_id"]
    shown = chosen.select(**columns, **{name: chosen[name] for name in unit}, **_positions(chosen, funnel))
    shown = _with_exclusions(shown, events, funnel)
    if funnel.by:
        there = events.select(**{f"r_{name}": events[name] for name in _unit(funnel)}, r_pos=events.pos, key=events.key)
        same = [shown[name] == there[f"r_{name}"] for name in _unit(funnel)]
        shown = shown.left_join(there, [*same, shown.row == there.r_pos])
    wanted = ["person_id", "deadline", "settles", "excluded", *(f"t{index}" for index in range(len(funnel.steps)))]
    return shown.select(*wanted, *(["key"] if funnel.by else []))


def _positions(chosen: Any, funnel: Funnel) -> dict[str, Any]:
    return {f"p{index}": chosen[f"p{index}"] for index in range(len(funnel.steps))}


def _row_of_key(chosen: Any, funnel: Funnel) -> Any:
    if funnel.at == "first":
        return chosen.p0
    if funnel.at == "last":
        rows = [chosen[f"p{index}"].fill_null(-1) for index in range(len(funnel.steps))]
        return reduce(lambda left, right: ibis.greatest(left, right), rows)
    return chosen[f"p{funnel.at}"]


def _with_exclusions(shown: Any, events: Any, funnel: Funnel) -> Any:
    """Whose attempt has an excluded event between its steps or, short of the second, before its time is over."""
    if not funnel.exclusions:
        return shown.mutate(excluded=ibis.literal(False))
    hits = []
    for number, exclusion in enumerate(funnel.exclusions):
        before = funnel.required[-1] if exclusion.before is None else exclusion.before
        bad = events.filter(_has(events, len(funnel.steps) + number))
        there = bad.select(**{f"r_{name}": bad[name] for name in (*_unit(funnel), "pos", "ts")})
        same = [shown[name] == there[f"r_{name}"] for name in _unit(funnel)]
        joined = shown.inner_join(there, [*same, there.r_pos > shown[f"p{exclusion.after}"]])
        reached = joined[f"p{before}"]
        ends = ibis.ifelse(reached.notnull(), joined.r_pos < reached, joined.r_ts <= joined.deadline)
        hits.append(joined.filter(ends).select("person_id"))
    people = reduce(lambda left, right: left.union(right), hits).distinct().select(x_person="person_id")
    joined = shown.left_join(people, [shown.person_id == people.x_person])
    return joined.mutate(excluded=joined.x_person.notnull()).drop("x_person")


def _attempts(found: pa.Table, funnel: Funnel) -> Attempts:
    def column(name: str) -> Ints:
        values: Ints = found.column(name).to_numpy().astype(np.int64)
        return values

    order = np.argsort(column("person_id"))
    key, keys = coded(found.column("key")) if funnel.by else (None, ())
    return Attempts(
        person=column("person_id")[order],
        at=tuple(column(f"t{index}")[order] for index in range(len(funnel.steps))),
        deadline=column("deadline")[order],
        settles=column("settles")[order],
        excluded=found.column("excluded").to_numpy(zero_copy_only=False).astype(bool)[order],
        key=None if key is None else key[order],
        keys=keys,
    )
