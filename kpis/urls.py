"""Routes of /api/v1/ for what is counted."""

from __future__ import annotations

urlpatterns: list[object] = []
