"""Every route that Django serves. Capture paths and sockets are taken by `config/asgi.py` before they come here."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerSplitView

from analytics.admin.switch import tenant_switch
from config.api_root import RootView
from config.api_schema_view import SchemaView
from config.health import metrics
from config.pages import admin_login, quality_page, slow_queries_page

handler400 = "config.problems.bad_request"
handler403 = "config.problems.permission_denied"
handler404 = "config.problems.not_found"
handler500 = "config.problems.server_error"

urlpatterns = [
    path("", include("reports.urls")),
    path("admin/login/", admin_login),
    path("admin/tenant/", tenant_switch, name="tenant-choose"),
    path("admin/operation/quality/", quality_page, name="operation-quality"),
    path("admin/operation/slow-queries/", slow_queries_page, name="operation-slow-queries"),
    path("admin/operation/", include("analytics.admin.urls")),
    path("admin/", admin.site.urls),
    path("health/", include("config.health")),
    path("metrics", metrics, name="metrics"),
    path("api/v1/", RootView.as_view(), name="root"),
    path("api/v1/", include("analytics.urls")),
    path("api/v1/", include("kpis.urls")),
    path("api/v1/", include("insights.urls")),
    path("api/v1/", include("reports.api")),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(template_name="config/api_docs.html"), name="docs"),
]
