"""Metrics made of metrics stay within what can be computed, and two people cannot make a circle between them."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.models import MetricDefinition
from kpis.services import MAX_DEPTH, DefinitionError, metric_archive, metric_define
from kpis.services import Definition as Words
from tests.api import Caller, caller, problem


@pytest.fixture
def api(acme: Tenant, globex: Tenant, settings: Any) -> Caller:
    settings.API_RATE_PER_MINUTE = 0
    return caller(acme)


def make(api: Caller, metric: str, formula: str) -> Any:
    return api.post("kpis/definitions/", {"metric": metric, "name": metric, "formula": formula})


@pytest.mark.django_db
def test_doubling_level_by_level_is_refused_before_it_hurts(api: Caller, globex: Tenant) -> None:
    """Each level uses the one below twice, by two names: 2, 6, 14 … parts, a billion after thirty."""
    begun, made = time.monotonic(), 0
    assert make(api, "own.top0", "orders.count * 1").status_code == 201
    for level in range(1, 30):
        below = f"own.top{level - 1}"
        assert make(api, f"own.left{level}", f"{below} * 1").status_code == 201
        assert make(api, f"own.right{level}", f"{below} * 2").status_code == 201
        answer = make(api, f"own.top{level}", f"own.left{level} + own.right{level}")
        if answer.status_code != 201:
            break
        made = level

    told = problem(answer)["errors"]
    assert 5 <= made <= 9
    assert [(each["field"], each["code"]) for each in told] == [("formula", "invalid_definition")]
    assert "1,000 on 20 can be computed" in told[0]["detail"]
    assert api.get(f"kpis/own.top{made}/series/", period="last_7d").status_code in (200, 409)
    assert time.monotonic() - begun < 20
    assert make(caller(globex), "own.top30", "orders.count * 1").status_code == 201


@pytest.mark.django_db
def test_a_metric_that_others_are_made_of_cannot_grow_under_them(api: Caller) -> None:
    assert make(api, "own.base", "orders.count * 1").status_code == 201
    many = " + ".join(f"own.base * {n}" for n in range(30))
    assert make(api, "own.leaf", "orders.count * 1").status_code == 201
    for level in range(1, MAX_DEPTH - 2):
        below = "own.base" if level == 1 else f"own.level{level - 1}"
        assert make(api, f"own.level{level}", f"{below} + 1").status_code == 201
    assert make(api, "own.many", many).status_code == 201  # used often by one formula, computed once

    deeper = {"metric": "own.base", "name": "base", "formula": "own.leaf * 1"}
    fits = api.send("PUT", "kpis/definitions/own.base/", deeper)
    assert make(api, "own.root", "orders.count + 1").status_code == 201
    grown = api.send(
        "PUT", "kpis/definitions/own.leaf/", {"metric": "own.leaf", "name": "leaf", "formula": "own.root + 1"}
    )

    assert fits.status_code == 200
    assert "on 21 levels" in problem(grown)["detail"]


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_two_people_at_once_make_no_circle_and_archive_nothing_that_is_used(acme: Tenant, globex: Tenant) -> None:
    """Round after round one of them comes first, and the other one is told."""
    for _ in range(8):
        for name in ("own.this", "own.that"):
            metric_define(tenant_id=acme.pk, definition=words(name, "orders.count * 1"), now=timezone.now())
        told = at_once(
            lambda: metric_define(tenant_id=acme.pk, definition=words("own.this", "own.that + 1"), now=timezone.now()),
            lambda: metric_define(tenant_id=acme.pk, definition=words("own.that", "own.this + 1"), now=timezone.now()),
        )
        assert sum("made of itself" in text for text in told) == 1, told

        metric_define(tenant_id=acme.pk, definition=words("own.this", "orders.count * 1"), now=timezone.now())
        metric_define(tenant_id=acme.pk, definition=words("own.that", "orders.count * 1"), now=timezone.now())
        told = at_once(
            lambda: metric_define(tenant_id=acme.pk, definition=words("own.this", "own.that + 1"), now=timezone.now()),
            lambda: metric_archive(tenant_id=acme.pk, metric="own.that"),
        )
        assert sum(bool(text) for text in told) == 1, told


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_same_new_metric_twice_at_once_is_one(acme: Tenant, globex: Tenant) -> None:
    for number in range(8):
        new = words(f"own.new{number}", "orders.count * 1")
        told = at_once(*[partial(metric_define, tenant_id=acme.pk, definition=new, now=timezone.now())] * 3)
        assert told == ["", "", ""]

    with tenant_context(acme.pk):
        assert MetricDefinition.objects.count() == 8
    with tenant_context(globex.pk):
        assert MetricDefinition.objects.count() == 0


def words(metric: str, formula: str) -> Words:
    return Words(metric=metric, name=metric, formula=formula)


def at_once(*works: Any) -> list[str]:
    """What each piece of work was told, all begun at the same moment; empty for what was done."""
    told = [""] * len(works)
    gate = threading.Barrier(len(works))

    def run(place: int, work: Any) -> None:
        gate.wait()
        try:
            work()
        except DefinitionError as error:
            told[place] = str(error)
        except Exception as error:
            told[place] = f"{type(error).__name__}: {error}"
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place, work)) for place, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told
