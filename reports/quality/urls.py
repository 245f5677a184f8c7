"""The address of the data-quality page."""

from __future__ import annotations

from django.urls import path

from reports.quality import pages as screens

pages = [path("quality/", screens.quality, name="quality")]
