"""Whether a verified credential may do this: one comparison of scopes, the same for keys, tokens and sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from analytics.access.keys import KeyInfo
from analytics.access.roles import Scope


class TenantPermission(BasePermission):
    """Asks the view which scope a method needs (`scopes`); a method that names none is refused to everybody."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        credential = request.auth
        if not isinstance(credential, KeyInfo):
            return False
        needed = scope_needed(getattr(view, "scopes", {}), request.method or "")
        if needed is None or needed not in credential.scopes:
            raise PermissionDenied(f"This needs the scope {needed or 'nobody has'}.", code="scope_missing")
        return True


class Scoped:
    """Mixin's type: `scopes` maps a method to the scope it needs; "read" and "write" stand for all such methods."""

    scopes: ClassVar[Mapping[str, Scope]] = {}


def scope_needed(scopes: Mapping[str, Scope], method: str) -> Scope | None:
    """The scope of a method: its own entry first, else that of its kind. OPTIONS and HEAD are asked as GET."""
    asked = "GET" if method in ("HEAD", "OPTIONS") else method
    return scopes.get(asked) or scopes.get("read" if asked in SAFE_METHODS else "write")
