"""Browsers of the people of the stage. A browser lives as long as a file of tests: its loop is no other test's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from pytest_django.plugin import DjangoDbBlocker

from config import embedded
from config.roles import url_of
from tests.browser.stage import Stage, chromium, stage_of
from tests.browser.walk import Visit
from tests.conftest import ALIASES, VARIABLES, _admin_url, _make_database, _one_at_a_time

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DATABASE = "bellwether_browser"
WAITING_SECONDS = 400  # a script in a page may wait for ever, and Playwright with it
NO_BROWSER = "no Chromium on the PATH: apt-get install chromium"

Visitor = Callable[..., Visit]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents:
            continue
        if chromium() is None:
            item.add_marker(pytest.mark.skip(reason=NO_BROWSER))
        item.add_marker(pytest.mark.timeout(WAITING_SECONDS))


@pytest.fixture(scope="session")
def stage(django_db_setup: None, django_db_blocker: DjangoDbBlocker, test_home: Path, redis_url: str) -> Stage:
    """The running product, one for the whole run."""

    def make_database() -> None:
        with django_db_blocker.unblock(), _one_at_a_time(test_home):
            _make_database(DATABASE, test_home)

    with django_db_blocker.unblock():
        for alias in ALIASES:
            connections[alias].close()
    admin, known = _admin_url(test_home), embedded.passwords(test_home)
    urls = {
        VARIABLES[alias]: url_of(admin, database=DATABASE, user=role, password=known[role])
        for alias, role in ALIASES.items()
    }
    return stage_of(test_home, urls, redis_url, make_database)


@pytest.fixture(scope="session")
def behind_the_scenes(stage: Stage, test_home: Path) -> Callable[[str, Sequence[object]], int]:
    """A statement on the stage's database, for what only time brings about; how many rows it changed."""
    address = url_of(_admin_url(test_home), database=DATABASE)

    def execute(statement: str, values: Sequence[object]) -> int:
        with psycopg.connect(address, autocommit=True) as connection:
            return connection.execute(statement, values).rowcount

    return execute


@pytest.fixture(scope="module")
def browser(stage: Stage) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser, stage: Stage) -> Iterator[Visitor]:
    """`visit("olga", width=390, scheme="dark")`: a page of somebody's own. What goes wrong in it fails the test."""
    opened: list[tuple[BrowserContext, Visit]] = []

    def open_(
        who: str = "",
        *,
        width: int = 1440,
        height: int = 900,
        scheme: Literal["light", "dark"] = "light",
        **options: Any,
    ) -> Visit:
        options.setdefault("reduced_motion", "reduce")
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, base_url=stage.url, **options
        )
        context.set_default_timeout(30_000)
        if who:
            context.add_cookies(
                [{"url": stage.url, "name": stage.sessions[who]["name"], "value": stage.sessions[who]["value"]}]
            )
        visit = Visit(stage, context)
        opened.append((context, visit))
        return visit

    yield open_
    troubles = []
    for context, visit in opened:
        troubles += visit.troubles
        context.close()
    assert troubles == []
