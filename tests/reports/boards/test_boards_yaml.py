"""Boards as YAML: out and in again unchanged; hostile files are told where they are wrong and do nothing."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from reports.boards.document import YamlError, yaml_read, yaml_write
from reports.boards.models import Board
from tests.api import Caller, caller
from tests.reports.boards.test_boards_api import SALES

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
BOARD = """
title: Sales
query:
  period: last_7d
  country: [FR, DE]
cards:
  - kind: tile
    metric: revenue.gross
    w: 3
  - kind: text
    text: |
      Two
      lines: 2026-01-01
"""


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def api(acme: Tenant, globex: Tenant) -> Caller:
    return caller(acme)


def boards_of(tenant: Tenant) -> list[tuple[str, int]]:
    with tenant_context(tenant.pk):
        return [(board.title, board.version) for board in Board.objects.order_by("title")]


def run(action: str, *arguments: str, tenant: str = "acme") -> str:
    output = io.StringIO()
    call_command("boards", action, *arguments, tenant=tenant, stdout=output, stderr=io.StringIO())
    return output.getvalue()


def test_a_board_goes_out_as_yaml_and_comes_in_the_same_at_a_neighbour(
    api: Caller, acme: Tenant, globex: Tenant, tmp_path: Path
) -> None:
    board = api.post("boards/", SALES).json()
    answer = api.get(f"boards/{board['id']}/", format="yaml")
    assert answer["Content-Type"] == "application/yaml"
    assert answer["Content-Disposition"] == 'attachment; filename="sales.yaml"'
    file = tmp_path / "boards.yaml"
    file.write_bytes(answer.content)

    assert run("import", str(file), tenant="globex") == "made 'Sales' (version 1)\n"
    (copy,) = caller(globex).get("boards/").json()["results"]
    same = caller(globex).get(f"boards/{copy['id']}/").json()
    assert {name: same[name] for name in SALES} == {name: board[name] for name in SALES}


def test_importing_again_changes_the_board_of_that_title(api: Caller, acme: Tenant, tmp_path: Path) -> None:
    file = tmp_path / "boards.yaml"
    file.write_text(BOARD)

    assert run("import", str(file), "--dry-run") == "would make 'Sales'\n"
    assert boards_of(acme) == []
    assert run("import", str(file)) == "made 'Sales' (version 1)\n"
    assert run("import", str(file)) == "changed 'Sales' (version 2)\n"
    assert boards_of(acme) == [("Sales", 2)]
    (row,) = api.get("boards/").json()["results"]
    board = api.get(f"boards/{row['id']}/").json()
    assert board["query"] == {"period": "last_7d", "country": "FR,DE"}
    assert board["cards"][1]["text"] == "Two\nlines: 2026-01-01\n"
    assert "title: Sales" in run("export")


def test_what_is_written_is_read_the_same_whatever_the_text() -> None:
    texts = [
        "=1+1",
        "- a",
        "a: b",
        "#x",
        "@x",
        "null",
        "yes",
        "1:30",
        "2026-01-01",
        "é\n\tü",
        "'\"",
        "&a *b !c",
        "<<",
        "",
    ]
    boards = [{"title": text, "cards": [{"kind": "text", "text": text}]} for text in texts]

    assert [document.data for document in yaml_read(yaml_write(boards))] == boards


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "Line 1: Anchors (&) and aliases (*) are not read"),
        ("title: x\ncards: *a", "Line 2: Anchors"),
        ("title: !!python/object/apply:os.system ['true']", "Line 1: Tags such as"),
        ("title: x\ncards: !!binary aGk=", "Line 2: Tags such as"),
        ("title: !include /etc/passwd", "Line 1: Tags"),
        ("<<: {title: x}", "Line 1: Merge keys"),
        ("title: x\ntitle: y", "Line 2: `title` is there twice"),
        ("? [a]\n: b", "Line 1: A key is a word."),
        ("title: [x", "Line 1: This is no YAML"),
        ("title: 'x", "This is no YAML"),
        ("title: x\n\tcards: 1", "This is no YAML"),
        ("- 1", "Line 1: A board is a mapping"),
        ("just words", "Line 1: A board is a mapping"),
        ("", "Line 1: The file holds no board"),
        ("---\n...\n", "A board is a mapping"),
        ("x: " + "[" * 5000, "Nested deeper than 8 levels"),
        ("x:\n" + "".join(f"{'  ' * n}a:\n" for n in range(1, 40)), "Nested deeper"),
        ("cards: [" + "1," * 6000 + "1]", "More than 5000 values"),
        ("x" * 200_000, "larger than 128 KiB"),
        ("title: \x07", "This is no YAML"),
        ("title: 0o99999999999999999999x\nbellwether_board: 2", "Format 2 is not known"),
        ("bellwether_board: " + "9" * 5000, "is no number: put it in quotes"),
        ("bellwether_board: 0x" + "f" * 5000, "Line 1: '0xfff"),
        ("cards:\n  - x: -0x" + "f" * 5000, "is too large a number: put it in quotes"),
        ("title: 1" + ":59" * 30_000, "is too large a number: put it in quotes"),
        ("title: x\n%YAML 3.0\n---", "This is no YAML"),
    ],
)
def test_hostile_yaml_is_refused_at_its_line_and_quickly(text: str, said: str) -> None:
    begun = time.monotonic()
    with pytest.raises(YamlError) as error:
        yaml_read(text)

    assert said in str(error.value)
    assert time.monotonic() - begun < 5


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(YamlError, match="Line 2: The file is not UTF-8"):
        yaml_read(b"title: x\n\xff\xfe")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "title: Sales\ncards:\n  - kind: tile\n    metric: revenue.gros\n",
            "Line 4: There is no metric 'revenue.gros'",
        ),
        ("title: Sales\ncards:\n  - kind: pie\n", "Line 3: A card is one of tile"),
        ("title: 5\n", "Line 1: Expected `str`, got `int`"),
        ("title: Sales\nquery:\n  period: lst\n", "Line 3:"),
        ("title: Sales\n\nfoo: 1\n", "Line 3: There is no `foo` here"),
        ("title: Sales\ncards:\n  - kind: text\n    text: x\n    w: wide\n", "Line 5: Expected `int`, got `str`"),
    ],
)
def test_a_wrong_board_is_told_by_line_and_nothing_is_kept(
    api: Caller, acme: Tenant, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "boards.yaml"
    file.write_text(f"{BOARD}---\n{text}")
    with pytest.raises(CommandError) as error:
        run("import", str(file))

    offset = BOARD.count("\n") + 1
    number = int(said.split(":")[0].removeprefix("Line "))
    assert said.replace(f"Line {number}:", f"Line {number + offset}:") in str(error.value)
    assert boards_of(acme) == []


def test_the_page_imports_a_file_and_tells_its_mistakes(acme: Tenant, globex: Tenant, teammate: Any) -> None:
    client = Client()
    client.force_login(teammate)
    page = client.post("/boards/import/", {"yaml": "title: x\ncards: &a []"}, follow=True)
    assert "Line 2: Anchors" in page.content.decode()
    page = client.post("/boards/import/", {"yaml": BOARD}, follow=True)

    assert "Made: Sales." in page.content.decode()
    assert boards_of(acme) == [("Sales", 1)]
    assert boards_of(globex) == []


def test_a_file_of_which_one_board_cannot_be_kept_changes_none(
    api: Caller, acme: Tenant, owner_user: Any, teammate: Any
) -> None:
    """The second board is another member's: making it private would take it away from everybody else."""
    owner = Client()
    owner.force_login(owner_user)
    owner.post("/boards/import/", {"yaml": BOARD})
    client = Client()
    client.force_login(teammate)

    file = f"title: First\n---{BOARD}visibility: private\n"
    page = client.post("/boards/import/", {"yaml": file}, follow=True)

    told = "Sales: Only the owner of a board can make it private. Nothing of the file was kept."
    assert page.status_code == 200
    assert told in page.content.decode()
    assert boards_of(acme) == [("Sales", 1)]


def test_an_unknown_tenant_or_file_is_told(acme: Tenant) -> None:
    with pytest.raises(CommandError, match="no tenant 'nobody'"):
        run("export", tenant="nobody")
    with pytest.raises(CommandError, match="cannot be read"):
        run("import", "/nowhere.yaml")
    with pytest.raises(CommandError, match="no board 'None'"):
        run("export", "--board=None")
