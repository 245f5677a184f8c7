"""Segments: made of a measure, asked again, compared, forgotten; one tenant's are no other's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pyroaring import BitMap

from analytics.contracts import TenantInfo
from analytics.models import Tenant
from analytics.tenancy import tenant_by_slug
from kpis.segments.selectors import NoSegment, Overlap, overlap, people_of, segment_read, segments_list
from kpis.segments.services import SegmentError, people_forget, segment_create, segment_refresh, segments_refresh
from kpis.series.question import QuestionError
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 11, tzinfo=UTC)
DAY = timedelta(days=1)
NOW = NOON + 3 * DAY
ACTIVE = {"measure": "users.active", "period": "2026-03-01..2026-03-10"}


@pytest.fixture
def club(acme: Tenant, globex: Tenant) -> TenantInfo:
    """Ann and Bob come on 2 March, Ann from France; Cyd comes the day after. Fay goes elsewhere."""
    neighbour = Story(globex)
    neighbour.add("$pageview", NOON, "fay")
    neighbour.count(NOW)
    story = Story(acme)
    story.add("$pageview", NOON, "ann", country="FR")
    story.add("$pageview", NOON, "bob", country="DE")
    story.add("$pageview", NOON + DAY, "cyd", country="FR")
    story.count(NOW)
    return tenant_by_slug("acme")


def test_the_people_of_a_measure_are_kept_with_their_moment(club: TenantInfo) -> None:
    made = segment_create(tenant=club, name="Everybody", source="measure", definition=ACTIVE, now=NOW)
    french = {**ACTIVE, "dimension": "country", "keys": ["FR"]}
    other = segment_create(tenant=club, name="From France", source="measure", definition=french, now=NOW)
    assert (people_of(made), people_of(other)) == (BitMap([1, 2, 3]), BitMap([1, 3]))
    assert (made.size, made.as_of, made.error) == (3, NOW, "")
    assert [row.name for row in segments_list(tenant_id=club.id)] == ["Everybody", "From France"]


def test_asked_again_a_segment_holds_who_answers_now_and_a_fixed_one_stays(club: TenantInfo, acme: Tenant) -> None:
    moving = segment_create(tenant=club, name="Moving", source="measure", definition=ACTIVE, now=NOW)
    fixed = segment_create(tenant=club, name="Fixed", source="measure", definition=ACTIVE, now=NOW, is_fixed=True)
    story = Story(acme, _told=100)
    story.add("$pageview", NOON + 4 * DAY, "dan")
    story.count(NOW + 2 * DAY)
    assert segments_refresh(tenant=club, now=NOW + 2 * DAY) == {"refreshed": 1, "failed": 0}
    assert people_of(segment_read(tenant_id=club.id, segment_id=moving.pk)) == BitMap([1, 2, 3, 4])
    assert people_of(segment_read(tenant_id=club.id, segment_id=fixed.pk)) == BitMap([1, 2, 3])


def test_a_question_that_fails_leaves_the_people_and_says_why(club: TenantInfo) -> None:
    made = segment_create(tenant=club, name="Broken", source="measure", definition=ACTIVE, now=NOW)
    made.definition = {**ACTIVE, "measure": "users.gone"}
    done = segment_refresh(tenant=club, segment=made, now=NOW + DAY)
    assert people_of(done) == BitMap([1, 2, 3])
    assert done.error.startswith("there are no people in 'users.gone'; take one of ")


@pytest.mark.parametrize(
    ("definition", "field"),
    [
        ({"measure": "events.count"}, "definition.measure"),
        ({"measure": "users.active", "dimension": "shoe"}, "definition.dimension"),
        ({"measure": "users.active", "dimension": "country", "keys": "FR"}, "definition.keys"),
        ({"measure": "users.active", "period": "last week or so"}, "definition.period"),
    ],
)
def test_a_definition_that_says_nothing_is_refused_by_field(
    club: TenantInfo, definition: dict[str, object], field: str
) -> None:
    with pytest.raises(QuestionError) as refused:
        segment_create(tenant=club, name="No", source="measure", definition=definition, now=NOW)
    assert refused.value.field == field
    assert segments_list(tenant_id=club.id) == []


def test_names_are_taken_once_and_sources_are_known(club: TenantInfo) -> None:
    segment_create(tenant=club, name="Everybody", source="measure", definition=ACTIVE, now=NOW)
    with pytest.raises(SegmentError, match="choose another name"):
        segment_create(tenant=club, name="Everybody", source="measure", definition=ACTIVE, now=NOW)
    with pytest.raises(SegmentError, match="a segment comes from answer or customers or measure"):
        segment_create(tenant=club, name="Odd", source="stars", definition={}, now=NOW)


def test_another_tenants_segment_is_not_there(club: TenantInfo, globex: Tenant) -> None:
    made = segment_create(tenant=club, name="Everybody", source="measure", definition=ACTIVE, now=NOW)
    with pytest.raises(NoSegment):
        segment_read(tenant_id=globex.pk, segment_id=made.pk)
    assert segments_list(tenant_id=globex.pk) == []


def test_an_erased_person_leaves_every_segment(club: TenantInfo) -> None:
    made = segment_create(tenant=club, name="Fixed", source="measure", definition=ACTIVE, now=NOW, is_fixed=True)
    people_forget(tenant_id=club.id, people=[2])
    kept = segment_read(tenant_id=club.id, segment_id=made.pk)
    assert (people_of(kept), kept.size) == (BitMap([1, 3]), 2)


def test_two_segments_overlap_by_people() -> None:
    """{1, 2, 3} and {3, 4}: one of four is in both."""
    assert overlap(BitMap([1, 2, 3]), BitMap([3, 4])) == Overlap(3, 2, 1, 2, 1, 0.25)
    assert overlap(BitMap(), BitMap()) == Overlap(0, 0, 0, 0, 0, None)
