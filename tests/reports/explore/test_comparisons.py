"""Two ranges side by side on the pages of paths and attribution, and the further tables of every answer as files."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils.html import escape

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.models import PeopleSegment
from reports.explore.asking import written
from reports.explore.layouts import LAYOUTS, kind_of
from reports.exports.formats import FORMATS
from tests.reports.explore.conftest import DAY, EVIL, HOUR, MARCH, SHOP, at, text_of, told

pytestmark = pytest.mark.django_db(transaction=True)

DAYS = {"from": "2026-03-03", "to": "2026-03-10", "compare": "2026-03-01..2026-03-03"}
ASKED: dict[str, dict[str, Any]] = {
    "funnel": {**SHOP, "from": "2026-03-01", "compare": "2026-03-01..2026-03-03", "window": "1d"},
    "retention": {"unit": "day", "periods": 8, "from": "2026-03-02", "versus": [0, 6]},
    "lifecycle": {"unit": "day", **MARCH},
    "paths": {"anchor": {"events": ["page_view"]}, **DAYS, "within": "1d"},
    "attribution": {**MARCH, "compare": "2026-03-03..2026-03-10", "models": ["last", "markov"]},
}


def body(response: Any) -> str:
    return b"".join(response.streaming_content).decode("utf-8-sig", "replace")


def test_credits_stand_beside_those_of_the_other_period(olga: Client, sam: Client) -> None:
    """Ann bought on 2 March after a visit by search; after that nobody bought."""
    page = text_of(olga.get(at("/explore/attribution/", ASKED["attribution"])))
    assert "Against 3 – 9 Mar 2026" in page
    assert "There was no conversion in the other period to compare with." in page
    assert "nothing to compare" in page
    assert '<option value="previous">' in page
    turned = {**MARCH, "from": "2026-03-01", "compare": "2026-03-02..2026-03-03", "models": ["last"]}
    same = text_of(olga.get(at("/explore/attribution/", turned)))
    assert "no share of the conversions differs from the other period by more than chance" in same
    assert "+0.0 pp" in same
    assert "too close to call" in same
    assert "€10.00" not in text_of(sam.get(at("/explore/attribution/", turned)))


def test_the_comparison_is_a_field_of_the_form(olga: Client) -> None:
    form = {"do": "show", "period": "last_7d", "compare": "previous", "model": "last"}
    assert "%22compare%22%3A%22previous%22" in olga.get("/explore/attribution/", form)["Location"]
    asked = {"do": "show", "period": "last_7d", "compare": "year_ago", "anchor.event": "page_view"}
    assert "%22compare%22%3A%22year_ago%22" in olga.get("/explore/paths/", asked)["Location"]


def test_next_steps_stand_beside_those_of_the_other_period(olga: Client) -> None:
    """Now Cyd wraps a gift; before, Ann and Bob both filled a basket."""
    page = text_of(olga.get(at("/explore/paths/", ASKED["paths"])))
    assert "Against 1 – 2 Mar 2026" in page
    row = page.split('aria-label="Against the other period, 1 after"')[1].split("</table>")[0]
    assert '<th scope="row">gift_wrapped</th><td class="number">100.0 %</td><td class="number">0.0 %</td>' in row
    assert "All others" in row, "the basket is not shown now"
    bad = text_of(olga.get(at("/explore/paths/", {**ASKED["paths"], "compare": "whenever"})))
    assert "`compare` is previous, year_ago, none or a range" in bad


def test_a_credit_leads_to_its_people_who_can_be_kept(theo: Client, vera: Client, sam: Client, shop: Tenant) -> None:
    asked = {**MARCH, "models": ["last"]}
    page = text_of(theo.get(at("/explore/attribution/", asked)))
    assert "kind=attribution" in page
    assert '<option value="last:search">Converted: search (Last touch)</option>' in page
    assert "kind=attribution" not in text_of(vera.get(at("/explore/attribution/", asked)))
    link = at("/explore/people/", asked, kind="attribution", model="last", key="search")
    assert "People with a conversion that search gets credit for (Last touch)" in text_of(theo.get(link))
    assert vera.get(link).status_code == 403
    assert sam.get(link).status_code == 400, "nobody came to the neighbour by search"
    form = {"kind": "attribution", "q": written(asked), "place": "last:search", "name": "Found us"}
    assert "Kept: Found us, 1 people." in text_of(theo.post("/segments/", form, follow=True))
    walk = {"anchor": {"events": ["page_view"]}, **MARCH, "within": "1d"}
    form = {"kind": "paths", "q": written(walk), "place": "1:cart_updated", "name": "Filled it"}
    assert '<option value="1:cart_updated">cart_updated, 1 after</option>' in text_of(
        theo.get(at("/explore/paths/", walk))
    )
    assert "Kept: Filled it, 2 people." in text_of(theo.post("/segments/", form, follow=True))


def test_users_of_a_feature_and_customers_who_moved_can_be_kept(theo: Client, vera: Client, shop: Tenant) -> None:
    told(
        shop,
        ("ann", "feature_used", HOUR, {"object_id": "search"}),
        ("bob", "feature_used", HOUR, {"object_id": EVIL}),
        ("ann", "subscription_started", DAY, {"amount": 1000, "object_id": "s1", "properties": {"interval": "month"}}),
        begun=100,
    )
    page = text_of(theo.get(f"/usage/?{urlencode(MARCH)}"))
    assert "Used search" in page
    assert EVIL not in page
    assert "Used search" not in text_of(vera.get(f"/usage/?{urlencode(MARCH)}")).split('class="card keep"')[-1]
    used: dict[str, Any] = {"measure": "features.users", "dimension": "object_id"}
    used |= {"period": "2026-03-02..2026-03-09", "keys": ["search"]}
    assert escape(written(used)) in page
    form = {"source": "measure", "definition": written(used), "name": "Searchers"}
    assert "Kept: Searchers, 1 people." in text_of(theo.post("/segments/", form, follow=True))
    moved = {"kind": "new", **MARCH}
    assert escape(written(moved)) in text_of(theo.get(f"/customers/movements/?{urlencode(MARCH)}"))
    form = {"source": "movements", "definition": written(moved), "name": "Began"}
    assert "Kept: Began, 1 people." in text_of(theo.post("/segments/", form, follow=True))
    with tenant_context(shop.pk):
        row = PeopleSegment.objects.get(name="Began")
    assert "Customers whose recurring revenue moved by new" in text_of(theo.get(f"/segments/{row.pk}/"))
    for wrong in ({**moved, "kind": "zork"}, {"kind": "new", "from": "zork"}, {}):
        page = text_of(theo.post("/segments/", {**form, "definition": written(wrong)}, follow=True))
        assert "Not kept" in page
    assert "Not kept" in text_of(theo.post("/segments/", {**form, "source": "zork"}, follow=True))


@pytest.mark.parametrize("table", sorted(LAYOUTS))
@pytest.mark.parametrize("format", sorted(FORMATS))
def test_every_table_of_an_answer_is_a_file(table: str, format: str, olga: Client) -> None:
    found: Any = olga.get(at(f"/explore/{table}.{format}", ASKED[kind_of(table)]))
    assert found.status_code == 200, found.content
    assert f'filename="{table}_2026-0' in found["Content-Disposition"]
    content = body(found)
    assert content
    if format == "csv":
        assert content.endswith("\r\n")


def test_the_curve_the_tests_and_the_comparison_are_in_their_files(olga: Client) -> None:
    curve = body(olga.get(at("/explore/funnel-curve.csv", SHOP)))
    assert curve.split("\r\n")[0] == '"from","seconds","converted_share","low","high","converted","at_risk"'
    assert ",7200.0,0.33333333333333" in curve
    tests = body(olga.get(at("/explore/retention-tests.csv", {**ASKED["retention"], "versus": [6, 0]})))
    assert '"p_holm"' in tests
    assert "2026-03-08T00:00:00+01:00" in tests or "2026-03-07T23:00:00+00:00" in tests
    changes = body(olga.get(at("/explore/attribution-changes.csv", ASKED["attribution"])))
    assert '"revenue_difference (EUR)"' in changes
    assert '"Last touch","search",1.0,,,,,false,10.00,0.00,10.00' in changes


@pytest.mark.parametrize(
    ("table", "asked", "said"),
    [
        ("attribution-changes", {**MARCH, "models": ["last"]}, "compares with nothing"),
        ("paths-changes", {"anchor": {"events": ["page_view"]}, **MARCH}, "compares with nothing"),
        ("funnel-changes", SHOP, "compares with nothing"),
        ("funnel-curve", {**SHOP, "curve": False}, "leaves the curve out"),
        ("retention-tests", {"unit": "day", "periods": 3}, "no two cohorts"),
    ],
)
def test_a_table_that_an_answer_has_not_says_why(table: str, asked: dict[str, Any], said: str, olga: Client) -> None:
    assert said in text_of(olga.get(at(f"/explore/{table}.csv", asked)), 400)


def test_the_menus_of_the_tables_lead_to_their_files(olga: Client) -> None:
    for kind, part in (("funnel", "curve"), ("funnel", "changes"), ("funnel", "times"), ("retention", "tests"),
                       ("paths", "nodes"), ("paths", "changes"), ("attribution", "changes")):  # fmt: skip
        assert f"/explore/{kind}-{part}.csv?q=" in text_of(olga.get(at(f"/explore/{kind}/", ASKED[kind])))
