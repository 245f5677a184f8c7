"""The page of data quality: worst first, on the tenant's clock, with the way to where it is put right."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from analytics.access.services import membership_set
from analytics.models import Tenant
from kpis.selectors import calendar_read
from reports.quality.pages import _tables  # its rows are looked at one by one
from reports.templatetags.goals import with_code
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db


def signed_in(tenant: Tenant) -> Client:
    user = get_user_model().objects.create_user(username=f"{tenant.slug}-viewer", password="x")
    membership_set(tenant_id=tenant.pk, user=user, role="viewer")
    client = Client()
    client.force_login(user)
    return client


def test_what_is_wrong_stands_first_with_its_command(acme: Tenant, globex: Tenant) -> None:
    now = timezone.now()
    story = Story(acme)
    story.add("order_complete", now - timedelta(hours=2), "ann", amount=100, currency="USD", amount_base=None)
    story.count(now)
    page = signed_in(acme).get("/quality/").content.decode()

    assert page.index("Amounts without an exchange rate") < page.index("How far counting lies behind")
    assert "1 of the newest 1 events with an amount." in page
    assert '<a href="/settings/events/">Map event names</a>' in page
    assert "<code>manage.py check_rollups --tenant acme</code>" in page
    assert "Open the quarantine" not in page
    assert "Give exchange rates" not in page  # a viewer has no way into the admin


def test_rows_of_other_columns_are_another_table(acme: Tenant, globex: Tenant) -> None:
    rows = (
        {"outcome": "rejected", "reason": "too_large", "events": 12_345},
        {"day": "2026-03-02", "refused": 7},
    )
    story = Story(acme)
    story.add("page_view", timezone.now(), "ann")
    story.count(timezone.now())
    tables = list(_tables(rows, calendar_read(tenant_id=acme.pk)))

    assert [table.columns for table in tables] == [("outcome", "reason", "events"), ("day", "refused")]
    assert [table.rows[0][-1] for table in tables] == ["12,345", "7"]


def test_code_is_marked_and_everything_escaped() -> None:
    assert with_code("Run `manage.py <x>` & see") == "Run <code>manage.py &lt;x&gt;</code> &amp; see"
