"""Replacing the key of sensitive fields: nothing is lost on the way, people stay found, erased ones stay erased."""

from __future__ import annotations

import base64
import os
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from analytics import rotation
from analytics.contracts import Outcome, PersonChange, Refusal
from analytics.identity import person_of
from analytics.models import Group, Quarantine, Subject, Suppression, Tenant
from analytics.privacy import erase_subject
from analytics.quarantine import quarantine_payload
from analytics.rotation import WrongOrder, digests_check, encryption_rotate, old_keys_used
from analytics.sealing import Keyring, SealBroken, installation, keyring, seal
from analytics.spool import Spool
from analytics.tenancy import tenant_context
from config.doctor.installation import encryption
from tests.analytics.events import event, write


def new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


@pytest.fixture
def old(settings: Any) -> str:
    return str(settings.FIELD_ENCRYPTION_KEY)


def fill(tenant: Tenant) -> None:
    """Something under the installation's key in each store."""
    person = event(tenant, "e1", distinct_id="ann@example.org")
    person.person = PersonChange(set={"email": "ann@example.org"})
    person.sensitive = {"phone": "+49 1"}
    nobody = event(tenant, "e2")
    nobody.sensitive = {"card": "4242"}
    held = Refusal(
        tenant_id=tenant.pk, outcome=Outcome.QUARANTINED, reason="test", received_at=person.received_at,
        payload=b'{"held": "ann"}',
    )  # fmt: skip
    write(tenant, [person, nobody], [held])
    with tenant_context(tenant.pk):
        token = keyring().seal(tenant.pk, b'"info@initech.example"', context=b"group")
        traits = {"email": {"$sealed": base64.b64encode(token).decode()}, "plan": "pro"}
        Group.objects.create(tenant_id=tenant.pk, type="company", key="initech", traits=traits)


def sealed_card(tenant: Tenant) -> bytes:
    with tenant_context(tenant.pk), connection.cursor() as cursor:
        cursor.execute("SELECT properties ->> '$sealed' FROM bw_event WHERE event_id = 'e2'")
        return base64.b64decode(cursor.fetchone()[0])


def check_readable(tenant: Tenant) -> None:
    """Everything can be opened, and the person is found by its id."""
    found = person_of(tenant_id=tenant.pk, distinct_id="ann@example.org")
    assert (found.distinct_ids, found.traits) == (("ann@example.org",), {"email": "ann@example.org"})
    from analytics.writing import rows

    context = b"event:" + rows.dedupe_key("e2")
    assert keyring().unseal(tenant.pk, sealed_card(tenant), context=context) == b'{"card":"4242"}'
    with tenant_context(tenant.pk):
        assert quarantine_payload(Quarantine.objects.get()) == {"held": "ann"}
        token = base64.b64decode(Group.objects.get().traits["email"]["$sealed"])
    assert keyring().unseal(tenant.pk, token, context=b"group") == b'"info@initech.example"'


def test_everything_is_sealed_again_and_the_old_key_opens_nothing_any_more(
    acme: Tenant, globex: Tenant, settings: Any, old: str
) -> None:
    for tenant in (acme, globex):
        fill(tenant)
    new = new_key()
    settings.FIELD_ENCRYPTION_KEY = f"{new},{old}"
    check_readable(acme)

    planned = encryption_rotate(dry_run=True)
    done = encryption_rotate()

    everything = {"subject_keys": 2, "quarantine": 2, "events": 2, "groups": 2}
    assert (dict(planned.changed), dict(done.changed), dict(done.unreadable)) == (everything, everything, {})
    assert dict(encryption_rotate().changed) == {}
    for tenant in (acme, globex):
        check_readable(tenant)
    with tenant_context(acme.pk):
        wrapped = bytes(Subject.objects.get(wrapped_key__isnull=False).wrapped_key or b"")
    with pytest.raises(SealBroken):
        Keyring(old).unwrap(acme.pk, wrapped)
    with pytest.raises(SealBroken):
        Keyring(f"{new},{old}").unwrap(globex.pk, wrapped)


def test_a_dry_run_changes_nothing(acme: Tenant, globex: Tenant, settings: Any, old: str) -> None:
    fill(acme)
    settings.FIELD_ENCRYPTION_KEY = f"{new_key()},{old}"
    before = sealed_card(acme)

    encryption_rotate(dry_run=True)

    assert sealed_card(acme) == before
    settings.FIELD_ENCRYPTION_KEY = old
    check_readable(acme)


def test_seals_from_before_keys_had_names_are_changed_too(
    acme: Tenant, globex: Tenant, settings: Any, old: str
) -> None:
    fill(acme)
    ring = Keyring(old)
    with tenant_context(acme.pk):
        subject = Subject.objects.get(wrapped_key__isnull=False)
        plain = ring.unwrap(acme.pk, subject.wrapped_key or b"")
        wrapped = seal(ring.key("wrapping"), plain, context=b"subject:%d" % acme.pk)
        Subject.objects.filter(pk=subject.pk).update(wrapped_key=wrapped)
        held = seal(ring._first.tenant_key(acme.pk, "seal"), b'{"held": "ann"}', context=b"quarantine")
        Quarantine.objects.update(payload=held)
    check_readable(acme)
    settings.FIELD_ENCRYPTION_KEY = f"{new_key()},{old}"
    check_readable(acme)

    assert encryption_rotate().changed["subject_keys"] == 1
    check_readable(acme)


def test_a_killed_rotation_is_run_again(
    acme: Tenant, globex: Tenant, settings: Any, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    write(acme, [event(acme, f"e{n}", distinct_id=f"user-{n}") for n in range(7)])
    settings.FIELD_ENCRYPTION_KEY = f"{new_key()},{old}"
    seen: list[int] = []

    def dies(_tenant: str, _store: str, count: int) -> None:
        seen.append(count)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encryption_rotate(told=dies)

    assert seen == [2, 4]
    assert encryption_rotate().changed["subject_keys"] == 3
    assert [person_of(tenant_id=acme.pk, distinct_id=f"user-{n}").distinct_ids for n in range(7)] == [
        (f"user-{n}",) for n in range(7)
    ]


def test_three_keys_become_two(acme: Tenant, globex: Tenant, settings: Any, old: str) -> None:
    fill(acme)
    second, third = new_key(), new_key()
    settings.FIELD_ENCRYPTION_KEY = f"{second},{old}"
    encryption_rotate()
    settings.FIELD_ENCRYPTION_KEY = f"{third},{second},{old}"
    encryption_rotate()

    settings.FIELD_ENCRYPTION_KEY = f"{third},{old}"

    check_readable(acme)
    assert not old_keys_used()


def test_who_was_erased_stays_erased_and_refused(
    acme: Tenant, globex: Tenant, settings: Any, old: str, t0: datetime
) -> None:
    fill(acme)
    erase_subject(tenant_id=acme.pk, distinct_id="ann@example.org", now=t0, settle_seconds=0, using="default")
    settings.FIELD_ENCRYPTION_KEY = f"{new_key()},{old}"

    encryption_rotate()

    with tenant_context(acme.pk):
        assert Suppression.objects.exists()
        assert not Subject.objects.filter(wrapped_key__isnull=False).exists()
    verdicts = write(acme, [event(acme, "late", distinct_id="ann@example.org")])
    assert [verdict.reason for verdict in verdicts] == ["erased_subject"]


def test_the_wrong_order_of_keys_is_refused_before_anything_changes(
    acme: Tenant, globex: Tenant, settings: Any, old: str
) -> None:
    fill(acme)
    before = sealed_card(acme)
    settings.FIELD_ENCRYPTION_KEY = f"{old},{new_key()}"

    with pytest.raises(WrongOrder, match="oldest key last"):
        digests_check()
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("rotate_encryption")
    settings.FIELD_ENCRYPTION_KEY = new_key()
    with pytest.raises(WrongOrder, match="no key"):
        digests_check()
    assert sealed_card(acme) == before


def test_the_command_tells_what_it_did(acme: Tenant, globex: Tenant, settings: Any, old: str) -> None:
    fill(acme)
    settings.FIELD_ENCRYPTION_KEY = f"{new_key()},{old}"
    out = StringIO()

    call_command("rotate_encryption", "--dry-run", stdout=out, stderr=StringIO())
    call_command("rotate_encryption", stdout=out, stderr=StringIO())

    assert "4 values to be sealed again under the first of 2 keys" in out.getvalue()
    assert "4 values sealed again under the first of 2 keys" in out.getvalue()


def test_the_doctor_knows(acme: Tenant, globex: Tenant, settings: Any, old: str, t0: datetime) -> None:
    fill(acme)
    assert list(encryption(t0)) == []

    second, third = new_key(), new_key()
    settings.FIELD_ENCRYPTION_KEY = f"{third},{second},{old}"
    (found,) = encryption(t0)
    assert (found.level, found.fix) == ("warning", "manage.py rotate_encryption")

    encryption_rotate()
    (found,) = encryption(t0)
    assert "have nothing left to open" in found.problem

    settings.FIELD_ENCRYPTION_KEY = f"{third},{old}"
    assert list(encryption(t0)) == []
    settings.FIELD_ENCRYPTION_KEY = f"{old},{third}"
    (found,) = encryption(t0)
    assert found.level == "error"


def test_what_waits_in_the_spool_is_read_after_a_rotation(
    acme: Tenant, globex: Tenant, settings: Any, old: str, tmp_path: Path
) -> None:
    before = Spool(tmp_path)
    before.append([event(acme, "e1")])
    before.close()
    settings.FIELD_ENCRYPTION_KEY = f"{new_key()},{old}"
    got: list[str] = []

    spool = Spool(tmp_path)
    spool.append([event(acme, "e2")])
    spool.replay(lambda events, _refusals: got.extend(e.event_id for e in events))

    assert sorted(got) == ["e1", "e2"]


def test_the_lake_stays_the_same_installations(settings: Any, old: str) -> None:
    before = installation()
    settings.FIELD_ENCRYPTION_KEY = f"{new_key()},{old}"

    assert installation() == before
