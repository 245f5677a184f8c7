"""The common funnel, fast: plain steps in order, each event of at most one of them.

The people are cut into parts that fit a processor's cache and are matched side by side by `compiled.py`, which needs
nothing of an event but person, time and step.

Where two events of different steps have the same person and microsecond, the order of receipt decides, which is not
among these: for those people, as for any funnel less plain, the general kernel answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from itertools import accumulate, combinations, islice, pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from analytics.lake.errors import LakeFileBroken
from analytics.lake.runs import Run
from analytics.lazily import Lazily
from analytics.periods import to_micros
from kpis.explore.picks import all_hold, left_out, people_only, picked
from kpis.explore.stamp import EventSource, micros_of
from kpis.funnels.attempts import Attempts, Flags, Ints
from kpis.funnels.kernel import attempts_of
from kpis.funnels.question import Funnel
from kpis.funnels.rows import Rows, names_wanted, ordered

if TYPE_CHECKING:
    import ibis

    from kpis.funnels import compiled
else:
    ibis = Lazily("ibis")
    compiled = Lazily("kpis.funnels.compiled")

THREADS: Final = 4
PART: Final = 1_500_000
"""Events of a part of the people, at most about."""
AT_ONCE: Final = 4
"""Parts that are held in the order of people at a time, 12 MB each."""
ALONE: Final = 100_000
"""Events that are matched faster than shared out."""
SPARSEST: Final = 64
"""People between the first and the last of a part for each of its events, at most: each has a place."""


class TooLarge(Exception):
    """People too far apart for their numbers."""


@dataclass(frozen=True)
class Sorted:
    """Events of one step by person, or all those of one step in one piece."""

    step: int
    person: Ints
    ts: Ints


@dataclass(frozen=True)
class Spread:
    """The times of a part's events by step, person and time: `until` says where each (step, person) ends, after a 0."""

    low: int
    entered: int
    until: npt.NDArray[np.int32]
    times: Ints
    tied: Flags


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
        found, tied = _matched(runs, funnel, through)
    except TooLarge:
        return None
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
    count = 1 if rows < ALONE else -(-rows // (PART * THREADS)) * THREADS
    stride = max(1, rows // (count * 1000))
    some = np.sort(np.concatenate([np.zeros(0, np.int32), *(run.person[stride // 2 :: stride] for run in runs)]))
    cuts = np.unique(some[len(some) * np.arange(1, count) // count]) if count > 1 else some[:0]
    edges = [[0, *np.searchsorted(run.person, cuts).tolist(), len(run.person)] for run in runs]
    for part in range(len(cuts) + 1):
        places = [slice(edge[part], edge[part + 1]) for edge in edges]
        yield [Sorted(run.step, run.person[at], run.ts[at]) for run, at in zip(runs, places, strict=True)]


def _matched(runs: list[Sorted], funnel: Funnel, through: int) -> tuple[Attempts, Ints]:
    """The attempt of each person, but for those people who have ties, who come second."""
    parts, found, tied = _parts(runs), [], [np.zeros(0, dtype=np.int64)]
    with ThreadPoolExecutor(THREADS) as pool:
        while some := list(islice(parts, AT_ONCE)):  # so that few parts are spread at a time
            attempts, people = _together(pool, some, funnel, through)
            found.append(attempts)
            tied += people
    return _joined(found, len(funnel.steps)) if len(found) > 1 else found[0], np.concatenate(tied)


def _together(
    pool: ThreadPoolExecutor, some: list[list[Sorted]], funnel: Funnel, through: int
) -> tuple[Attempts, list[Ints]]:
    """Some of the parts, side by side."""
    count = len(funnel.steps)
    parts = [part for part in pool.map(partial(_spread, count=count), some) if part is not None]
    edges = [0, *accumulate(part.entered for part in parts)]
    at, rest = np.empty((count, edges[-1]), dtype=np.int64), np.empty((2, edges[-1]), dtype=np.int64)
    places = [slice(*pair) for pair in pairwise(edges)]
    match = partial(_match, funnel, through)
    found = list(pool.map(match, parts, [at[:, place] for place in places], [rest[:, place] for place in places]))
    attempts = Attempts(
        person=rest[0],
        at=tuple(at),
        deadline=rest[1],
        settles=at[0] + micros_of(funnel.window),
        excluded=np.zeros(edges[-1], dtype=bool),
    )
    if sum(found) < edges[-1]:  # people who entered too late, or are tied, leave gaps
        kept = np.concatenate([np.arange(edge, edge + here) for edge, here in zip(edges, found, strict=False)])
        attempts = attempts.taken(kept)
    return attempts, [np.flatnonzero(part.tied) + part.low for part in parts]


def _spread(part: list[Sorted], *, count: int) -> Spread | None:
    """None when nobody enters in this part."""
    part = [run for run in part if len(run.person)]
    if not any(run.step == 0 for run in part):
        return None
    low = min(int(run.person[0]) for run in part)
    people = max(int(run.person[-1]) for run in part) - low + 1
    rows = sum(len(run.person) for run in part)
    if people > SPARSEST * rows:
        raise TooLarge
    until, times = np.zeros(count * people + 1, dtype=np.int32), np.empty(rows, dtype=np.int64)
    is_good = compiled.spread(
        np.concatenate([run.person for run in part]),
        np.concatenate([run.ts for run in part]),
        np.array([0, *accumulate(len(run.person) for run in part)]),
        np.array([run.step for run in part], dtype=np.int8),
        count,
        low,
        until,
        times,
    )
    if not is_good:
        raise LakeFileBroken("a file of the lake is not in order of people")
    entered = int(np.count_nonzero(np.diff(until[: people + 1])))
    return Spread(low, entered, until, times, np.zeros(people, dtype=bool))


def _match(funnel: Funnel, through: int, part: Spread, at: Ints, rest: Ints) -> int:
    """Writes the part's attempts and says how many there are."""
    window = micros_of(funnel.window)
    within = [window if step.within is None else micros_of(step.within) for step in funnel.steps]
    found: int = compiled.matched(
        part.until, part.times, window, np.array(within), through, to_micros(funnel.end), funnel.entry == "first",
        part.low, at, rest, part.tied,
    )  # fmt: skip
    return found


def _joined(parts: list[Attempts], count: int) -> Attempts:
    """All parts in one; they follow each other by person."""
    return Attempts(
        np.concatenate([part.person for part in parts]),
        tuple(np.concatenate([part.at[step] for part in parts]) for step in range(count)),
        np.concatenate([part.deadline for part in parts]),
        np.concatenate([part.settles for part in parts]),
        np.concatenate([part.excluded for part in parts]),
    )
