"""`/explore/<table>.csv|xlsx|json?q=…`: the answer of a page as a file, with what it stands on in its last lines."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from reports.dashboard.cards import Action
from reports.dashboard.doors import tenant_page
from reports.dashboard.problems import problem_page
from reports.explore.asking import asked_of, outcome_of, written
from reports.explore.layouts import LAYOUTS, Answer, kind_of, tables_of
from reports.exports.formats import FORMATS, answer
from reports.exports.sheet import Sheet

STAMP: Final = ("reading", "from", "to", "timezone", "data_through", "is_complete", "executor", "definition_version",
                "computed_at")  # fmt: skip
NO_FILE: Final = "No file"


@require_GET
@tenant_page()
def export(request: HttpRequest, table: str, format: str) -> Any:
    """The same question, the same answer; what cannot be answered is told as a page."""
    asked = asked_of(request)
    outcome = outcome_of(request, kind_of(table), asked)
    if outcome.answer is None:
        said = outcome.away or " ".join(problem.message for problem in outcome.problems)
        if outcome.job is not None:
            said = "This takes longer than a download waits: open the page, and download when its answer is there."
        return problem_page(request, status=400, title=NO_FILE, message=said or "Say what to answer: `?q=`.")
    found = _file(table, format, outcome.answer, asked.wanted)
    return found or problem_page(request, status=400, title=NO_FILE, message=LAYOUTS[table].missing)


def _file(table: str, format: str, found: Answer, wanted: Answer) -> HttpResponseBase | None:
    """None for a part that the answer has not."""
    layout = LAYOUTS[table]
    rows = iter(layout.rows(found))
    first = next(rows, None)
    if first is None and layout.missing:
        return None
    footer = [(name.replace("_", " ").capitalize(), str(found[name])) for name in STAMP if name in found]
    whole = rows if first is None else chain([first], rows)
    sheet = Sheet(table, tuple(layout.columns(found)), whole, (*footer, ("Question", written(wanted))))
    return answer(sheet, FORMATS[format], f"{table}_{found['from'][:10]}")


def files_of(kind: str, wanted: Mapping[str, Any]) -> dict[str, tuple[Action, ...]]:
    """The menu of each further table of an answer."""
    query = urlencode({"q": written(wanted)})

    def menu(table: str) -> tuple[Action, ...]:
        path = f"/explore/{table}"
        return tuple(Action(f"Download {name.upper()}", f"{path}.{name}?{query}", "download") for name in FORMATS)

    return {part: menu(table) for part, table in tables_of(kind).items()}
