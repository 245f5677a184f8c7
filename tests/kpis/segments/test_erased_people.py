"""Who was erased stands in no list of people again, and what they wrote in no answer that is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone

from analytics import jobs
from analytics.identity import subject_of
from analytics.lake.sealing import seal_tenant
from analytics.lake.services import lake_mark
from analytics.models import Job, Tenant
from analytics.privacy import erase_subject
from analytics.tenancy import tenant_by_slug, tenant_context
from kpis.rollup.refresh import refresh_tenant
from kpis.segments.services import people_forget, segment_refresh
from tests.analytics.events import event, write
from tests.api import Caller, caller
from tests.kpis.explore.test_api_explore import HOUR, MARCH, MONDAY, NOW

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "erasure"])

CANARY = "zanzibar-77"
STEPS = [{"events": ["page_view"]}, {"events": ["cart_updated"]}]
QUESTION = {"steps": STEPS, **MARCH, "by": "properties.nick"}
PLACE = {"kind": "funnel", "question": {"steps": STEPS, **MARCH}, "place": {"step": 1, "outcome": "reached"}}
SEEN = {"measure": "users.active", "period": "2026-03-01..2026-03-10"}


def counted(tenant: Tenant) -> None:
    refresh_tenant(tenant.pk, now=NOW)
    lake_mark(tenant_id=tenant.pk, start=MONDAY, end=NOW, reason="test", now=NOW)
    seal_tenant(tenant.pk, now=NOW, workers=1)


def tell(tenant: Tenant) -> None:
    """Three people look and fill a basket; each has a nick name."""
    steps = (("$pageview", MONDAY + HOUR), ("cart_updated", MONDAY + 2 * HOUR))
    events = [
        event(
            tenant, f"{who}-{name}", name=name, distinct_id=who, timestamp=at, received_at=at,
            properties={"nick": f"nick of {who}"},
        )
        for who in (CANARY, "bob", "cyd")
        for name, at in steps
    ]  # fmt: skip
    write(tenant, events, now=MONDAY + 3 * HOUR)
    counted(tenant)


@pytest.fixture
def api(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Caller:
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    tell(globex)
    tell(acme)
    return caller(acme)


def kept_jobs(tenant: Tenant) -> str:
    with tenant_context(tenant.pk):
        return json.dumps(list(Job.objects.values("params", "result")))


def segment_ids(api: Caller) -> dict[str, str]:
    return {row["name"]: row["id"] for row in api.get("segments/").json()["results"]}


def people(api: Caller, segment: str) -> list[int]:
    return list(api.get(f"segments/{segment_ids(api)[segment]}/people/").json()["people"])


def test_who_was_erased_comes_back_into_no_list(api: Caller, acme: Tenant, globex: Tenant) -> None:
    gone = subject_of(tenant_id=acme.pk, distinct_id=CANARY)
    api.post("segments/", {"name": "Buyers", "source": "answer", "definition": PLACE})
    api.post("segments/", {"name": "Seen", "source": "measure", "definition": SEEN})
    assert (gone in people(api, "Buyers"), gone in people(api, "Seen")) == (True, True)

    assert erase_subject(tenant_id=acme.pk, distinct_id=CANARY, now=NOW).is_complete
    counted(acme)

    assert api.post("explore/funnel/", {"steps": STEPS, **MARCH}).json()["entered"] == 3, "numbers stay"
    for name, key in segment_ids(api).items():
        assert (len(people(api, name)), gone in people(api, name)) == (2, False)
        assert api.post(f"segments/{key}/refresh/").json()["size"] == 2
        assert gone not in people(api, name)
    assert gone not in api.post("explore/people/", PLACE).json()["people"]
    assert api.get(f"users/{gone}/timeline/").status_code == 404
    assert len(caller(globex).post("explore/people/", PLACE).json()["people"]) == 3


def test_a_refresh_that_began_before_the_erasure_does_not_bring_the_person_back(api: Caller, acme: Tenant) -> None:
    from kpis.models import PeopleSegment
    from kpis.segments.sources import Found, SegmentSource, sources

    gone = subject_of(tenant_id=acme.pk, distinct_id=CANARY)
    api.post("segments/", {"name": "Seen", "source": "measure", "definition": SEEN})
    tenant, read = tenant_by_slug("acme"), sources["measure"].read

    def slow(*asked: Any) -> Found:
        found = read(*asked)
        erase_subject(tenant_id=acme.pk, distinct_id=CANARY, now=NOW)
        assert gone in found.people
        return found

    with tenant_context(acme.pk):
        row = PeopleSegment.objects.get()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sources._items, "measure", SegmentSource("measure", "slow", slow))
        assert segment_refresh(tenant=tenant, segment=row, now=NOW).size == 2
    assert gone not in people(api, "Seen")


def test_an_erasure_that_was_cut_short_is_made_up_for(api: Caller, acme: Tenant) -> None:
    gone = subject_of(tenant_id=acme.pk, distinct_id=CANARY)
    api.post("segments/", {"name": "Seen", "source": "measure", "definition": SEEN})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kpis.segments.services.people_forget", lambda **_: None)  # killed before it came to segments
        erase_subject(tenant_id=acme.pk, distinct_id=CANARY, now=NOW)
    assert gone in people(api, "Seen")

    erase_subject(tenant_id=acme.pk, distinct_id=CANARY, now=NOW)  # knows no subject of that name any more
    assert gone not in people(api, "Seen")
    people_forget(tenant_id=acme.pk, people=[gone])
    assert len(people(api, "Seen")) == 2


def test_answers_of_jobs_lose_what_the_person_wrote(api: Caller, acme: Tenant, globex: Tenant) -> None:
    for each in (api, caller(globex)):
        assert each.post("explore/funnel/?mode=job", QUESTION).status_code == 202
    jobs.run_due()
    assert CANARY in kept_jobs(acme)

    erase_subject(tenant_id=acme.pk, distinct_id=CANARY, now=NOW)
    assert CANARY not in kept_jobs(acme)
    assert CANARY in kept_jobs(globex)
    assert CANARY not in api.post("explore/funnel/", QUESTION).content.decode()


def test_a_segment_deleted_while_it_is_asked_again_stays_deleted(api: Caller, acme: Tenant) -> None:
    from kpis.models import PeopleSegment

    api.post("segments/", {"name": "Seen", "source": "measure", "definition": SEEN})
    with tenant_context(acme.pk):
        row = PeopleSegment.objects.get()
        PeopleSegment.objects.all().delete()
    segment_refresh(tenant=tenant_by_slug("acme"), segment=row, now=NOW)
    assert segment_ids(api) == {}
