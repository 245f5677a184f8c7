"""The API of events, outcomes, quarantine and people."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from analytics.contracts import IdentityLink, LinkKind, Outcome, Refusal
from analytics.models import Event, Quarantine, Tenant
from analytics.privacy import erase_subject
from analytics.tenancy import tenant_context
from tests.analytics.events import NOON, event, write
from tests.api import Caller, caller, problem


@pytest.fixture
def api(acme: Tenant, globex: Tenant) -> Caller:
    """Acme with seven events of Ann and Bob, a minute apart; Globex with one."""
    bought, viewed = "order_completed", "page_viewed"
    names = [bought, viewed, viewed, bought, viewed, viewed, "signed_up"]
    people = ["ann", "bob", "ann", "bob", "ann", "bob", "ann"]
    write(
        acme,
        [
            event(
                acme,
                f"e{minute}",
                minute=minute,
                name=name,
                distinct_id=who,
                country="FR" if who == "ann" else "DE",
                amount=1990 if name == bought else None,
                currency="EUR" if name == bought else None,
                properties={"n": minute},
            )
            for minute, (name, who) in enumerate(zip(names, people, strict=True))
        ],
    )
    write(globex, [event(globex, "g1", distinct_id="ann", name="order_completed")])
    return caller(acme)


def ids(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [row["event_id"] for row in response.json()["results"]]


def test_events_come_newest_first(api: Caller) -> None:
    assert ids(api.get("events/")) == ["e6", "e5", "e4", "e3", "e2", "e1", "e0"]
    assert ids(api.get("events/", ordering="timestamp")) == ["e0", "e1", "e2", "e3", "e4", "e5", "e6"]


def test_an_event_is_told_in_full(api: Caller) -> None:
    row = api.get("events/", event_id="e0").json()["results"][0]

    assert row["amount"] == row["amount_base"] == "19.90"
    assert (row["currency"], row["name"], row["country"]) == ("EUR", "order_completed", "FR")
    assert row["properties"] == {"n": 0}
    assert row["timestamp"] == "2026-03-02T12:00:00Z"
    assert api.get(f"events/{row['id']}/").json() == row


@pytest.mark.parametrize("id_", ["e0", "order/17 of 2026", "0198c9f0-aaaa-7bbb-8ccc-0123456789ab"])
def test_an_event_is_found_by_the_id_that_it_was_sent_with(acme: Tenant, globex: Tenant, id_: str) -> None:
    write(acme, [event(acme, id_, name="order_completed"), event(acme, "other")])
    write(globex, [event(globex, id_, name="page_viewed")])
    address = f"events/{quote(id_, safe='')}/"

    found = caller(acme).get(address).json()

    assert (found["event_id"], found["name"]) == (id_, "order_completed")
    assert caller(acme).get(f"events/{found['id']}/").json() == found
    assert caller(globex).get(address).json()["name"] == "page_viewed"
    for missing in (caller(globex).get(f"events/{found['id']}/"), caller(acme).get("events/nobodys/")):
        assert problem(missing)["code"] == "not_found"


@pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])
def test_the_event_of_somebody_erased_is_not_found_by_its_former_id(acme: Tenant, globex: Tenant) -> None:
    write(acme, [event(acme, "e0", distinct_id="ann")])
    api = caller(acme)
    own = api.get("events/e0/").json()["id"]
    erase_subject(tenant_id=acme.pk, distinct_id="ann", now=NOON)

    assert problem(api.get("events/e0/"))["code"] == "not_found"
    assert api.get(f"events/{own}/").json()["event_id"] != "e0"


def test_pages_follow_each_other_without_gaps_or_repeats(api: Caller) -> None:
    seen, address = [], "events/?limit=3"
    while address:
        answer = api.get(address)
        seen += ids(answer)
        following = answer.json()["next"]
        address = following.partition("/api/v1/")[2] if following else ""

    assert seen == ["e6", "e5", "e4", "e3", "e2", "e1", "e0"]


def test_events_of_one_instant_are_paged_too(acme: Tenant, globex: Tenant) -> None:
    write(acme, [event(acme, f"same{n}", timestamp=NOON, received_at=NOON) for n in range(5)])
    api = caller(acme)

    first = api.get("events/", limit=2)
    second = api.get(first.json()["next"].partition("/api/v1/")[2])
    third = api.get(second.json()["next"].partition("/api/v1/")[2])

    assert len({*ids(first), *ids(second), *ids(third)}) == 5
    assert third.json()["next"] is None


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"name": "order_completed"}, ["e3", "e0"]),
        ({"name": "order_completed,signed_up"}, ["e6", "e3", "e0"]),
        ({"user": "ann"}, ["e6", "e4", "e2", "e0"]),
        ({"user": "nobody"}, []),
        ({"country": "DE", "name": "page_viewed"}, ["e5", "e1"]),
        ({"from_": "2026-03-02T12:05:00Z"}, ["e6", "e5"]),
        ({"to": "2026-03-02T12:01:00Z"}, ["e0"]),
        ({"from_": "2026-03-03"}, []),
        ({"is_bot": "true"}, []),
        ({"type": "user_action", "limit": "1"}, ["e6"]),
    ],
)
def test_filters(api: Caller, parameters: dict[str, str], found: list[str]) -> None:
    assert ids(api.get("events/", **parameters)) == found


def test_a_person_is_found_under_any_of_their_ids(acme: Tenant, globex: Tenant) -> None:
    link = (IdentityLink(LinkKind.IDENTIFY, "anon-1"),)
    before = event(acme, "before", distinct_id="anon-1")
    write(acme, [before, event(acme, "after", minute=1, distinct_id="ann", links=link)])

    assert ids(caller(acme).get("events/", user="anon-1")) == ["after", "before"]
    assert ids(caller(globex).get("events/", user="anon-1")) == []


@pytest.mark.parametrize(
    ("parameters", "field", "code"),
    [
        ({"nmae": "x"}, "nmae", "unknown_parameter"),
        ({"cursor": "garbage"}, "cursor", "invalid_cursor"),
        ({"cursor": "AAAA"}, "cursor", "invalid_cursor"),
        ({"limit": "100000"}, "limit", "invalid_number"),
        ({"from_": "2026-03-05", "to": "2026-03-01"}, "to", "reversed_range"),
        ({"ordering": "name"}, "ordering", "invalid_choice"),
        ({"is_bot": "maybe"}, "is_bot", "invalid_flag"),
        ({"name": "a\x00b"}, "name", "invalid_text"),
    ],
)
def test_bad_questions_are_refused(api: Caller, parameters: dict[str, str], field: str, code: str) -> None:
    (error,) = problem(api.get("events/", **parameters))["errors"]

    assert (error["field"], error["code"]) == (field, code)


def test_a_foreign_event_looks_like_a_missing_one(api: Caller, acme: Tenant, globex: Tenant) -> None:
    with tenant_context(globex.pk):
        foreign = Event.objects.get()

    bodies = [api.get(f"events/{each}/") for each in (foreign.pk, uuid.uuid4())]

    assert [problem(body) for body in bodies] == [
        {"status": 404, "code": "not_found", "detail": "There is nothing here for this credential."}
    ] * 2


def test_a_publishable_key_reads_nothing(acme: Tenant, globex: Tenant) -> None:
    browser = caller(acme, kind="pk")

    assert {browser.get(path).status_code for path in ("events/", "kpis/", "events/outcomes/", "keys/", "jobs/")} == {
        403
    }


def test_sending_events_round_the_capture_door_says_so(acme: Tenant) -> None:
    answer = caller(acme, kind="pk").post("events/", {"events": []})

    assert problem(answer)["code"] == "capture_unavailable"


# --- Outcomes ---------------------------------------------------------------------------------------------------------


def refusal(tenant: Tenant, reason: str, *, outcome: Outcome = Outcome.QUARANTINED) -> Refusal:
    return Refusal(
        tenant_id=tenant.pk, outcome=outcome, reason=reason, received_at=NOON, event_id="x", name="odd", payload=b"{}"
    )


def test_outcomes_add_up_to_what_was_received(api: Caller, acme: Tenant, globex: Tenant) -> None:
    write(acme, [event(acme, "e0", name="order_completed", distinct_id="ann")], [refusal(acme, "future")])

    assert api.get("events/outcomes/").json() == {
        "stored": 7,
        "duplicate": 0,
        "conflict": 1,
        "quarantined": 1,
        "rejected": 0,
    }
    assert caller(globex).get("events/outcomes/").json()["stored"] == 1


def test_outcomes_of_a_range(api: Caller) -> None:
    assert api.get("events/outcomes/", from_="2026-03-02T12:00:00Z", to="2026-03-02T13:00:00Z").json()["stored"] == 7
    assert api.get("events/outcomes/", from_="2026-03-02T13:00:00Z").json()["stored"] == 0
    assert api.get("events/outcomes/?from=&to=").json()["stored"] == 7
    (error,) = problem(api.get("events/outcomes/", from_="2026-03-03", to="2026-03-02"))["errors"]
    assert error["code"] == "reversed_range"


# --- Quarantine -------------------------------------------------------------------------------------------------------


@pytest.fixture
def held(acme: Tenant, globex: Tenant) -> list[Quarantine]:
    """Two held events of Acme and one of Globex."""
    write(acme, [], [refusal(acme, "future"), refusal(acme, "too_long")])
    write(globex, [], [refusal(globex, "future")])
    with tenant_context(acme.pk):
        return list(Quarantine.objects.order_by("reason"))


def test_held_events_are_listed_with_their_reason(held: list[Quarantine], acme: Tenant) -> None:
    api = caller(acme)

    assert sorted(row["reason"] for row in api.get("quarantine/").json()["results"]) == ["future", "too_long"]
    (row,) = api.get("quarantine/", reason="future").json()["results"]
    assert (row["state"], row["outcome"], row["name"]) == ("held", "quarantined", "odd")
    assert "payload" not in row
    assert api.get(f"quarantine/{row['id']}/").json() == row


def test_a_foreign_held_event_looks_like_a_missing_one(held: list[Quarantine], globex: Tenant) -> None:
    api = caller(globex)

    foreign, missing = (problem(api.get(f"quarantine/{each}/")) for each in (held[0].pk, uuid.uuid4()))

    assert foreign == missing


def test_discarding_touches_only_ones_own(held: list[Quarantine], acme: Tenant, globex: Tenant) -> None:
    ids_ = [str(row.pk) for row in held]

    assert caller(globex).post("quarantine/discard/", {"ids": ids_}).json() == {"discarded": 0}
    assert caller(acme).post("quarantine/discard/", {"ids": ids_}).json() == {"discarded": 2}
    assert caller(acme).get("quarantine/").json()["results"] == []
    assert len(caller(acme).get("quarantine/", state="discarded").json()["results"]) == 2


def test_a_replay_tells_what_became_of_the_events(held: list[Quarantine], acme: Tenant, globex: Tenant) -> None:
    answer = caller(acme).post("quarantine/replay/", {"reason": "future", "dry_run": True})

    assert answer.status_code == 200, answer.content
    assert (answer.json()["tried"], answer.json()["dry_run"]) == (1, True)
    assert len(caller(acme).get("quarantine/").json()["results"]) == 2


# --- People -----------------------------------------------------------------------------------------------------------


def test_two_ids_become_one_person_and_two_again(api: Caller, acme: Tenant, globex: Tenant) -> None:
    merged = api.post("identities/merge/", {"distinct_id": "ann", "other": "bob", "reason": "same phone"})

    assert merged.status_code == 201, merged.content
    person = api.get("identities/", distinct_id="bob").json()
    assert person["distinct_ids"] == ["ann", "bob"]
    assert [(edge["kind"], edge["reason"]) for edge in person["edges"]] == [("manual", "same phone")]
    assert len(ids(api.get("events/", user="bob"))) == 7

    assert caller(globex).post("identities/unmerge/", {"edge": merged.json()["id"]}).status_code == 404
    assert api.post("identities/unmerge/", {"edge": merged.json()["id"], "reason": "twins"}).status_code == 200
    assert len(ids(api.get("events/", user="bob"))) == 3


def test_people_of_the_neighbour_are_unknown(api: Caller, globex: Tenant) -> None:
    assert caller(globex).get("identities/", distinct_id="bob").status_code == 404
    (error,) = problem(caller(globex).post("identities/merge/", {"distinct_id": "ann", "other": "bob"}))["errors"]
    assert (error["field"], error["code"]) == ("other", "unknown_subject")


@pytest.mark.django_db(transaction=True, databases=["default", "erasure"])
def test_a_person_is_erased_with_a_receipt(acme: Tenant, globex: Tenant) -> None:
    write(acme, [event(acme, "e1", distinct_id="ann")], now=datetime.now(UTC))
    write(globex, [event(globex, "e1", distinct_id="ann")], now=datetime.now(UTC))
    api = caller(acme)
    person = api.get("identities/", distinct_id="ann").json()["person_id"]

    plan = api.post(f"subjects/{person}/erase/", {"dry_run": True})
    assert (plan.status_code, plan.json()["is_dry_run"], plan.json()["subjects"]) == (200, True, 1)
    assert api.get("identities/", distinct_id="ann").status_code == 200

    receipt = api.post(f"subjects/{person}/erase/", {})
    assert receipt.status_code == 200, receipt.content
    assert receipt.json()["is_complete"]
    assert "tenant_id" not in receipt.json()
    assert api.get("identities/", distinct_id="ann").status_code == 404
    assert caller(globex).get("identities/", distinct_id="ann").status_code == 200
    assert problem(api.post("subjects/999999/erase/", {}))["code"] == "not_found"
