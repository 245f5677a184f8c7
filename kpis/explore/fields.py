"""Fields of questions as JSON has them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from analytics.filters import nearest
from kpis.base import Condition
from kpis.parameters import condition_of

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN: Final = re.compile(r"(\d{1,9})\s*([smhdw])")


class Strict(serializers.Serializer[Any]):
    """Refuses fields that nobody reads, at every depth: a misspelt filter must not look like an answer."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            known = self.fields
            unknown = [name for name in data if name not in known]
            if unknown:
                raise ValidationError(
                    {
                        str(name)[:100]: [f"There is no field {str(name)[:100]!r} here.{nearest(str(name), known)}"]
                        for name in unknown
                    },
                    code="unknown_parameter",
                )
        return super().to_internal_value(data)


@extend_schema_field({"oneOf": [{"type": "string", "example": "7d"}, {"type": "integer"}]})
class SpanField(serializers.Field[Any, Any, Any, Any]):
    """A length of time: `90s`, `30m`, `12h`, `7d`, `2w`, or seconds."""

    def to_internal_value(self, data: Any) -> timedelta:
        if isinstance(data, int) and not isinstance(data, bool) and 0 <= data < 10**10:
            return timedelta(seconds=data)
        match = _SPAN.fullmatch(data.strip()) if isinstance(data, str) else None
        if match is None:
            raise ValidationError(
                f"Write a length of time such as 30m, 12h or 7d, not {str(data)[:40]!r}.", "invalid_span"
            )
        try:
            return timedelta(seconds=int(match[1]) * UNITS[match[2]])
        except OverflowError:
            raise ValidationError("This is longer than anybody can wait.", "invalid_span") from None

    def to_representation(self, value: Any) -> Any:
        return int(value.total_seconds()) if isinstance(value, timedelta) else value


@extend_schema_field(
    {
        "type": "object",
        "required": ["field", "op", "value"],
        "properties": {
            "field": {"type": "string", "example": "country"},
            "op": {"enum": ["eq", "ne", "in", "gt", "lt", "is_null"]},
            "value": {},
        },
    }
)
class ConditionField(serializers.Field[Any, Any, Any, Any]):
    """A test of one column or `properties.<key>` of an event."""

    def to_internal_value(self, data: Any) -> Condition:
        try:
            return condition_of(data)
        except ValidationError as error:
            detail: Any = error.detail
            raise ValidationError(detail.get("filters", detail) if isinstance(detail, dict) else detail) from None

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"oneOf": [{"type": "string", "enum": ["first", "last"]}, {"type": "integer"}]})
class MomentField(serializers.Field[Any, Any, Any, Any]):
    """`first`, `last`, or the index of a step."""

    def to_internal_value(self, data: Any) -> str | int:
        if data in ("first", "last"):
            return str(data)
        if isinstance(data, int) and not isinstance(data, bool):
            return data
        raise ValidationError("`at` is first, last or the index of a step.", "invalid_choice")

    def to_representation(self, value: Any) -> Any:
        return value


def texts(most: int = 50, **more: Any) -> serializers.ListField:
    """A list of short texts."""
    return serializers.ListField(child=serializers.CharField(max_length=400), max_length=most, **more)


def conditions() -> serializers.ListField:
    """A list of at most twenty conditions."""
    return serializers.ListField(child=ConditionField(), max_length=20, required=False, default=list)
