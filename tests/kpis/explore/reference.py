"""A funnel as its definition reads, one person and one event at a time: what the fast ways are compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analytics.periods import to_micros
from kpis.funnels import Funnel

Event = dict[str, Any]


@dataclass
class Try:
    """One attempt: the event of each step, None where it was not reached."""

    events: list[Event | None]
    deadline: int
    level: int


def micros(span: Any) -> int:
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds  # type: ignore[no-any-return]


def fits(pick: Any, event: Event) -> bool:
    return event["name"] in pick.names and all(event.get(test.field) == test.value for test in pick.where)


def after(event: Event) -> tuple[int, int]:
    return event["ts"], event.get("seq", 0)


def attempts(
    funnel: Funnel, rows: Sequence[Event], through: int
) -> dict[int, tuple[tuple[int, ...], str | None, bool, int]]:
    """For each person who entered: when each step was reached (−1: never), the breakdown's value, whether excluded,
    and until when the next step may be."""
    people: dict[int, list[Event]] = defaultdict(list)
    for event in sorted(rows, key=after):
        people[event["person_id"]].append(event)
    found = {}
    for person, events in people.items():
        tries = [one for entry in events if begins(funnel, entry) for one in [follow(funnel, events, entry)] if one]
        if funnel.entry == "first":
            tries = tries[:1]
        if tries:
            best = max(
                tries, key=lambda one: (one.level, is_open(funnel, one, through), [-x for x in after(first(one))])
            )
            found[person] = (
                tuple(-1 if event is None else event["ts"] for event in best.events),
                value_of(funnel, best),
                is_excluded(funnel, events, best),
                best.deadline,
            )
    return found


def first(one: Try) -> Event:
    assert one.events[0] is not None
    return one.events[0]


def is_open(funnel: Funnel, one: Try, through: int) -> bool:
    return one.level < len(funnel.required) and one.deadline >= through


def begins(funnel: Funnel, event: Event) -> bool:
    steps = funnel.steps if funnel.order == "any" else funnel.steps[:1]
    is_in = to_micros(funnel.start) <= event["ts"] < to_micros(funnel.end)
    is_held = funnel.hold is None or event.get(funnel.hold) is not None
    return is_in and is_held and any(fits(step.pick, event) for step in steps)


def follow(funnel: Funnel, events: list[Event], entry: Event) -> Try:
    if funnel.hold is not None:
        events = [event for event in events if event.get(funnel.hold) == entry[funnel.hold]]
    later = [event for event in events if after(event) > after(entry)]
    end = entry["ts"] + micros(funnel.window)
    if funnel.order == "any":
        return gather(funnel, [entry, *later], end)
    taken: list[Event | None] = [entry, *[None] * (len(funnel.steps) - 1)]
    anchor, deadline, level = entry, end, 1
    for index in funnel.required[1:]:
        deadline = until(funnel, index, anchor, end)
        rest = [event for event in later if after(event) > after(anchor)]
        if funnel.order == "strict":
            rest = rest[:1]
        hits = [event for event in rest if fits(funnel.steps[index].pick, event) and event["ts"] <= deadline]
        if not hits:
            break
        taken[index] = anchor = hits[0]
        level += 1
    optional(funnel, later, taken, end)
    return Try(taken, deadline, level)


def until(funnel: Funnel, index: int, anchor: Event, end: int) -> int:
    within = funnel.steps[index].within
    return end if within is None else min(end, anchor["ts"] + micros(within))


def optional(funnel: Funnel, later: list[Event], taken: list[Event | None], end: int) -> None:
    for index, step in enumerate(funnel.steps):
        if not step.is_optional:
            continue
        before = max(number for number in funnel.required if number < index)
        follows = [number for number in funnel.required if number > index]
        anchor = taken[before]
        if anchor is None:
            continue
        last = next(event for event in reversed(taken[before:index]) if event is not None)
        stop = taken[follows[0]] if follows else None
        for event in later:
            in_gap = after(event) > after(last) and (stop is None or after(event) < after(stop))
            if in_gap and fits(step.pick, event) and event["ts"] <= until(funnel, index, anchor, end):
                taken[index] = event
                break


def gather(funnel: Funnel, events: list[Event], end: int) -> Try:
    """Events in order, each kept if the kept ones can still all be given steps of their own (tried one by one)."""
    kept: list[Event] = []
    for event in events:
        if event["ts"] <= end and can_place(funnel, [*kept, event], frozenset()):
            kept.append(event)
    taken: list[Event | None] = [*kept, *[None] * (len(funnel.steps) - len(kept))]
    return Try(taken, end, len(kept))


def can_place(funnel: Funnel, events: list[Event], used: frozenset[int]) -> bool:
    if not events:
        return True
    free = [i for i, step in enumerate(funnel.steps) if i not in used and fits(step.pick, events[0])]
    return any(can_place(funnel, events[1:], used | {index}) for index in free)


def value_of(funnel: Funnel, one: Try) -> str | None:
    if funnel.by is None:
        return None
    reached = [event for event in one.events if event is not None]
    event = {"first": first(one), "last": max(reached, key=after)}.get(str(funnel.at))
    if isinstance(funnel.at, int):
        event = one.events[funnel.at]
    return None if event is None else event.get(funnel.by)


def is_excluded(funnel: Funnel, events: list[Event], one: Try) -> bool:
    if funnel.hold is not None:
        events = [event for event in events if event.get(funnel.hold) == first(one)[funnel.hold]]
    for exclusion in funnel.exclusions:
        before = funnel.required[-1] if exclusion.before is None else exclusion.before
        start, stop = one.events[exclusion.after], one.events[before]
        for event in events:
            if start is None or after(event) <= after(start) or not fits(exclusion.pick, event):
                continue
            if after(event) < after(stop) if stop is not None else event["ts"] <= one.deadline:
                return True
    return False
