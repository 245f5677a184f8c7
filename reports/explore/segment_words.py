"""What a segment is made of, as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.explore.parts import OPERATORS, PERIODS, tests_of, texts_of
from reports.explore.people import PLACES, title_of


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the definition."""

    label: str
    value: str


def facts_of(source: str, definition: Mapping[str, Any]) -> tuple[Fact, ...]:
    """The question line by line, however odd it is."""
    if source == "customers":
        return (Fact("Who", f"Customers in “{definition.get('segment')}” of the newest snapshot"),)
    if source == "measure":
        return tuple(_measure(definition))
    if source == "movements":
        moved = {"all": "moved"}.get(str(definition.get("kind")), f"moved by {definition.get('kind')}")
        return Fact("Who", f"Customers whose recurring revenue {moved}"), Fact(
            "When", period_told(definition, "last_30d")
        )
    if source == "answer":
        return tuple(_answer(definition))
    return (Fact("Who", source),)


def _measure(definition: Mapping[str, Any]) -> list[Fact]:
    name = str(definition.get("measure"))
    facts = [Fact("Who", f"Everybody in {name}")]
    facts.append(Fact("When", period_told(definition, "last_30d")))
    if definition.get("dimension"):
        keys = " or ".join(texts_of(definition.get("keys")))
        facts.append(Fact("Only", f"{definition['dimension']} is {keys}"))
    return facts


def _answer(definition: Mapping[str, Any]) -> list[Fact]:
    kind, question, place = (definition.get(name) for name in ("kind", "question", "place"))
    if not isinstance(question, Mapping) or not isinstance(place, Mapping) or kind not in PLACES:
        return [Fact("Who", "An answer that cannot be read any more")]
    facts = [Fact("Who", _who(str(kind), question, place))]
    if kind == "funnel":
        steps = [_step(step) for step in question.get("steps", ()) if isinstance(step, Mapping)]
        facts.append(Fact("Steps", ", then ".join(steps)))
        facts.append(Fact("Within", str(question.get("window") or "7d")))
    if kind == "retention":
        facts.append(Fact("Unit", f"{question.get('unit') or 'week'}s, {question.get('clock') or 'calendar'} clock"))
    else:
        facts.append(Fact("When", period_told(question, "last_30d")))
    if tests := tests_of(question.get("filters")):
        facts.append(Fact("Only", " and ".join(_test(test) for test in tests)))
    if texts_of(question.get("include")):
        facts.append(Fact("Besides", " and ".join(texts_of(question.get("include")))))
    return facts


def _who(kind: str, question: Mapping[str, Any], place: Mapping[str, Any]) -> str:
    try:
        return title_of(kind, question, place)
    except (KeyError, TypeError):
        return f"A part of an answer of {kind}"


def _step(step: Mapping[str, Any]) -> str:
    named = str(step.get("label") or "") or " or ".join(texts_of(step.get("events"))) or "any event"
    tests = " and ".join(_test(test) for test in tests_of(step.get("where")))
    return f"{named} ({tests})" if tests else named


def _test(test: Any) -> str:
    word = dict(OPERATORS).get(test.op, test.op)
    return f"{test.field} {word} {test.value}".strip()


def period_told(question: Mapping[str, Any], default: str) -> str:
    """ "Last 30 days", or the two days of a fixed range."""
    first, to = question.get("from"), question.get("to")
    if first or to:
        return f"from {first or 'the beginning'} up to {to or 'now'} (a fixed range)"
    period = str(question.get("period") or default)
    return dict(PERIODS).get(period, period.replace("_", " "))
