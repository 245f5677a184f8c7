"""Address of the page."""

from __future__ import annotations

from django.urls import path

from reports.usage import page

pages = [path("usage/", page.usage, name="usage")]
