"""Pages of lists with a count."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class Counted(serializers.Serializer[Any]):
    """A page of a list with its count."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
