"""Scheduler, jobs and cache in the admin: everybody looks, owners change, only the operator switches for all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from analytics.access.services import membership_set
from analytics.cache import METRICS, Audience, cache
from analytics.jobs import enqueue
from analytics.models import Job, ScheduleChoice, Tenant
from analytics.tenancy import tenant_context
from config.schedule import PREFIX, schedule_apply
from tests.api import caller

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
PAGES = ("operation-scheduler", "operation-jobs", "operation-cache")
pytestmark = pytest.mark.django_db


@pytest.fixture
def browser_of(acme: Tenant, globex: Tenant) -> Callable[[str], Client]:
    """A signed-in browser of a member of Acme's staff; `operator` is a superuser."""

    def sign_in(role: str) -> Client:
        is_operator = role == "operator"
        user = get_user_model().objects.create_user(
            username=f"{role}-of-acme", password="x", is_staff=True, is_superuser=is_operator
        )
        membership_set(tenant_id=acme.pk, user=user, role="owner" if is_operator else role)
        browser = Client()
        browser.force_login(user)
        return browser

    return sign_in


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def post(browser: Client, page: str, **values: str) -> Any:
    return browser.post(reverse(page), values, follow=True)


@pytest.mark.parametrize("page", PAGES)
def test_every_member_may_look_and_only_owners_and_admins_find_buttons(
    browser_of: Callable[[str], Client], page: str
) -> None:
    for role, has_buttons in {"viewer": False, "analyst": False, "admin": True, "owner": True}.items():
        answer = browser_of(role).get(reverse(page))
        assert answer.status_code == 200
        main = answer.content.decode().partition('id="content-main"')[2]
        has = "<button" in main or page == "operation-jobs"  # nothing is there to change yet
        assert has == (has_buttons or page == "operation-jobs"), role


@pytest.mark.parametrize("page", PAGES)
def test_strangers_to_the_staff_are_sent_to_sign_in(client: Client, owner_user: Any, page: str) -> None:
    client.force_login(owner_user)

    assert client.get(reverse(page)).status_code == 302
    assert client.post(reverse(page), {"action": "stop", "scope": "all"}).status_code == 302


# --- Scheduler --------------------------------------------------------------------------------------------------------


def test_times_are_the_tenants_own(
    browser_of: Callable[[str], Client], acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)

    page = browser_of("owner").get(reverse("operation-scheduler")).content.decode()

    assert "Wed 2026-03-04 03:00" in page  # the roll-up, in Paris
    assert "Sun 2026-03-08 03:00" in page  # the clean-up
    assert "Tue 2026-03-03 13:01" in page  # a minute after the next full hour


def test_an_owner_pauses_moves_resumes_and_runs_a_schedule_of_the_own_tenant(
    browser_of: Callable[[str], Client], acme: Tenant, globex: Tenant
) -> None:
    browser = browser_of("owner")
    for action, more in (("pause", {}), ("move", {"at": "05:30"}), ("resume", {}), ("run", {}), ("run", {})):
        assert said(post(browser, "operation-scheduler", action=action, name="rollup.daily", **more)) == ["Done."]

    with tenant_context(acme.pk):
        (choice,) = ScheduleChoice.objects.all()
        jobs = list(Job.objects.values_list("kind", "state"))
    assert (choice.schedule, choice.is_paused, choice.at) == ("rollup.daily", False, time(5, 30))
    assert jobs == [("rollup.daily", "queued")]
    with tenant_context(globex.pk):
        assert not ScheduleChoice.objects.exists()
        assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"action": "run", "name": "rollup.dialy"}, "there is no schedule 'rollup.dialy'; did you mean rollup.daily"),
        ({"action": "move", "name": "rollup.daily", "at": "25:00"}, "write the time as hours and minutes"),
        ({"action": "move", "name": "metrics.hourly", "at": "03:00"}, "it runs every hour"),
        ({"action": "explode", "name": "rollup.daily"}, "there is no such action"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    browser_of: Callable[[str], Client], values: dict[str, str], words: str
) -> None:
    (message,) = said(post(browser_of("owner"), "operation-scheduler", **values))
    assert words in message.lower()


def test_an_analyst_changes_nothing(browser_of: Callable[[str], Client], acme: Tenant) -> None:
    browser = browser_of("analyst")
    schedule_apply()
    for action in ("pause", "run", "stop", "tick-pause"):
        post(browser, "operation-scheduler", action=action, name="rollup.daily")

    with tenant_context(acme.pk):
        assert not Job.objects.exists()
        assert not ScheduleChoice.objects.exists()
    assert all(PeriodicTask.objects.values_list("enabled", flat=True))


def test_only_the_operator_switches_what_serves_all_tenants(browser_of: Callable[[str], Client]) -> None:
    schedule_apply()
    name = "count dirty minutes"
    entry = PeriodicTask.objects.filter(name=PREFIX + name)

    refused = post(browser_of("owner"), "operation-scheduler", action="tick-pause", name=name)
    assert said(refused) == ["Only the operator of the installation may do that."]
    assert entry.get().enabled

    operator = browser_of("operator")
    post(operator, "operation-scheduler", action="tick-pause", name=name)
    assert not entry.get().enabled
    post(operator, "operation-scheduler", action="tick-resume", name=name)
    assert entry.get().enabled
    post(operator, "operation-scheduler", action="stop")
    assert not PeriodicTask.objects.filter(name__startswith=PREFIX, enabled=True).exists()
    assert "Stopped." in operator.get(reverse("operation-scheduler")).content.decode()
    post(operator, "operation-scheduler", action="restart")
    assert entry.get().enabled
    assert said(post(operator, "operation-scheduler", action="tick-run", name="nothing")) != ["Done."]


def test_the_next_ring_follows_from_the_last(
    browser_of: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule_apply()
    PeriodicTask.objects.filter(task="analytics.warm_up").update(last_run_at=NOW)
    monkeypatch.setattr(timezone, "now", lambda: NOW + timedelta(minutes=1))

    page = browser_of("owner").get(reverse("operation-scheduler")).content.decode()

    assert "2026-03-03 13:05:00" in page


# --- Jobs -------------------------------------------------------------------------------------------------------------


def test_jobs_show_bars_and_the_page_comes_anew_until_they_are_done(
    browser_of: Callable[[str], Client], acme: Tenant, globex: Tenant
) -> None:
    browser = browser_of("owner")
    job = enqueue(kind="upkeep.clean", tenant_id=acme.pk)
    enqueue(kind="outcomes.compact", tenant_id=globex.pk)
    with tenant_context(acme.pk):
        Job.objects.filter(pk=job.pk).update(state="running", done=3, total=12)

    moving = browser.get(reverse("operation-jobs"))
    assert '<progress value="3" max="12"' in moving.content.decode()
    assert "outcomes.compact" not in moving.content.decode()
    assert moving["Refresh"] == "3"
    assert "Refresh" not in browser.get(reverse("operation-jobs") + "?still")

    with tenant_context(acme.pk):
        Job.objects.filter(pk=job.pk).update(state="done", done=12)
    assert "Refresh" not in browser.get(reverse("operation-jobs"))


def test_a_job_is_cancelled_and_started_again(
    browser_of: Callable[[str], Client], acme: Tenant, globex: Tenant
) -> None:
    browser = browser_of("admin")
    mine, theirs = (enqueue(kind="upkeep.clean", tenant_id=tenant.pk) for tenant in (acme, globex))

    def state(tenant: Tenant) -> str:
        with tenant_context(tenant.pk):
            return Job.objects.get().state

    post(browser, "operation-jobs", action="cancel", job=str(mine.pk))
    assert state(acme) == "cancelled"
    assert "too late" in said(post(browser, "operation-jobs", action="cancel", job=str(mine.pk)))[0]
    post(browser, "operation-jobs", action="run", job=str(mine.pk))
    assert state(acme) == "queued"
    for unknown in (str(theirs.pk), "x", ""):
        assert said(post(browser, "operation-jobs", action="cancel", job=unknown)) == ["There is no such job."]
    assert state(globex) == "queued"
    assert "not change" in said(post(browser_of("viewer"), "operation-jobs", action="cancel", job=str(mine.pk)))[0]


# --- Cache ------------------------------------------------------------------------------------------------------------


def remembered(tenant: Tenant) -> int:
    """How often the answer has been worked out so far."""
    calls = CALLS.setdefault(tenant.pk, [])

    def compute() -> int:
        calls.append(1)
        return len(calls)

    audience = Audience.member(tenant.pk, "owner")
    return cache().answer(audience=audience, name="test.page", question=1, compute=compute, ttl=60, tags=(METRICS,))


CALLS: dict[int, list[int]] = {}


def test_a_tenant_clears_its_own_and_the_operator_everybodys(
    browser_of: Callable[[str], Client], acme: Tenant, globex: Tenant
) -> None:
    owner = browser_of("owner")
    assert [remembered(tenant) for tenant in (acme, globex, acme)] == [1, 1, 1]

    post(owner, "operation-cache", scope="tenant")
    assert [remembered(tenant) for tenant in (acme, globex)] == [2, 1]
    post(owner, "operation-cache", scope="all")
    assert [remembered(tenant) for tenant in (acme, globex)] == [2, 1]
    post(browser_of("operator"), "operation-cache", scope="all")
    assert [remembered(tenant) for tenant in (acme, globex)] == [3, 2]
    post(browser_of("viewer"), "operation-cache", scope="tenant")
    assert [remembered(tenant) for tenant in (acme, globex)] == [3, 2]


def test_the_page_and_the_api_tell_the_hit_rate(browser_of: Callable[[str], Client], acme: Tenant) -> None:
    for _ in range(4):
        remembered(acme)

    page = browser_of("viewer").get(reverse("operation-cache")).content.decode()
    found = caller(acme).get("cache/").json()

    assert "test.page" in page
    assert found["asked"] >= 4
    assert found["known"] >= 3
    assert 0 < found["hit_rate"] <= 1


def test_the_api_clears_the_own_tenant_only(acme: Tenant, globex: Tenant) -> None:
    before = [remembered(tenant) for tenant in (acme, globex)]

    assert caller(acme).send("DELETE", "cache/").status_code == 204

    assert [remembered(tenant) for tenant in (acme, globex)] == [before[0] + 1, before[1]]


def test_the_command_clears_and_tells(acme: Tenant, globex: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    from django.core.management import CommandError, call_command

    before = [remembered(tenant) for tenant in (acme, globex)]
    call_command("cache", "clear", "--tenant", "acme")
    assert [remembered(tenant) for tenant in (acme, globex)] == [before[0] + 1, before[1]]
    call_command("cache", "clear", "--all")
    assert [remembered(tenant) for tenant in (acme, globex)] == [before[0] + 2, before[1] + 1]
    call_command("cache", "status")
    assert "test.page" in capsys.readouterr().out
    with pytest.raises(CommandError, match="Say whose"):
        call_command("cache", "clear")
    with pytest.raises(CommandError, match="no tenant 'nobody'"):
        call_command("cache", "clear", "--tenant", "nobody")
