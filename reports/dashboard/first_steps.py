"""What to do before there are numbers: a key to send with, and the command that sends the first event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from analytics.access.roles import Scope
from analytics.access.services import api_key_create
from analytics.models import ApiKey
from reports.dashboard.doors import scopes_of, tenant_of

KEY_NAME: Final = "first events"
CURL: Final = """curl {url}/api/v1/events/ \\
  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\
  -d '{{"event": "order_completed", "user": "ada", "value": 19.90, "currency": "{currency}"}}'"""


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """`prefix` is that of a live write key, whose token nobody can show again; `token` that of one just made."""

    curl: str
    prefix: str
    token: str
    may_make_keys: bool


def first_steps(request: HttpRequest, *, token: str = "") -> FirstSteps:
    """The steps for whoever looks. Needs the tenant's context."""
    tenant = tenant_of(request)
    url = f"{request.scheme}://{request.get_host()}"
    curl = CURL.format(url=url, key=token or "pk_…", currency=tenant.base_currency)
    return FirstSteps(curl, _prefix(tenant.id, timezone.now()), token, may_make_keys(request))


def may_make_keys(request: HttpRequest) -> bool:
    """Whether the visitor may hand out keys."""
    return Scope.ACCESS_WRITE in scopes_of(request)


def write_key_make(request: HttpRequest) -> str:
    """A new write key of the tenant; its token is seen this once."""
    _, token = api_key_create(tenant_id=tenant_of(request).id, kind="pk", name=KEY_NAME, created_by_id=request.user.pk)
    return token


def _prefix(tenant_id: int, now: datetime) -> str:
    live = ApiKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), tenant_id=tenant_id, revoked_at=None)
    return live.filter(kind="pk").order_by("-created_at").values_list("prefix", flat=True).first() or ""
