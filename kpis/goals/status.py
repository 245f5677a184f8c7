"""How a goal stands, by a rule that is written down: one declaration, one function. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from kpis.contracts import Number
from kpis.goals.contracts import Chance, Status


@dataclass(frozen=True, slots=True)
class Rule:
    """Where on track ends and at risk ends. A value at a limit has reached it.

    The probability decides where there is one, else the pace; a goal without either is unknown.
    """

    on_track_probability: float = 0.7
    at_risk_probability: float = 0.3
    on_track_pace: Decimal = Decimal("0.95")
    at_risk_pace: Decimal = Decimal("0.8")


RULE = Rule()
SEVERITY = (
    Status.MISSED,
    Status.OFF_TRACK,
    Status.AT_RISK,
    Status.UNKNOWN,
    Status.UPCOMING,
    Status.ON_TRACK,
    Status.REACHED,
)
"""From bad to good: an objective stands as its worst goal does."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a status is decided by. `is_sum`: the value grows over the period, so that it can be reached before its end
    (or, where less is better, be missed).
    """

    value: Number
    target: Decimal
    better: Literal["up", "down"]
    is_sum: bool
    has_begun: bool
    is_over: bool
    pace: Number
    chance: Chance


def status_of(facts: Facts, rule: Rule = RULE) -> tuple[Status, str]:
    """The status, and why in words."""
    if not facts.has_begun:
        return Status.UPCOMING, "The period has not begun."
    if facts.value is None:
        return Status.UNKNOWN, "Nothing is known of the metric in this period."
    settled = _settled(facts, facts.value)
    if settled is not None:
        return settled
    if facts.chance.probability is not None:
        return _by_probability(facts.chance.probability, rule)
    if facts.pace is not None:
        return _by_pace(facts.pace, rule)
    return Status.UNKNOWN, "There is neither a probability nor a pace yet."


def reaches(value: Decimal, target: Decimal, better: Literal["up", "down"]) -> bool:
    """Whether the value is as good as the target; one at the target is."""
    return value >= target if better == "up" else value <= target


def _settled(facts: Facts, value: Decimal) -> tuple[Status, str] | None:
    is_reached = reaches(value, facts.target, facts.better)
    wanted = "at least" if facts.better == "up" else "at most"
    if facts.is_over:
        words = f"The period is over; {wanted} the target was asked for, and it was {'' if is_reached else 'not '}kept."
        return (Status.REACHED if is_reached else Status.MISSED), words
    if facts.is_sum and facts.better == "up" and is_reached:
        return Status.REACHED, "The target is reached before the period is over."
    if facts.is_sum and facts.better == "down" and not is_reached:
        return Status.MISSED, "The limit is passed before the period is over."
    return None


def _by_probability(probability: float, rule: Rule) -> tuple[Status, str]:
    shown = f"The chance of reaching the target is {_percent(probability)}"
    if probability >= rule.on_track_probability:
        return Status.ON_TRACK, f"{shown}; on track from {_percent(rule.on_track_probability)}."
    if probability >= rule.at_risk_probability:
        return Status.AT_RISK, f"{shown}; on track from {_percent(rule.on_track_probability)}."
    return Status.OFF_TRACK, f"{shown}; off track below {_percent(rule.at_risk_probability)}."


def _by_pace(pace: Decimal, rule: Rule) -> tuple[Status, str]:
    shown = f"The pace is {_percent(pace)} of what was expected by now"
    if pace >= rule.on_track_pace:
        return Status.ON_TRACK, f"{shown}; on track from {_percent(rule.on_track_pace)}."
    if pace >= rule.at_risk_pace:
        return Status.AT_RISK, f"{shown}; on track from {_percent(rule.on_track_pace)}."
    return Status.OFF_TRACK, f"{shown}; off track below {_percent(rule.at_risk_pace)}."


def _percent(share: float | Decimal) -> str:
    return f"{share * 100:.0f} %"
