"""Addresses of exploration, customers and performance."""

from __future__ import annotations

from django.urls import path

from reports.explore import customer, customers, funnel, jobs, people, segments

pages = [
    path("explore/funnel/", funnel.funnel, name="explore-funnel"),
    path("explore/people/", people.people, name="explore-people"),
    path("explore/jobs/<uuid:job_id>/cancel/", jobs.cancel, name="explore-cancel"),
    path("segments/", segments.segments, name="segments"),
    path("segments/<uuid:segment_id>/people/", segments.members, name="segment-people"),
    path("segments/<uuid:segment_id>/refresh/", segments.refresh, name="segment-refresh"),
    path("segments/<uuid:segment_id>/delete/", segments.delete, name="segment-delete"),
    path("customers/", customers.customers, name="customers"),
    path("customers/snapshot/", customers.snapshot_now, name="customers-snapshot"),
    path("customers/table/", customers.table, name="customer-table"),
    path("customers/<int:subject>/", customer.customer, name="customer"),
]
