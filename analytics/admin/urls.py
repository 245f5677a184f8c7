"""Pages of the admin that are no table, below /admin/operation/."""

from __future__ import annotations

from django.urls import path

from analytics.admin.cache import cache_page
from analytics.admin.jobs import jobs_page
from analytics.admin.scheduler import scheduler

urlpatterns = [
    path("scheduler/", scheduler, name="operation-scheduler"),
    path("jobs/", jobs_page, name="operation-jobs"),
    path("cache/", cache_page, name="operation-cache"),
]
