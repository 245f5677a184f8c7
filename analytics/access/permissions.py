"""Whether a verified credential may do this: one comparison of scopes, the same for keys, tokens and sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from analytics.access.keys import KeyInfo
from analytics.access.roles import Scope

if TYPE_CHECKING:  # the REST framework loads this module while it makes APIView
    from rest_framework.views import APIView


class TenantPermission(BasePermission):
    """Asks the view which scope a method needs (`scopes`); a method that names none is refused to everybody."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        credential = request.auth
        if not isinstance(credential, KeyInfo):
            return False
        if not hasattr(view, (request.method or "").lower()):
            return True  # nothing to guard: the answer is 405
        needed = scope_needed(getattr(view, "scopes", {}), request.method or "")
        if needed is None or needed not in credential.scopes:
            raise PermissionDenied(f"This needs the scope {needed or 'nobody has'}.", code="scope_missing")
        return True


def scope_needed(scopes: Mapping[str, Scope], method: str) -> Scope | None:
    """The scope of a method: its own entry first, else that of its kind. OPTIONS and HEAD are asked as GET."""
    asked = "GET" if method in ("HEAD", "OPTIONS") else method
    return scopes.get(asked) or scopes.get("read" if asked in SAFE_METHODS else "write")
