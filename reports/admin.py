"""The admin of the app, found here by Django."""

from __future__ import annotations

from reports.boards.admin import BoardAdmin, ShareLinkAdmin

__all__ = ["BoardAdmin", "ShareLinkAdmin"]
