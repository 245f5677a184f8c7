"""Routes of /api/v1/segments/."""

from __future__ import annotations

from django.urls import path

from kpis.segments import views

urlpatterns = [
    path("segments/", views.PeopleSegmentsView.as_view(), name="segments"),
    path("segments/<uuid:segment_id>/", views.PeopleSegmentView.as_view(), name="segment"),
    path("segments/<uuid:segment_id>/refresh/", views.SegmentRefreshView.as_view(), name="segment-refresh"),
    path("segments/<uuid:segment_id>/overlap/", views.SegmentOverlapView.as_view(), name="segment-overlap"),
    path("segments/<uuid:segment_id>/people/", views.SegmentPeopleView.as_view(), name="segment-people"),
]
