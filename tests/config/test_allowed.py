"""IP_ALLOWLIST guards the admin, the metrics and the detailed health, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db(transaction=True)
GUARDED = ("/admin/login/", "/metrics", "/health/")


@pytest.mark.parametrize("path", GUARDED)
def test_strangers_are_refused(client: Client, settings: Any, path: str) -> None:
    settings.IP_ALLOWLIST = ["10.1.0.0/16", "2001:db8::/32"]
    settings.TRUSTED_PROXIES = ["127.0.0.1"]

    def status(address: str, **headers: str) -> int:
        return client.get(path, REMOTE_ADDR=address, headers=headers).status_code

    assert status("203.0.113.9") == 403
    assert status("127.0.0.1", **{"X-Forwarded-For": "203.0.113.9"}) == 403
    assert status("203.0.113.9", **{"X-Forwarded-For": "10.1.2.3"}) == 403  # no proxy of ours says so
    assert status("garbage") == 403
    assert status("10.1.2.3") == 200
    assert status("2001:db8::7") == 200
    assert status("127.0.0.1", **{"X-Forwarded-For": "10.1.2.3"}) == 200


def test_everything_else_stays_open(client: Client, settings: Any) -> None:
    settings.IP_ALLOWLIST = ["10.1.0.0/16"]

    found = {
        path: client.get(path, REMOTE_ADDR="203.0.113.9").status_code for path in ("/health/live", "/api/v1/kpis/")
    }

    assert found == {"/health/live": 200, "/api/v1/kpis/": 401}
    assert client.get("/health/ready", REMOTE_ADDR="203.0.113.9").status_code in (200, 503)


def test_without_a_list_the_admin_is_open_and_details_need_a_credential(client: Client) -> None:
    assert client.get("/admin/login/").status_code == 200
    assert client.get("/health/").status_code == 401
