"""Retention, paths, attribution and performance on screen; jobs that pages watch; cards of boards."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape

from analytics import jobs
from analytics.contracts import TenantInfo
from analytics.lake.errors import StoreTimeout
from analytics.models import Job, Tenant
from analytics.tenancy import tenant_context
from insights.customers.services import snapshot_take
from kpis.explore.channels import Cost, costs_import
from kpis.explore.selectors import explore
from reports.boards.models import Board
from reports.explore import asking
from tests.reports.explore.conftest import DAY, EVIL, HOUR, MARCH, MONDAY, NOW, SHOP, at, text_of, told

pytestmark = pytest.mark.django_db(transaction=True)
COST = Cost(MONDAY.date().replace(day=3), "search", Decimal("2.50"), "EUR")
DAILY = {"unit": "day", "periods": 8, "from": "2026-03-02"}


def info_of(tenant: Tenant) -> TenantInfo:
    return TenantInfo(tenant.pk, tenant.slug, tenant.zone, tenant.base_currency)


def test_cohorts_are_a_table_whose_cells_lead_to_people(olga: Client, vera: Client) -> None:
    page = text_of(olga.get(at("/explore/retention/", DAILY)))
    assert "Mon 2 Mar 2026" in page
    assert "Mean, by size" in page
    assert "cohort=0&amp;period=0" in page
    assert "100.0 %" in page
    assert "cohort=0" not in text_of(vera.get(at("/explore/retention/", DAILY)))
    people = text_of(olga.get(at("/explore/people/", DAILY, kind="retention", cohort=0, period=0)))
    assert "2 people" in people


def test_the_clock_and_money_are_choices_of_the_same_table(olga: Client) -> None:
    asked = {**DAILY, "clock": "24h", "revenue": True, "periods": 2}
    page = text_of(olga.get(at("/explore/retention/", asked)))
    assert "Spent per person" in page
    assert "€10.00" in page
    assert "€5.00" in page  # two people came that day
    assert "by duckdb" in page
    bracketed = text_of(olga.get(at("/explore/retention/", {"clock": "24h", "periods": 2, "brackets": [0, 1, 3]})))
    assert "Day 0" in bracketed
    assert "Day 1–2" in bracketed


def test_lifecycle_lies_below(olga: Client) -> None:
    page = text_of(olga.get(at("/explore/retention/", DAILY)))
    assert "Lifecycle, by day" in page
    assert "Fell asleep" in page
    assert "state=new" in page


def test_people_behind_a_place_of_a_path(olga: Client, vera: Client) -> None:
    asked = {"anchor": {"events": ["page_view"]}, **MARCH, "within": "1d"}
    link = "kind=paths"
    assert link in text_of(olga.get(at("/explore/paths/", asked)))
    assert link not in text_of(vera.get(at("/explore/paths/", asked)))
    people = text_of(olga.get(at("/explore/people/", asked, kind="paths", place=1, name="cart_updated")))
    assert "People whose paths come to cart_updated at place 1" in people
    assert "2 people" in people
    assert olga.get(at("/explore/people/", asked, kind="paths", place=9, name="cart_updated")).status_code == 400
    assert vera.get(at("/explore/people/", asked, kind="paths", place=1, name="x")).status_code == 403


def test_paths_are_drawn_and_listed_and_walked(olga: Client, sam: Client) -> None:
    asked = {"anchor": {"events": ["page_view"]}, **MARCH, "within": "1d"}
    page = text_of(olga.get(at("/explore/paths/", asked)))
    assert "3 paths" in page
    assert "cart_updated → order_completed → (end)" in page
    assert "(end) → (end)" not in page
    assert '<path class="link"' in page
    assert "%22cart_updated%22" in page  # a link that walks on
    assert "cart_updated" not in text_of(sam.get(at("/explore/paths/", asked))).split('id="event-names"')[0]


def test_channels_stand_side_by_side_with_their_costs(olga: Client, shop: Tenant) -> None:
    costs_import(
        tenant=info_of(shop), costs=[Cost(MONDAY.date().replace(day=3), "search", Decimal("2.50"), "EUR")], now=NOW
    )
    asked = {**MARCH, "models": ["first", "linear"], "lookback": "7d"}
    page = text_of(olga.get(at("/explore/attribution/", asked, against="first")))
    assert "€10.00" in page
    assert "search" in page
    assert "4.00" in page  # 10.00 brought for 2.50 spent
    assert "the difference to First touch" in page


def test_a_long_question_goes_on_as_a_job_that_the_page_watches(
    olga: Client, theo: Client, shop: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = explore

    def slow(**given: Any) -> Any:
        raise StoreTimeout

    monkeypatch.setattr(asking, "explore", slow)
    first, again = (olga.get(at("/explore/funnel/", SHOP)) for _ in range(2))
    assert first.status_code == 302
    assert first["Location"] == again["Location"]  # one job, however often it is asked
    page = text_of(olga.get(first["Location"]))
    assert 'hx-trigger="every 1s"' in page
    assert ">Stop</button>" in page
    with tenant_context(shop.pk):
        job = Job.objects.get(kind="explore.answer")
    assert theo.post(f"/explore/jobs/{job.pk}/cancel/").status_code == 403
    monkeypatch.setattr(asking, "explore", ask)
    jobs.run_job(job.pk)
    done = text_of(olga.get(first["Location"]))
    assert "33.3 % passed all steps" in done
    assert "hx-trigger" not in done.split('id="answer"')[1].split("datalist")[0]


def test_a_question_is_stopped(olga: Client, sam: Client, shop: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(**given: Any) -> Any:
        raise StoreTimeout

    monkeypatch.setattr(asking, "explore", slow)
    watched = olga.get(at("/explore/funnel/", SHOP))["Location"]
    with tenant_context(shop.pk):
        job = Job.objects.get(kind="explore.answer")
    assert sam.post(f"/explore/jobs/{job.pk}/cancel/").status_code == 404
    assert olga.post(f"/explore/jobs/{job.pk}/cancel/", {"next": "//evil.example"})["Location"] == "/"
    assert "You stopped this question" in text_of(olga.get(watched))
    assert "no such answer" in text_of(olga.get(at("/explore/funnel/", SHOP, job="zork")))
    assert "no such answer" in text_of(sam.get(at("/explore/funnel/", SHOP, job=str(job.pk))))


def test_an_answer_is_put_on_a_board(olga: Client, vera: Client, sam: Client, shop: Tenant) -> None:
    with tenant_context(shop.pk):
        board = Board.objects.create(tenant_id=shop.pk, title="Sales", visibility="team", document={"cards": []})
    given = {"address": at("/explore/funnel/", SHOP), "title": f"Funnel {EVIL}", "board": str(board.pk)}
    assert "Sales" in text_of(olga.get(at("/explore/funnel/", SHOP)))
    page = text_of(olga.post("/explore/to-board/", given, follow=True))
    assert "Added as the last card" in page
    assert "order_completed" in page
    assert "33.3 %" in page
    assert EVIL not in page
    assert vera.post("/explore/to-board/", given).status_code == 403
    assert sam.post("/explore/to-board/", given).status_code == 404
    assert olga.post("/explore/to-board/", {**given, "board": "zork"}).status_code == 404
    for where in ("/admin/", "https://evil.example/explore/funnel/", "//evil.example/explore/funnel/", "", "http://["):
        assert olga.post("/explore/to-board/", {**given, "address": where}).status_code == 404


def test_payback_movements_usage_and_customers_are_cards_too(olga: Client, sam: Client, shop: Tenant) -> None:
    """Each by the form of its own page; what a page cannot tell yet, its card says instead of a table."""
    with tenant_context(shop.pk):
        board = Board.objects.create(tenant_id=shop.pk, title="Mine", visibility="team", document={"cards": []})
    snapshot_take(tenant_id=shop.pk, taken_on=MONDAY.date().replace(day=4), now=NOW)
    costs_import(
        tenant=info_of(shop), costs=[Cost(MONDAY.date().replace(day=3), "search", Decimal("2.50"), "EUR")], now=NOW
    )
    for address, said in (
        (f"/usage/?{urlencode(MARCH)}", "Of all active"),
        ("/customers/", "1 customer on 4 Mar 2026."),
        ("/customers/payback/?months=6", "1 new customer cost"),
        (f"/customers/movements/?{urlencode(MARCH)}", "Monthly recurring revenue"),
    ):
        page = text_of(olga.get(address))
        is_offered = f'name="address" value="{escape(address)}"' in page
        given = {"address": address, "title": address[:12], "board": str(board.pk)}
        shown = text_of(olga.post("/explore/to-board/", given, follow=True))
        assert said in shown or ("movements" in address and "nothing to show yet" in shown), shown
        assert is_offered or "movements" in address
        assert f'<a href="{escape(address)}">' in shown
        assert sam.post("/explore/to-board/", given).status_code == 404


@pytest.mark.parametrize("address", ["/customers/?taken_on=soon", "/customers/", "/explore/funnel/?q=zork", "/zork/"])
def test_a_card_of_an_odd_address_fails_alone(address: str, olga: Client, shop: Tenant) -> None:
    cards = [{"kind": "exploration", "text": address, "title": "Odd", "x": 1, "y": 1, "w": 6, "h": 6},
             {"kind": "text", "text": "still here", "x": 1, "y": 7, "w": 4, "h": 2}]  # fmt: skip
    with tenant_context(shop.pk):
        board = Board.objects.create(tenant_id=shop.pk, title="Odd", visibility="team", document={"cards": cards})
    page = text_of(olga.get(f"/boards/{board.pk}/"))
    assert "still here" in page
    assert "card-problem" in page


def test_the_host_is_timed(olga: Client, sam: Client, shop: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {"duration_ms": 400, "properties": {"path": f"/api/{EVIL}/", "status": 200}}
    told(shop, *[("ann", "request_completed", 8 * DAY + number * HOUR / 60, slow) for number in range(25)])
    page = text_of(olga.get("/performance/?period=last_30d"))
    assert "25" in page
    assert "/api/&lt;script&gt;" in page
    assert EVIL not in page
    assert "No requests" in text_of(sam.get("/performance/?period=last_30d"))


@pytest.mark.parametrize(
    ("path", "wanted", "most"),
    [
        ("/explore/funnel/", SHOP, 60),
        ("/explore/retention/", DAILY, 75),
        ("/explore/paths/", {"anchor": {"events": ["page_view"]}, **MARCH}, 60),
        ("/explore/attribution/", MARCH, 75),
        ("/segments/", None, 25),
        ("/customers/", None, 50),
        ("/explore/channels/", None, 50),
    ],
)
def test_pages_ask_the_database_a_bounded_number_of_times(
    path: str, wanted: dict[str, Any] | None, most: int, olga: Client
) -> None:
    text_of(olga.get(at(path, wanted)))
    with CaptureQueriesContext(
        connection,
    ) as asked:
        text_of(olga.get(at(path, wanted)))
    assert len(asked) <= most, "\n".join(query["sql"][:160] for query in asked)


def test_jobs_have_ids_that_nobody_guesses(olga: Client) -> None:
    assert timezone.now() == NOW
    assert olga.post(f"/explore/jobs/{UUID(int=1)}/cancel/").status_code == 404
