"""Routes of /api/v1/ for what is recorded."""

from __future__ import annotations

from django.urls import path

from analytics.views import access, events

urlpatterns = [
    path("auth/token/", access.TokenView.as_view(), name="token"),
    path("auth/token/refresh/", access.TokenRefreshView.as_view(), name="token-refresh"),
    path("tenant/", access.TenantDetailView.as_view(), name="tenant"),
    path("members/", access.MembersView.as_view(), name="members"),
    path("keys/", access.KeysView.as_view(), name="keys"),
    path("keys/<uuid:key_id>/", access.KeyView.as_view(), name="key"),
    path("keys/<uuid:key_id>/rotate/", access.KeyRotateView.as_view(), name="key-rotate"),
    path("events/", events.EventsView.as_view(), name="events"),
    path("events/outcomes/", events.OutcomesView.as_view(), name="outcomes"),
    path("events/<uuid:event_id>/", events.EventView.as_view(), name="event"),
    path("quarantine/", events.QuarantineListView.as_view(), name="quarantine"),
    path("quarantine/<uuid:held_id>/", events.QuarantineView.as_view(), name="quarantine-item"),
]
