"""Imports a file by a mapping."""

from __future__ import annotations

from analytics.capture.importing.command import ImportCommand


class Command(ImportCommand):
    help = (
        "Import events from a CSV, JSON-lines or Parquet file by a YAML mapping. Safe to repeat: rows that are stored "
        "already are duplicates. Rows that do not fit go to quarantine, each with line, field and remedy."
    )
