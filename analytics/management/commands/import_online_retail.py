"""Imports the UCI Online Retail file."""

from __future__ import annotations

from analytics.capture.importing.command import ImportCommand


class Command(ImportCommand):
    help = (
        "Import the UCI Online Retail file (CSV, also .gz); makes the tenant (Europe/London, GBP) if it is not there."
    )
    mapping_name = "online_retail"
    makes_tenant = True
