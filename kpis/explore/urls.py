"""Routes of /api/v1/explore/."""

from __future__ import annotations

from django.urls import path

from kpis.explore import bodies, views

urlpatterns = [
    path("explore/funnel/", views.explore_view("funnel", bodies.FunnelBody).as_view(), name="explore-funnel"),
    path(
        "explore/attribution/",
        views.explore_view("attribution", bodies.AttributionBody).as_view(),
        name="explore-attribution",
    ),
    path(
        "explore/retention/", views.explore_view("retention", bodies.RetentionBody).as_view(), name="explore-retention"
    ),
    path(
        "explore/lifecycle/", views.explore_view("lifecycle", bodies.LifecycleBody).as_view(), name="explore-lifecycle"
    ),
    path("explore/paths/", views.explore_view("paths", bodies.PathsBody).as_view(), name="explore-paths"),
    path("users/<int:subject>/timeline/", views.TimelineView.as_view(), name="user-timeline"),
    path("explore/people/", views.PeopleView.as_view(), name="explore-people"),
    path("explore/channels/", views.ChannelsView.as_view(), name="explore-channels"),
    path("explore/costs/", views.CostsView.as_view(), name="explore-costs"),
]
