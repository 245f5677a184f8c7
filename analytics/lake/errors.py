"""What may go wrong with a question to the lake, in words for whoever asked."""

from __future__ import annotations


class LakeError(Exception):
    """`can_retry`: whether the same question may succeed if it is asked again."""

    can_retry = False


class StoreTimeout(LakeError):
    """The question took longer than it may. Ask for less time, fewer events, or run it as a job."""


class StoreCancelled(LakeError):
    """Whoever asked does not want to know any more."""


class LakeFileBroken(LakeError):
    """A file is missing or damaged, and could not be made again from PostgreSQL."""

    can_retry = True


class LakeTaken(LakeError):
    """Another installation keeps its lake there."""


class EngineUnavailable(LakeError):
    """The cluster that ANALYTICS_ENGINE names does not answer."""

    can_retry = True


class EngineFailed(LakeError):
    """The engine refused the question or broke while it worked on it."""


class UnknownColumn(LakeError):
    """The lake has no column of that name."""
