"""The tables of the app, found here by Django."""

from __future__ import annotations

from reports.boards.models import Board, ShareLink

__all__ = ["Board", "ShareLink"]
