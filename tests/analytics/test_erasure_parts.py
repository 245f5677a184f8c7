"""A part that cannot let go of an erased person hides nothing, and is tried again; what members wrote of them goes."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from analytics import jobs
from analytics.mentions import ERASED, Names
from analytics.models import Job, Tenant
from analytics.privacy import erase_subject
from analytics.signals import subject_erased
from analytics.tenancy import tenant_context
from kpis.explore.models import PeopleRead
from kpis.models import Annotation, PeopleSegment
from reports.boards.models import Board
from tests.analytics.events import NOON, event, write

committed = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])
ID, MAIL = "kestrel-user-51", "zoe.kestrel@example.org"


class Stubborn:
    """A part that fails some times."""

    def __init__(self, fails: int) -> None:
        self.fails, self.heard = fails, 0

    def hear(self, sender: Any, **news: Any) -> None:
        self.heard += 1
        if self.fails:
            self.fails -= 1
            raise OSError("the disk is full")


@pytest.fixture
def listening() -> Any:
    """Connects parts for the time of a test, the stubborn one first."""
    connected = []

    def listen(*parts: Any) -> None:
        for part in parts:
            subject_erased.connect(part.hear, weak=False, dispatch_uid=f"test {id(part)}")
            connected.append(part)
        subject_erased.receivers.sort(key=lambda row: "test" not in str(row[0]))
        subject_erased.sender_receivers_cache.clear()

    yield listen
    for part in connected:
        subject_erased.disconnect(dispatch_uid=f"test {id(part)}")


def zoe(tenant: Tenant) -> None:
    write(tenant, [event(tenant, "e1", distinct_id=ID), event(tenant, "e2", distinct_id="bob")])


@committed
def test_one_part_that_fails_does_not_keep_the_others_from_hearing(acme: Tenant, listening: Any) -> None:
    zoe(acme)
    stubborn, other = Stubborn(99), Stubborn(0)
    listening(stubborn, other)
    receipt = erase_subject(tenant_id=acme.pk, distinct_id=ID, now=NOON)
    assert other.heard == stubborn.heard == 3
    assert receipt.failed == ("tests.analytics.test_erasure_parts.Stubborn.hear",)
    assert receipt.traces == dict.fromkeys(receipt.traces, 0)
    assert not receipt.is_complete, "never claims to be done"
    with tenant_context(acme.pk):
        job = Job.objects.get(kind="privacy.erase")
    assert (job.state, job.params) == ("queued", {"subject_id": 1}), "by number, never by id"


@committed
def test_the_job_tries_until_every_part_has_let_go(acme: Tenant, listening: Any) -> None:
    zoe(acme)
    stubborn = Stubborn(5)
    listening(stubborn)
    assert not erase_subject(tenant_id=acme.pk, distinct_id=ID, now=NOON).is_complete
    with tenant_context(acme.pk):
        job = Job.objects.get(kind="privacy.erase")
    jobs.run_job(job.pk)
    with tenant_context(acme.pk):
        job.refresh_from_db()
    assert stubborn.heard == 6
    assert (job.state, job.result["is_complete"], job.result["failed"]) == ("done", True, [])


@committed
def test_the_job_fails_aloud_while_a_part_does(acme: Tenant, listening: Any) -> None:
    zoe(acme)
    listening(Stubborn(999))
    erase_subject(tenant_id=acme.pk, distinct_id=ID, now=NOON)
    with tenant_context(acme.pk):
        job = Job.objects.get(kind="privacy.erase")
    jobs.run_job(job.pk)
    with tenant_context(acme.pk):
        job.refresh_from_db()
        assert Job.objects.filter(kind="privacy.erase").count() == 1
    assert job.state == "queued"
    assert "Stubborn" in job.error


@committed
def test_a_hiccup_is_no_failure_and_the_command_tells(acme: Tenant, listening: Any) -> None:
    zoe(acme)
    listening(Stubborn(2))
    assert erase_subject(tenant_id=acme.pk, distinct_id="bob", now=NOON).is_complete
    listening(Stubborn(99))
    output = StringIO()
    call_command("erase_subject", "--tenant", "acme", "--user", ID, stdout=output)
    assert "NOT complete" in output.getvalue()
    assert "Stubborn.hear still holds something" in output.getvalue()


# --- What members wrote -----------------------------------------------------------------------------------------------


def written(tenant: Tenant) -> None:
    where = [{"field": "object_id", "op": "eq", "value": ID}, {"field": "country", "op": "eq", "value": "FR"}]
    question = json.dumps({"steps": [{"events": ["x"], "where": where}]})
    with tenant_context(tenant.pk):
        PeopleSegment.objects.create(
            tenant_id=tenant.pk, name=f"Orders of {ID}", source="answer", description=f"ask {MAIL}, and bob",
            definition={"kind": "funnel", "question": {"filters": where}},
        )  # fmt: skip
        PeopleSegment.objects.create(tenant_id=tenant.pk, name=f"Orders of {ERASED}", source="answer")
        Annotation.objects.create(tenant_id=tenant.pk, title=f"{ID} complained", text="about bob", at=NOON)
        PeopleRead.objects.create(tenant_id=tenant.pk, at=NOON, actor="user:1", what="x", question={"id": ID}, people=1)
        Board.objects.create(
            tenant_id=tenant.pk, title="Sales", version=3,
            document={"cards": [{"kind": "text", "text": f"Call {MAIL}!"},
                                {"kind": "exploration", "text": f"/explore/funnel/?q={question}"}]},
        )  # fmt: skip


@committed
def test_ids_that_members_typed_go_with_the_person_and_the_rest_stays(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        write(tenant, [event(tenant, "e1", distinct_id=ID), event(tenant, "e2", distinct_id=MAIL)])
        written(tenant)
    dry = erase_subject(tenant_id=acme.pk, distinct_id=ID, now=NOON, dry_run=True)
    receipt = erase_subject(tenant_id=acme.pk, distinct_id=ID, now=NOON)
    assert dry.rows["mentions"] == receipt.rows["mentions"] == 4
    with tenant_context(acme.pk):
        first, second = PeopleSegment.objects.order_by("created_at")
        note, board, read = Annotation.objects.get(), Board.objects.get(), PeopleRead.objects.get()
    assert first.name == f"Orders of {ERASED} {first.pk}", "names differ"
    assert second.name == f"Orders of {ERASED}"
    assert first.definition["question"]["filters"][0]["value"] == ERASED
    assert first.definition["question"]["filters"][1]["value"] == "FR"
    assert first.description == f"ask {MAIL}, and bob", "another person's"
    assert (note.title, note.text) == (f"{ERASED} complained", "about bob")
    assert (read.question, read.people) == ({"id": ERASED}, 1)
    assert board.version == 4, "who has it open saves no older copy over it"
    assert ID not in json.dumps(board.document)
    assert MAIL in json.dumps(board.document)
    assert erase_subject(tenant_id=acme.pk, distinct_id=MAIL, now=NOON).rows["mentions"] == 2
    assert "mentions" not in erase_subject(tenant_id=acme.pk, distinct_id=MAIL, now=NOON).rows
    with tenant_context(globex.pk):
        assert PeopleSegment.objects.order_by("created_at")[0].name == f"Orders of {ID}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"ask {MAIL}.", f"ask {ERASED}."),
        (f"ask {MAIL.replace('@', '%40')}", f"ask {ERASED}"),
        (f"{MAIL}.au and x{MAIL}", f"{MAIL}.au and x{MAIL}"),
        (f"{ID}-2 is somebody else", f"{ID}-2 is somebody else"),
        (f"“{ID}”, ({ID})", f"“{ERASED}”, ({ERASED})"),
        ("42 of bob's orders", "42 of bob's orders"),
        ("", ""),
    ],
)
def test_only_whole_and_telling_ids_are_taken_out_of_prose(text: str, left: str) -> None:
    assert Names([ID, MAIL, "42", "bob", ""]).text(text) == left


def test_a_short_id_goes_where_it_stands_for_itself() -> None:
    names = Names(["42", "bob"])
    found = names.value(
        {
            "filters": [
                {"field": "user_id", "op": "eq", "value": "42"},
                {"field": "properties.customerId", "op": "in", "value": ["bob", "ann", 42]},
                {"field": "amount", "op": "gt", "value": 42},
                {"field": "paid", "op": "eq", "value": "42"},
            ],
            "limit": 42,
            "x": 42,
        }
    )
    assert [each["value"] for each in found["filters"]] == [ERASED, [ERASED, "ann", ERASED], 42, "42"]
    assert (found["limit"], found["x"]) == (42, 42)
