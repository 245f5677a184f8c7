"""Held events can be tried again, and the ledger keeps adding up to what was received."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from analytics import jobs
from analytics.capture.normalise import normalise
from analytics.contracts import CapturedEvent, Outcome, Refusal
from analytics.models import Quarantine, Tenant
from analytics.quarantine import quarantine_discard, quarantine_held, quarantine_payload, quarantine_replay
from analytics.tenancy import tenant_by_slug, tenant_context
from tests.analytics.events import NOON, event, ledger, rows, told, write

LATER = NOON + timedelta(days=3)


def states(tenant: Tenant) -> list[tuple[Any, ...]]:
    return rows(tenant, "SELECT event_id, outcome, state, length(payload) > 0 FROM bw_quarantine ORDER BY event_id")


def test_what_can_be_stored_after_a_fix_moves_in_the_ledger_at_its_hour_of_receipt(
    acme: Tenant, globex: Tenant
) -> None:
    for tenant in (acme, globex):
        write(tenant, [event(tenant, "e1", name="has a NUL\0", distinct_id="ada"), event(tenant, "e2")])

    report = quarantine_replay(tenant=tenant_by_slug("acme"), now=LATER)

    assert report.as_dict() == {"tried": 1, "outcomes": {"stored": 1}, "still_held": {}, "dry_run": False}
    assert rows(acme, "SELECT event_id, name, received_at FROM bw_event ORDER BY 1") == [
        ("e1", "has a NUL", NOON),
        ("e2", "page_viewed", NOON),
    ]
    assert ledger(acme) == {"stored": 2}
    assert rows(acme, "SELECT DISTINCT hour FROM bw_outcome") == [(NOON,)]
    assert states(acme) == [("e1", "quarantined", "replayed", False)]
    assert ledger(globex) == {"quarantined/unstorable": 1, "stored": 1}
    assert states(globex) == [("e1", "quarantined", "held", True)]


def test_it_may_be_run_again(acme: Tenant) -> None:
    write(acme, [event(acme, "e1", name="\0")])
    quarantine_replay(tenant=tenant_by_slug("acme"), now=LATER)
    again = quarantine_replay(tenant=tenant_by_slug("acme"), now=LATER)

    assert again.tried == 0
    assert ledger(acme) == {"stored": 1}


def test_a_conflict_is_stored_as_an_event_of_its_own(acme: Tenant, globex: Tenant) -> None:
    write(
        acme,
        [
            event(acme, "e1", properties={"n": 1}),
            event(acme, "e1", properties={"n": 2}),
            event(acme, "e1", properties={"n": 3}),
        ],
    )

    report = quarantine_replay(tenant=tenant_by_slug("acme"), now=LATER)

    assert report.outcomes == {"stored": 2}
    found = rows(acme, "SELECT properties::text, event_id = 'e1', event_id LIKE 'e1#%%' FROM bw_event ORDER BY 1")
    assert found == [('{"n": 1}', True, False), ('{"n": 2}', False, True), ('{"n": 3}', False, True)]
    assert ledger(acme) == {"stored": 3}
    assert ledger(globex) == {}


def test_a_message_of_a_door_goes_through_its_door_again(acme: Tenant, globex: Tenant) -> None:
    info = tenant_by_slug("acme")
    raw = {"event": "paid", "uuid": "e1", "distinct_id": "x" * 401}
    refusal = normalise(raw, tenant=info, received_at=NOON)
    assert isinstance(refusal, Refusal)
    write(acme, [], [refusal])

    still = quarantine_replay(tenant=info, now=LATER)

    assert (still.tried, still.outcomes, still.still_held) == (1, {}, {"distinct_id_too_long": 1})
    assert ledger(acme) == {"quarantined/distinct_id_too_long": 1}
    assert states(acme) == [("e1", "quarantined", "held", True)]
    assert rows(globex, "SELECT 1 FROM bw_quarantine") == []


def test_one_that_still_cannot_be_stored_does_not_hold_back_the_others(acme: Tenant, globex: Tenant) -> None:
    write(acme, [event(acme, f"e{n}", name="\0") for n in range(3)])
    write(acme, [event(acme, "worse", amount=2**63, currency="EUR")])

    report = quarantine_replay(tenant=tenant_by_slug("acme"), now=LATER)

    assert (report.outcomes, report.still_held) == ({"stored": 3}, {"unstorable": 1})
    assert ledger(acme) == {"quarantined/unstorable": 1, "stored": 3}
    assert [row[2] for row in states(acme)] == ["replayed"] * 3 + ["held"]


def test_a_dry_run_tells_and_changes_nothing(acme: Tenant, globex: Tenant) -> None:
    write(acme, [event(acme, "e1", name="\0")])
    output = StringIO()
    call_command("replay_quarantine", "--tenant", "acme", "--reason", "unstorable", "--dry-run", stdout=output)

    assert json.loads(output.getvalue()) == {"tried": 1, "outcomes": {"stored": 1}, "still_held": {}, "dry_run": True}
    assert rows(acme, "SELECT 1 FROM bw_event") == []
    assert ledger(acme) == {"quarantined/unstorable": 1}
    with pytest.raises(CommandError):
        call_command("replay_quarantine", "--tenant", "nobody")


def test_it_can_be_limited_to_a_reason_or_to_ids(acme: Tenant, globex: Tenant) -> None:
    write(acme, [event(acme, "e1", name="\0"), event(acme, "e2", name="\0")])
    write(globex, [event(globex, "e1", name="\0")])
    info = tenant_by_slug("acme")
    (foreign,) = [id_ for (id_,) in rows(globex, "SELECT id FROM bw_quarantine")]
    (first,) = [id_ for (id_,) in rows(acme, "SELECT id FROM bw_quarantine WHERE event_id = 'e1'")]

    assert quarantine_replay(tenant=info, reason="something else", now=LATER).tried == 0
    assert quarantine_replay(tenant=info, ids=[foreign], now=LATER).tried == 0
    assert quarantine_replay(tenant=info, ids=[first], now=LATER).outcomes == {"stored": 1}
    assert [row[2] for row in states(acme)] == ["replayed", "held"]


def test_the_content_can_be_read_by_who_may_and_given_up(acme: Tenant, globex: Tenant) -> None:
    write(acme, [event(acme, "e1", name="\0", distinct_id="ada")])
    with tenant_context(acme.pk):
        row = quarantine_held(tenant_id=acme.pk).get()
        assert quarantine_payload(row)["$captured"]["distinct_id"] == "ada"
    assert quarantine_discard(tenant_id=globex.pk, ids=[row.pk], now=LATER) == 0
    assert quarantine_discard(tenant_id=acme.pk, ids=[row.pk], now=LATER) == 1
    assert states(acme) == [("e1", "quarantined", "discarded", False)]
    assert ledger(acme) == {"quarantined/unstorable": 1}


def test_samples_of_rejected_events_are_kept_but_not_replayed(acme: Tenant, globex: Tenant) -> None:
    refusal = Refusal(tenant_id=acme.pk, outcome=Outcome.REJECTED, reason="sample", received_at=LATER, payload=b"{}")
    write(acme, [], [refusal] * 25)

    assert rows(acme, "SELECT count(*) FROM bw_quarantine WHERE outcome = 'rejected'") == [(10,)]
    assert ledger(acme) == {"rejected/sample": 25}
    assert quarantine_replay(tenant=tenant_by_slug("acme"), now=LATER).tried == 0


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_it_is_a_job_too(acme: Tenant, globex: Tenant) -> None:
    write(acme, [event(acme, "e1", name="\0")])
    job = jobs.enqueue(kind="quarantine.replay", tenant_id=acme.pk, params={"reason": "unstorable"})
    jobs.run_job(job.pk)

    with tenant_context(acme.pk):
        job.refresh_from_db()
        assert Quarantine.objects.get().state == "replayed"
    assert (job.state, job.result["outcomes"]) == ("done", {"stored": 1})


def test_verdicts_name_the_reason(acme: Tenant, globex: Tenant) -> None:
    bad = event(acme, "e1", name="\0")
    assert isinstance(bad, CapturedEvent)
    (verdict,) = write(acme, [bad])
    assert told([verdict]) == ["quarantined/unstorable"]
    assert "0x00" in verdict.detail
