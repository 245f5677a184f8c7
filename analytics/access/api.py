"""The base of every view under /api/v1/: a verified credential, then one transaction with its tenant set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import msgspec
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.access import schema  # noqa: F401  registers the names of our doors with the schema
from analytics.access.idempotency import HEADER, ask_of, once
from analytics.access.keys import KeyInfo
from analytics.access.roles import Scope
from analytics.access.throttles import rate_headers
from analytics.contracts import TenantInfo
from analytics.tenancy import tenant_context


class TenantMixin(APIView):
    """Wraps the handler, after authentication, permission and throttle, in the tenant's transaction.

    `scopes` names the scope of each method ("GET", "POST" …, or "read" and "write" for all of a kind).
    """

    scopes: ClassVar[Mapping[str, Scope]] = {}
    is_atomic: ClassVar[bool] = True
    """False for handlers whose service opens and commits transactions of its own."""

    @property
    def credential(self) -> KeyInfo:
        """Who calls; a view runs only when there is one."""
        credential: Any = self.request.auth
        assert isinstance(credential, KeyInfo)
        return credential

    @property
    def tenant(self) -> TenantInfo:
        """Whose data the caller may see."""
        return self.credential.tenant

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # DRF looks its handler up right after this: an instance attribute of that name is found first.
        name = (request.method or "").lower()
        if not hasattr(self, name):
            return
        handler = getattr(self, name)
        if request.method == "POST" and HEADER in request.headers:
            handler = self._once(handler)
        setattr(self, name, self._inside_tenant(handler) if self.is_atomic else handler)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        for name, value in rate_headers(*getattr(request._request, "rate_limit", ())).items():
            answer[name] = value
        answer.headers.setdefault("Cache-Control", "private, no-cache")
        patch_vary_headers(answer, ("Authorization", "Cookie"))
        return answer

    def idempotency_content(self, request: Request) -> bytes:
        """All of a POST's body by which it differs from another one; blanks and the order of fields do not."""
        data = dict(request.data) if isinstance(request.data, Mapping) else request.data
        return msgspec.json.encode(data, order="sorted")

    def _once(self, handler: Callable[..., Response]) -> Callable[..., Response]:
        request = self.request
        parts = (request.get_full_path().encode(), self.idempotency_content(request))
        ask = ask_of(self.credential, request.headers[HEADER], *parts)

        def handle(request: Request, *args: Any, **kwargs: Any) -> Response:
            act = partial(handler, request, *args, **kwargs)
            return once(ask, act, is_atomic=self.is_atomic, now=timezone.now())

        return handle

    def _inside_tenant(self, handler: Callable[..., Response]) -> Callable[..., Response]:
        def handle(request: Request, *args: Any, **kwargs: Any) -> Response:
            with tenant_context(self.tenant.id):
                return handler(request, *args, **kwargs)

        return handle


class TenantView(TenantMixin):
    """A plain view of one tenant."""
