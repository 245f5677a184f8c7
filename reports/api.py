"""Routes of /api/v1/ for what is shown and handed out."""

from __future__ import annotations

from reports.boards.urls import api as boards
from reports.exports.urls import api as exports

urlpatterns = [*exports, *boards]
