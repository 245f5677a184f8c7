"""The tables of what is recorded, by theme. Import models from here."""

from analytics.models.answers import IdempotentAnswer
from analytics.models.audit import AuditEntry
from analytics.models.events import Event, EventKey, ExchangeRate, Outbox, OutcomeCount, Quarantine
from analytics.models.lake import LakeMark, LakePiece
from analytics.models.people import Group, Identity, IdentityEdge, Profile, Session, Subject, Suppression
from analytics.models.tenants import ApiKey, Calendar, EventRetention, Membership, Tenant
from analytics.models.work import DirtyMark, DuePeriod, Job, ScheduleChoice

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Calendar",
    "DirtyMark",
    "DuePeriod",
    "Event",
    "EventKey",
    "EventRetention",
    "ExchangeRate",
    "Group",
    "IdempotentAnswer",
    "Identity",
    "IdentityEdge",
    "Job",
    "LakeMark",
    "LakePiece",
    "Membership",
    "Outbox",
    "OutcomeCount",
    "Profile",
    "Quarantine",
    "ScheduleChoice",
    "Session",
    "Subject",
    "Suppression",
    "Tenant",
]
