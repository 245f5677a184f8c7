"""The schedule of the installation, as its operator sees and switches it. What it rings for: `config/schedule.py`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from celery import current_app
from django.contrib.auth import get_user_model
from django.db import transaction
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from analytics.access.keys import KeyInfo
from analytics.tenancy import tenant_ids

PREFIX: Final = "bellwether: "
ACTIONS: Final = ("start", "stop", "restart")
# Beat writes its runs down every three minutes at the latest.
ALIVE: Final = timedelta(minutes=5)


def scheduler_status(*, now: datetime) -> dict[str, Any]:
    """Switched on? Alive? And each entry with its last run."""
    entries = list(PeriodicTask.objects.filter(name__startswith=PREFIX).select_related("interval", "crontab"))
    runs = [entry.last_run_at for entry in entries if entry.last_run_at is not None]
    last = max(runs, default=None)
    return {
        "is_enabled": any(entry.enabled for entry in entries),
        "is_alive": last is not None and now - last < ALIVE,
        "last_heartbeat_at": last,
        "entries": [_entry(entry) for entry in sorted(entries, key=lambda entry: entry.name)],
    }


def scheduler_switch(action: str) -> int:
    """start, stop or restart (make beat read its table anew); how many entries changed."""
    entries = PeriodicTask.objects.filter(name__startswith=PREFIX)
    with transaction.atomic():
        changed: int = entries.update(enabled=action != "stop")
        # `update` sends no signal, and beat looks only at this row to see that something changed.
        PeriodicTasks.update_changed()
    return changed


def tick_switch(name: str, *, is_enabled: bool) -> bool:
    """Pause or resume one entry; False when there is none of that name."""
    with transaction.atomic():
        changed: int = PeriodicTask.objects.filter(name=PREFIX + name).update(enabled=is_enabled)
        PeriodicTasks.update_changed()
    return changed == 1


def tick_run(name: str) -> bool:
    """Ring for one entry now, besides its times; False when there is none, or the broker is away."""
    entry = PeriodicTask.objects.filter(name=PREFIX + name).first()
    if entry is None:
        return False
    try:
        current_app.send_task(entry.task, ignore_result=True, retry=False, expires=60)
    except Exception:  # whatever ails the broker, the next tick rings again
        return False
    return True


def may_switch(credential: KeyInfo) -> bool:
    """Whether the holder of the credential may switch the schedule."""
    return may_operate(credential.user_id)


def may_operate(user_id: int | None) -> bool:
    """The schedule serves every tenant: its operator (a superuser) switches it, or the only tenant there is."""
    if user_id is not None and get_user_model().objects.filter(pk=user_id, is_superuser=True).exists():
        return True
    return len(tenant_ids()) == 1


def _entry(entry: PeriodicTask) -> dict[str, Any]:
    return {
        "name": entry.name.removeprefix(PREFIX),
        "task": entry.task,
        "every": str(entry.interval or entry.crontab or ""),
        "is_enabled": entry.enabled,
        "last_run_at": entry.last_run_at,
    }


def next_run(entry: dict[str, Any], seconds: int | None) -> datetime | None:
    """When an entry rings next, as far as its last run tells."""
    if not entry["is_enabled"] or entry["last_run_at"] is None or seconds is None:
        return None
    found: datetime = entry["last_run_at"] + timedelta(seconds=seconds)
    return found


def tick_seconds() -> dict[str, int]:
    """How many seconds lie between two rings, by the name of the entry."""
    entries = PeriodicTask.objects.filter(name__startswith=PREFIX, interval__period="seconds")
    return {name.removeprefix(PREFIX): every for name, every in entries.values_list("name", "interval__every")}
