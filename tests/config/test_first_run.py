"""What a new home gets."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from django.contrib.auth import authenticate

from config.announce import banner
from config.first_run import first_run, has_events

pytestmark = pytest.mark.django_db


def test_a_new_home_gets_an_administrator_a_tenant_and_keys(tmp_path: Path) -> None:
    known = first_run(home=tmp_path, url="http://127.0.0.1:8000")
    assert list(known) == ["url", "admin_user", "admin_password", "tenant", "pk", "sk"]
    assert (known["tenant"], known["pk"][:3], known["sk"][:3]) == ("demo", "pk_", "sk_")
    assert authenticate(username=known["admin_user"], password=known["admin_password"]) is not None
    path = tmp_path / "credentials.json"
    assert (json.loads(path.read_text()), stat.S_IMODE(path.stat().st_mode)) == (known, 0o600)
    assert has_events("demo") is False


def test_a_second_run_keeps_the_secrets_and_follows_the_address(tmp_path: Path) -> None:
    first = first_run(home=tmp_path, url="http://127.0.0.1:8000")
    assert first_run(home=tmp_path, url="http://127.0.0.1:9000") == {**first, "url": "http://127.0.0.1:9000"}


def test_secrets_are_shown_once() -> None:
    known = {
        "url": "http://x",
        "admin_user": "admin",
        "admin_password": "s3cret",
        "tenant": "demo",
        "pk": "pk_1",
        "sk": "sk_1",
    }
    later = banner(known, is_first=False, seconds=3)
    assert not [secret for secret in ("s3cret", "pk_1", "sk_1") if secret in later]
    assert all(secret in banner(known, is_first=True, seconds=3) for secret in ("s3cret", "pk_1", "sk_1"))
