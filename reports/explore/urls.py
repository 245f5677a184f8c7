"""Addresses of exploration, customers and performance."""

from __future__ import annotations

from django.urls import path, re_path

from reports.explore import (
    attribution,
    channels,
    costs,
    customer,
    customers,
    exports,
    funnel,
    jobs,
    layouts,
    movements,
    paths,
    payback,
    people,
    performance,
    retention,
    segment,
    segments,
    to_board,
)
from reports.explore import customers_card as customers_card  # these pages can be cards
from reports.explore import files as files  # registers the tables of these pages
from reports.explore import movements_card as movements_card
from reports.exports import formats

TABLES = "|".join(layouts.LAYOUTS)
FORMATS = "|".join(formats.FORMATS)

pages = [
    path("explore/funnel/", funnel.funnel, name="explore-funnel"),
    path("explore/retention/", retention.retention, name="explore-retention"),
    path("explore/paths/", paths.paths, name="explore-paths"),
    path("explore/attribution/", attribution.attribution, name="explore-attribution"),
    path("explore/channels/", channels.channels, name="explore-channels"),
    path("explore/costs/", costs.costs, name="explore-costs"),
    path("explore/people/", people.people, name="explore-people"),
    path("explore/jobs/<uuid:job_id>/cancel/", jobs.cancel, name="explore-cancel"),
    path("explore/to-board/", to_board.to_board, name="explore-to-board"),
    re_path(rf"^explore/(?P<table>{TABLES})\.(?P<format>{FORMATS})$", exports.export, name="explore-export"),
    path("segments/", segments.segments, name="segments"),
    path("segments/<uuid:segment_id>/", segment.segment, name="segment"),
    path("segments/<uuid:segment_id>/people/", segments.members, name="segment-people"),
    path("segments/<uuid:segment_id>/refresh/", segments.refresh, name="segment-refresh"),
    path("segments/<uuid:segment_id>/delete/", segments.delete, name="segment-delete"),
    path("customers/", customers.customers, name="customers"),
    path("customers/snapshot/", customers.snapshot_now, name="customers-snapshot"),
    path("customers/payback/", payback.payback, name="customers-payback"),
    path("customers/movements/", movements.movements, name="customers-movements"),
    path("customers/table/", customers.table, name="customer-table"),
    path("customers/<int:subject>/", customer.customer, name="customer"),
    path("performance/", performance.performance, name="performance"),
]
