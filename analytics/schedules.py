"""The schedule of the installation, as its operator sees and switches it. What it rings for: `config/schedule.py`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

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


def may_switch(credential: KeyInfo) -> bool:
    """The schedule serves every tenant: its operator (a superuser) switches it, or the only tenant there is."""
    if credential.user_id is not None:
        users = get_user_model().objects.filter(pk=credential.user_id, is_superuser=True)
        if users.exists():
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
