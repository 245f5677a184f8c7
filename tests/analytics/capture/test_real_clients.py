"""The released clients of PostHog and Segment, unchanged, against the running server; and every recorded request."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import posthog
import pytest
import segment.analytics as segment_module
from segment.analytics.client import Client as SegmentClient

from analytics.models import Event, Tenant
from analytics.tenancy import tenant_context
from tests.analytics.capture.conftest import names_stored, outcomes, token_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])


def test_the_posthog_client_delivers_everything(live_server_url: str, acme: Tenant, globex: Tenant) -> None:
    failures: list[Any] = []
    client = posthog.Posthog(
        token_of(acme), host=live_server_url, gzip=True, on_error=lambda error, batch: failures.append(error)
    )
    for n in range(120):
        client.capture("order_completed", distinct_id=f"user-{n}", properties={"amount": 19.9, "currency": "EUR"})
    client.set(distinct_id="user-1", properties={"email": "one@example.org", "plan": "pro"})
    client.alias("visitor-1", "user-1")
    client.group_identify("company", "acme", {"seats": 5})
    client.shutdown()

    assert failures == []
    assert names_stored(acme) == {"order_completed": 120, "$set": 1, "$create_alias": 1, "$groupidentify": 1}
    assert names_stored(globex) == {}
    assert outcomes(acme) == {"stored": 123}
    with tenant_context(acme.pk):
        order = Event.objects.filter(name="order_completed").first()
        assert order is not None
        assert (order.amount, order.currency, order.amount_base, order.platform) == (1990, "EUR", 1990, "server")


def test_the_posthog_client_in_capture_mode_v1_delivers_everything(
    live_server_url: str, acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTHOG_CAPTURE_MODE", "v1")
    failures: list[Any] = []
    client = posthog.Posthog(token_of(acme), host=live_server_url, on_error=lambda error, batch: failures.append(error))
    for n in range(30):
        client.capture("page_view", distinct_id=f"user-{n}", properties={"path": "/"})
    client.shutdown()

    assert failures == []
    assert names_stored(acme) == {"page_view": 30}
    assert names_stored(globex) == {}


def test_the_segment_client_delivers_everything(live_server_url: str, acme: Tenant, globex: Tenant) -> None:
    failures: list[Any] = []
    client = SegmentClient(
        token_of(acme), host=live_server_url, gzip=True, on_error=lambda error, items: failures.append(error)
    )
    for n in range(50):
        client.track(f"user-{n}", "Order Completed", {"revenue": 5.5, "currency": "EUR"})
    client.identify("user-1", {"email": "one@example.org", "plan": "pro"}, anonymous_id="visitor-1")
    client.page("user-1", name="Home", properties={"url": "https://shop.example/"})
    client.group("user-1", "acme", {"seats": 5})
    client.alias("visitor-2", "user-2")
    client.flush()
    client.join()

    assert failures == []
    assert names_stored(acme) == {
        "Order Completed": 50, "$identify": 1, "$pageview": 1, "$groupidentify": 1, "$create_alias": 1,
    }  # fmt: skip
    assert names_stored(globex) == {}
    assert segment_module.__name__ == "segment.analytics"


def replayed(url: str, folder: Path, keys: dict[str, str], times: int) -> str:
    command = [sys.executable, str(folder / "replay.py"), url, "--times", str(times), "--wire", str(folder)]
    for old, new in keys.items():
        command += ["--key", f"{old}={new}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_every_recorded_request_is_stored_once(
    live_server_url: str, acme: Tenant, globex: Tenant, shared_dir: Path, times: int
) -> None:
    folder = shared_dir / "wire"
    index = msgspec.json.decode((folder / "index.json").read_bytes())
    token = token_of(acme)
    # Longer names first: `phc_test_python` is the beginning of `phc_test_python3`.
    keys = dict.fromkeys(sorted(index["api_keys"], key=len, reverse=True), token)
    printed = replayed(live_server_url, folder, keys, times)

    assert set(re.findall(r"statuses \{([^}]*)\}", printed)) <= {f"200: {n}" for n in range(1, 100)} | {""}
    # Six runs set one uuid themselves, under five versions of their library: the same id with other content.
    assert outcomes(acme) == {"stored": 345, "duplicate": 371 * times - 345 - 5 * times, "conflict": 5 * times}
    assert sum(names_stored(acme).values()) == 345
    assert names_stored(globex) == {}


def test_a_key_of_nobody_stores_nothing(live_server_url: str, acme: Tenant, globex: Tenant) -> None:
    failures: list[Any] = []
    client = posthog.Posthog(
        "pk_" + uuid4().hex, host=live_server_url, on_error=lambda error, batch: failures.append(error), max_retries=0
    )
    client.capture("page_view", distinct_id="user-1")
    client.shutdown()

    assert [getattr(failure, "status", None) for failure in failures] == [401]
    assert names_stored(acme) == names_stored(globex) == {}
