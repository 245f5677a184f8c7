"""Bots by what they do: too quick for a person, from a data centre, ahead of the user. Flagged, never dropped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.capture.asgi import CaptureApp
from analytics.capture.normalise import Arrival, event_of
from analytics.capture.watch import QUICK_FOR, BadNetworks, Networks, Watch, networks_read, watch_of
from analytics.contracts import CapturedEvent, TenantInfo
from analytics.models import Event, Tenant
from analytics.tenancy import tenant_context
from config.doctor.installation import bots
from tests.analytics.capture.asgi_client import call
from tests.analytics.capture.conftest import token_of

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ACME = TenantInfo(id=1, slug="acme", zone="Europe/Paris", base_currency="EUR")
GLOBEX = TenantInfo(id=2, slug="globex", zone="Asia/Kathmandu", base_currency="NPR")
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"


def seen(
    watch: Watch,
    who: str | None = "ann",
    *,
    tenant: TenantInfo = ACME,
    agent: str = CHROME,
    address: str = "203.0.113.9",
    at: datetime = NOW,
    now: datetime = NOW,
    **more: Any,
) -> str | None:
    arrival = Arrival(tenant=tenant, received_at=now, agent=agent, address=address, watch=watch, **more)
    event = event_of({"event": "page_view", "distinct_id": who, "timestamp": at.isoformat()}, arrival)
    assert isinstance(event, CapturedEvent), event
    assert event.is_bot is (event.bot_reason is not None)
    return event.bot_reason


def test_more_events_than_a_person_makes_in_a_minute_are_a_bots() -> None:
    watch = Watch(per_minute=3)

    assert [seen(watch) for _ in range(5)] == [None, None, None, "rate", "rate"]
    assert seen(watch, "ben") is None
    assert seen(watch, tenant=GLOBEX) is None


def test_who_was_too_quick_stays_flagged_for_half_an_hour() -> None:
    watch = Watch(per_minute=1)
    seen(watch), seen(watch)

    late = NOW + QUICK_FOR - timedelta(seconds=1)
    assert seen(watch, at=late, now=late) == "rate"
    later = NOW + QUICK_FOR
    assert seen(watch, at=later, now=later) is None


def test_a_minute_later_counting_begins_anew() -> None:
    watch = Watch(per_minute=2)
    for minute in range(5):
        now = NOW + timedelta(minutes=minute)
        assert [seen(watch, at=now, now=now) for _ in range(2)] == [None, None]


def test_a_phone_that_was_offline_sends_a_day_at_once() -> None:
    watch = Watch(per_minute=2)

    assert {seen(watch, at=NOW - timedelta(minutes=n)) for n in range(600)} == {None}


def test_without_a_person_the_address_is_counted() -> None:
    watch = Watch(per_minute=1)

    assert [seen(watch, None, address="203.0.113.1") for _ in range(2)] == [None, "rate"]
    assert seen(watch, None, address="203.0.113.2") is None


@pytest.mark.parametrize("agent", ["posthog-python/7.91.1", "", "okhttp/5"])
def test_servers_speak_for_many_and_are_not_looked_at(agent: str) -> None:
    watch = Watch(per_minute=1, networks=Networks(["203.0.113.0/24"]))

    assert {seen(watch, agent=agent) for _ in range(5)} == {None}


def test_history_is_not_looked_at_and_zero_switches_it_off() -> None:
    assert {seen(Watch(per_minute=1), is_historical=True) for _ in range(5)} == {None}
    off = Watch()
    assert {seen(off) for _ in range(1000)} == {None}


def test_a_known_crawler_keeps_its_own_reason() -> None:
    watch = Watch(networks=Networks(["203.0.113.0/24"]))

    assert seen(watch, agent="Mozilla/5.0 (compatible; Googlebot/2.1)") == "crawler"
    assert seen(watch, is_prefetch=True) == "prefetch"
    assert seen(watch) == "datacenter"


def test_many_people_are_not_mistaken_for_quick_ones() -> None:
    watch = Watch(per_minute=300)

    assert {seen(watch, f"user-{n % 20_000}") for n in range(60_000)} == {None}


def test_networks_are_read_with_comments_and_further_columns(tmp_path: Path) -> None:
    file = tmp_path / "networks.csv"
    file.write_text(
        "network,asn,name\n# hosts\n192.0.2.0/24,64500,Example Hosting\n\n2001:db8::/32\n198.51.100.7\n192.0.2.128/25\n"
    )
    found = networks_read(file)

    held = ["192.0.2.0", "192.0.2.255", "2001:db8::1", "198.51.100.7"]
    free = ["192.0.1.255", "192.0.3.0", "198.51.100.8", "2001:db9::", "", "nobody", "0.0.0.0", "::1"]
    assert [found.hold(address) for address in held] == [True] * len(held)
    assert [found.hold(address) for address in free] == [False] * len(free)


def test_a_bad_file_names_its_line_and_events_go_on(tmp_path: Path, settings: Any) -> None:
    file = tmp_path / "networks.csv"
    file.write_text("192.0.2.0/24\n192.0.2.0/33,1\n")

    with pytest.raises(BadNetworks, match="line 2"):
        networks_read(file)
    with pytest.raises(BadNetworks, match="cannot be read"):
        networks_read(tmp_path / "none.csv")
    assert seen(watch_of(per_minute=0, networks_file=str(file)), address="192.0.2.1") is None
    settings.ANALYTICS_BOT_NETWORKS = str(file)
    (found,) = bots(NOW)
    assert (found.level, "line 2" in found.problem) == ("error", True)
    file.write_text("192.0.2.0/24\n")
    assert list(bots(NOW)) == []


@given(st.lists(st.ip_addresses(v=4).map(lambda a: f"{a}/28"), max_size=30), st.ip_addresses(v=4))
def test_ranges_say_what_the_networks_say(networks: list[str], address: Any) -> None:
    from ipaddress import ip_network

    expected = any(address in ip_network(text, strict=False) for text in networks)
    assert Networks(networks).hold(str(address)) is expected


def test_the_doors_flag_and_keep(app: CaptureApp, acme: Tenant, globex: Tenant) -> None:
    app._watch = Watch(per_minute=2)
    key = token_of(acme)

    def send(number: int, **headers: str) -> None:
        body = {"api_key": key, "event": "viewed", "uuid": f"e{number}", "distinct_id": "ann", "properties": {}}
        assert call(app, "/e/", body, headers={"user-agent": CHROME, **headers}).status == 200

    for number in range(4):
        send(number)
    send(9, **{"sec-purpose": "prefetch;prerender"})

    with tenant_context(acme.pk):
        rows = dict(Event.objects.values_list("event_id", "bot_reason"))
    flagged = sorted(reason for reason in rows.values() if reason)
    assert (len(rows), flagged) == (5, ["prefetch", "rate", "rate"])
    with tenant_context(globex.pk):
        assert not Event.objects.exists()
