"""The Django admin of what is recorded. Every page shows the tenant that is chosen at the top, and no other."""

from analytics.admin import access, events, lake, people, work

__all__ = ["access", "events", "lake", "people", "work"]
