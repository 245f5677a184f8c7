"""Addresses of boards: below /api/v1/, and pages."""

from __future__ import annotations

from django.urls import path

from reports.boards import api as views

api = [
    path("boards/", views.BoardsView.as_view(), name="boards"),
    path("boards/<uuid:board_id>/", views.BoardView.as_view(), name="board"),
    path("boards/<uuid:board_id>/copy/", views.BoardCopyView.as_view(), name="board-copy"),
    path("boards/<uuid:board_id>/links/", views.LinksView.as_view(), name="board-links"),
    path("boards/<uuid:board_id>/links/<uuid:link_id>/", views.LinkView.as_view(), name="board-link"),
]
