"""What a funnel asks (S13), checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from analytics.sessions import FAR
from kpis.base import Condition
from kpis.explore.picks import EventPick, dimension_check, field_check
from kpis.series.question import INCLUDABLE, QuestionError

Order: TypeAlias = Literal["ordered", "strict", "any"]
Entry: TypeAlias = Literal["best", "first", "every"]
Moment: TypeAlias = Literal["first", "last"] | int

ORDERS: Final = ("ordered", "strict", "any")
ENTRIES: Final = ("best", "first", "every")
GROUPS: Final = "properties.$groups"
MAX_GROUP: Final = 200
MAX_STEPS: Final = 20
MAX_EXCLUSIONS: Final = 10
MAX_VALUES: Final = 100
LONGEST_WINDOW: Final = timedelta(days=366)
LONGEST_RANGE: Final = timedelta(days=3660)
AROUND_VISITS: Final = tuple(timedelta(microseconds=micros) for micros in FAR)
"""How far before and after a range events can say where its visits begin and end."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `within` is its own window, from the nearest earlier step that is not optional.

    An optional step is counted where it happens, but nobody has to pass it.
    """

    pick: EventPick
    label: str = ""
    is_optional: bool = False
    within: timedelta | None = None

    @property
    def name(self) -> str:
        return self.label or " or ".join(self.pick.names) or "any event"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Events that drop a person when they lie after step `after` and before step `before` (indices from 0; None: the
    last step that is not optional). While that step is not reached, until its window ends."""

    pick: EventPick
    after: int = 0
    before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """People who pass the steps, entering in [start, end); later steps may lie after `end`.

    The earliest event that fits is taken for each step, strictly later than the step before (at the same microsecond:
    received later), at most `window` after the first. An event is used for one step only, so a step that is repeated
    needs a second event.

    order    "ordered": other events may lie between. "strict": the person's very next event. "any": all steps in the
             window, in whatever order; step k then reads "at least k of them".
    entry    "best": of a person's attempts the one that gets furthest; of equals one that is still open, then the
             earliest. "first": the person's first attempt in the range, however it ends. "every": all attempts, one
             after the other: the next one begins with the first entry after the one before has converted or its time is
             over, so that no event serves two of them. Attempts are counted then, and not people.
    session  all steps of an attempt lie in one visit (S15: the SDK's session, else no pause above 30 minutes); it is
             over 30 minutes after the last event of its visit. Events that make nobody active are no steps then.
    group    count groups of this type (a key of the property `$groups`, such as company) instead of people: a group
             passes a step when anybody of it does.
    curve    how the share of converted grows with time, and how long they took, come with the answer.
    hold     a column or property that all steps of an attempt must share; events without it are no steps.
    by, at   breakdown by the value at the first step, the last one reached, or a step by index.
    """

    steps: tuple[Step, ...]
    start: datetime
    end: datetime
    window: timedelta = timedelta(days=7)
    order: Order = "ordered"
    entry: Entry = "best"
    session: bool = False
    group: str | None = None
    exclusions: tuple[Exclusion, ...] = ()
    hold: str | None = None
    filters: tuple[Condition, ...] = ()
    include: tuple[str, ...] = ()
    by: str | None = None
    at: Moment = "first"
    limit: int = 10
    curve: bool = False
    against: tuple[datetime, datetime] | None = field(default=None)

    def __post_init__(self) -> None:
        _check_steps(self)
        _check_times(self)
        _check_exclusions(self)
        _check_order(self)
        _check_fields(self)

    @property
    def required(self) -> tuple[int, ...]:
        """Indices of the steps that are not optional."""
        return tuple(index for index, step in enumerate(self.steps) if not step.is_optional)

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The events that can matter."""
        before, after = AROUND_VISITS if self.session else (timedelta(0), timedelta(0))
        return self.start - before, self.end + self.window + after + timedelta(microseconds=1)

    @property
    def counts(self) -> Literal["people", "attempts", "groups"]:
        """What its numbers are numbers of."""
        if self.entry == "every":
            return "attempts"
        return "groups" if self.group else "people"


def _check_steps(funnel: Funnel) -> None:
    if len(funnel.steps) < 2 or len(funnel.required) < 2:
        raise QuestionError("a funnel has at least two steps that are not optional; of one step take a series", "steps")
    if len(funnel.steps) > MAX_STEPS:
        raise QuestionError(f"a funnel has at most {MAX_STEPS} steps, not {len(funnel.steps)}", "steps")
    if funnel.steps[0].is_optional:
        raise QuestionError("the first step is what one enters by, so it cannot be optional", "steps.0")
    if funnel.order not in ORDERS:
        raise QuestionError(f"order is one of {', '.join(ORDERS)}", "order")
    if funnel.entry not in ENTRIES:
        raise QuestionError(f"entry is one of {', '.join(ENTRIES)}", "entry")
    if funnel.group and funnel.session:
        raise QuestionError("a visit is a person's, so a funnel of groups cannot keep to one", "session")
    if funnel.group is not None and not 0 < len(funnel.group) <= MAX_GROUP:
        raise QuestionError(f"a type of groups has a name of 1 to {MAX_GROUP} characters", "group")


def _check_times(funnel: Funnel) -> None:
    if funnel.end <= funnel.start:
        raise QuestionError("the range is empty: `to` must be after `from` (it is exclusive)", "to")
    if funnel.end - funnel.start > LONGEST_RANGE:
        raise QuestionError(f"the range is at most {LONGEST_RANGE.days} days", "from")
    if not timedelta(0) < funnel.window <= LONGEST_WINDOW:
        raise QuestionError(f"the window is longer than nothing and at most {LONGEST_WINDOW.days} days", "window")
    for index, step in enumerate(funnel.steps):
        if step.within is not None and not timedelta(0) < step.within <= funnel.window:
            raise QuestionError("a step's window is longer than nothing and within the whole window", f"steps.{index}")
    if funnel.against is not None and funnel.against[1] <= funnel.against[0]:
        raise QuestionError("the range compared with is empty", "compare")


def _check_exclusions(funnel: Funnel) -> None:
    if len(funnel.exclusions) > MAX_EXCLUSIONS:
        raise QuestionError(f"at most {MAX_EXCLUSIONS} exclusions", "exclusions")
    required = funnel.required
    for index, exclusion in enumerate(funnel.exclusions):
        before = required[-1] if exclusion.before is None else exclusion.before
        if exclusion.after not in required or before not in required or exclusion.after >= before:
            raise QuestionError(
                "an exclusion lies between two steps that are not optional, `after` before `before`",
                f"exclusions.{index}",
            )
        if not exclusion.pick.names:
            raise QuestionError("an exclusion names its events", f"exclusions.{index}")


def _check_order(funnel: Funnel) -> None:
    has_optional = len(funnel.required) < len(funnel.steps)
    if funnel.order == "ordered":
        return
    if has_optional or funnel.exclusions:
        raise QuestionError(f"{funnel.order} order has no optional steps and no exclusions", "order")
    if funnel.order == "any" and any(step.within for step in funnel.steps):
        raise QuestionError("in any order there are no windows of single steps", "order")


def _check_fields(funnel: Funnel) -> None:
    for condition in funnel.filters:
        field_check(condition.field)
    if funnel.hold:
        dimension_check(funnel.hold, "hold")
    if funnel.by:
        dimension_check(funnel.by)
    if not 1 <= funnel.limit <= MAX_VALUES:
        raise QuestionError(f"limit is from 1 to {MAX_VALUES}", "limit")
    if isinstance(funnel.at, int) and not 0 <= funnel.at < len(funnel.steps):
        raise QuestionError("there is no such step to break down at", "at")
    if unknown := set(funnel.include) - INCLUDABLE:
        raise QuestionError(
            f"include takes {', '.join(sorted(INCLUDABLE))}, not {', '.join(sorted(unknown))}", "include"
        )
