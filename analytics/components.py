"""Who is one person: identity edges replayed in the order in which things happened, not in which they arrived.

Pure: no database, no clock. The rules are PostHog's (identify merges the other id into the known one, unless the other
one is already somebody), applied in order of (event time, event id), so that any order of arrival gives the same
persons.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from analytics.contracts import LinkKind

APPLIED = "applied"
BLOCKED = "blocked"
ILLEGAL = "illegal"

MAX_DISTINCT_ID = 400
# Values that a faulty client sends for everybody: merging on one of them would make one person of a whole site.
ILLEGAL_IDS = frozenset(
    {
        "anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated", "email", "undefined", "true",
        "false", "null", "none", "nan", "0", "[object object]", "00000000-0000-0000-0000-000000000000",
    }
)  # fmt: skip


def is_illegal_id(distinct_id: str) -> bool:
    """True if an id may never take part in a merge (INGEST.md section 11)."""
    bare = distinct_id.strip().strip("\"'").strip().lower()
    return not bare or bare in ILLEGAL_IDS or len(distinct_id) > MAX_DISTINCT_ID or "\0" in distinct_id


@dataclass(frozen=True, slots=True)
class Edge:
    """A claim that two subjects are one person; `left` is the event's own id.

    `left == right` says "this one is somebody".
    """

    id: UUID
    left: int
    right: int
    kind: LinkKind
    ts: datetime
    event_id: str

    @property
    def order(self) -> tuple[datetime, str, bool, UUID]:
        # What an event says of two ids comes before what it says of its own: an alias is judged by who was somebody
        # already, not by itself.
        return self.ts, self.event_id, self.left == self.right, self.id


@dataclass(slots=True)
class Components:
    """The answer: the person of every subject (its lowest subject), who is identified, and each edge's verdict."""

    person: dict[int, int] = field(default_factory=dict)
    identified: dict[int, bool] = field(default_factory=dict)
    verdict: dict[UUID, str] = field(default_factory=dict)


class _Forest:
    """Union-find whose roots carry whether the person is identified."""

    def __init__(self) -> None:
        self.parent: dict[int, int] = {}
        self.identified: set[int] = set()

    def root(self, subject: int) -> int:
        parent = self.parent.setdefault(subject, subject)
        while parent != self.parent[parent]:
            self.parent[subject] = self.parent[parent]
            subject, parent = parent, self.parent[parent]
        return parent

    def join(self, left: int, right: int) -> None:
        low, high = min(left, right), max(left, right)
        self.parent[high] = low
        if high in self.identified:
            self.identified.add(low)


def _apply(forest: _Forest, edge: Edge) -> str:
    left, right = forest.root(edge.left), forest.root(edge.right)
    allowed = left == right or edge.kind in (LinkKind.MERGE, LinkKind.MANUAL)
    if not allowed:
        # Which side of an alias is the old id differs from SDK to SDK, so an alias is blocked only if both are
        # somebody.
        allowed = right not in forest.identified or (edge.kind is LinkKind.ALIAS and left not in forest.identified)
    if allowed and left != right:
        forest.join(left, right)
    if allowed or edge.kind is LinkKind.IDENTIFY:
        forest.identified.add(forest.root(edge.left))
    return APPLIED if allowed else BLOCKED


def components(subjects: Iterable[int], edges: Iterable[Edge]) -> Components:
    """Replay `edges` over `subjects`; the result does not depend on the order in which either is given."""
    forest, answer = _Forest(), Components()
    for edge in sorted(edges, key=lambda edge: edge.order):
        answer.verdict[edge.id] = _apply(forest, edge)
    for subject in {*subjects, *forest.parent}:
        root = forest.root(subject)
        answer.person[subject] = root
        answer.identified[subject] = root in forest.identified
    return answer
