"""Routes of /api/v1/ for what is recorded."""

from __future__ import annotations

from django.urls import path

from analytics.views import access, cache, events, imports, jobs, people, retention

urlpatterns = [
    path("auth/token/", access.TokenView.as_view(), name="token"),
    path("auth/token/refresh/", access.TokenRefreshView.as_view(), name="token-refresh"),
    path("tenant/", access.TenantDetailView.as_view(), name="tenant"),
    path("tenant/retention/", retention.RetentionView.as_view(), name="retention"),
    path("audit/", retention.AuditView.as_view(), name="audit"),
    path("members/", access.MembersView.as_view(), name="members"),
    path("keys/", access.KeysView.as_view(), name="keys"),
    path("keys/<uuid:key_id>/", access.KeyView.as_view(), name="key"),
    path("keys/<uuid:key_id>/rotate/", access.KeyRotateView.as_view(), name="key-rotate"),
    path("events/", events.EventsView.as_view(), name="events"),
    path("events/outcomes/", events.OutcomesView.as_view(), name="outcomes"),
    path("events/<path:event_id>/", events.EventView.as_view(), name="event"),
    path("quarantine/", events.QuarantineListView.as_view(), name="quarantine"),
    path("quarantine/replay/", events.ReplayView.as_view(), name="quarantine-replay"),
    path("quarantine/discard/", events.DiscardView.as_view(), name="quarantine-discard"),
    path("quarantine/<uuid:held_id>/", events.QuarantineView.as_view(), name="quarantine-item"),
    path("identities/", people.IdentitiesView.as_view(), name="identities"),
    path("identities/merge/", people.MergeView.as_view(), name="identity-merge"),
    path("identities/unmerge/", people.UnmergeView.as_view(), name="identity-unmerge"),
    path("subjects/<int:subject>/erase/", people.EraseView.as_view(), name="subject-erase"),
    path("jobs/", jobs.JobsView.as_view(), name="jobs"),
    path("jobs/<uuid:job_id>/", jobs.JobView.as_view(), name="job"),
    path("jobs/<uuid:job_id>/cancel/", jobs.JobCancelView.as_view(), name="job-cancel"),
    path("imports/", imports.ImportsView.as_view(), name="imports"),
    path("scheduler/", jobs.SchedulerView.as_view(), name="scheduler"),
    path("scheduler/<str:action>/", jobs.SchedulerSwitchView.as_view(), name="scheduler-switch"),
    path("cache/", cache.CacheView.as_view(), name="cache"),
    path("exchange-rates/", jobs.RatesView.as_view(), name="exchange-rates"),
]
