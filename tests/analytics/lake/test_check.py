"""`manage.py lake` and `manage.py seal`: what they tell, find and mend."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from analytics.lake.check import findings
from analytics.models import LakeMark, Tenant
from analytics.tenancy import tenant_context
from tests.analytics.events import event, rows, write
from tests.analytics.lake.lakes import event_ids, files_of, pieces, seal, stored_ids

pytestmark = pytest.mark.django_db


def command(*args: str, **options: Any) -> str:
    out = StringIO()
    call_command(*args, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def sealed(acme: Tenant, lake: Path) -> Tenant:
    """Three days."""
    write(acme, [event(acme, f"e{n}", minute=1440 * n, properties={"n": n}) for n in range(3)])
    seal(acme)
    return acme


@pytest.mark.parametrize("which", ["events", "ids", "properties"])
def test_a_flipped_byte_is_found_named_and_mended(sealed: Tenant, lake: Path, which: str) -> None:
    file = next(each for each in files_of(lake, sealed) if f".{which}." in each.name)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))

    with pytest.raises(CommandError, match="1 pieces"):
        command("lake", "verify")
    told = command("lake", "verify", repair=True)

    assert f"{file.name} is damaged" in told
    assert "3 pieces checked, 0 wrong" in told
    assert event_ids(sealed) == stored_ids(sealed)


def test_an_event_that_postgresql_lost_or_won_unmarked_is_found(sealed: Tenant) -> None:
    rows(sealed, "DELETE FROM bw_event WHERE event_id = 'e1' RETURNING 1")
    problems = [problem for _, problem in findings(sealed.pk) if problem]
    assert [problem.split(" ", 1)[1] for problem in problems] == ["has 1 events, PostgreSQL 0"]


def test_what_waits_is_no_finding(sealed: Tenant) -> None:
    write(sealed, [event(sealed, "late", minute=1)])
    assert [problem for _, problem in findings(sealed.pk) if problem] == []


def test_status_tells_what_is_sealed_and_what_waits(sealed: Tenant, globex: Tenant) -> None:
    write(sealed, [event(sealed, "late", minute=1)])
    told = command("lake", "status").splitlines()
    assert told[0].startswith("acme: 3 pieces, 3 events, 0.0 MiB")
    assert "1 hours wait; complete through 2026-03-02 12:00:00 UTC" in told[0]
    assert told[1].startswith("globex: 0 pieces, 0 events")


def test_rebuild_seals_everything_anew_and_collect_tidies_up(sealed: Tenant, lake: Path, settings: Any) -> None:
    assert "3 pieces, 3 events sealed anew" in command("lake", "rebuild", tenant="acme")
    assert len(files_of(lake, sealed)) == 18
    settings.ANALYTICS_LAKE_GRACE_SECONDS = 0
    assert "0 files of former pieces and 0 strays" in command("lake", "collect"), "their grace was an hour"
    command("lake", "rebuild")
    assert "9 files of former pieces" in command("lake", "collect")


def test_seal_takes_a_tenant_a_range_and_a_dry_run(acme: Tenant, globex: Tenant, lake: Path) -> None:
    for tenant in (acme, globex):
        write(tenant, [event(tenant, f"e{n}", minute=1440 * n) for n in range(3)])
    assert command("seal", dry_run=True).splitlines() == [
        "acme: 3 hours with 3 events would be sealed",
        "globex: 3 hours with 3 events would be sealed",
    ]
    options = {"--from": "2026-03-02", "--to": "2026-03-03"}  # as of every command, the end is not in the range
    told = command("seal", "--tenant", "acme", *[part for pair in options.items() for part in pair])
    assert told.startswith("acme: 1 pieces, 1 events")
    assert (len(pieces(acme)), len(pieces(globex))) == (1, 0)
    assert "acme: 2 pieces" in command("seal", workers=1)
    with tenant_context(acme.pk):
        assert LakeMark.objects.count() == 0
    for wrong in (("--from", "2026-03-02"), ("--from", "2026-03-02", "--to", "2026-03-02")):
        with pytest.raises(CommandError, match="--to is the day after the last"):
            command("seal", *wrong)
    with pytest.raises(CommandError, match="no tenant 'nobody'"):
        command("seal", tenant="nobody")
