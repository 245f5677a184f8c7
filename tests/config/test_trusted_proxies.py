"""The server believes what a proxy says of its client only when that proxy is one of TRUSTED_PROXIES."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from analytics.access.addresses import networks_parse
from config.port import scheme_told
from tests.config.serving import served

SPOKEN_FOR = {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "https"}


def told(url: str) -> dict[str, Any]:
    """Whether the allowlist lets the forged address in, and the scheme that the server takes for the visitor's."""
    with httpx.Client(base_url=url, headers=SPOKEN_FOR, timeout=10) as client:
        settings = client.get("/v1/projects/some-key/settings").json()
        return {
            "admin": client.get("/admin/login/").status_code,
            "scheme": settings["integrations"]["Segment.io"]["protocol"],
            "cookie_is_secure": "secure" in client.get("/admin/login/").headers.get("set-cookie", "").lower(),
        }


@pytest.mark.django_db(databases=["default"])
def test_a_proxy_on_this_machine_that_nobody_named_is_not_believed(
    database_urls: dict[str, str], redis_url: str, tmp_path: Path
) -> None:
    guarded = {**database_urls, "REDIS_URL": redis_url, "IP_ALLOWLIST": "10.1.0.0/16"}
    with served(tmp_path / "strict.log", **guarded) as url:
        assert told(url) == {"admin": 403, "scheme": "http", "cookie_is_secure": False}
    with served(tmp_path / "trusting.log", **guarded, TRUSTED_PROXIES="127.0.0.1") as url:
        assert told(url)["admin"] == 200
        assert told(url)["scheme"] == "https"


@pytest.mark.parametrize(
    ("peer", "said", "kind", "scheme"),
    [
        ("10.0.0.1", [b"https"], "http", "https"),
        ("10.0.0.1", [b" HTTPS "], "http", "https"),
        ("10.0.0.1", [b"https"], "websocket", "wss"),
        ("10.0.0.1", [b"wss"], "websocket", "wss"),
        ("10.0.0.1", [b"https", b"http"], "http", "http"),  # the nearest proxy has the last word
        ("10.0.0.1", [b"javascript"], "http", "http"),
        ("10.0.0.1", [], "websocket", "ws"),
        ("203.0.113.9", [b"https"], "http", "http"),
        ("", [b"https"], "http", "http"),
    ],
)
def test_the_scheme_is_that_of_the_connection_or_of_a_proxy_of_ours(
    peer: str, said: list[bytes], kind: str, scheme: str
) -> None:
    own = "ws" if kind == "websocket" else "http"
    headers = [(b"x-forwarded-proto", word) for word in said]
    scope = {"type": kind, "scheme": own, "headers": headers, "client": (peer, 1) if peer else None}

    assert scheme_told(scope, networks_parse(["10.0.0.0/8"])) == scheme
