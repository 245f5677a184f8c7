"""What beat fires, in one list. Ticks are short and in UTC; which local period is due is the ledger's question."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

PREFIX = "bellwether: "


@dataclass(frozen=True)
class Tick:
    """Ring `task` every `seconds`."""

    name: str
    task: str
    seconds: int


TICKS: tuple[Tick, ...] = (
    Tick("ring for jobs that nobody runs", "analytics.sweep", 5),
    Tick("count dirty minutes", "kpis.refresh", 2),
    Tick("let go of the minutes of closed hours", "kpis.close_hours", 300),
    Tick("enqueue what has become due", "kpis.enqueue_due", 15),
    Tick("make the partitions of the next months", "kpis.ensure_partitions", 3600),
    Tick("publish how the machine does", "kpis.publish_machine", 60),
    Tick("seal events into the lake", "analytics.seal", 120),
    Tick("remove files of the lake that nobody needs", "analytics.collect_lake", 900),
    Tick("send on what waits for PostHog", "analytics.forward", 5),
    Tick("work out again what was asked lately", "analytics.warm_up", 300),
)


def schedule_apply(ticks: tuple[Tick, ...] = TICKS, *, using: str = "default") -> None:
    """Bring beat's table in line with the list, by name. Pauses made by operators stay, and so do rows of their own."""
    from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

    with transaction.atomic(using=using):
        tasks = PeriodicTask.objects.using(using)
        for tick in ticks:
            every, _ = IntervalSchedule.objects.using(using).get_or_create(
                every=tick.seconds, period=IntervalSchedule.SECONDS
            )
            tasks.update_or_create(
                name=PREFIX + tick.name,
                defaults={"task": tick.task, "interval": every, "crontab": None, "solar": None, "clocked": None},
            )
        tasks.filter(name__startswith=PREFIX).exclude(name__in=[PREFIX + tick.name for tick in ticks]).delete()
        PeriodicTasks.objects.using(using).update_or_create(ident=1, defaults={"last_update": timezone.now()})
