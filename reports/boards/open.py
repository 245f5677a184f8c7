"""`/shared/<token>/`: one board for whoever has its link. No session, no navigation, nothing personal."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_http_methods

from analytics.access.addresses import client_address, networks_parse
from analytics.access.throttles import MINUTE, Limit, gcra
from analytics.cache import DEFINITIONS, LIVE, METRICS, Audience, cached
from analytics.contracts import TenantInfo
from analytics.models import Tenant
from analytics.tenancy import tenant_context, tenant_info
from kpis.catalogue import Catalogue
from reports.boards.draft import draft_shape
from reports.boards.models import Board, ShareLink
from reports.boards.reading import Stage, board_cards, board_question
from reports.boards.shared import Curtain
from reports.boards.shares import LinkClosed, password_fits, share_opened
from reports.boards.tokens import Claim, pass_write, token_read
from reports.dashboard import shown
from reports.dashboard.context import THEME_COOKIE, THEMES
from reports.dashboard.problems import problem_page

# Whole, named ranges only: between two ranges that differ by a day, one visitor of that day could be told apart.
RANGES: Final = (
    ("last_7d", "Last 7 days"),
    ("last_30d", "Last 30 days"),
    ("last_90d", "Last 90 days"),
    ("last_month", "Last month"),
    ("last_12m", "Last 12 months"),
)
PASS_COOKIE: Final = "bw_pass"  # noqa: S105  a name
PASS_SECONDS: Final = 12 * 3600
OPENINGS_A_MINUTE: Final = 240
PASSWORDS_A_MINUTE: Final = 10


@csrf_exempt  # the only form asks for the link's password; a frame on another site has no cookie to check
@require_http_methods(["GET", "HEAD", "POST"])
@gzip_page
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """The board of a link, or the one page that all closed links get."""
    claim = token_read(token)
    if claim is None:
        return _private(_closed(request))
    if not gcra().take([Limit(f"share:{claim.link_id}", OPENINGS_A_MINUTE, MINUTE)]).is_allowed:
        return _private(_busy(request))
    try:
        with tenant_context(claim.tenant_id):
            return _private(_opened(request, token, claim, timezone.now()))
    except LinkClosed:
        return _private(_closed(request))


def _opened(request: HttpRequest, token: str, claim: Claim, now: datetime) -> HttpResponse:
    link, board = share_opened(claim=claim, now=now)
    answer = _behind_password(request, token, link) or _board(request, link, board, now)
    origins = [str(origin) for origin in link.embed_origins]
    if origins:
        answer.xframe_options_exempt = True
        answer._csp_replace = {"frame-ancestors": ["'self'", *origins]}  # type: ignore[attr-defined]  # by django-csp
    return answer


def _board(request: HttpRequest, link: ShareLink, board: Board, now: datetime) -> HttpResponse:
    tenant = _tenant(link.tenant_id)
    chosen = request.GET.get("period", "")
    period = chosen if not link.is_range_locked and chosen in dict(RANGES) else ""
    theme = request.COOKIES.get(THEME_COOKIE, "auto")
    with timezone.override(ZoneInfo(tenant.zone)):
        html = board_html(
            audience=Curtain(tenant.id).audience,
            tenant=tenant,
            link_id=link.pk,
            version=board.version,
            document=board.document,
            title=board.title,
            description=board.description,
            period=period,
            is_locked=link.is_range_locked,
            path=request.path,
            theme=theme if theme in THEMES else "auto",
            now=now,
        )
    return HttpResponse(html)


@cached(ttl=LIVE, tags=(METRICS, DEFINITIONS))
def board_html(
    *,
    audience: Audience,
    tenant: TenantInfo,
    link_id: UUID,
    version: int,
    document: dict[str, object],
    title: str,
    description: str,
    period: str,
    is_locked: bool,
    path: str,
    theme: str,
    now: datetime,
) -> str:
    """The page, the same for everybody who opens the link within half a minute."""
    draft = draft_shape({**document, "title": title, "description": description})
    question = board_question(draft, tenant, now, over={"period": period} if period else {}, path=path)
    over = {"period": period} if period else {}
    stage = Stage(draft, tenant, now, question, over, Catalogue(tenant.id), Curtain(tenant.id))
    context = {
        "title": title,
        "description": description,
        "cards": board_cards(stage),
        "range_name": shown.period_shown(question.ask.period, question.ask.calendar),
        "zone": shown.zone_shown(question.ask.calendar, now),
        "ranges": [] if is_locked else [(name, label, name == period) for name, label in RANGES],
        "theme": theme,
        "now": now,
    }
    html: str = "".join([render_to_string("reports/boards/shared.html", context)])  # plain: marked safe it is no JSON
    return html


# --- Doors ------------------------------------------------------------------------------------------------------------


def _behind_password(request: HttpRequest, token: str, link: ShareLink) -> HttpResponse | None:
    if not link.password:
        return None
    right = pass_write(link_id=link.pk, password_hash=link.password)
    if request.method != "POST" and request.COOKIES.get(PASS_COOKIE) == right:
        return None
    if request.method != "POST":
        return render(request, "reports/boards/password.html", {"error": ""}, status=401)
    if not gcra().take(_password_limits(request, link)).is_allowed:
        return render(request, "reports/boards/password.html", {"error": "Too many tries. Wait a minute."}, status=429)
    if not password_fits(link, request.POST.get("password", "")[:200]):
        return render(request, "reports/boards/password.html", {"error": "That is not the password."}, status=401)
    answer = redirect("dashboard:shared", token)
    is_framed = bool(link.embed_origins) and request.is_secure()
    answer.set_cookie(
        PASS_COOKIE,
        right,
        max_age=PASS_SECONDS,
        path=request.path,
        httponly=True,
        secure=request.is_secure(),
        samesite="None" if is_framed else "Lax",
    )
    return answer


def _password_limits(request: HttpRequest, link: ShareLink) -> list[Limit]:
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    address = client_address(request.META.get("REMOTE_ADDR", ""), forwarded, networks_parse(settings.TRUSTED_PROXIES))
    return [
        Limit(f"share:password:{link.pk}", PASSWORDS_A_MINUTE, MINUTE),
        Limit(f"share:address:{address}", PASSWORDS_A_MINUTE, MINUTE),
    ]


def _closed(request: HttpRequest) -> HttpResponse:
    return problem_page(
        request,
        status=404,
        title="This link is closed",
        message="It has expired, was revoked, or is not complete. Ask whoever sent it for a new one.",
        is_outside=True,
    )


def _busy(request: HttpRequest) -> HttpResponse:
    return problem_page(
        request,
        status=429,
        title="Too many visitors at once",
        message="This board is opened very often just now. Try again in a minute.",
        is_outside=True,
    )


def _private(response: HttpResponse) -> HttpResponse:
    """Not for search engines, shared caches, or the logs of sites that are linked to."""
    response["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response["Cache-Control"] = "private, no-cache"
    response["Referrer-Policy"] = "no-referrer"
    return response


def _tenant(tenant_id: int) -> TenantInfo:
    row = Tenant.objects.get(pk=tenant_id)
    return tenant_info((row.pk, row.slug, row.zone, row.base_currency, row.week_start, row.settings))
