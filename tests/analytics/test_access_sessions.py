"""The browser's session: the API with CSRF, and the tenant that the admin looks at."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from analytics.access.middleware import SESSION_TENANT, AdminTenantMiddleware, tenant_choose
from analytics.access.services import membership_set
from analytics.models import ExchangeRate, Tenant
from analytics.tenancy import current_tenant_id, tenant_context
from tests.api import problem


def browser(user: Any, tenant: str | None = None) -> Client:
    """A browser in which the person is logged in, looking at a tenant."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(user)
    if tenant:
        session = client.session
        session[SESSION_TENANT] = tenant
        session.save()
    return client


def test_a_session_reads_the_tenant_it_looks_at(acme: Tenant, globex: Tenant, owner_user: Any) -> None:
    assert browser(owner_user).get("/api/v1/tenant/").json()["slug"] == "acme"
    membership_set(tenant_id=globex.pk, user=owner_user, role="viewer")
    looking = browser(owner_user, "globex")

    assert looking.get("/api/v1/tenant/").json()["slug"] == "globex"
    assert looking.get("/api/v1/events/").status_code == 403


def test_a_session_does_not_enter_a_tenant_it_does_not_belong_to(acme: Tenant, globex: Tenant, owner_user: Any) -> None:
    assert browser(owner_user, "globex").get("/api/v1/tenant/").json()["slug"] == "acme"


def test_a_session_writes_only_with_the_csrf_token(acme: Tenant, globex: Tenant, owner_user: Any) -> None:
    answer = browser(owner_user).post("/api/v1/jobs/", {"kind": "backfill"}, content_type="application/json")

    assert problem(answer)["code"] == "permission_denied"
    assert "CSRF" in answer.json()["detail"]


def test_an_account_without_a_tenant_is_told_so(acme: Tenant, django_user_model: Any) -> None:
    answer = browser(django_user_model.objects.create_user(username="newcomer")).get("/api/v1/tenant/")

    assert problem(answer)["code"] == "no_tenant"


def admin_request(user: Any, slug: str = "", path: str = "/admin/") -> HttpRequest:
    request = RequestFactory().get(path)
    request.user = user
    request.session = {SESSION_TENANT: slug}  # type: ignore[assignment]
    return request


def seen_by(request: HttpRequest) -> int | None:
    """The tenant that a view of the admin works in."""
    seen: list[int | None] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(current_tenant_id())
        return HttpResponse()

    AdminTenantMiddleware(view)(request)
    return seen[0]


def test_the_admin_works_in_the_chosen_tenant(acme: Tenant, globex: Tenant, owner_user: Any) -> None:
    membership_set(tenant_id=globex.pk, user=owner_user, role="viewer")

    assert seen_by(admin_request(owner_user)) == acme.pk
    assert seen_by(admin_request(owner_user, "globex")) == globex.pk
    assert seen_by(admin_request(owner_user, "initech")) == acme.pk
    assert seen_by(admin_request(owner_user, path="/elsewhere/")) is None


def test_the_operator_may_look_into_every_tenant(acme: Tenant, globex: Tenant, django_user_model: Any) -> None:
    operator = django_user_model.objects.create_superuser(username="root")
    request = admin_request(operator, "globex")

    assert seen_by(request) == globex.pk
    assert [tenant.slug for tenant in request.tenants] == ["acme", "globex"]  # type: ignore[attr-defined]


def test_the_operator_begins_in_a_tenant_of_its_own(acme: Tenant, globex: Tenant, django_user_model: Any) -> None:
    operator = django_user_model.objects.create_superuser(username="root")
    membership_set(tenant_id=globex.pk, user=operator, role="analyst")
    request = admin_request(operator)

    assert seen_by(request) == globex.pk
    assert request.tenant_role == "owner"  # type: ignore[attr-defined]
    assert [tenant.slug for tenant in request.tenants] == ["globex", "acme"]  # type: ignore[attr-defined]


def test_a_tenant_is_chosen_only_by_its_members(acme: Tenant, globex: Tenant, owner_user: Any) -> None:
    request = admin_request(owner_user)

    assert not tenant_choose(request, "globex")
    assert tenant_choose(request, "acme")
    assert request.session[SESSION_TENANT] == "acme"


@pytest.mark.django_db(transaction=True)
def test_what_a_failed_page_wrote_is_taken_back(acme: Tenant, owner_user: Any) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        ExchangeRate.objects.create(tenant_id=acme.pk, day=timezone.now().date(), currency="USD", rate=1)
        return HttpResponse(status=500)

    AdminTenantMiddleware(view)(admin_request(owner_user))

    assert not connection.in_atomic_block
    with tenant_context(acme.pk):
        assert not ExchangeRate.objects.exists()
