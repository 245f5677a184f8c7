"""Imports the UCI Online Retail file: nothing but a mapping that comes with the product."""

from __future__ import annotations

from kpis.management.commands.import_events import Command as ImportEvents


class Command(ImportEvents):
    help = (
        "Import the UCI Online Retail file (CSV, also .gz); makes the tenant (Europe/London, GBP) if it is not there."
    )
    mapping_name = "online_retail"
    makes_tenant = True
