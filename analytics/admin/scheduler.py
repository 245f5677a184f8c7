"""The scheduler's page: what rings for everybody, and what runs by the tenant's own clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from analytics import due, schedules
from analytics.admin.base import JOB_READERS, WRITERS, role_of, tenant_id_of
from analytics.registry import UnknownName


@staff_member_required
@require_http_methods(["GET", "HEAD", "POST"])
def scheduler(request: HttpRequest) -> HttpResponse:
    """Look, and by POST (`action`, `name`, `at`) pause, resume, move or run something."""
    if request.method == "POST":
        _act(request)
        return redirect("operation-scheduler")
    now, seconds = timezone.now(), schedules.tick_seconds()
    status = schedules.scheduler_status(now=now)
    entries = [
        {**entry, "next_at": schedules.next_run(entry, seconds.get(entry["name"]))} for entry in status["entries"]
    ]
    context = {
        **admin.site.each_context(request),
        "title": "Scheduler",
        "status": status,
        "entries": entries,
        "standings": due.standings(tenant_id=tenant_id_of(request), now=now) if role_of(request) in JOB_READERS else [],
        "may_operate": _may_operate(request),
        "may_change": role_of(request) in WRITERS,
        "now": now,
    }
    return TemplateResponse(request, "analytics/admin_scheduler.html", context)


def _act(request: HttpRequest) -> None:
    action, name = request.POST.get("action", ""), request.POST.get("name", "")
    if action in TICKS:
        done = TICKS[action](name) if _may_operate(request) else "Only the operator of the installation may do that."
    elif action in CHOICES:
        done = _choose(request, action, name) if role_of(request) in WRITERS else "Your role may look, not change."
    else:
        done = "There is no such action."
    (messages.error if done else messages.success)(request, done or "Done.")


def _choose(request: HttpRequest, action: str, name: str) -> str:
    """What is wrong with it, or an empty text when it was done."""
    given = {"tenant_id": tenant_id_of(request), "schedule": name, "now": timezone.now()}
    try:
        CHOICES[action](request, {**given, "actor": f"user:{request.user.pk}"})
    except (UnknownName, ValueError) as error:
        text = str(error)
        return f"{text[:1].upper()}{text[1:]}"
    return ""


def _move(request: HttpRequest, given: dict[str, Any]) -> None:
    try:
        at = time.fromisoformat(request.POST.get("at", ""))
    except ValueError:
        raise ValueError("write the time as hours and minutes, for example 03:00.") from None
    due.schedule_choose(**given, at=at.replace(second=0, microsecond=0, tzinfo=None))


def _may_operate(request: HttpRequest) -> bool:
    return role_of(request) in WRITERS and schedules.may_operate(request.user.pk)


def _switch(action: str) -> str:
    schedules.scheduler_switch(action)
    return ""


NOBODY = "There is no such entry."
TICKS: dict[str, Callable[[str], str]] = {
    "start": lambda name: _switch("start"),
    "stop": lambda name: _switch("stop"),
    "restart": lambda name: _switch("restart"),
    "tick-pause": lambda name: "" if schedules.tick_switch(name, is_enabled=False) else NOBODY,
    "tick-resume": lambda name: "" if schedules.tick_switch(name, is_enabled=True) else NOBODY,
    "tick-run": lambda name: "" if schedules.tick_run(name) else "It could not be rung for: is Redis away?",
}
CHOICES: dict[str, Callable[[HttpRequest, dict[str, Any]], object]] = {
    "pause": lambda request, given: due.schedule_choose(**given, is_paused=True),
    "resume": lambda request, given: due.schedule_choose(**given, is_paused=False),
    "run": lambda request, given: due.schedule_run(**given),
    "move": _move,
}
