"""Each request of a host project, recorded without being noticed."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import AsyncClient, Client

from analytics.capture import faults, visits
from analytics.capture.context import NOBODY, acting_now, request_now
from analytics.capture.outlet import outlet
from analytics.daily_visitors import is_daily_id
from analytics.models import Event, Subject, Tenant
from analytics.spool import Spool, spool_folder
from analytics.tenancy import tenant_context
from analytics.testing import Tracked, tracked

__all__ = ["tracked"]

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(autouse=True)
def _host(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.ROOT_URLCONF = "tests.analytics.host.views"
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "analytics.capture.middleware.AnalyticsMiddleware",
    ]
    settings.ANALYTICS_TENANT = "acme"
    settings.ANALYTICS_SPOOL_DIR = str(tmp_path / "spool")
    settings.ALLOWED_HOSTS = ["testserver"]
    faults.fault_counts.clear()
    visits._signed_in.clear()
    yield
    outlet.close()
    outlet.begin()


def only(tracked: Tracked, event: str = "page_view") -> dict[str, Any]:
    """The one message of that name."""
    (message,) = tracked.of(event)
    return message


# --- What is recorded -------------------------------------------------------------------------------------------------


def test_a_page_is_recorded_by_its_pattern_and_not_by_its_path(tracked: Tracked, client: Client) -> None:
    client.get("/orders/17/?token=secret", headers={"user-agent": FIREFOX, "referer": "https://news.example/a?x=1"})
    message = only(tracked)
    properties = message["properties"]
    assert properties["path"] == "/orders/<int:number>/"
    assert properties["status"] == 200
    assert properties["http_method"] == "GET"
    assert 0 < properties["duration_ms"] < 5_000
    assert properties["network"] == "127.0.0.0"
    assert properties["$referrer"] == "https://news.example/a"
    assert properties["$referring_domain"] == "news.example"
    assert message["type"] == "page_view"
    assert "17" not in str(properties["path"])
    assert "secret" not in str(message)


def test_an_answer_that_is_no_page_is_a_completed_request(tracked: Tracked, client: Client) -> None:
    client.post("/message/", {"body": "hello"}, content_type="application/json")
    assert only(tracked, "request_completed")["type"] == "api_call"


def test_unknown_paths_are_one(tracked: Tracked, client: Client) -> None:
    client.get("/no/such/page/81/")
    assert only(tracked, "request_completed")["properties"]["path"] == "(unmatched)"


def test_a_failing_view_is_recorded_with_its_status_and_still_fails(tracked: Tracked, client: Client) -> None:
    client.raise_request_exception = False
    assert client.get("/broken/").status_code == 500
    assert only(tracked, "request_completed")["properties"]["status"] == 500


def test_campaigns_are_read_from_the_query(tracked: Tracked, client: Client) -> None:
    client.get("/?utm_source=news&utm_campaign=spring&utm_medium=email&other=1")
    properties = only(tracked)["properties"]
    found = {name: value for name, value in properties.items() if name.startswith("utm_")}
    assert found == {"utm_source": "news", "utm_campaign": "spring", "utm_medium": "email"}
    assert "other" not in properties


def test_excluded_paths_and_our_own_screens_are_left_out(tracked: Tracked, client: Client, settings: Any) -> None:
    client.get("/static/logo.svg")
    settings.ANALYTICS_EXCLUDE_MODULES = ["tests"]
    client.get("/")
    assert tracked.names == []


def test_switched_off_nothing_is_recorded(tracked: Tracked, client: Client, settings: Any) -> None:
    settings.ANALYTICS_ENABLED = False
    client.get("/")
    assert tracked.names == []


def test_the_surroundings_end_with_the_request(tracked: Tracked, client: Client) -> None:
    client.get("/profile/")
    assert acting_now() == NOBODY
    assert request_now.get() is None


# --- Who it is --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_signed_in_user_is_known_when_the_view_looked_and_remembered_for_the_session(
    tracked: Tracked, client: Client
) -> None:
    user = get_user_model().objects.create_user("ann", password="correct horse")
    client.force_login(user)
    client.get("/")
    client.get("/profile/")
    client.get("/")
    before, looked, after = (message["distinct_id"] for message in tracked.of("page_view"))
    assert before.startswith("session-")
    assert looked == after == str(user.pk)
    assert only(tracked, "profile_opened")["distinct_id"] == str(user.pk)
    assert len({message["properties"]["$session_id"] for message in tracked.of("page_view")}) == 1


@pytest.mark.django_db
def test_recording_makes_no_query(tracked: Tracked, client: Client, django_assert_num_queries: Any) -> None:
    user = get_user_model().objects.create_user("ann", password="correct horse")
    client.force_login(user)
    with django_assert_num_queries(0):
        client.get("/")


def test_a_session_cookie_never_appears(tracked: Tracked, client: Client) -> None:
    client.cookies["sessionid"] = "topsecretsessionkey"
    client.get("/")
    assert "topsecretsessionkey" not in str(tracked.messages)


def test_without_any_cookie_a_visitor_holds_for_a_day(tracked: Tracked, client: Client) -> None:
    client.get("/", headers={"user-agent": FIREFOX})
    client.get("/", headers={"user-agent": FIREFOX})
    client.get("/", headers={"user-agent": "Other"})
    first, again, other = (message["distinct_id"] for message in tracked.of("page_view"))
    assert first == again != other
    assert first.startswith("daily-")
    assert is_daily_id(first)
    assert tracked.messages[0]["properties"]["$process_person_profile"] is False


def test_the_visitor_cookie_is_set_on_pages_when_it_is_switched_on(
    tracked: Tracked, client: Client, settings: Any
) -> None:
    assert "bw_id" not in client.get("/").cookies
    settings.ANALYTICS_COOKIE = "bw_id"
    cookie = client.get("/").cookies["bw_id"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert "bw_id" not in client.get("/").cookies
    assert [message["distinct_id"] for message in tracked.of("page_view")][1:] == [cookie.value, cookie.value]


def test_browser_sdk_headers_join_browser_and_server(tracked: Tracked, client: Client) -> None:
    client.get("/", headers={"x-posthog-session-id": "s-9", "x-posthog-distinct-id": "visitor-9"})
    message = only(tracked)
    assert (message["distinct_id"], message["properties"]["$session_id"]) == ("visitor-9", "s-9")


@pytest.mark.parametrize("wish", [{"dnt": "1"}, {"sec-gpc": "1"}])
def test_who_asks_not_to_be_tracked_is_not(
    tracked: Tracked, client: Client, settings: Any, wish: dict[str, str]
) -> None:
    settings.ANALYTICS_COOKIE = "bw_id"
    response = client.get("/profile/", headers=wish)
    assert not response.cookies
    assert tracked.names == ["profile_opened"]
    message = only(tracked, "profile_opened")
    assert message["distinct_id"] is None
    assert "$session_id" not in message["properties"]


def test_the_sample_is_of_whole_sessions_and_always_the_same(tracked: Tracked, client: Client, settings: Any) -> None:
    settings.ANALYTICS_SAMPLE_RATE = 0.3
    kept = []
    for _ in range(2):
        for number in range(200):
            client.get("/", headers={"x-posthog-session-id": f"s-{number}"})
        kept.append({message["properties"]["$session_id"] for message in tracked.messages})
        tracked.messages.clear()
    assert kept[0] == kept[1]
    assert 40 <= len(kept[0]) <= 80


# --- Text -------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_named_text_is_kept_encrypted_and_cut(acme: Tenant, globex: Tenant, client: Client) -> None:
    assert client.post("/review/", {"comment": "lovely " * 1_000, "other": "x"}).content == b"7000"
    client.post("/message/", {"body": "awful", "name": "Ann"}, content_type="application/json")
    assert outlet.flush()
    with tenant_context(acme.pk):
        events = list(Event.objects.order_by("ts"))
    assert [event.properties["text_fields"] for event in events] == [["comment"], ["body"]]
    assert all("$sealed" in event.properties for event in events)
    assert "lovely" not in str(events[0].properties)
    assert "awful" not in str(events[1].properties)


# --- Async ------------------------------------------------------------------------------------------------------------


async def test_async_requests_keep_their_surroundings_apart(tracked: Tracked, async_client: AsyncClient) -> None:
    await asyncio.gather(
        *(async_client.get("/later/", headers={"x-posthog-session-id": f"s-{number}"}) for number in range(20))
    )
    sessions = [message["properties"]["$session_id"] for message in tracked.of("later_called", way="async")]
    assert sorted(sessions) == sorted(f"s-{number}" for number in range(20))
    assert len(tracked.of("request_completed")) == 20


# --- Into the store ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_requests_reach_the_store_of_their_tenant_within_a_second(
    acme: Tenant, globex: Tenant, client: Client, settings: Any
) -> None:
    settings.ANALYTICS_TENANT = lambda request: "globex" if request and "globex" in request.GET else "acme"
    client.get("/orders/1/", headers={"user-agent": FIREFOX})
    client.get("/orders/2/?globex", headers={"user-agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"})
    assert outlet.flush(5)
    with tenant_context(acme.pk):
        event = Event.objects.get()
        assert (event.name, event.type, event.source, event.platform, event.is_bot) == (
            "page_view",
            "page_view",
            "middleware",
            "web",
            False,
        )
        assert event.properties["$browser"] == "Firefox"
        assert event.properties["path"] == "/orders/<int:number>/"
        assert Subject.objects.count() == 1
    with tenant_context(globex.pk):
        event = Event.objects.get()
        assert event.is_bot
        assert event.duration_ms is not None


@pytest.mark.django_db(transaction=True)
def test_with_postgresql_away_no_request_fails_and_every_event_is_stored_later(
    acme: Tenant, globex: Tenant, client: Client
) -> None:
    client.get("/orders/1/")
    assert outlet.flush(5)
    outlet.close()
    outlet.begin()
    good = {alias: dict(connections[alias].settings_dict) for alias in ("default", "ingest")}
    try:
        for alias in good:
            connections[alias].close()
            connections[alias].settings_dict.update(HOST="127.0.0.1", PORT=str(_free_port()))
        outlet.tenants.clear()
        for number in range(200):
            assert client.get(f"/orders/{number}/").status_code == 200
        assert outlet.flush(20)
        assert not Spool(spool_folder()).is_empty()
        outlet.close()
    finally:
        for alias, former in good.items():
            connections[alias].settings_dict.update(former)
    outlet.begin()
    client.get("/orders/999/")
    deadline = time.monotonic() + 15
    while not Spool(spool_folder()).is_empty() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert outlet.flush(5)
    with tenant_context(acme.pk):
        assert Event.objects.count() == 202
    with tenant_context(globex.pk):
        assert Event.objects.count() == 0
    assert not [name for name in faults.fault_counts.snapshot() if name.startswith("dropped")]


@pytest.mark.django_db(transaction=True)
def test_a_tenant_never_seen_waits_for_postgresql_and_an_unknown_one_is_counted(
    acme: Tenant, globex: Tenant, client: Client, settings: Any
) -> None:
    settings.ANALYTICS_TENANT = "nobody"
    client.get("/")
    deadline = time.monotonic() + 10
    while "dropped.unknown_tenant" not in faults.fault_counts.snapshot() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert faults.fault_counts.snapshot() == {"dropped.unknown_tenant": 1}


def test_a_fault_of_ours_never_reaches_the_host(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any) -> None:
        raise ZeroDivisionError

    for name in ("_message", "_recognise"):
        with monkeypatch.context() as patch:
            patch.setattr(f"analytics.capture.middleware.{name}", broken)
            assert client.get("/").status_code == 200
    assert faults.fault_counts.snapshot() == {"middleware": 2}


@pytest.mark.django_db(transaction=True)
def test_a_forked_process_does_not_send_what_its_parent_will(acme: Tenant, globex: Tenant, client: Client) -> None:
    client.get("/")
    child = os.fork()
    if child == 0:
        os._exit(0 if not outlet._waiting and outlet._writer is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert outlet.flush(5)
    with tenant_context(acme.pk):
        assert Event.objects.count() == 1


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
