"""The admin grants what the roles grant and no more: who hands out access, who sees people, and who may guess."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from analytics.access.services import api_key_create, membership_set
from analytics.access.throttles import LOGINS_PER_MINUTE
from analytics.admin.base import EVENT_READERS, JOB_READERS, KEEPERS, READERS, WRITERS
from analytics.models import ApiKey, Event, Job, Membership, Quarantine, Session, Subject, Tenant
from analytics.tenancy import tenant_context
from kpis.models import PeopleSegment
from tests.analytics.test_admin import store_events, url_of

pytestmark = pytest.mark.django_db
GuestOf = Callable[[str], Client]


@pytest.fixture
def browser_of(acme: Tenant, globex: Tenant) -> GuestOf:
    """A signed-in browser of a staff member with the given role in Acme."""

    def sign_in(role: str) -> Client:
        user = get_user_model().objects.create_user(username=f"{role}-of-acme", password="x", is_staff=True)
        membership_set(tenant_id=acme.pk, user=user, role=role)
        browser = Client()
        browser.force_login(user)
        return browser

    return sign_in


def role_in(tenant: Tenant, username: str) -> str | None:
    with tenant_context(tenant.pk):
        return Membership.objects.filter(user__username=username).values_list("role", flat=True).first()


def test_the_groups_of_the_admin_follow_from_the_scopes() -> None:
    assert {"owner"} == KEEPERS
    assert {"owner", "admin"} == WRITERS
    assert JOB_READERS == EVENT_READERS == {"owner", "admin", "analyst"}
    assert {"owner", "admin", "analyst", "viewer"} == READERS


# --- Handing out access -----------------------------------------------------------------------------------------------


def test_an_admin_cannot_become_an_owner(acme: Tenant, browser_of: GuestOf) -> None:
    browser = browser_of("admin")
    with tenant_context(acme.pk):
        own = Membership.objects.get(user__username="admin-of-acme")

    assert browser.get(url_of(Membership, "changelist")).status_code == 200
    assert browser.post(url_of(Membership, "change", own.pk), {"role": "owner"}).status_code == 403
    assert browser.post(url_of(Membership, "add"), {"username": "x", "role": "owner"}).status_code == 403
    assert browser.post(url_of(Membership, "delete", own.pk), {"post": "yes"}).status_code == 403
    assert role_in(acme, "admin-of-acme") == "admin"


def test_an_admin_cannot_make_rotate_or_revoke_keys(acme: Tenant, browser_of: GuestOf) -> None:
    key, _ = api_key_create(tenant_id=acme.pk, kind="sk", name="shop")
    browser = browser_of("admin")

    made = browser.post(url_of(ApiKey, "add"), {"name": "mine", "kind": "sk", "scopes": ["access:write"]})
    for action in ("rotate", "revoke"):
        browser.post(url_of(ApiKey, "changelist"), {"action": action, "_selected_action": [str(key.pk)]})

    assert made.status_code == 403
    with tenant_context(acme.pk):
        assert list(ApiKey.objects.values_list("name", "revoked_at")) == [("shop", None)]


def test_an_owner_names_a_member_and_sees_no_account_of_another_tenant(
    acme: Tenant, globex: Tenant, stranger: Any, browser_of: GuestOf
) -> None:
    browser = browser_of("owner")
    get_user_model().objects.create_user(username="new-colleague")

    form = browser.get(url_of(Membership, "add")).content.decode()
    unknown = browser.post(url_of(Membership, "add"), {"username": "nobody-at-all", "role": "viewer"})
    made = browser.post(url_of(Membership, "add"), {"username": "new-colleague", "role": "viewer"})
    again = browser.post(url_of(Membership, "add"), {"username": "new-colleague", "role": "owner"})

    assert stranger.get_username() not in form
    assert "new-colleague" not in form
    assert "There is no account of that name." in unknown.content.decode()
    assert made.status_code == 302
    assert "has a role here already" in again.content.decode()
    assert role_in(acme, "new-colleague") == "viewer"
    assert role_in(globex, "new-colleague") is None


def test_an_owner_changes_a_role_and_not_the_person(acme: Tenant, browser_of: GuestOf, stranger: Any) -> None:
    browser = browser_of("owner")
    user = get_user_model().objects.create_user(username="colleague")
    row = membership_set(tenant_id=acme.pk, user=user, role="viewer")

    page = browser.get(url_of(Membership, "change", row.pk)).content.decode()
    done = browser.post(url_of(Membership, "change", row.pk), {"role": "analyst", "user": stranger.pk})

    assert "colleague" in page
    assert stranger.get_username() not in page
    assert done.status_code == 302
    assert role_in(acme, "colleague") == "analyst"


# --- Seeing and deleting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Event, Subject, Session, Quarantine, Job], ids=lambda model: model.__name__)
def test_a_viewer_sees_in_the_admin_no_more_than_in_the_api(
    acme: Tenant, browser_of: GuestOf, t0: Any, model: Any
) -> None:
    store_events(acme, 1, t0)

    assert browser_of("viewer").get(url_of(model, "changelist")).status_code == 403
    assert browser_of("analyst").get(url_of(model, "changelist")).status_code == 200


def test_a_viewer_finds_no_jobs_on_their_page(acme: Tenant, browser_of: GuestOf) -> None:
    with tenant_context(acme.pk):
        Job.objects.create(tenant_id=acme.pk, kind="rollup.refresh", state=Job.State.FAILED, error="of somebody")

    pages = {role: browser_of(role).get(reverse("operation-jobs")).content.decode() for role in ("viewer", "analyst")}

    assert {role: "of somebody" in page for role, page in pages.items()} == {"viewer": False, "analyst": True}


@pytest.mark.parametrize(("role", "left"), [("viewer", 1), ("ingest", 1), ("analyst", 0), ("admin", 0)])
def test_segments_are_deleted_by_whoever_may_in_the_api(
    acme: Tenant, browser_of: GuestOf, role: str, left: int
) -> None:
    with tenant_context(acme.pk):
        row = PeopleSegment.objects.create(
            tenant_id=acme.pk, name="Buyers", source="measure", definition={}, created_at=timezone.now()
        )
    browser_of(role).post(url_of(PeopleSegment, "delete", row.pk), {"post": "yes"})

    with tenant_context(acme.pk):
        assert PeopleSegment.objects.count() == left


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T09:00:00+00:00|no-uuid",
        "2026-03-02T09:00:00+00:00|",
        f"2026-03-02|{UUID(int=7)}",
        f"0001-01-01T00:00:00+14:00|{UUID(int=7)}",
        "|",
        "\x00|\x00",
    ],
)
def test_a_place_in_the_list_that_is_none_is_its_beginning(
    acme: Tenant, browser_of: GuestOf, t0: Any, text: str
) -> None:
    store_events(acme, 1, t0)
    before = base64.urlsafe_b64encode(text.encode()).decode()

    assert browser_of("owner").get(url_of(Event, "changelist"), {"before": before}).status_code == 200


# --- Guessing ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def staff(acme: Tenant, globex: Tenant) -> Any:
    """Somebody of the staff, at an address that nobody else comes from: Redis outlives a test."""
    name = f"staff-{random.getrandbits(64)}"
    user = get_user_model().objects.create_user(username=name, password="right", is_staff=True)
    membership_set(tenant_id=acme.pk, user=user, role="owner")
    return user


def sign_in(path: str, username: str, password: str, address: str, **more: str) -> Any:
    return Client().post(path, {"username": username, "password": password, **more}, REMOTE_ADDR=address)


def address() -> str:
    return f"198.18.{random.randrange(256)}.{random.randrange(256)}"


def test_passwords_cannot_be_tried_at_speed_at_the_admins_own_door(staff: Any) -> None:
    name, here = staff.get_username(), address()
    guesses = [sign_in("/admin/login/", name, "guess", here).status_code for _ in range(LOGINS_PER_MINUTE)]
    late = sign_in("/admin/login/", name, "right", here)

    assert set(guesses) == {200}
    assert late.status_code == 429
    assert 0 < int(late["Retry-After"]) <= 60
    assert "sessionid" not in late.cookies
    assert sign_in("/admin/login/", name, "right", address()).status_code == 429  # the name has a bucket of its own
    assert sign_in("/login/", "somebody-else", "x", here).status_code == 429  # and both doors share them


def test_the_admins_door_lets_the_right_password_in_and_leads_nowhere_else(staff: Any) -> None:
    name = staff.get_username()
    inside = sign_in("/admin/login/?next=/admin/", name, "right", address(), next="/admin/")
    outside = sign_in("/admin/login/?next=/admin/", name, "right", address(), next="https://evil.example/")

    assert (inside.status_code, inside["Location"]) == (302, "/admin/")
    assert (outside.status_code, outside["Location"]) == (302, "/")
