"""What attribution asks (S14), checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from kpis.attribution.channels import DEFAULT_RULES, ChannelRule
from kpis.base import Condition
from kpis.explore.picks import EventPick, field_check
from kpis.series.question import INCLUDABLE, QuestionError
from kpis.taxonomy import REFUND_EVENTS, REVENUE_EVENTS

MODELS: Final = (
    "first",
    "last",
    "last_non_direct",
    "last_paid",
    "linear",
    "time_decay",
    "position",
    "markov",
    "shapley",
)
"""Nine ways to share one sale among the touches before it; README.md says what each does."""
DIMENSIONS: Final = ("channel", "source", "medium", "campaign", "referrer")
TOUCHES: Final = ("session", "hit")
LONGEST: Final = timedelta(days=366)
LONGEST_RANGE: Final = timedelta(days=3660)
MAX_KEYS: Final = 200
SALES: Final = EventPick(REVENUE_EVENTS)
GIVEN_BACK: Final = EventPick(REFUND_EVENTS)
PAGES: Final = EventPick(("page_view",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Which channels the sales of [start, end) came from.

    touch      "session": the first event of a visit (nothing of that person in the 30 minutes before), also when it
               came directly. "hit": every event that carries a source, medium, campaign or foreign referrer.
    lookback   how long before a conversion a touch counts; at that very moment it does.
    half_life  of time decay: a touch that much earlier weighs half.
    by         what the credit goes to: the channel that the rules make of a touch, or one of its parts.
    refunds    "on_their_day": refunds of [start, end) reverse their sale's credits wherever it lies, up to
               `refund_window` before. "restated": the sales of [start, end), less what was given back of them so far.
    against    another range to set beside it.
    """

    start: datetime
    end: datetime
    conversion: EventPick = SALES
    refund: EventPick = GIVEN_BACK
    touches: EventPick = PAGES
    touch: Literal["session", "hit"] = "session"
    lookback: timedelta = timedelta(days=30)
    half_life: timedelta = timedelta(days=7)
    models: tuple[str, ...] = MODELS
    by: Literal["channel", "source", "medium", "campaign", "referrer"] = "channel"
    refunds: Literal["on_their_day", "restated"] = "on_their_day"
    refund_window: timedelta = timedelta(days=180)
    rules: tuple[ChannelRule, ...] = DEFAULT_RULES
    filters: tuple[Condition, ...] = ()
    include: tuple[str, ...] = ()
    limit: int = 50
    against: tuple[datetime, datetime] | None = None

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise QuestionError("the range is empty: `to` must be after `from` (it is exclusive)", "to")
        if self.end - self.start > LONGEST_RANGE:
            raise QuestionError(f"the range is at most {LONGEST_RANGE.days} days", "from")
        for name, span in (("lookback", self.lookback), ("half_life", self.half_life)):
            if not timedelta(0) < span <= LONGEST:
                raise QuestionError(f"{name} is longer than nothing and at most {LONGEST.days} days", name)
        if not timedelta(0) <= self.refund_window <= LONGEST:
            raise QuestionError(f"refund_window is at most {LONGEST.days} days", "refund_window")
        if not self.models or (unknown := set(self.models) - set(MODELS)):
            told = f", not {', '.join(sorted(unknown))}" if self.models else ""
            raise QuestionError(f"models are some of {', '.join(MODELS)}{told}", "models")
        if self.by not in DIMENSIONS or self.touch not in TOUCHES:
            raise QuestionError(f"by is one of {', '.join(DIMENSIONS)}; touch of {', '.join(TOUCHES)}", "by")
        if self.refunds not in ("on_their_day", "restated"):
            raise QuestionError("refunds is on_their_day or restated", "refunds")
        if not self.conversion.names or not self.touches.names:
            raise QuestionError("say which events are conversions, and which can be touches", "conversion")
        if not 1 <= self.limit <= MAX_KEYS:
            raise QuestionError(f"limit is from 1 to {MAX_KEYS}", "limit")
        for condition in self.filters:
            field_check(condition.field)
        if unknown := set(self.include) - INCLUDABLE:
            raise QuestionError(f"include takes {', '.join(sorted(INCLUDABLE))}", "include")

    @property
    def other(self) -> Attribution | None:
        """The same of the other range."""
        return self.against and replace(self, start=self.against[0], end=self.against[1], against=None)

    @property
    def sales_from(self) -> datetime:
        """The earliest sale that can matter."""
        return self.start - self.refund_window if self.refunds == "on_their_day" else self.start

    @property
    def touches_from(self) -> datetime:
        """The earliest touch that can matter."""
        return self.sales_from - self.lookback
