"""Which path leads where: with and without a slash, with any prefix, and never into Django's rooms."""

from __future__ import annotations

import pytest

from analytics.capture.doors import EVENT_PATHS, Door, Route, route


@pytest.mark.parametrize("path", sorted(EVENT_PATHS))
@pytest.mark.parametrize("form", ["/{}", "/{}/", "/ingest/{}", "/a/b/{}/", "/a/b/c/{}"])
def test_event_paths_take_posts_and_preflights_under_any_prefix(path: str, form: str) -> None:
    assert route("POST", form.format(path)) == EVENT_PATHS[path]
    assert route("OPTIONS", form.format(path)) == EVENT_PATHS[path]
    assert route("PUT", form.format(path)) is None


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/t", Route(Door.SEGMENT, "track")),
        ("POST", "/v1/batch", Route(Door.SEGMENT)),
        ("POST", "/batch", Route(Door.POSTHOG)),
        ("POST", "/ingest/v1/batch", Route(Door.SEGMENT)),
        ("GET", "/array/phc_x/config.js", Route(Door.CONFIG_SCRIPT, "phc_x")),
        ("GET", "/ingest/array/phc_x/config", Route(Door.CONFIG, "phc_x")),
        ("GET", "/v1/projects/K/settings", Route(Door.SEGMENT_SETTINGS, "K")),
        ("GET", "/sourceConfig/", Route(Door.SOURCE_CONFIG)),
        ("OPTIONS", "/sourceConfig", None),
        ("GET", "/flags/definitions", Route(Door.DEFINITIONS)),
        ("GET", "/api/feature_flag/local_evaluation/", Route(Door.DEFINITIONS)),
        ("POST", "/api/v1/events/", Route(Door.OWN)),
        ("POST", "/api/v1/events", Route(Door.OWN)),
        ("GET", "/api/v1/events/", None),
        ("POST", "/x/api/v1/events", None),
        ("GET", "/", None),
        ("POST", "/", None),
        ("GET", "/e/", None),
        ("POST", "/admin/analytics/e/", None),
        ("POST", "/admin/s", None),
        ("POST", "/api/v1/track", None),
        ("POST", "/static/e", None),
        ("GET", "/static/array/x/config.js", None),
        ("POST", "/a/b/c/d/e", None),
        ("GET", '/array/"];alert(1)/config.js', None),
        ("GET", "/array/é/config.js", None),
        ("POST", "/" + "e/" * 600, None),
    ],
)
def test_route(method: str, path: str, expected: Route | None) -> None:
    assert route(method, path) == expected


def test_the_image_transport_is_a_get_with_data() -> None:
    assert route("GET", "/e/", b"data=eyJ9&ip=1") == Route(Door.POSTHOG)
    assert route("GET", "/v1/t", b"data=eyJ9") is None


def test_a_preflight_goes_where_its_request_will_go() -> None:
    assert route("OPTIONS", "/api/v1/events/", preflight_for="POST") == Route(Door.OWN)
    assert route("OPTIONS", "/api/v1/events/", preflight_for="GET") is None
    assert route("OPTIONS", "/sourceConfig/", preflight_for="GET") == Route(Door.SOURCE_CONFIG)
