"""The question of `/usage/`, out of its address: for the page and its files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from django.http import HttpRequest
from rest_framework.exceptions import ValidationError

from analytics.access.roles import Scope
from kpis.compare import range_before
from kpis.explore.fields import SpanField
from kpis.parameters import COMPARE, RANGE
from kpis.usage.answer import DEFAULT_WINDOW, LONGEST_WINDOW, UsageAsk
from reports.dashboard.doors import scopes_of, tenant_of
from reports.dashboard.question import PageQuestion, page_question

KNOWN: Final = (*RANGE, "days", "limit", "include", "window", *COMPARE)
PAGE_SECONDS: Final = 8.0
TOO_LONG: Final = "This range takes longer to look through than a page waits. Choose a shorter one."


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """`ask` is answered, and `before` too, if the address asks to compare; `question` is what links are written with.

    `complaints` tell what was left out.
    """

    ask: UsageAsk
    before: UsageAsk | None
    question: PageQuestion
    complaints: tuple[str, ...]


def asked_of(request: HttpRequest) -> UsageQuestion:
    """Odd parts are told and left out. Who may not see people gets no small groups."""
    question = page_question(request, tenant_of(request), known=KNOWN)
    return asked_in(question, is_shared=Scope.EVENTS_READ not in scopes_of(request))


def asked_in(question: PageQuestion, *, is_shared: bool) -> UsageQuestion:
    """The same of a question that has been read. `is_shared`: without small groups."""
    window, complaint = _window(question)
    asked = UsageAsk(replace(question.ask, by=None, filters=(), compare=None), window, is_shared=is_shared)
    complaints = [each.message for each in question.complaints] + ([complaint] if complaint else [])
    return UsageQuestion(asked, _before(asked, question), question, tuple(complaints))


def _before(asked: UsageAsk, question: PageQuestion) -> UsageAsk | None:
    """Only when it is asked for: a second range is a second reading of the lake."""
    ask = question.ask
    if ask.compare is None or "compare" not in question.parameters:
        return None
    period = range_before(ask.period, ask.compare, ask.calendar, through=ask.now, match_weekday=ask.match_weekday)
    return replace(asked, ask=replace(asked.ask, period=period))


def _window(question: PageQuestion) -> tuple[timedelta, str]:
    text = question.parameters.get("window", "")
    if not text:
        return DEFAULT_WINDOW, ""
    try:
        found: timedelta = SpanField().to_internal_value(text)
    except ValidationError:
        found = timedelta(0)
    if timedelta(0) < found <= LONGEST_WINDOW:
        return found, ""
    return DEFAULT_WINDOW, "The window is a length of time such as 12h or 7d, at most 90d; 7 days are taken."
