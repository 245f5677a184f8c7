"""Commands as somebody meets them who types wrongly: a sentence that says what would do, and nothing done."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command, get_commands, load_command_class

from analytics.contracts import TenantInfo
from analytics.models import ApiKey
from analytics.tenancy import tenant_context

ROOT = Path(__file__).resolve().parents[2]
APPS = ("analytics", "kpis", "insights", "alerts", "reports", "config")
OURS = sorted(name for name, app in get_commands().items() if app in APPS)
DAYS = {
    "backfill": ["--tenant", "acme"],
    "check_rollups": [],
    "customers": ["--tenant", "acme"],
    "partitions": ["ensure"],
    "rollup": ["--tenant", "acme"],
    "seal": ["--tenant", "acme"],
}


@pytest.mark.parametrize("name", OURS)
def test_the_help_of_a_command_says_what_it_does(name: str) -> None:
    command = load_command_class(get_commands()[name], name)
    assert len(command.help) > 20
    assert "usage: manage.py" in command.create_parser("manage.py", name).format_help()


@pytest.mark.parametrize("name", DAYS)
def test_a_day_that_is_none_is_answered_with_one_that_is(name: str) -> None:
    option = "--on" if name == "customers" else "--from"
    with pytest.raises(CommandError, match=rf"{option}: 'tomorrow' is no day; write it as in 2026-11-21"):
        call_command(name, *DAYS[name], option, "tomorrow")


@pytest.mark.parametrize("name", DAYS)
def test_a_day_in_a_century_without_events_is_refused(name: str) -> None:
    option = "--on" if name == "customers" else "--from"
    with pytest.raises(CommandError, match="0001-01-01 lies outside the years 1970 to 2199"):
        call_command(name, *DAYS[name], option, "0001-01-01")


WRITTEN = {
    line
    for page in (ROOT / "README.md", ROOT / "MIGRATING.md", *(ROOT / app / "README.md" for app in APPS))
    for line in re.findall(r"`manage\.py ([a-z_]+(?: [^`]+)?)`", page.read_text())
    if line.split()[0] in OURS and " " in line
}
PLACES = {
    "METRIC": "orders.count",
    "DATE": "2026-03-01",
    "DAY": "2026-03-01",
    "N": "2",
    "CHECK": "redis",
    "UUID": str(UUID(int=7)),
}


@pytest.mark.parametrize("line", sorted(line for line in WRITTEN if "--tenant" in line and "|" not in line))
def test_a_command_can_be_typed_as_a_page_writes_it(line: str) -> None:
    words = line.replace("[", "").replace("]", "").replace("\n", " ").replace("…", "").split()
    name, *arguments = [PLACES.get(word, word) for word in words]
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
    parser.parse_args(arguments)


def test_customers_are_not_scored_on_a_day_to_come(acme: TenantInfo) -> None:
    with pytest.raises(CommandError, match="--on 2190-01-01 has not been yet"):
        call_command("customers", "--on", "2190-01-01", tenant="acme")


@pytest.mark.parametrize("name", ["check_rollups", "rollup"])
def test_a_range_that_ends_before_it_begins_is_refused(acme: TenantInfo, name: str) -> None:
    with pytest.raises(CommandError, match="--to 2026-11-08 must be later than --from 2026-11-09"):
        call_command(name, "--from", "2026-11-09", "--to", "2026-11-08", tenant="acme")


@pytest.mark.parametrize("days", ["0", "-1", "soon", "99999999999"])
def test_a_key_cannot_be_made_for_no_days(acme: TenantInfo, days: str) -> None:
    with pytest.raises(CommandError, match="is no number of days from 1 to 3650"):
        call_command("create_key", f"--days={days}", tenant="acme", kind="pk")
    with tenant_context(acme.id):
        assert not ApiKey.objects.exists()


def test_a_second_account_of_a_name_says_that_nothing_of_it_changes(acme: TenantInfo, capsys: Any) -> None:
    call_command("create_user", "ada", tenant="acme", role="analyst")
    before = get_user_model().objects.get(username="ada").password
    capsys.readouterr()
    call_command("create_user", "ada", "--admin-site", tenant="acme", role="viewer")
    shown = capsys.readouterr()
    assert shown.out == "ada is viewer of acme.\n"
    assert "its password and its rights in the admin stay as they are" in shown.err
    assert get_user_model().objects.get(username="ada").password == before


def test_boards_that_cannot_be_written_say_why(acme: TenantInfo, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written: No such file or directory"):
        call_command("boards", "export", str(tmp_path / "nowhere" / "boards.yaml"), tenant="acme")


def test_the_wrong_python_is_told_which_one_is_right(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(  # this interpreter without its packages
        [sys.executable, "-S", "-E", str(ROOT / "manage.py"), "doctor"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=bare,
        timeout=60,
    )
    assert done.returncode == 1
    assert ".venv/bin/python manage.py" in done.stderr
    assert "Traceback" not in done.stderr
