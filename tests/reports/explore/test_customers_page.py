"""Customers, one of them, segments, channel rules and costs on screen."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import pytest
from django.test import Client
from pyroaring import BitMap

from analytics import jobs
from analytics.models import Job, Tenant
from analytics.tenancy import tenant_context
from insights.models import CustomerSegment, CustomerSnapshot, SegmentRange
from kpis.explore.models import ChannelRule, MarketingCost, PeopleRead
from kpis.models import PeopleSegment
from tests.reports.explore.conftest import EVIL, NOW, SHOP, at, text_of

pytestmark = pytest.mark.django_db(transaction=True)
ODD = ["taken_on=zork", "taken_on=1999-01-01", "compare=2026-99-01", "unit=zork", "job=zork"]
HEAD = "day,channel,amount"
NO_FILES = ["", "zork", "day,channel\n1,2", f"{HEAD}\n", f"{HEAD}\n\x00", '"', f"{HEAD},x\n"]


def test_a_snapshot_is_taken_by_a_button_and_watched(olga: Client, sam: Client, shop: Tenant) -> None:
    assert "Take a snapshot now" in text_of(olga.get("/customers/"))
    watched = olga.post("/customers/snapshot/")["Location"]
    assert "Taking a snapshot" in text_of(olga.get(watched))
    with tenant_context(shop.pk):
        job = Job.objects.get(kind="customers.snapshot")
    jobs.run_job(job.pk)
    page = text_of(olga.get(watched))
    assert "The snapshot is taken" in page
    assert "1 customer on" in page
    assert "No forecast" in page
    assert "€10.00" in page
    assert "What a customer has brought" in page
    assert "No snapshot yet" in text_of(sam.get("/customers/"))
    with tenant_context(shop.pk):
        assert CustomerSnapshot.objects.count() == 1


@pytest.mark.parametrize("query", ODD)
def test_odd_questions_about_customers(query: str, olga: Client) -> None:
    text_of(olga.get(f"/customers/?{query}"))


def test_viewers_take_no_snapshots(vera: Client) -> None:
    assert "Take a snapshot now" not in text_of(vera.get("/customers/"))
    assert vera.post("/customers/snapshot/").status_code == 403


def test_one_person_is_shown_and_the_reading_is_written_down(
    olga: Client, theo: Client, vera: Client, shop: Tenant
) -> None:
    page = text_of(olga.get("/customers/1/"))
    assert "€10.00 sold" in page
    assert page.index("order_completed") < page.index("cart_updated")  # newest first
    told = text_of(theo.get("/customers/1/"))
    assert "not what they are worth" in told
    assert "order_completed" in told
    assert vera.get("/customers/1/").status_code == 403
    with tenant_context(shop.pk):
        assert [row.what for row in PeopleRead.objects.all()] == ["timeline", "timeline"]


def test_the_timeline_ignores_an_odd_cursor(olga: Client) -> None:
    for cursor in ("zork", "é", "A" * 32, "=" * 10):
        text_of(olga.get("/customers/1/", {"before": cursor}))


def table(**changes: Any) -> dict[str, Any]:
    row = {"name": "Best", "recency_low": 5, "recency_high": 5, "frequency_low": 1, "frequency_high": 5,
           "monetary_low": 1, "monetary_high": 5}  # fmt: skip
    return {**{name: [value] for name, value in row.items()}, "do": "save", **changes}


def test_the_table_of_segments_is_edited(olga: Client, vera: Client, shop: Tenant) -> None:
    assert "Champions" in text_of(vera.get("/customers/table/"))
    assert "Saved." in text_of(olga.post("/customers/table/", table(), follow=True))
    assert "the lower one first" in text_of(olga.post("/customers/table/", table(recency_low=[9])), 400)
    vera.post("/customers/table/", table(name=["Worst"]))
    with tenant_context(shop.pk):
        assert list(SegmentRange.objects.values_list("name", "recency_low")) == [("Best", 5)]
    olga.post("/customers/table/", table(do="reset"))
    assert "Champions" in text_of(olga.get("/customers/table/"))


def kept(client: Client, name: str, place: str) -> None:
    import json

    client.post("/segments/", {"kind": "funnel", "q": json.dumps(SHOP), "place": place, "name": name})


def test_segments_are_compared_refreshed_and_deleted(theo: Client, vera: Client, shop: Tenant) -> None:
    kept(theo, "Everybody", "0:reached")
    kept(theo, "Baskets", "1:reached")
    with tenant_context(shop.pk):
        ids = {row.name: row.pk for row in PeopleSegment.objects.all()}
    page = text_of(theo.get("/segments/", {"one": str(ids["Everybody"]), "two": str(ids["Baskets"])}))
    assert "2 people are in both: 66.7 % of those in either" in page
    assert "1 are in Everybody only, 0 in Baskets only" in page
    assert "has 2 people now" in text_of(theo.post(f"/segments/{ids['Baskets']}/refresh/", follow=True))
    assert "2 people" in text_of(theo.get(f"/segments/{ids['Baskets']}/people/"))
    assert vera.get(f"/segments/{ids['Baskets']}/people/").status_code == 403
    assert vera.post(f"/segments/{ids['Baskets']}/delete/").status_code == 403
    assert "Deleted: Baskets" in text_of(theo.post(f"/segments/{ids['Baskets']}/delete/", follow=True))
    assert "not there any more" in text_of(theo.get("/segments/", {"one": "zork", "two": str(ids["Everybody"])}))


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"name": ""}, "a name"),
        ({"name": "x", "kind": "zork", "q": "{}"}, "Not kept"),
        ({"name": "x", "kind": "funnel", "q": "zork"}, "Not kept"),
        ({"name": "x", "kind": "funnel", "q": "{}", "at": "[[["}, "Not kept"),
        ({"name": "x", "customers": "Champions"}, "Not kept"),
    ],
)
def test_segments_that_cannot_be_kept_say_why(form: dict[str, str], message: str, theo: Client) -> None:
    assert message in text_of(theo.post("/segments/", form, follow=True))


# --- Channels and costs -----------------------------------------------------------------------------------------------

RULE = {"channel": ["mine"], "source": ["goo*"], "medium": [""], "campaign": [""], "referrer": [""], "is_paid": ["1"]}


def test_channel_rules_are_previewed_and_saved(olga: Client, vera: Client, shop: Tenant) -> None:
    assert "The built-in rules" in text_of(vera.get("/explore/channels/"))
    draft = text_of(olga.post("/explore/channels/", {**RULE, "do": "preview"}))
    assert "Draft, not saved" in draft
    assert '<th scope="row">mine <span class="mark">paid</span></th>' in draft
    vera.post("/explore/channels/", {**RULE, "do": "save"})
    with tenant_context(shop.pk):
        assert not ChannelRule.objects.exists()
    assert "Saved" in text_of(olga.post("/explore/channels/", {**RULE, "do": "save"}, follow=True))
    with tenant_context(shop.pk):
        assert list(ChannelRule.objects.values_list("channel", "source", "is_paid")) == [("mine", "goo*", True)]
    assert "The built-in rules are back" in text_of(olga.post("/explore/channels/", {"do": "reset"}, follow=True))


@pytest.mark.parametrize("do", ["up:zork", "down:99", "remove:-1", "zork", ""])
def test_odd_buttons_change_nothing(do: str, olga: Client) -> None:
    page = text_of(olga.post("/explore/channels/", {**RULE, "do": do}))
    assert 'value="mine"' in page


def test_rules_that_are_too_long(olga: Client) -> None:
    wrong = {**RULE, "channel": ["x" * 61], "do": "save"}
    assert "at most 60" in text_of(olga.post("/explore/channels/", wrong), 400)


LINES = f"day,channel,amount,currency\n2026-03-02,search,12.50,EUR\n2026-99-02,search,1\n2026-03-03,{EVIL},-4,EUR\n"


def test_costs_are_judged_line_by_line_and_then_stored(olga: Client, vera: Client, sam: Client, shop: Tenant) -> None:
    page = text_of(olga.post("/explore/costs/", {"csv": LINES}))
    assert "1 good line, 2 bad" in page
    assert page.count("This is no cost") == 2
    assert EVIL not in page
    with tenant_context(shop.pk):
        assert not MarketingCost.objects.exists()
    assert "Stored: 1." in text_of(olga.post("/explore/costs/", {"csv": LINES, "confirm": "1"}, follow=True))
    vera.post("/explore/costs/", {"csv": LINES.replace("12.50", "99"), "confirm": "1"})
    with tenant_context(shop.pk):
        assert list(MarketingCost.objects.values_list("channel", "amount")) == [("search", 1250)]
    assert "None yet" in text_of(sam.get("/explore/costs/"))


@pytest.mark.parametrize("text", NO_FILES)
def test_what_is_no_file_of_costs(text: str, olga: Client) -> None:
    assert 'role="alert"' in text_of(olga.post("/explore/costs/", {"csv": text}), 400)


def test_an_upload_that_is_no_text(olga: Client) -> None:
    file = io.BytesIO(b"\xff\xfe\x00day")
    file.name = "costs.csv"
    assert "UTF-8" in text_of(olga.post("/explore/costs/", {"file": file}), 400)


def snapshot(tenant: Tenant, day: date, **segments: list[int]) -> None:
    """One as it is kept, with a forecast and how an earlier one had done."""
    money: dict[str, Any] = {"value": 900_000, "low": 700_000, "high": 1_100_000}
    with tenant_context(tenant.pk):
        row = CustomerSnapshot.objects.create(
            tenant_id=tenant.pk,
            taken_on=day,
            data_through=NOW,
            currency="EUR",
            customers=sum(map(len, segments.values())),
            rule="quantile_edges",
            edges={"recency": [1, 2, 3, 4], "frequency": [1, 2, 3, 4], "monetary": [10, 20, 30, 40]},
            purchases_model={"r": 0.2426, "alpha": 4.4136, "a": 0.793, "b": 2.426},
            spending_model={"p": 6.25, "q": 3.74, "v": 15.44},
            prediction={"days": 90, "level": 0.8, **money},
            calibration={
                "days": 90, "customers": 40, "predicted": 500_000, "low": 400_000, "high": 600_000, "level": 0.8,
                "actual": 650_000, "inside_share": 0.75,
                "deciles": [{"customers": 4, "predicted": 10_000, "actual": 20_000}],
            },
        )  # fmt: skip
        for position, (name, people) in enumerate(segments.items()):
            CustomerSegment.objects.create(
                tenant_id=tenant.pk, snapshot=row, position=position, name=name, size=len(people), orders=9, net=50_000,
                members=BitMap(people).serialize(), recency_days=12.0, predicted=450_000.0,
            )  # fmt: skip


def test_forecasts_stand_beside_what_came_and_moves_in_a_matrix(olga: Client, shop: Tenant) -> None:
    snapshot(shop, date(2026, 2, 1), **{"Champions": [1, 2, 3], EVIL: [4]})
    snapshot(shop, date(2026, 3, 9), Champions=[1], Lost=[2, 3, 5])
    page = text_of(olga.get("/customers/"))
    for text in (
        "4 customers on 9 Mar 2026",
        "They may bring <b>€9,000.00</b> in the next 90 days; 80 % interval €7,000.00 to €11,000.00",
        "Who moved since 1 Feb 2026",
        "Not yet a customer",
        "Foreseen €5,000.00 (80 % interval €4,000.00 to €6,000.00); €6,500.00 came: outside the interval",
        "75 % of the customers fell into their own interval",
        "r 0.2426, alpha 4.414",
        "Gamma-Gamma",
        '<td class="number heat-7">2</td>',  # two of three champions are lost
        "200 %",
    ):
        assert text in page, text
    assert EVIL not in page
    earlier = text_of(olga.get("/customers/?taken_on=2026-02-01"))
    assert "4 customers on 1 Feb 2026" in earlier
    assert "Who moved" not in earlier


def test_a_segment_says_what_it_is_and_narrows_questions(theo: Client, vera: Client, sam: Client, shop: Tenant) -> None:
    kept(theo, "Baskets", "1:reached")
    with tenant_context(shop.pk):
        row = PeopleSegment.objects.get()
        PeopleSegment.objects.update(sizes=[["2026-03-09", 1], ["2026-03-10", 3], ["2026-03-11", 2]])
    page = text_of(theo.get(f"/segments/{row.pk}/"))
    for text in (
        "2 people</h2>", "as of", "People who reached step 2, cart_updated", "page_view, then cart_updated, then",
        "from 2026-03-02 up to 2026-03-09 (a fixed range)", "Size by day", "2026-03-10", "+2", "−1",
    ):  # fmt: skip
        assert text in page, text
    answered = theo.post(f"/segments/{row.pk}/refresh/", {"next": f"/segments/{row.pk}/"})
    assert answered["Location"] == f"/segments/{row.pk}/"
    assert theo.post(f"/segments/{row.pk}/refresh/", {"next": "//evil.example/"})["Location"] == "/"
    assert "Refresh now" not in text_of(vera.get(f"/segments/{row.pk}/"))
    assert "Who is in it" not in text_of(vera.get(f"/segments/{row.pk}/"))
    assert sam.get(f"/segments/{row.pk}/").status_code == 404
    narrowed = text_of(theo.get(at("/explore/funnel/", {**SHOP, "segment": str(row.pk)})))
    assert "Only people of Baskets" in narrowed
    assert "2 of 2 people" in narrowed or "of 2 people" in narrowed
    sent = theo.get("/explore/retention/", {"do": "show", "unit": "day", "periods": "3", "segment": str(row.pk)})
    assert str(row.pk) in sent["Location"]
    assert "Only people of Baskets" in text_of(theo.get(sent["Location"]))


@pytest.mark.parametrize(
    ("source", "definition", "words"),
    [
        ("customers", {"segment": "At risk"}, "Customers in “At risk” of the newest snapshot"),
        ("measure", {"measure": "users.active", "period": "last_7d", "dimension": "country", "keys": ["FR", "DE"]},
         "country is FR or DE"),
        ("answer", {"kind": "lifecycle", "question": {"unit": "week", "period": "last_90d"},
                    "place": {"period": 0, "state": "new"}}, "Last 90 days"),
        ("answer", {"kind": "funnel", "question": {"steps": "x"}, "place": {"step": 9, "outcome": "dropped"}}, "Who"),
        ("answer", {"kind": "zork", "question": [], "place": None}, "cannot be read any more"),
        ("zork", {}, "zork"),
    ],
)  # fmt: skip
def test_definitions_in_words(source: str, definition: dict[str, Any], words: str, theo: Client, shop: Tenant) -> None:
    with tenant_context(shop.pk):
        row = PeopleSegment.objects.create(tenant_id=shop.pk, name="S", source=source, definition=definition)
    assert words in text_of(theo.get(f"/segments/{row.pk}/"))
