"""Who is one person does not depend on the order in which claims arrive."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.components import Components, Edge, components, is_illegal_id
from analytics.contracts import LinkKind

T0 = datetime(2026, 3, 2, tzinfo=UTC)
IDENTIFY, ALIAS, MERGE = LinkKind.IDENTIFY, LinkKind.ALIAS, LinkKind.MERGE


def claim(number: int, left: int, right: int, kind: LinkKind = IDENTIFY, *, at: int | None = None) -> Edge:
    moment = T0 + timedelta(minutes=number if at is None else at)
    return Edge(UUID(int=number), left, right, kind, moment, f"event-{number}")


def people(answer: Components) -> set[frozenset[int]]:
    groups: dict[int, set[int]] = {}
    for subject, person in answer.person.items():
        groups.setdefault(person, set()).add(subject)
    return {frozenset(group) for group in groups.values()}


def test_an_anonymous_visitor_becomes_the_user() -> None:
    answer = components([1, 2, 3], [claim(1, left=2, right=1)])
    assert people(answer) == {frozenset({1, 2}), frozenset({3})}
    assert answer.person == {1: 1, 2: 1, 3: 3}
    assert answer.identified == {1: True, 2: True, 3: False}


def test_an_id_that_is_somebody_already_is_not_merged_into_another() -> None:
    answer = components([1, 2, 3], [claim(1, left=2, right=1), claim(2, left=3, right=2)])
    assert people(answer) == {frozenset({1, 2}), frozenset({3})}
    assert [answer.verdict[UUID(int=n)] for n in (1, 2)] == ["applied", "blocked"]
    assert answer.identified[3], "the one who said so is somebody"


def test_two_users_of_one_browser_stay_apart() -> None:
    # anon 1 became user 2; later the same anonymous id is claimed by user 3
    answer = components([1, 2, 3], [claim(1, left=2, right=1), claim(2, left=3, right=1)])
    assert people(answer) == {frozenset({1, 2}), frozenset({3})}


def test_an_alias_works_in_either_direction_unless_both_are_somebody() -> None:
    somebody = claim(1, left=2, right=2)
    assert people(components([1, 2], [somebody, claim(2, 1, 2, ALIAS)])) == {frozenset({1, 2})}
    assert people(components([1, 2], [somebody, claim(2, 2, 1, ALIAS)])) == {frozenset({1, 2})}
    both = [somebody, claim(2, left=1, right=1), claim(3, 1, 2, ALIAS)]
    assert people(components([1, 2], both)) == {frozenset({1}), frozenset({2})}


def test_merge_dangerously_is_not_blocked() -> None:
    edges = [claim(1, 1, 1), claim(2, 2, 2), claim(3, 1, 2, MERGE)]
    assert people(components([1, 2], edges)) == {frozenset({1, 2})}


def test_what_happened_first_counts_first_even_if_it_arrives_last() -> None:
    late_but_earlier = claim(9, left=2, right=1, at=1)
    answer = components([1, 2, 3], [claim(5, left=3, right=1, at=5), late_but_earlier])
    assert people(answer) == {frozenset({1, 2}), frozenset({3})}


EDGES = st.lists(
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from(list(LinkKind)), st.integers(0, 4)), max_size=12
).map(lambda found: [claim(n, *parts[:3], at=parts[3]) for n, parts in enumerate(found, 1)])


@settings(max_examples=300, deadline=None)
@given(edges=EDGES, seed=st.integers(0, 2**32))
def test_any_order_of_arrival_gives_the_same_persons(edges: list[Edge], seed: int) -> None:
    shuffled = random.Random(seed).sample(edges, len(edges))
    assert components(range(1, 7), shuffled) == components(range(1, 7), edges)


@settings(max_examples=300, deadline=None)
@given(edges=EDGES)
def test_a_claim_repeated_later_changes_nothing(edges: list[Edge]) -> None:
    """Why one row with the earliest time is kept for each claim."""
    later = [
        Edge(UUID(int=100 + n), e.left, e.right, e.kind, e.ts + timedelta(days=1), e.event_id)
        for n, e in enumerate(edges)
    ]
    assert people(components(range(1, 7), edges + later)) == people(components(range(1, 7), edges))


@settings(max_examples=300, deadline=None)
@given(edges=EDGES)
def test_a_person_is_its_lowest_subject(edges: list[Edge]) -> None:
    answer = components(range(1, 7), edges)
    assert all(min(group) == answer.person[subject] for group in people(answer) for subject in group)


@pytest.mark.parametrize(
    "text",
    ["", "  ", "guest", "NULL", '"undefined"', "'none'", "[object Object]", "0", "a\0b", "x" * 401, str(UUID(int=0))],
)
def test_ids_of_faulty_clients_never_merge(text: str) -> None:
    assert is_illegal_id(text)


@pytest.mark.parametrize("text", ["user-1", "ada@example.org", "00", "x" * 400, "nullable"])
def test_other_ids_may(text: str) -> None:
    assert not is_illegal_id(text)


@pytest.mark.parametrize("swap", [False, True])
def test_an_alias_is_judged_by_who_was_somebody_before_it_not_by_its_own_word(swap: bool) -> None:
    """The event of an alias also says that its own id is somebody; which of the two rows has the lower id is chance."""
    first, second = (3, 2) if swap else (2, 3)
    edges = [
        Edge(UUID(int=1), 20, 20, IDENTIFY, T0, "a"),
        Edge(UUID(int=first), 10, 20, ALIAS, T0 + timedelta(minutes=1), "b"),
        Edge(UUID(int=second), 10, 10, IDENTIFY, T0 + timedelta(minutes=1), "b"),
    ]
    assert people(components({10, 20}, edges)) == {frozenset({10, 20})}
