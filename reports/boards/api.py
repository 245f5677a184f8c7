"""Routes of boards and their links. A save says which version it was made from (`If-Match`)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar, NoReturn
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from analytics import filters
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.pagination import COUNTED, paged
from kpis.catalogue import Catalogue
from reports.boards import serializers, services, shares
from reports.boards.document import yaml_write
from reports.boards.draft import Draft, DraftError, draft_plain, draft_read
from reports.boards.models import Board, ShareLink
from reports.boards.selectors import (
    NoBoard,
    Visitor,
    board_draft,
    board_found,
    boards_listed,
    links_of,
    visitor_of,
)
from reports.exports.views import FormatIsAQuestion

IF_MATCH = OpenApiParameter(
    "If-Match", location=OpenApiParameter.HEADER, required=True, description="The ETag (version) that you have seen."
)
FORMATS = ("json", "yaml")


class VersionMissing(APIException):
    """A change that does not say what it was made from might undo somebody's work."""

    status_code = 428
    default_detail = "Send `If-Match` with the ETag of the board that you have read."
    default_code = "version_missing"


class VersionOld(APIException):
    """Somebody else was faster."""

    status_code = 412
    default_code = "version_old"


class BoardBase(TenantView):
    """What views of boards share."""

    scopes: ClassVar = {"read": Scope.KPIS_READ, "write": Scope.KPIS_WRITE}
    content_negotiation_class = FormatIsAQuestion

    @property
    def visitor(self) -> Visitor:
        """Who asks."""
        return visitor_of(self.credential)

    def draft(self, request: Request, now: datetime) -> Draft:
        """The board of the body; refused field by field."""
        metrics = frozenset(Catalogue(self.tenant.id))
        try:
            return draft_read(request.data, tenant=self.tenant, metrics=metrics, now=now)
        except DraftError as error:
            raise ValidationError(
                {mistake.path or "board": [mistake.message] for mistake in error.mistakes}, code="invalid_board"
            ) from None

    def found(self, board_id: UUID) -> Board:
        """The board. Foreign, private and missing ones are the same."""
        try:
            return board_found(visitor=self.visitor, board_id=board_id)
        except NoBoard:
            raise NotFound from None

    def links(self, board_id: UUID) -> QuerySet[ShareLink]:
        """The links of a board that is there."""
        try:
            return links_of(visitor=self.visitor, board_id=board_id)
        except NoBoard:
            raise NotFound from None


class BoardsView(BoardBase):
    """All of them."""

    @extend_schema(parameters=COUNTED, responses=serializers.BoardPageSerializer, operation_id="boards_list")
    def get(self, request: Request) -> Response:
        """The team's and your own, by title."""
        found = boards_listed(visitor=self.visitor, now=timezone.now())
        return paged(request, found, serializers.BoardHeadSerializer)

    @extend_schema(
        request=serializers.BoardDraftSerializer,
        responses={201: serializers.BoardSerializer},
        operation_id="boards_create",
    )
    def post(self, request: Request) -> Response:
        """Make one. Cards that lie on one another are moved down."""
        now = timezone.now()
        try:
            board = services.board_create(visitor=self.visitor, draft=self.draft(request, now), now=now)
        except services.BoardError as error:
            _refused(error)
        return _answer(board, status.HTTP_201_CREATED)


class BoardView(BoardBase):
    """One of them."""

    @extend_schema(
        parameters=[OpenApiParameter("format", enum=list(FORMATS), description="json when left out.")],
        responses={200: serializers.BoardSerializer, (200, "application/yaml"): OpenApiTypes.STR},
        operation_id="boards_read",
    )
    def get(self, request: Request, board_id: UUID) -> Any:
        """What it says; as YAML it can be kept in a repository and imported elsewhere."""
        board = self.found(board_id)
        if filters.choice_parameter(request.query_params, "format", FORMATS, default="json") == "json":
            return _answer(board)
        return yaml_answer(board)

    @extend_schema(
        parameters=[IF_MATCH],
        request=serializers.BoardDraftSerializer,
        responses=serializers.BoardSerializer,
        operation_id="boards_change",
    )
    def put(self, request: Request, board_id: UUID) -> Response:
        """Save it whole. 412 when somebody saved since you read it, 428 without `If-Match`."""
        now = timezone.now()
        self.found(board_id)
        version = _version(request)
        draft = self.draft(request, now)
        try:
            board = services.board_change(
                visitor=self.visitor, board_id=board_id, draft=draft, version=version, now=now
            )
        except services.BoardChanged as error:
            raise VersionOld(str(error)) from None
        except services.BoardError as error:
            _refused(error)
        return _answer(board)

    @extend_schema(parameters=[IF_MATCH], responses={204: None}, operation_id="boards_delete")
    def delete(self, request: Request, board_id: UUID) -> Response:
        """Take it away, with its links."""
        self.found(board_id)
        try:
            services.board_delete(visitor=self.visitor, board_id=board_id, version=_version(request))
        except services.BoardChanged as error:
            raise VersionOld(str(error)) from None
        return Response(status=status.HTTP_204_NO_CONTENT)


class BoardCopyView(BoardBase):
    """A second one like it."""

    @extend_schema(request=None, responses={201: serializers.BoardSerializer}, operation_id="boards_copy")
    def post(self, request: Request, board_id: UUID) -> Response:
        """A copy that is yours."""
        self.found(board_id)
        try:
            board = services.board_duplicate(visitor=self.visitor, board_id=board_id, now=timezone.now())
        except services.BoardError as error:
            _refused(error)
        return _answer(board, status.HTTP_201_CREATED)


class LinksView(BoardBase):
    """The ways in from outside."""

    scopes: ClassVar = {"read": Scope.KPIS_WRITE, "write": Scope.KPIS_WRITE}

    @extend_schema(parameters=COUNTED, responses=serializers.LinkPageSerializer, operation_id="board_links_list")
    def get(self, request: Request, board_id: UUID) -> Response:
        """Newest first, closed ones too."""

        def shown(rows: Any, many: bool = False) -> BaseSerializer[Any]:
            return serializers.LinkSerializer(rows, many=many, context={"request": request, "now": timezone.now()})

        return paged(request, self.links(board_id), shown)

    @extend_schema(
        request=serializers.LinkDraftSerializer,
        responses={201: serializers.LinkSerializer},
        operation_id="board_links_create",
    )
    def post(self, request: Request, board_id: UUID) -> Response:
        """Open the board to whoever gets the address. Personal data and groups under 5 people are never shown there."""
        self.found(board_id)
        wanted = filters.body(serializers.LinkDraftSerializer, request.data)
        origins = tuple(wanted.pop("embed_origins", ()))
        now = timezone.now()
        try:
            draft = shares.LinkDraft(**wanted, embed_origins=origins)
            link = shares.share_create(visitor=self.visitor, board_id=board_id, draft=draft, now=now)
        except services.BoardError as error:
            _refused(error)
        shown = serializers.LinkSerializer(link, context={"request": request, "now": now}).data
        return Response(shown, status=status.HTTP_201_CREATED)


class LinkView(BoardBase):
    """One way in."""

    scopes: ClassVar = {"write": Scope.KPIS_WRITE}

    @extend_schema(responses={204: None}, operation_id="board_links_revoke")
    def delete(self, request: Request, board_id: UUID, link_id: UUID) -> Response:
        """Close it for good."""
        self.found(board_id)
        if not shares.share_revoke(visitor=self.visitor, board_id=board_id, link_id=link_id, now=timezone.now()):
            raise NotFound
        return Response(status=status.HTTP_204_NO_CONTENT)


def yaml_answer(board: Board) -> HttpResponse:
    """The board as a file."""
    word = re.sub(r"[^a-z0-9]+", "-", board.title.lower()).strip("-")[:60] or "board"
    response = HttpResponse(yaml_write([draft_plain(board_draft(board))]), content_type="application/yaml")
    response["Content-Disposition"] = f'attachment; filename="{word}.yaml"'
    response["ETag"] = f'"{board.version}"'
    return response


def _answer(board: Board, code: int = status.HTTP_200_OK) -> Response:
    return Response(serializers.board_plain(board), status=code, headers={"ETag": f'"{board.version}"'})


def _version(request: Request) -> int:
    text = request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
    if not text:
        raise VersionMissing
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _refused(error: services.BoardError) -> NoReturn:
    filters.refuse(error.field, "invalid_board", str(error))
