"""What beat fires."""

from __future__ import annotations

import pytest
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from config.celery import app
from config.schedule import PREFIX, TICKS, Tick, schedule_apply

pytestmark = pytest.mark.django_db


def _rows() -> list[tuple[str, str, int, bool]]:
    rows = PeriodicTask.objects.exclude(name__startswith="celery.").order_by("name")
    return [(row.name, row.task, row.interval.every, row.enabled) for row in rows]


def test_only_tasks_that_exist_are_fired() -> None:
    app.loader.import_default_modules()
    assert [tick.task for tick in TICKS if tick.task not in app.tasks] == []


def test_the_list_is_applied_twice_with_one_result() -> None:
    schedule_apply()
    once = _rows()
    schedule_apply()
    assert _rows() == once
    assert len(once) == len(TICKS)


def test_a_pause_and_a_row_of_an_operator_stay_while_the_interval_follows_the_list() -> None:
    schedule_apply((Tick("a", "analytics.sweep", 5), Tick("gone", "analytics.sweep", 5)))
    PeriodicTask.objects.filter(name=PREFIX + "a").update(enabled=False)
    hourly = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.HOURS)
    PeriodicTask.objects.create(name="mine", task="my.task", interval=hourly)
    schedule_apply((Tick("a", "analytics.sweep", 7),))
    assert _rows() == [(PREFIX + "a", "analytics.sweep", 7, False), ("mine", "my.task", 1, True)]
