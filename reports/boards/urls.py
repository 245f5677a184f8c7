"""Addresses of boards: below /api/v1/, and pages."""

from __future__ import annotations

from django.urls import path

from reports.boards import api as views
from reports.boards import pages as screens
from reports.boards.open import shared

api = [
    path("boards/", views.BoardsView.as_view(), name="boards"),
    path("boards/<uuid:board_id>/", views.BoardView.as_view(), name="board"),
    path("boards/<uuid:board_id>/copy/", views.BoardCopyView.as_view(), name="board-copy"),
    path("boards/<uuid:board_id>/links/", views.LinksView.as_view(), name="board-links"),
    path("boards/<uuid:board_id>/links/<uuid:link_id>/", views.LinkView.as_view(), name="board-link"),
]

pages = [
    path("boards/", screens.boards, name="boards"),
    path("boards/new/", screens.new, name="board-new"),
    path("boards/import/", screens.imported, name="board-import"),
    path("boards/preview/", screens.preview, name="board-preview"),
    path("boards/<uuid:board_id>/", screens.board, name="board"),
    path("boards/<uuid:board_id>/edit/", screens.edit, name="board-edit"),
    path("boards/<uuid:board_id>/keep/", screens.keep, name="board-keep"),
    path("boards/<uuid:board_id>/copy/", screens.copy, name="board-copy"),
    path("boards/<uuid:board_id>/delete/", screens.delete, name="board-delete"),
    path("boards/<uuid:board_id>/file/", screens.file, name="board-file"),
    path("boards/<uuid:board_id>/links/", screens.links, name="board-links"),
    path("shared/<str:token>/", shared, name="shared"),
]
