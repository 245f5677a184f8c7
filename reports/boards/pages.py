"""Boards on screen: the list, one board, its editor, its links."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from analytics.access.roles import Scope
from kpis.catalogue import Catalogue
from kpis.goals.selectors import goals_list
from kpis.parameters import FILTERS
from kpis.series import NoCalendar
from reports.boards import services, shares
from reports.boards.api import yaml_answer
from reports.boards.document import YamlError, yaml_read, yaml_write
from reports.boards.draft import QUERY, Card, Draft, DraftError, draft_plain, draft_read, question_of_card
from reports.boards.kinds import KINDS
from reports.boards.models import Board
from reports.boards.reading import BoardCard, Stage, board_cards, board_question
from reports.boards.selectors import NoBoard, Visitor, board_draft, board_found, boards_listed, boards_seen, links_of
from reports.boards.starters import STARTERS
from reports.boards.wall import wall_address, wall_context
from reports.dashboard.breakdowns import dimensions_offered
from reports.dashboard.cards import ChartCard, TableCard
from reports.dashboard.doors import is_fragment, scopes_of, tenant_of, tenant_page
from reports.dashboard.lists import list_page
from reports.dashboard.question import OF_THE_SCREEN, PageQuestion, address
from reports.dashboard.remembered import part_response
from reports.dashboard.toolbar import PRESETS, toolbar_of

BOARDS = 24
PICKED_COLUMNS = ("country", "platform", "channel", "campaign", "source", "method", "tier", "content_type", "reason")


def visitor_of(request: HttpRequest) -> Visitor:
    """Who looks at the page."""
    user: Any = request.user
    return Visitor(tenant_of(request).id, user.pk, user.get_username(), Scope.KPIS_WRITE in scopes_of(request))


@require_GET
@tenant_page()
def boards(request: HttpRequest) -> HttpResponse:
    """All boards."""
    visitor = visitor_of(request)
    if request.GET.get("kiosk"):
        first = boards_seen(visitor=visitor).first()
        return redirect(wall_address(request, first)) if first else redirect("dashboard:boards")
    found = list_page(request, boards_listed(visitor=visitor, now=timezone.now()), size=BOARDS)
    context = {"boards": found, "may_edit": visitor.may_edit, "starters": STARTERS}
    return render(request, "reports/boards/list.html", context)


@require_GET
@tenant_page()
def board(request: HttpRequest, board_id: UUID) -> HttpResponse:
    """One board."""
    visitor, row = visitor_of(request), _row(request, board_id)
    over = {name: value for name, value in request.GET.dict().items() if value.strip() and name not in OF_THE_SCREEN}
    stage = _stage(request, board_draft(row), over, reverse("dashboard:board", args=[row.pk]))
    if is_fragment(request):
        build = partial(_numbers, row, stage)
        return part_response(
            request, stage.question, template="reports/boards/numbers.html", version=row.version, build=build
        )
    context = {
        "board": row,
        **_numbers(row, stage),
        "may_edit": visitor.may_edit,
        "live": _live_query(stage.question),
        "kept": stage.over,
    }
    if request.GET.get("kiosk"):
        return render(request, "reports/boards/kiosk.html", {**context, **wall_context(request, visitor, row)})
    return render(request, "reports/boards/board.html", context)


@tenant_page(Scope.KPIS_WRITE)
def edit(request: HttpRequest, board_id: UUID) -> HttpResponse:
    """The editor, and saving from it."""
    row = _row(request, board_id)
    if request.method != "POST":
        return _editor(request, row, board_draft(row), row.version)
    version = _version(request)
    try:
        draft = _sent(request)
    except (DraftError, YamlError) as error:
        return _editor(request, row, board_draft(row), version, problems=_told(error), status=400)
    try:
        if request.POST.get("then") == "copy":
            copy = msgspec.structs.replace(draft, title=f"{draft.title[:190]} (mine)")
            saved = services.board_create(visitor=visitor_of(request), draft=copy, now=timezone.now())
        else:
            saved = services.board_change(
                visitor=visitor_of(request), board_id=board_id, draft=draft, version=version, now=timezone.now()
            )
    except services.BoardChanged as error:
        return _editor(request, error.board, draft, error.board.version, conflict=str(error), status=409)
    except services.BoardError as error:
        return _editor(request, row, draft, version, problems=[str(error)], status=400)
    messages.success(request, "Saved.")
    return redirect("dashboard:board", saved.pk)


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def keep(request: HttpRequest, board_id: UUID) -> HttpResponse:
    """What the visitor's address asked for becomes the board's own question."""
    row, tenant, now = _row(request, board_id), tenant_of(request), timezone.now()
    sent = {name: value for name, value in request.POST.dict().items() if name in QUERY}
    draft = board_draft(row)
    wanted = {**draft_plain(draft), "query": question_of_card(draft, Card("text"), sent)}
    version = _version(request)
    try:
        kept = draft_read(wanted, tenant=tenant, metrics=frozenset(Catalogue(tenant.id)), now=now)
        services.board_change(visitor=visitor_of(request), board_id=board_id, draft=kept, version=version, now=now)
        messages.success(request, "Kept: this is how the board opens from now on.")
    except (DraftError, services.BoardError, services.BoardChanged) as error:
        for text in _told(error):
            messages.error(request, text)
    return redirect("dashboard:board", board_id)


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def preview(request: HttpRequest) -> HttpResponse:
    """One card of a board that is being edited, as it will look."""
    try:
        sent = msgspec.json.decode(request.body)
        draft = draft_read(
            {"title": "Preview", "query": sent.get("query", {}), "cards": [sent.get("card", {})]},
            tenant=tenant_of(request),
            metrics=frozenset(Catalogue(tenant_of(request).id)),
            now=timezone.now(),
        )
    except (ValueError, AttributeError, RecursionError) as error:
        told = _told(error) if isinstance(error, DraftError) else ["This is no card."]
        return JsonResponse({"problems": told}, status=400)
    (card,) = board_cards(_stage(request, draft, {}, "/boards/"))
    index = request.headers.get("X-Card", "")
    return render(request, "reports/boards/card.html", {"card": _numbered(card, index)})


@tenant_page(Scope.KPIS_WRITE)
def new(request: HttpRequest) -> HttpResponse:
    """Make a board: from a starter, or from a YAML file. Who only typed the address is shown where boards are made."""
    if request.method != "POST":
        return redirect("dashboard:boards")
    tenant, now = tenant_of(request), timezone.now()
    metrics = frozenset(Catalogue(tenant.id))
    try:
        plain = STARTERS.get(request.POST.get("starter", ""), STARTERS["empty"])
        known = [card for card in plain.get("cards", ()) if card.get("metric", "") in (*metrics, "")]
        wanted = {**plain, "cards": known, "title": request.POST.get("title", "").strip() or plain["title"]}
        draft = draft_read(wanted, tenant=tenant, metrics=metrics, now=now)
        made = services.board_create(visitor=visitor_of(request), draft=draft, now=now)
    except (DraftError, services.BoardError) as error:
        for text in _told(error):
            messages.error(request, text)
        return redirect("dashboard:boards")
    return redirect("dashboard:board-edit", made.pk)


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def imported(request: HttpRequest) -> HttpResponse:
    """Boards of a YAML file: those of a title that is there are changed, the others made. All of them, or none."""
    tenant, now = tenant_of(request), timezone.now()
    metrics = frozenset(Catalogue(tenant.id))
    upload = request.FILES.get("file")
    raw: Any = upload.read(1 << 20) if upload else request.POST.get("yaml", "")
    problems: list[str] = []
    drafts: list[Draft] = []
    try:
        for document in yaml_read(raw):
            try:
                drafts.append(draft_read(document.data, tenant=tenant, metrics=metrics, now=now))
            except DraftError as error:
                problems += [mistake.message for mistake in document.located(error)]
    except YamlError as error:
        problems.append(str(error))
    for text in problems[:10]:
        messages.error(request, text)
    if not problems:
        for text in _boards_kept(request, drafts, now):
            messages.success(request, text)
    return redirect("dashboard:boards")


def _boards_kept(request: HttpRequest, drafts: list[Draft], now: datetime) -> list[str]:
    """What became of the boards of a file. When one cannot be kept it is told which, and none is."""
    done: list[str] = []
    try:
        with transaction.atomic():
            for draft in drafts:
                row, is_new = services.board_import(visitor=visitor_of(request), draft=draft, now=now)
                done.append(f"{'Made' if is_new else 'Changed'}: {row.title}.")
    except (services.BoardError, services.BoardChanged) as error:
        messages.error(request, f"{draft.title}: {error} Nothing of the file was kept.")
        return []
    return done


@require_GET
@tenant_page()
def file(request: HttpRequest, board_id: UUID) -> HttpResponse:
    """The board as YAML."""
    return yaml_answer(_row(request, board_id))


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def copy(request: HttpRequest, board_id: UUID) -> HttpResponse:
    """A second one like it."""
    _row(request, board_id)
    try:
        made = services.board_duplicate(visitor=visitor_of(request), board_id=board_id, now=timezone.now())
    except services.BoardError as error:
        messages.error(request, str(error))
        return redirect("dashboard:board", board_id)
    return redirect("dashboard:board-edit", made.pk)


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def delete(request: HttpRequest, board_id: UUID) -> HttpResponse:
    """Take it away, with its links."""
    row = _row(request, board_id)
    services.board_delete(visitor=visitor_of(request), board_id=board_id)
    messages.success(request, f"Deleted: {row.title}.")
    return redirect("dashboard:boards")


@tenant_page(Scope.KPIS_WRITE)
def links(request: HttpRequest, board_id: UUID) -> HttpResponse:
    """The links of a board: listed, made, revoked."""
    row, now, visitor = _row(request, board_id), timezone.now(), visitor_of(request)
    problem: services.BoardError | None = None
    if request.method == "POST":
        problem = _links_changed(request, visitor, row, now)
        if problem is None:
            return redirect("dashboard:board-links", row.pk)
    listed = [
        {"link": link, "url": request.build_absolute_uri(shares.share_path(link)), "state": shares.state_of(link, now)}
        for link in links_of(visitor=visitor, board_id=board_id)
    ]
    default = (now + timedelta(days=shares.DEFAULT_DAYS)).date().isoformat()
    context = {"board": row, "links": listed, "problem": problem, "default": default, "sent": request.POST}
    return render(request, "reports/boards/links.html", context, status=400 if problem else 200)


def _links_changed(request: HttpRequest, visitor: Visitor, row: Board, now: datetime) -> services.BoardError | None:
    try:
        if request.POST.get("revoke"):
            shares.share_revoke(visitor=visitor, board_id=row.pk, link_id=_uuid(request.POST["revoke"]), now=now)
            messages.success(request, "The link is closed.")
            return None
        shares.share_create(visitor=visitor, board_id=row.pk, draft=_link_draft(request), now=now)
    except services.BoardError as error:
        return error
    messages.success(request, "The link is made. Copy it from the list.")
    return None


def _link_draft(request: HttpRequest) -> shares.LinkDraft:
    text = request.POST.get("expires_on", "")
    try:
        # The tenant's zone is added next.
        end = datetime.strptime(text, "%Y-%m-%d") + timedelta(days=1)  # noqa: DTZ007
    except (ValueError, OverflowError):
        raise services.BoardError("expires_at", "Write the last day as 2026-12-31.") from None
    zone = timezone.get_current_timezone()
    return shares.LinkDraft(
        name=request.POST.get("name", ""),
        expires_at=end.replace(tzinfo=zone),
        password=request.POST.get("password", ""),
        is_range_locked=request.POST.get("range") != "free",
        embed_origins=tuple(request.POST.get("embed_origins", "").split()),
    )


# --- Parts ------------------------------------------------------------------------------------------------------------


def _row(request: HttpRequest, board_id: UUID) -> Board:
    try:
        return board_found(visitor=visitor_of(request), board_id=board_id)
    except NoBoard:
        raise Http404("There is no such board.") from None


def _stage(request: HttpRequest, draft: Draft, over: dict[str, str], path: str) -> Stage:
    tenant, now = tenant_of(request), timezone.now()
    question = board_question(draft, tenant, now, over=over, path=path)
    understood = {name: value for name, value in question.parameters.items() if name in over}
    return Stage(draft, tenant, now, question, understood, Catalogue(tenant.id))


def _numbers(row: Board, stage: Stage) -> dict[str, Any]:
    """What moves while the board is looked at, and the frame that says since when."""
    return {"page": _page(row, stage), "cards": board_cards(stage)}


def _page(row: Board, stage: Stage) -> dict[str, Any]:
    charts = [card.metric for card in stage.draft.cards if card.kind == "chart"]
    return {
        "title": row.title,
        "intro": row.description,
        "toolbar": toolbar_of(stage.question, dimensions_offered(charts, stage.catalogue)),
        "complaints": [complaint.message for complaint in stage.question.complaints],
        "refresh": address(stage.question.path, stage.over),
        "until": stage.question.until,
    }


def _live_query(question: PageQuestion) -> str:
    """The board's question as the live badge wants it."""
    left_out = ("granularity", "by", "limit")
    parameters = {name: value for name, value in question.parameters.items() if name not in left_out}
    return question.href("", **dict.fromkeys(left_out)).partition("?")[2] if parameters else "period=last_30d"


def _editor(
    request: HttpRequest,
    row: Board,
    draft: Draft,
    version: int,
    *,
    problems: list[str] | None = None,
    conflict: str = "",
    status: int = 200,
) -> HttpResponse:
    tenant = tenant_of(request)
    stage = _stage(request, draft, {}, reverse("dashboard:board", args=[row.pk]))
    context = {
        "board": row,
        "draft": draft,
        "document": draft_plain(draft),
        "cards": board_cards(stage),
        "version": version,
        "problems": problems or [],
        "conflict": conflict,
        "yaml": yaml_write([draft_plain(draft)]),
        "kinds": KINDS.values(),
        "kind_sizes": {kind.name: [kind.width, kind.height] for kind in KINDS.values()},
        "metrics": [(metric.id, metric.name) for metric in Catalogue(tenant.id).values()],
        "columns": [(name, name.replace("_", " ")) for name in PICKED_COLUMNS if name in FILTERS],
        "ranges": [choice for group in PRESETS for choice in group],
        "goals": _goals(request),
        "is_owner": row.owner_id == request.user.pk,
    }
    return render(request, "reports/boards/edit.html", context, status=status)


def _goals(request: HttpRequest) -> list[tuple[str, str]]:
    try:
        return [(str(goal.id), goal.name) for goal in goals_list(tenant_id=tenant_of(request).id, now=timezone.now())]
    except NoCalendar:
        return []


def _version(request: HttpRequest) -> int:
    """The version that the visitor saw; 0, which no board has, for what is none."""
    text = request.POST.get("version", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _sent(request: HttpRequest) -> Draft:
    """The board that the editor sends: as JSON, or as YAML by hand."""
    tenant, now = tenant_of(request), timezone.now()
    metrics = frozenset(Catalogue(tenant.id))
    if "yaml" in request.POST:
        document = yaml_read(request.POST["yaml"])[0]
        try:
            return draft_read(document.data, tenant=tenant, metrics=metrics, now=now)
        except DraftError as error:
            raise DraftError(document.located(error)) from None
    try:
        data = msgspec.json.decode(request.POST.get("document", ""))
    except (ValueError, RecursionError):
        raise YamlError(0, "The editor sent nothing that can be read: reload the page and try again.") from None
    return draft_read(data, tenant=tenant, metrics=metrics, now=now)


def _told(error: Exception) -> list[str]:
    return [mistake.message for mistake in error.mistakes] if isinstance(error, DraftError) else [str(error)]


def _numbered(card: BoardCard, index: str) -> BoardCard:
    """Under the number that it has in the editor, so that no two parts of the page share an id."""
    number = int(index) if index.isdecimal() and len(index) < 5 else card.index
    item = card.item
    if isinstance(item, ChartCard | TableCard):
        item = replace(item, id=f"{item.id.rpartition('-')[0]}-{number}")
    return replace(card, index=number, item=item)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise services.BoardError("link", "There is no such link.") from None
