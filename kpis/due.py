"""The ledger of due periods lies in `analytics.due`; declarations of this app read better with its names here."""

from __future__ import annotations

from analytics.due import Schedule, due_instants, enqueue_due, local_instant, schedules, tick

__all__ = ["Schedule", "due_instants", "enqueue_due", "local_instant", "schedules", "tick"]
