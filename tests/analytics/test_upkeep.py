"""The weekly clean-up takes away what nobody will ask for again, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics.due import HORIZON
from analytics.jobs import enqueue, run_due
from analytics.models import DuePeriod, Job, OutcomeCount, Tenant
from analytics.tenancy import tenant_context
from analytics.upkeep import KEPT

NOW = datetime(2026, 8, 2, 1, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def job(tenant: Tenant, kind: str, *, days: int, state: str = Job.State.DONE) -> None:
    with tenant_context(tenant.pk):
        Job.objects.create(
            tenant_id=tenant.pk, kind=kind, state=state, finished_at=NOW - timedelta(days=days), run_at=NOW
        )


def test_old_jobs_and_due_periods_go_and_outcomes_are_merged(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    for tenant in (acme, globex):
        job(tenant, "old", days=91)
        job(tenant, "young", days=89)
        with tenant_context(tenant.pk):
            for days in (91, 89):
                DuePeriod.objects.create(tenant_id=tenant.pk, schedule="x", due_at=NOW - timedelta(days=days))
            for _ in range(3):
                OutcomeCount.objects.create(
                    tenant_id=tenant.pk, hour=NOW - timedelta(days=2), outcome="stored", reason="", n=5
                )
    enqueue(kind="upkeep.clean", tenant_id=acme.pk)
    run_due(only=["upkeep.clean"])

    def left(tenant: Tenant) -> dict[str, Any]:
        with tenant_context(tenant.pk):
            return {
                "jobs": sorted(Job.objects.exclude(kind="upkeep.clean").values_list("kind", flat=True)),
                "periods": DuePeriod.objects.count(),
                "outcomes": list(OutcomeCount.objects.values_list("n", flat=True)),
            }

    assert left(acme) == {"jobs": ["young"], "periods": 1, "outcomes": [15]}
    assert left(globex) == {"jobs": ["old", "young"], "periods": 2, "outcomes": [5, 5, 5]}
    with tenant_context(acme.pk):
        done = Job.objects.get(kind="upkeep.clean")
    assert (done.state, done.result) == ("done", {"outcomes": 2, "jobs": 1, "due_periods": 1})


def test_due_periods_are_kept_longer_than_they_are_looked_back_for() -> None:
    assert KEPT > HORIZON
