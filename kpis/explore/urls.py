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
    path("explore/people/", views.PeopleView.as_view(), name="explore-people"),
    path("explore/channels/", views.ChannelsView.as_view(), name="explore-channels"),
    path("explore/costs/", views.CostsView.as_view(), name="explore-costs"),
]
