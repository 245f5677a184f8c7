"""The JSON of boards and links, for the schema; `draft.py` reads what is sent and says where it is wrong."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from reports.boards.draft import MAX_CARDS, MAX_TEXT, MAX_TITLE, draft_plain
from reports.boards.grid import COLUMNS, MAX_HEIGHT
from reports.boards.kinds import KINDS
from reports.boards.models import Board, ShareLink
from reports.boards.selectors import board_draft


class CardSerializer(serializers.Serializer[Any]):
    """A card on the grid of twelve columns."""

    kind = serializers.ChoiceField(list(KINDS))
    metric = serializers.CharField(required=False, help_text="of tile, chart and table cards")
    title = serializers.CharField(required=False, max_length=MAX_TITLE, help_text="instead of the metric's name")
    text = serializers.CharField(required=False, max_length=MAX_TEXT, help_text="of text cards")
    goal = serializers.UUIDField(required=False, help_text="of goal cards")
    query = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="parameters of series, over those of the board"
    )
    x = serializers.IntegerField(min_value=1, max_value=COLUMNS, help_text="first column, from 1", required=False)
    y = serializers.IntegerField(
        min_value=1, help_text="first row, from 1; cards rise to where there is room", required=False
    )
    w = serializers.IntegerField(min_value=1, max_value=COLUMNS, help_text="columns", required=False)
    h = serializers.IntegerField(min_value=1, max_value=MAX_HEIGHT, help_text="rows", required=False)


class BoardDraftSerializer(serializers.Serializer[Any]):
    """What a board says."""

    title = serializers.CharField(max_length=MAX_TITLE)
    description = serializers.CharField(required=False, allow_blank=True, max_length=MAX_TEXT)
    visibility = serializers.ChoiceField(Board.Visibility.choices, required=False, help_text="team when left out")
    query = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="parameters of series, for every card"
    )
    cards = serializers.ListField(child=CardSerializer(), required=False, max_length=MAX_CARDS)


class BoardHeadSerializer(serializers.ModelSerializer[Board]):
    """A board in a list."""

    owner = serializers.CharField(source="owner.username", allow_null=True, default=None, read_only=True)
    cards = serializers.SerializerMethodField()
    open_links = serializers.IntegerField(read_only=True)

    class Meta:
        model = Board
        fields = ("id", "title", "description", "visibility", "owner", "cards", "open_links", "version", "updated_at")

    def get_cards(self, board: Board) -> int:
        """How many."""
        return len(board.document.get("cards", ()))


class BoardPageSerializer(serializers.Serializer[Any]):
    """A page of boards."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = BoardHeadSerializer(many=True)


class BoardSerializer(BoardDraftSerializer):
    """A whole board. `version` is also its ETag."""

    id = serializers.UUIDField(read_only=True)
    owner = serializers.CharField(allow_null=True, read_only=True)
    version = serializers.IntegerField(read_only=True)
    changed_by = serializers.CharField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)


class LinkDraftSerializer(serializers.Serializer[Any]):
    """What is decided about a link."""

    name = serializers.CharField(max_length=100)
    expires_at = serializers.DateTimeField(help_text="at most a year ahead")
    password = serializers.CharField(required=False, allow_blank=True, write_only=True, trim_whitespace=False)
    is_range_locked = serializers.BooleanField(required=False, default=True)
    embed_origins = serializers.ListField(
        child=serializers.CharField(max_length=300), required=False, help_text="sites that may show it in a frame"
    )


class LinkSerializer(serializers.ModelSerializer[ShareLink]):
    """A link. `url` opens the board for whoever has it."""

    url = serializers.SerializerMethodField()
    state = serializers.SerializerMethodField()
    has_password = serializers.SerializerMethodField()

    class Meta:
        model = ShareLink
        fields = (
            "id", "name", "url", "state", "has_password", "is_range_locked", "embed_origins", "created_by",
            "created_at", "expires_at", "revoked_at", "opened_at", "opened",
        )  # fmt: skip

    def get_url(self, link: ShareLink) -> str:
        """The address."""
        from reports.boards.shares import share_path

        return str(self.context["request"].build_absolute_uri(share_path(link)))

    def get_state(self, link: ShareLink) -> str:
        """open, expired or revoked."""
        from reports.boards.shares import state_of

        return state_of(link, self.context["now"])

    def get_has_password(self, link: ShareLink) -> bool:
        """Whether it asks for one."""
        return bool(link.password)


class LinkPageSerializer(serializers.Serializer[Any]):
    """A page of links."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = LinkSerializer(many=True)


def board_plain(board: Board) -> dict[str, Any]:
    """The board as `GET boards/{id}/` answers."""
    return {
        "id": str(board.pk),
        "description": "",
        "query": {},
        "cards": [],
        **draft_plain(board_draft(board)),
        "owner": board.owner.get_username() if board.owner else None,
        "version": board.version,
        "changed_by": board.changed_by,
        "created_at": board.created_at.isoformat(),
        "updated_at": board.updated_at.isoformat(),
    }
