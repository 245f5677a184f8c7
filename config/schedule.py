"""What beat fires, in one list. Ticks are short and in UTC; which local period is due is the ledger's question, not beat's."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

PREFIX = "bellwether: "


@dataclass(frozen=True)
class Tick:
    """Ring `task` every `seconds`."""

    name: str
    task: str
    seconds: int


TICKS: tuple[Tick, ...] = ()


@transaction.atomic
def schedule_apply(ticks: tuple[Tick, ...] = TICKS) -> None:
    """Bring beat's table in line with the list, by name. What operators paused stays paused, and their own rows stay."""
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    for tick in ticks:
        every, _ = IntervalSchedule.objects.get_or_create(every=tick.seconds, period=IntervalSchedule.SECONDS)
        values = {"task": tick.task, "interval": every, "crontab": None, "solar": None, "clocked": None}
        row, is_new = PeriodicTask.objects.get_or_create(name=PREFIX + tick.name, defaults=values)
        if not is_new and (row.task, row.interval_id) != (tick.task, every.pk):
            for field, value in values.items():
                setattr(row, field, value)
            row.save()
    names = [PREFIX + tick.name for tick in ticks]
    PeriodicTask.objects.filter(name__startswith=PREFIX).exclude(name__in=names).delete()
