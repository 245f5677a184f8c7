"""Two people who save at the same moment: what is kept is what one of them sent, and never a mixture of both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from insights.customers.rfm import Segment
from insights.customers.services import segment_table, segment_table_set
from kpis.explore.channels import rules_of, rules_replace
from kpis.goals.models import Goal, Objective
from kpis.goals.services import GoalDraft, goal_create
from kpis.rollup.refresh import refresh_tenant

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
ROUNDS, PEOPLE, LINES = 6, 4, 12


def at_once(works: list[Callable[[], Any]]) -> list[str]:
    """What went wrong in each, all begun at the same moment."""
    gate, told = threading.Barrier(len(works)), [""] * len(works)

    def run(place: int, work: Callable[[], Any]) -> None:
        gate.wait()
        try:
            work()
        except Exception as error:
            told[place] = f"{type(error).__name__}: {error}"
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def test_channel_rules_are_those_of_one_person(acme: Tenant, globex: Tenant) -> None:
    def sent(who: int) -> Callable[[], Any]:
        rules = [{"channel": f"of {who}", "source": f"{line}*"} for line in range(LINES)]
        return lambda: rules_replace(tenant_id=acme.pk, rules=rules)

    for _ in range(ROUNDS):
        assert at_once([sent(who) for who in range(PEOPLE)]) == [""] * PEOPLE
        kept = rules_of(tenant_id=acme.pk)
        assert (len(kept), len({rule.channel for rule in kept})) == (LINES, 1)
    assert not {rule.channel for rule in rules_of(tenant_id=globex.pk)} & {f"of {who}" for who in range(PEOPLE)}


def test_the_table_of_segments_is_that_of_one_person(acme: Tenant, globex: Tenant) -> None:
    def sent(who: int) -> Callable[[], Any]:
        table = [Segment(f"{who}: {line}", (1, 5), (1, 5), (1, 5)) for line in range(LINES)]
        return lambda: segment_table_set(tenant_id=acme.pk, table=table)

    for _ in range(ROUNDS):
        assert at_once([sent(who) for who in range(PEOPLE)]) == [""] * PEOPLE
        with tenant_context(acme.pk):
            kept = segment_table(tenant_id=acme.pk)
        assert (len(kept), len({segment.name.partition(":")[0] for segment in kept})) == (LINES, 1)


def test_goals_that_are_made_together_share_their_new_objective(acme: Tenant, globex: Tenant) -> None:
    now = timezone.now()
    refresh_tenant(acme.pk, now=now)

    def sent(who: int, objective: str) -> Callable[[], Any]:
        draft = GoalDraft(
            name=f"goal {who}", metric="orders.count", target=Decimal(9), period="month",
            first=date(2026, 3, 1), objective=objective,
        )  # fmt: skip
        return lambda: goal_create(tenant_id=acme.pk, draft=draft, actor="user:1", now=now)

    for number in range(ROUNDS):
        assert at_once([sent(who, f"Grow {number}") for who in range(PEOPLE)]) == [""] * PEOPLE

    with tenant_context(acme.pk):
        assert Objective.objects.count() == ROUNDS
        assert Goal.objects.count() == ROUNDS * PEOPLE
