"""Address of the page."""

from __future__ import annotations

from django.urls import path

from reports.usage import card as card  # registers the page as one that can be a card
from reports.usage import page

pages = [path("usage/", page.usage, name="usage")]
