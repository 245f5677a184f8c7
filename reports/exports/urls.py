"""Addresses of files: below /api/v1/, and those that a card's menu offers to a signed-in person."""

from __future__ import annotations

from django.urls import path, re_path

from reports.exports.formats import FORMATS
from reports.exports.tables import table_file
from reports.exports.views import CardExportView, ExportView

KINDS = "|".join(FORMATS)

api = [path("kpis/<str:metric>/export/", ExportView.as_view(), name="kpi-export")]
pages = [
    re_path(rf"^export/(?P<metric>[^/]+)\.(?P<kind>{KINDS})$", CardExportView.as_view(), name="export"),
    re_path(rf"^tables/(?P<name>[a-z-]+)\.(?P<format>{KINDS})$", table_file, name="table-file"),
]
