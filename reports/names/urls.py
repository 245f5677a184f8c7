"""The address of the mapping."""

from __future__ import annotations

from django.urls import path

from reports.names import pages as screens

pages = [path("settings/events/", screens.mapping, name="mapping")]
