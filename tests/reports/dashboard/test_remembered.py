"""What is remembered of a page belongs to one tenant and role, and is gone when its numbers, goals or notes change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.access.services import membership_set
from analytics.models import Tenant
from kpis.annotations import annotation_add, annotation_delete
from tests.reports.dashboard.conftest import sell, text_of

pytestmark = pytest.mark.django_db(transaction=True)


def asked(browser: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        text_of(browser.get(path))
    return len(queries)


def test_a_second_look_reads_no_numbers(acme: Tenant, olga: Client) -> None:
    sell(acme, [1000])
    first = asked(olga, "/")
    again = asked(olga, "/")
    assert again < first
    assert again <= 6  # session, person, tenants, and the transaction


def test_new_numbers_are_shown_at_once(acme: Tenant, olga: Client) -> None:
    sell(acme, [1000])
    assert "€10.00" in text_of(olga.get("/"))
    sell(acme, [500])
    assert "€15.00" in text_of(olga.get("/"))
    sell(acme, [300])
    assert "€18.00" in text_of(olga.get("/", headers={"HX-Request": "true"}))


def test_annotations_come_and_go_at_once(acme: Tenant, olga: Client) -> None:
    sell(acme, [1000])
    path = "/metrics/revenue.gross/"
    assert "Release 9" not in text_of(olga.get(path))
    now = timezone.now()
    said = {"at": now - timedelta(days=2), "kind": "deploy", "title": "Release 9"}
    row = annotation_add(tenant_id=acme.pk, said=said, author="test", now=now)
    assert "Release 9" in text_of(olga.get(path))
    annotation_delete(tenant_id=acme.pk, annotation_id=row.pk)
    assert "Release 9" not in text_of(olga.get(path))


def test_one_address_is_another_page_for_another_tenant(
    acme: Tenant, globex: Tenant, owner_user: Any, olga: Client, sam: Client
) -> None:
    sell(acme, [1000])
    sell(globex, [999_900])
    assert "€10.00" in text_of(olga.get("/"))
    assert "NPR 9,999.00" in text_of(sam.get("/"))
    membership_set(tenant_id=globex.pk, user=owner_user, role="owner")
    olga.post("/tenant/", {"slug": "globex"})
    seen = text_of(olga.get("/"))
    assert "NPR 9,999.00" in seen
    assert "€10.00" not in seen
