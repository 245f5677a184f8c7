"""The common funnel, fast: plain steps in order, each event of at most one of them.

The people are cut into parts that fit a processor's cache and are matched side by side. Within a part an event is one
number: person, then time, then step. So all steps are sorted at once, and how many events of a step lie before an event
is a matter of counting. Most events of the first step lead to the same second one, so it is the second ones that are
followed to the end; the entries between a second event and the one before it all share its chain.

Where two events of different steps have the same person and microsecond, the order of receipt decides, which a number
does not know: for those people, as for any funnel less plain, the general kernel answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analytics.lake.runs import Run
from analytics.lazily import Lazily
from analytics.periods import to_micros
from kpis.explore.picks import all_hold, left_out, people_only, picked
from kpis.explore.stamp import EventSource
from kpis.funnels.attempts import Attempts, Ints
from kpis.funnels.kernel import attempts_of
from kpis.funnels.matching import Layout, Matching, no_attempts
from kpis.funnels.question import Funnel
from kpis.funnels.rows import Rows, names_wanted, ordered

if TYPE_CHECKING:
    import ibis
else:
    ibis = Lazily("ibis")

THREADS: Final = 4
PART: Final = 200_000
"""Events of a part of the people, about: what a processor's cache holds."""
BITS: Final = 63


class TooLarge(Exception):
    """People too far apart for their numbers."""


@dataclass(frozen=True)
class Sorted:
    """Events of one step by person, or all those of one step in one piece."""

    step: int
    person: Ints
    ts: Ints


def is_plain(funnel: Funnel) -> bool:
    """Whether it is a funnel for this file."""
    steps = [set(step.pick.all_names) for step in funnel.steps]
    return (
        funnel.order == "ordered"
        and len(funnel.required) == len(funnel.steps)
        and not (funnel.exclusions or funnel.hold or funnel.by)
        and all(steps)
        and not any(left & right for left, right in combinations(steps, 2))
    )


def packed_attempts(source: EventSource, funnel: Funnel, through: int) -> Attempts | None:
    """One attempt for each person; None where the numbers do not tell enough."""
    has_conditions = bool(funnel.filters) or any(step.pick.where for step in funnel.steps)
    is_read = source.engine == "duckdb" and not has_conditions
    runs = _read(source, funnel) if is_read else _asked(source, funnel)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            parts = list(pool.map(lambda part: _matched(part, funnel, through), _parts(runs)))
    except TooLarge:
        return None
    tied = np.concatenate([np.zeros(0, dtype=np.int64), *(people for _, people in parts)])
    found = _joined([attempts for attempts, _ in parts], len(funnel.steps))
    if len(tied) and not is_read:
        return None
    return _with_tied(found, _rows_of(source, funnel, tied), funnel, through) if len(tied) else found


def _with_tied(found: Attempts, rows: Rows, funnel: Funnel, through: int) -> Attempts:
    """With the people whose order the numbers did not know: the general kernel knows."""
    whole = _joined([found, attempts_of(rows, funnel, through)], len(funnel.steps))
    return whole.taken(np.argsort(whole.person))


def _rows_of(source: EventSource, funnel: Funnel, people: Ints) -> Rows:
    """All that these people did of the steps, with the order of receipt; `people` ascending."""

    def work(run: Run) -> tuple[Ints, ...]:
        person = run.numbers["person_id"]
        at = np.minimum(np.searchsorted(people, person), len(people) - 1)
        rows = np.flatnonzero(people[at] == person)
        flags = np.full(len(rows), 1 << step_of[run.name])
        return person[rows].astype(np.int64), run.numbers["ts"][rows], run.numbers["seq"][rows], flags

    step_of = _step_of(funnel)
    parts = source.each_run(work, columns=("person_id", "ts", "seq"), **_span(funnel))
    person, ts, seq, flags = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = ordered(person, ts, seq)
    return Rows(person[order], person[order], ts[order], seq[order], flags[order])


def _step_of(funnel: Funnel) -> dict[str, int]:
    return {name: number for number, step in enumerate(funnel.steps) for name in step.pick.all_names}


def _span(funnel: Funnel) -> dict[str, Any]:
    """Which runs a funnel reads."""
    start, end = funnel.span
    return {"names": tuple(_step_of(funnel)), "start": start, "end": end, "without": left_out(funnel.include)}


def _read(source: EventSource, funnel: Funnel) -> list[Sorted]:
    """The events of each step, out of the files."""
    step_of = _step_of(funnel)

    def work(run: Run) -> Sorted:
        return Sorted(step_of[run.name], run.numbers["person_id"], run.numbers["ts"])

    return source.each_run(work, columns=("person_id", "ts"), **_span(funnel))


def _asked(source: EventSource, funnel: Funnel) -> list[Sorted]:
    """The same from the engine, which knows about conditions."""
    found = source.run(_selection(source, funnel))
    person, ts, code = (found.column(name).to_numpy() for name in ("person", "ts", "code"))

    def step(number: int) -> Sorted:
        rows = np.flatnonzero(code == number)
        rows = rows[np.argsort(person[rows])]
        return Sorted(number, person[rows], ts[rows])

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(step, range(len(funnel.steps))))


def _selection(source: EventSource, funnel: Funnel) -> Any:
    table = people_only(source.events, funnel.include)
    table = table.filter((table.ts >= to_micros(funnel.span[0])) & (table.ts < to_micros(funnel.span[1])))
    table = table.filter(table.name.isin(names_wanted([step.pick for step in funnel.steps])))
    if any(step.pick.where for step in funnel.steps):
        truths = [picked(source, table, step.pick) for step in funnel.steps]
        table = table.filter(reduce(lambda left, right: left | right, truths))
    if funnel.filters:
        table = table.filter(all_hold(source, table, funnel.filters))
    # Names of steps are apart, so the name alone says which step an event is; what is none of the others is the first.
    others = [(table.name.isin(step.pick.all_names), number) for number, step in enumerate(funnel.steps) if number]
    code = ibis.cases(*others, else_=0)
    return table.select(person=table.person_id, ts=table.ts, code=code.cast("int8"))


def _parts(runs: list[Sorted]) -> Iterator[list[Sorted]]:
    """The runs of some of the people each, about as many events in each part."""
    rows = sum(len(run.person) for run in runs)
    count = max(1, -(-rows // PART))
    stride = max(1, rows // (count * 200))
    some = np.sort(np.concatenate([np.zeros(0, np.int32), *(run.person[::stride] for run in runs)]))
    cuts = np.unique(some[len(some) * np.arange(1, count) // count]) if count > 1 else some[:0]
    edges = [[0, *np.searchsorted(run.person, cuts).tolist(), len(run.person)] for run in runs]
    for part in range(len(cuts) + 1):
        places = [slice(edge[part], edge[part + 1]) for edge in edges]
        yield [Sorted(run.step, run.person[at], run.ts[at]) for run, at in zip(runs, places, strict=True)]


def _matched(part: list[Sorted], funnel: Funnel, through: int) -> tuple[Attempts, Ints]:
    """The best attempt of each person of the part, but for those people who have ties."""
    steps, nobody = len(funnel.steps), np.zeros(0, dtype=np.int64)
    part = sorted((run for run in part if len(run.person)), key=attrgetter("step"))
    if not part or part[0].step:
        return no_attempts(steps), nobody
    low = min(int(run.person[0]) for run in part)
    high = max(int(run.person[-1]) for run in part)
    layout = Layout.of(funnel, low)
    if (high - low + 1).bit_length() + layout.width + layout.tag > BITS:
        raise TooLarge
    matching = Matching(funnel, layout, through, layout.packed(part))
    return matching.attempts() if len(matching.first) else no_attempts(steps), matching.tied


def _joined(parts: list[Attempts], count: int) -> Attempts:
    """All parts in one; they follow each other by person."""
    if not parts:
        return no_attempts(count)
    return Attempts(
        np.concatenate([part.person for part in parts]),
        tuple(np.concatenate([part.at[step] for part in parts]) for step in range(count)),
        np.concatenate([part.deadline for part in parts]),
        np.concatenate([part.settles for part in parts]),
        np.concatenate([part.excluded for part in parts]),
    )
