"""Addresses of files: below /api/v1/, and those that a card's menu offers to a signed-in person."""

from __future__ import annotations

from django.urls import path, re_path

from reports.exports.views import CardExportView, ExportView

api = [path("kpis/<str:metric>/export/", ExportView.as_view(), name="kpi-export")]
pages = [re_path(r"^export/(?P<metric>[^/]+)\.(?P<kind>csv|xlsx)$", CardExportView.as_view(), name="export")]
