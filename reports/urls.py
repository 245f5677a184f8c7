"""The pages. Included at the root of the site; names are `dashboard:…`."""

from __future__ import annotations

from django.urls import path, re_path

from reports.annotations.urls import pages as notes
from reports.boards.urls import pages as boards
from reports.dashboard import signin, views
from reports.dashboard.areas import AREAS, PLATFORMS
from reports.dashboard.thresholds import thresholds
from reports.explore.urls import pages as explore
from reports.exports.urls import pages as exports
from reports.goals.urls import pages as goals
from reports.names.urls import pages as names
from reports.palette.views import palette
from reports.quality.urls import pages as quality
from reports.usage.urls import pages as usage

app_name = "dashboard"

urlpatterns = [
    path("login/", signin.LoginView.as_view(), name="login"),
    path("logout/", signin.LogoutView.as_view(), name="logout"),
    path("tenant/", views.tenant_switch, name="tenant"),
    path("theme/", views.theme, name="theme"),
    path("range/", views.range_choose, name="range"),
    path("first-key/", views.first_key, name="first-key"),
    path("", views.overview, name="overview"),
    path("realtime/", views.realtime, name="realtime"),
    path("realtime/present/", views.present, name="present"),
    path("metrics/", views.metrics, name="metrics"),
    path("metrics/<str:name>/", views.metric, name="metric"),
    path("metrics/<str:name>/thresholds/", thresholds, name="thresholds"),
    re_path(r"^metrics/(?P<name>[^/]+)/(?P<kind>moved|explained|ledger)/$", views.panel, name="panel"),
    re_path(r"^cards/(?P<kind>tile|chart|table)/$", views.card, name="card"),
    re_path(rf"^(?P<slug>{'|'.join(AREAS)})/$", views.area, name="area"),
    re_path(rf"^platforms/(?P<slug>{'|'.join(PLATFORMS)})/$", views.platform, name="platform"),
    *notes,
    *boards,
    *explore,
    *exports,
    *goals,
    *names,
    *quality,
    *usage,
    path("palette.json", palette, name="palette"),
]
