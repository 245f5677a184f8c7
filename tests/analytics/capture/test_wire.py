"""Every recorded request of released SDKs, read by the doors it was meant for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.conf import settings

from analytics.capture import posthog, segment
from analytics.capture.decode import json_text
from analytics.capture.doors import Door, route
from analytics.capture.http import Request
from analytics.capture.normalise import Arrival, event_of
from analytics.capture.parse import read
from analytics.contracts import CapturedEvent, TenantInfo

ACME = TenantInfo(id=1, slug="acme", zone="Europe/Paris", base_currency="EUR")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WIRE = Path(settings.BELLWETHER_SHARED) / "wire"


def recorded_posts() -> list[dict[str, Any]]:
    if not (WIRE / "index.json").exists():
        return []
    index = msgspec.json.decode((WIRE / "index.json").read_bytes())
    return [request for request in index["requests"] if request["n_events"]]


def request_of(recorded: dict[str, Any]) -> Request:
    path, _, query = recorded["path"].partition("?")
    headers = [(name.lower().encode(), value.encode()) for name, value in recorded["headers"]]
    return Request({"method": "POST", "path": path, "query_string": query.encode(), "headers": headers})


def delivery_of(recorded: dict[str, Any]) -> posthog.Delivery:
    request = request_of(recorded)
    found = route("POST", request.path)
    assert found is not None
    body = (WIRE / recorded["body_file"]).read_bytes()
    value, is_clean = read(json_text(body, compression=request.query.get("compression", "")))
    assert is_clean
    if found.door is Door.SEGMENT:
        return segment.delivery(value, request, kind=found.detail)
    if found.door is Door.POSTHOG_V1:
        return posthog.delivery_v1(value, request)
    return posthog.delivery(value, request, is_engage=found.door is Door.ENGAGE)


def events_of(delivery: posthog.Delivery) -> list[CapturedEvent]:
    arrival = Arrival(tenant=ACME, received_at=NOW, sent_text=posthog.sent_text(delivery), is_clean=True, seen={})
    events = [event_of(message, arrival) for message in delivery.messages]
    assert [type(event) for event in events] == [CapturedEvent] * len(events)
    return events  # type: ignore[return-value]  # asserted above


@pytest.mark.parametrize("recorded", recorded_posts(), ids=lambda recorded: recorded["id"])
def test_recorded_request_gives_its_events(recorded: dict[str, Any]) -> None:
    delivery = delivery_of(recorded)
    events = events_of(delivery)

    assert delivery.token == (recorded["api_key"] or "phc_test_js")
    said = recorded["events"]
    assert len(events) == recorded["n_events"] == len(said)
    for event, (_, event_id, distinct_id) in zip(events, said, strict=True):
        if event_id is not None:
            assert event.event_id == event_id
        if distinct_id is not None:
            assert event.distinct_id == distinct_id


def test_recorded_runs_give_the_unique_ids_that_were_counted() -> None:
    unique: dict[str, set[tuple[str, str]]] = {}
    for recorded in recorded_posts():
        delivery = delivery_of(recorded)
        ids = unique.setdefault(recorded["run"], set())
        ids.update((delivery.token, event.event_id) for event in events_of(delivery))

    index = msgspec.json.decode((WIRE / "index.json").read_bytes())
    expected = {run["run"]: run["unique_events_expected"] for run in index["runs"]}
    assert {run: len(ids) for run, ids in unique.items()} == expected


def test_recorded_events_of_all_runs_are_345_under_their_own_keys() -> None:
    ids: set[tuple[str, str]] = set()
    for recorded in recorded_posts():
        delivery = delivery_of(recorded)
        ids.update((delivery.token, event.event_id) for event in events_of(delivery))
    assert len(ids) == 313 + 32
