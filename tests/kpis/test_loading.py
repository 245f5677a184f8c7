"""While history is loaded the tick counts today, and leaves the rest to whoever loads it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest
from django.utils import timezone

from analytics.children import follow_parent
from analytics.contracts import Grain
from analytics.loading import history_loading, tenants_loading
from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis import tasks
from kpis.models import Bucket
from tests.kpis.telling import event, store


def days_counted(tenant: Tenant) -> list[int]:
    """Which days of March 2026 (UTC) hold page views."""
    with tenant_context(tenant.pk):
        found = Bucket.objects.filter(measure="pageviews.count", dimension="", grain=Grain.HOUR)
        return sorted({row.start.day for row in found})


@pytest.mark.django_db
def test_the_tick_leaves_former_days_to_whoever_loads_them(
    acme: Tenant, globex: Tenant, t0: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = t0 + timedelta(days=3, hours=9)
    monkeypatch.setattr(timezone, "now", lambda: now)
    for tenant in (acme, globex):
        store(event(tenant, "page_view", t0 + timedelta(hours=7), "bob"))
    assert tasks.refresh() == 2
    for tenant in (acme, globex):
        store(*(event(tenant, "page_view", t0 + timedelta(days=day, hours=8), "ann") for day in range(4)))

    with history_loading(acme.pk):
        assert tasks.refresh() == 2
        assert (days_counted(acme), days_counted(globex)) == ([2, 5], [2, 3, 4, 5])
        with history_loading(acme.pk):
            assert tenants_loading() == {acme.pk}, "two files may be imported at once"
        assert tenants_loading() == {acme.pk}

    assert tenants_loading() == frozenset()
    assert tasks.refresh() == 1
    assert days_counted(acme) == [2, 3, 4, 5]


@pytest.mark.django_db
def test_a_tenant_that_was_never_counted_waits_for_its_loader(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    store(event(acme, "page_view", t0, "ann"))
    with history_loading(acme.pk):
        assert tasks.refresh() == 1
        assert days_counted(acme) == []
    tasks.refresh()
    assert days_counted(acme) == [2]


@pytest.mark.django_db
def test_an_hour_that_is_still_open_is_counted_after_midnight_too(
    acme: Tenant, globex: Tenant, t0: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = t0 + timedelta(hours=23)  # in Paris
    store(event(acme, "page_view", midnight - timedelta(hours=30), "ann"))
    tasks.refresh()
    store(event(acme, "page_view", midnight - timedelta(minutes=5), "ann"))
    monkeypatch.setattr(timezone, "now", lambda: midnight + timedelta(minutes=10))
    with history_loading(acme.pk):
        tasks.refresh()
        assert days_counted(acme) == [1, 2]


@pytest.mark.django_db
def test_a_loader_that_is_killed_lets_go(acme: Tenant, globex: Tenant) -> None:
    child = multiprocessing.get_context("fork").Process(target=_load_for_ever, args=(acme.pk,))
    child.start()
    _await(lambda: acme.pk in tenants_loading())
    child.kill()
    child.join()
    _await(lambda: acme.pk not in tenants_loading())


def _load_for_ever(tenant_id: int) -> None:
    with history_loading(tenant_id):
        time.sleep(60)


def test_children_of_a_pool_end_with_a_killed_parent(tmp_path: Path) -> None:
    note = tmp_path / "child"
    parent = multiprocessing.get_context("fork").Process(target=_have_children, args=(note,))
    parent.start()
    _await(lambda: note.exists() and bool(note.read_text()))
    assert parent.pid is not None
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    _await(lambda: _is_gone(int(note.read_text())))


def _is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _have_children(note: Path) -> None:
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, context, initializer=follow_parent, initargs=(os.getpid(),)) as pool:
        note.write_text(str(pool.submit(os.getpid).result()))
        time.sleep(60)


def _await(met: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)
