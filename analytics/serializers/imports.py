"""The form of an import."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class ImportSerializer(serializers.Serializer[Any]):
    """A file and how to read it, as `multipart/form-data`."""

    file = serializers.FileField(help_text="CSV, JSON lines (both also gzipped) or Parquet, told by its name")
    mapping = serializers.CharField(
        help_text="YAML that says which row becomes which event (also as a file), or the name of a mapping of ours"
    )
    dry_run = serializers.BooleanField(default=False, help_text="plan it and write nothing")
