"""Persons follow from the claims of events, whatever order they arrive in, and a merge can be undone."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from analytics.contracts import CapturedEvent, IdentityLink, LinkKind, PersonChange
from analytics.identity import (
    UnknownEdge,
    UnknownSubject,
    identity_edges,
    identity_merge,
    identity_unmerge,
    person_of,
    subject_of,
)
from analytics.models import Tenant
from tests.analytics.events import NOON, event, rows, write


def identify(tenant: Tenant, event_id: str, user: str, anonymous: str | None, minute: int) -> CapturedEvent:
    links = (IdentityLink(LinkKind.IDENTIFY, anonymous),) if anonymous else ()
    return event(tenant, event_id, name="$identify", distinct_id=user, minute=minute, links=links, identifies=True)


def people(tenant: Tenant, *ids: str) -> set[frozenset[str]]:
    return {frozenset(person_of(tenant_id=tenant.pk, distinct_id=each).distinct_ids) for each in ids}


def subject_marks(tenant: Tenant) -> list[tuple[int, str]]:
    return rows(tenant, "SELECT subject_id, reason FROM bw_dirty_mark WHERE subject_id IS NOT NULL ORDER BY id")


def test_the_same_distinct_id_is_one_subject_and_another_tenants_is_another(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        write(tenant, [event(tenant, f"e{n}", distinct_id=("ada", "bob")[n % 2]) for n in range(4)])
        write(tenant, [event(tenant, "e9", distinct_id="ada"), event(tenant, "e10")])

    for tenant in (acme, globex):
        assert rows(tenant, "SELECT count(*), count(DISTINCT subject_id), count(subject_id) FROM bw_event") == [
            (6, 2, 5)
        ]
        assert rows(tenant, "SELECT id, person_id, is_identified FROM bw_subject ORDER BY id") == [
            (1, 1, False),
            (2, 2, False),
        ]
        assert people(tenant, "ada", "bob") == {frozenset({"ada"}), frozenset({"bob"})}
    digests = [rows(tenant, "SELECT digest FROM bw_identity ORDER BY 1") for tenant in (acme, globex)]
    assert not {d for (d,) in digests[0]} & {d for (d,) in digests[1]}, "the digest is keyed by tenant"


def test_identifying_joins_the_anonymous_past_and_marks_only_who_moved(acme: Tenant, globex: Tenant) -> None:
    write(acme, [event(acme, "e1", distinct_id="anon")])
    write(acme, [identify(acme, "e2", "ada", "anon", 5)])
    write(globex, [event(globex, "e1", distinct_id="anon")])

    person = person_of(tenant_id=acme.pk, distinct_id="ada")
    anonymous, user = (subject_of(tenant_id=acme.pk, distinct_id=each) for each in ("anon", "ada"))
    assert (person.person_id, person.is_identified, set(person.distinct_ids)) == (anonymous, True, {"anon", "ada"})
    assert subject_marks(acme) == [(user, "merge")]
    assert people(globex, "anon") == {frozenset({"anon"})}
    assert subject_marks(globex) == []

    write(acme, [identify(acme, "e3", "ada", "anon", 50)])
    assert subject_marks(acme) == [(user, "merge")], "a repeated claim changes nothing"
    assert rows(acme, "SELECT count(*) FROM bw_identity_edge") == [(2,)]


def story(tenant: Tenant) -> list[CapturedEvent]:
    """Ada on two devices, Bob on Ada's second one, and a claim too many that has to be blocked."""
    return [
        identify(tenant, "e1", "ada", "phone", 1),
        identify(tenant, "e2", "ada", "laptop", 2),
        identify(tenant, "e3", "bob", "laptop", 3),
        identify(tenant, "e4", "bob", "tablet", 4),
        identify(tenant, "e5", "bob", "ada", 5),
    ]


def test_every_order_of_arrival_gives_the_same_persons(acme: Tenant, globex: Tenant) -> None:
    orders = random.Random(7).sample(list(itertools.permutations(range(5))), 12)
    ids = ["ada", "phone", "laptop", "bob", "tablet"]
    for number, order in enumerate(orders):
        tenant = (acme, globex)[number % 2]
        stage = [
            CapturedEvent(**{**{f: getattr(e, f) for f in e.__struct_fields__},
                             "event_id": f"{number}-{e.event_id}", "distinct_id": f"{number}-{e.distinct_id}",
                             "links": tuple(IdentityLink(link.kind, f"{number}-{link.other}") for link in e.links)})
            for e in story(tenant)
        ]  # fmt: skip
        for place in order:
            write(tenant, [stage[place]])
        found = people(tenant, *(f"{number}-{each}" for each in ids))
        assert found == {
            frozenset(f"{number}-{each}" for each in ("ada", "phone", "laptop")),
            frozenset(f"{number}-{each}" for each in ("bob", "tablet")),
        }, order


def test_illegal_ids_are_kept_apart_and_the_claim_is_on_record(acme: Tenant, globex: Tenant) -> None:
    write(acme, [identify(acme, "e1", "ada", "guest", 1), identify(acme, "e2", "bob", "guest", 2)])

    assert people(acme, "ada", "bob") == {frozenset({"ada"}), frozenset({"bob"})}
    verdicts = rows(acme, "SELECT verdict, count(*) FROM bw_identity_edge GROUP BY 1 ORDER BY 1")
    assert verdicts == [("applied", 2), ("illegal", 2)]
    assert rows(globex, "SELECT 1 FROM bw_identity_edge") == []


def test_a_merge_by_hand_can_be_undone_and_says_by_whom(acme: Tenant, globex: Tenant) -> None:
    write(acme, [identify(acme, "e1", "ada", "anon", 1), identify(acme, "e2", "bob", None, 2)])
    ada, bob = (subject_of(tenant_id=acme.pk, distinct_id=each) for each in ("ada", "bob"))
    later = NOON + timedelta(days=1)

    edge = identity_merge(tenant_id=acme.pk, left=ada, right=bob, actor="olga", reason="same person", now=later)
    assert people(acme, "ada", "bob") == {frozenset({"ada", "anon", "bob"})}
    marks = subject_marks(acme)

    identity_unmerge(tenant_id=acme.pk, edge_id=edge.pk, actor="theo", reason="wrong", now=later)
    assert people(acme, "ada", "bob") == {frozenset({"ada", "anon"}), frozenset({"bob"})}
    assert subject_marks(acme)[len(marks) :] == [(bob, "unmerge")], "exactly who moved is counted again"
    listed = [each for each in identity_edges(tenant_id=acme.pk, subject_id=bob) if each.pk == edge.pk]
    assert [(e.actor, e.undone_by, e.reason, e.undone_at) for e in listed] == [("olga", "theo", "wrong", later)]
    with pytest.raises(UnknownEdge):
        identity_unmerge(tenant_id=acme.pk, edge_id=edge.pk, actor="theo", reason="", now=later)
    with pytest.raises(UnknownEdge):
        identity_unmerge(tenant_id=globex.pk, edge_id=edge.pk, actor="sam", reason="", now=later)


def test_an_undone_claim_stays_undone_when_the_client_repeats_it(acme: Tenant) -> None:
    write(acme, [identify(acme, "e1", "ada", "anon", 1)])
    (edge,) = [e for e in identity_edges(tenant_id=acme.pk, subject_id=1) if e.left_subject != e.right_subject]
    identity_unmerge(tenant_id=acme.pk, edge_id=edge.pk, actor="olga", reason="shared computer", now=NOON)

    write(acme, [identify(acme, "e2", "ada", "anon", 9)])

    assert people(acme, "ada", "anon") == {frozenset({"ada"}), frozenset({"anon"})}


def test_traits_of_a_person_come_from_all_its_ids_and_the_users_own_win(acme: Tenant) -> None:
    write(
        acme,
        [
            event(
                acme,
                "e1",
                distinct_id="anon",
                person=PersonChange(set={"plan": "none", "ref": "ads", "email": "a@x.org"}),
            ),
            event(acme, "e2", distinct_id="ada", person=PersonChange(set={"plan": "pro"}), minute=1),
            identify(acme, "e3", "ada", "anon", 2),
        ],
    )
    assert person_of(tenant_id=acme.pk, distinct_id="ada").traits == {"plan": "pro", "ref": "ads", "email": "a@x.org"}


def test_an_id_that_nobody_sent_is_unknown(acme: Tenant, globex: Tenant) -> None:
    write(globex, [event(globex, "e1", distinct_id="ada")])
    with pytest.raises(UnknownSubject):
        subject_of(tenant_id=acme.pk, distinct_id="ada")
    with pytest.raises(UnknownSubject):
        identity_merge(tenant_id=acme.pk, left=1, right=1, actor="", reason="", now=NOON)


def test_the_command_shows_merges_and_undoes(acme: Tenant, globex: Tenant) -> None:
    write(acme, [event(acme, "e1", distinct_id="ada"), event(acme, "e2", distinct_id="bob")])

    def run(*words: str) -> str:
        output = StringIO()
        call_command("identity", *words, "--tenant", "acme", stdout=output)
        return output.getvalue()

    merged = run("merge", "--user", "ada", "--other", "bob", "--reason", "support ticket")
    assert people(acme, "ada") == {frozenset({"ada", "bob"})}
    assert "ada, bob" in run("show", "--user", "bob")
    run("unmerge", "--edge", merged.split()[-1])
    assert people(acme, "ada") == {frozenset({"ada"})}
    with pytest.raises(CommandError):
        run("show", "--user", "nobody")
