"""The navigation: every page in one list. A page that is not installed yet (its name does not reverse) is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.urls import NoReverseMatch, reverse

from reports.dashboard.areas import AREAS, PLATFORMS


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the navigation. `name` is a URL name, `args` its arguments; some are for who may open the admin."""

    label: str
    name: str
    args: tuple[str, ...] = ()
    for_staff: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Pages under one heading."""

    title: str
    entries: tuple[Entry, ...]


MENU: Final[tuple[Group, ...]] = (
    Group(
        "",
        (
            Entry("Overview", "dashboard:overview"),
            Entry("Realtime", "dashboard:realtime"),
            Entry("Goals", "dashboard:goals"),
            Entry("Boards", "dashboard:boards"),
        ),
    ),
    Group("Areas", tuple(Entry(area.title, "dashboard:area", (slug,)) for slug, area in AREAS.items())),
    Group(
        "Explore",
        (
            Entry("Funnel", "dashboard:explore-funnel"),
            Entry("Retention", "dashboard:explore-retention"),
            Entry("Paths", "dashboard:explore-paths"),
            Entry("Attribution", "dashboard:explore-attribution"),
            Entry("Customers", "dashboard:customers"),
            Entry("Segments", "dashboard:segments"),
            Entry("Usage", "dashboard:usage"),
            Entry("Performance", "dashboard:performance"),
            Entry("All metrics", "dashboard:metrics"),
        ),
    ),
    Group(
        "Manage",
        (
            Entry("Annotations", "dashboard:annotations"),
            Entry("Event names", "dashboard:mapping"),
            Entry("Data quality", "dashboard:quality"),
            Entry("Admin", "admin:index", for_staff=True),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Link:
    """An entry as it is written."""

    label: str
    href: str
    is_here: bool


def menu_of(path: str, *, is_staff: bool) -> list[tuple[str, list[Link]]]:
    """The groups with their links; the page that is open, or the one it lies under, is marked."""
    groups = []
    for group in MENU:
        entries = [entry for entry in group.entries if is_staff or not entry.for_staff]
        links = [link for entry in entries if (link := _link(entry, path))]
        if links:
            groups.append((group.title, links))
    return groups


def _link(entry: Entry, path: str) -> Link | None:
    try:
        href = reverse(entry.name, args=entry.args)
    except NoReverseMatch:
        return None
    return Link(entry.label, href, path == href if href == "/" else path.startswith(href))


def platform_tabs(chosen: str) -> list[Link]:
    """The views of the platforms; '' is all of them."""
    everything = Link("All", reverse("dashboard:area", args=("platforms",)), not chosen)
    return [
        everything,
        *(
            Link(area.title, reverse("dashboard:platform", args=(slug,)), slug == chosen)
            for slug, area in PLATFORMS.items()
        ),
    ]
