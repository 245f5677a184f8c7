"""Addresses of annotations."""

from __future__ import annotations

from django.urls import path

from reports.annotations import pages as screens

pages = [
    path("annotations/", screens.listed, name="annotations"),
    path("annotations/<uuid:annotation_id>/", screens.one, name="annotation"),
    path("annotations/<uuid:annotation_id>/delete/", screens.delete, name="annotation-delete"),
]
