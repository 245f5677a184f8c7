"""The base of every view under /api/v1/: a verified credential, then one transaction with its tenant set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.utils.cache import patch_vary_headers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.access import schema  # noqa: F401  registers the names of our doors with the schema
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
        if self.is_atomic and hasattr(self, name):
            setattr(self, name, self._inside_tenant(getattr(self, name)))

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        for name, value in rate_headers(*getattr(request._request, "rate_limit", ())).items():
            answer[name] = value
        answer.headers.setdefault("Cache-Control", "private, no-cache")
        patch_vary_headers(answer, ("Authorization", "Cookie"))
        return answer

    def _inside_tenant(self, handler: Callable[..., Response]) -> Callable[..., Response]:
        def handle(request: Request, *args: Any, **kwargs: Any) -> Response:
            with tenant_context(self.tenant.id):
                return handler(request, *args, **kwargs)

        return handle


class TenantView(TenantMixin):
    """A plain view of one tenant."""
