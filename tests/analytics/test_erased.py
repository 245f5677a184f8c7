"""Every erasure is in the log before it is in the database; nothing readable is, and no accident spoils the rest."""

from __future__ import annotations

import logging
import stat
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command

from analytics.erased import Erased, erased_append, erased_log, erased_read
from analytics.failpoints import FailpointReached
from analytics.models import Tenant
from analytics.privacy import erase_subject
from analytics.sealing import installation, keyring
from config.doctor.installation import erasures
from tests.analytics.events import NOON, event, rows, told, write

committed = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])
ANN = "ann@example.org"


@pytest.fixture(autouse=True)
def log(settings: Any, tmp_path: Path) -> Path:
    settings.ANALYTICS_ERASED_LOG = str(tmp_path / "kept" / "erased.jsonl")
    return erased_log()


def read() -> list[Erased]:
    return list(erased_read(erased_log(), installation=installation()))


def digest(tenant: Tenant, distinct_id: str) -> UUID:
    return UUID(bytes=keyring().digest(tenant.pk, distinct_id))


def line(**fields: Any) -> Erased:
    return Erased(**{"at": NOON, "installation": installation(), "tenant": 1, "digests": (uuid4(),), **fields})


# --- What is written --------------------------------------------------------------------------------------------------


@committed
def test_an_erasure_is_one_line_of_digests_whichever_door_it_came_by(acme: Tenant, globex: Tenant, log: Path) -> None:
    for tenant in (acme, globex):
        write(tenant, [event(tenant, "e1", distinct_id=ANN), event(tenant, "e2", distinct_id="bob")])
    call_command("erase_subject", tenant=acme.slug, user=ANN, dry_run=True, verbosity=0)
    assert not log.exists()
    erase_subject(tenant_id=acme.pk, distinct_id=ANN, now=NOON)
    (subject,) = rows(globex, "SELECT subject_id FROM bw_identity ORDER BY subject_id LIMIT 1")[0]
    erase_subject(tenant_id=globex.pk, subject_id=subject, now=NOON)
    erase_subject(tenant_id=acme.pk, distinct_id="nobody has seen them", now=NOON)
    assert read() == [
        line(tenant=acme.pk, digests=(digest(acme, ANN),)),
        line(tenant=globex.pk, digests=(digest(globex, ANN),)),
        line(tenant=acme.pk, digests=(digest(acme, "nobody has seen them"),)),
    ]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert ANN not in log.read_text()
    erase_subject(tenant_id=acme.pk, distinct_id=ANN, now=NOON + timedelta(days=1))
    assert len(read()) == 3, "whoever is refused already is not written down again"


@committed
def test_it_is_written_down_before_anybody_is_refused(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_FAILPOINT", "erasure.after_log:raise")
    with pytest.raises(FailpointReached):
        erase_subject(tenant_id=acme.pk, distinct_id=ANN, now=NOON)
    assert [each.digests for each in read()] == [(digest(acme, ANN),)]
    assert rows(acme, "SELECT * FROM bw_suppression") == []


@committed
def test_a_log_that_cannot_be_written_keeps_nobody_from_being_forgotten_and_the_doctor_mends_it(
    acme: Tenant, globex: Tenant, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log.mkdir(parents=True)  # for root too it is no file
    with caplog.at_level(logging.ERROR, logger="bellwether.privacy"):
        receipt = erase_subject(tenant_id=acme.pk, distinct_id=ANN, now=NOON)
    assert receipt.is_complete
    assert caplog.messages == [f"{log} cannot be written (Is a directory): `manage.py doctor --fix --yes`"]
    assert [finding.level for finding in erasures(NOON)] == ["error"]
    log.rmdir()
    (finding,) = erasures(NOON)
    assert finding.problem.startswith("1 ids that were erased are not in ")
    assert finding.repair is not None
    finding.repair()
    assert read() == [line(tenant=acme.pk, digests=(digest(acme, ANN),))]
    assert list(erasures(NOON)) == []


# --- What is read -----------------------------------------------------------------------------------------------------


def test_a_line_that_was_cut_short_spoils_neither_the_one_before_nor_the_one_after(log: Path) -> None:
    first, second = line(), line()
    erased_append([first, line()])
    log.write_bytes(log.read_bytes()[:-9])
    erased_append([second])
    assert read() == [first, second]
    log.write_bytes(b"\0" * 50 + b"\n" + log.read_bytes() + b'{"at": 1}\n{"at"')
    assert read() == [first, second]


def test_lines_of_another_installation_count_for_nothing() -> None:
    mine = line()
    erased_append([line(installation="somebody else's"), mine])
    assert read() == [mine]


def test_where_there_is_no_log_nobody_was_erased(log: Path) -> None:
    assert read() == []
    assert not log.exists()


def test_many_write_at_once_and_every_line_is_whole() -> None:
    written = [[line(digests=tuple(uuid4() for _ in range(200))) for _ in range(20)] for _ in range(4)]

    def work(mine: list[Erased]) -> None:
        for each in mine:
            erased_append([each])

    threads = [threading.Thread(target=work, args=(mine,)) for mine in written]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read()
    assert sorted(each.digests for each in found) == sorted(each.digests for mine in written for each in mine)


# --- By digest --------------------------------------------------------------------------------------------------------


@committed
def test_digests_lead_to_several_people_at_once_and_to_nobody_of_another_tenant(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        write(tenant, [event(tenant, f"e-{who}", distinct_id=who) for who in (ANN, "bob", "carol")])
    unknown = uuid4()
    erased = [digest(acme, ANN), digest(acme, "bob"), digest(globex, "carol"), unknown]
    receipt = erase_subject(tenant_id=acme.pk, digests=erased, now=NOON)
    assert (receipt.subjects, receipt.is_complete) == (2, True)
    assert rows(acme, "SELECT digest FROM bw_identity") == [(digest(acme, "carol"),)]
    assert rows(globex, "SELECT count(*) FROM bw_identity") == [(3,)]
    late = [event(acme, f"late-{who}", distinct_id=who) for who in (ANN, "bob", "carol")]
    assert told(write(acme, late)) == ["rejected/erased_subject"] * 2 + ["stored"]
