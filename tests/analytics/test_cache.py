"""Answers are remembered as long as they are true, for those who may see them, and Redis may vanish at any moment."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import redis
from django.db import transaction

from analytics.access.keys import KeyInfo
from analytics.access.services import membership_set
from analytics.cache import EVERYTHING, METRICS, ROLES, TENANT, Audience, Cache, answers, cached, drop
from analytics.cache.keys import PREFIX, answer_key, seal, tag_key
from analytics.cache.memory import Entry, Memory
from analytics.contracts import TenantInfo
from analytics.models import Tenant
from analytics.signals import buckets_refreshed, subject_erased
from analytics.tenancy import WrongTenant

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
ACME, GLOBEX = 9_000_001, 9_000_002
pytestmark = pytest.mark.django_db


@pytest.fixture
def process(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cache]:
    """The cache of this process, with nothing remembered of these two tenants."""
    fresh = Cache(url=redis_url, memory_bytes=1_000_000)
    fresh.drop(TENANT, tenant_id=ACME)
    fresh.drop(TENANT, tenant_id=GLOBEX)
    fresh.shared._redis.delete(f"{key()}:lock")  # of a test in which Redis died
    monkeypatch.setattr(answers, "_cache", fresh)
    yield fresh
    fresh.shared._redis.close()


@pytest.fixture
def neighbour(redis_url: str) -> Iterator[Cache]:
    """Another process of the same installation."""
    other = Cache(url=redis_url, memory_bytes=1_000_000)
    yield other
    other.shared._redis.close()


class Work:
    """Something that takes effort: counts how often it was done."""

    def __init__(self, value: Any = None) -> None:
        self.times, self.value = 0, value

    def __call__(self) -> Any:
        self.times += 1
        return {"n": self.times} if self.value is None else self.value


def ask(cache: Cache, work: Any, *, tenant: int = ACME, role: str = "owner", **more: Any) -> Any:
    wanted: dict[str, Any] = {"question": {"metric": "a"}, "ttl": 60, "tags": (METRICS,), "now": NOW, **more}
    return cache.answer(audience=Audience.member(tenant, role), name="t", compute=work, **wanted)


def told(cache: Cache) -> list[str]:
    return [outcome for (_, outcome), count in cache.outcomes.items() for _ in range(count)]


# --- Found again ------------------------------------------------------------------------------------------------------


def test_an_answer_is_worked_out_once_and_then_found_in_this_process_and_in_others(
    process: Cache, neighbour: Cache
) -> None:
    work = Work()

    found = [ask(process, work), ask(process, work), ask(neighbour, work)]

    assert found == [{"n": 1}] * 3
    assert (told(process), told(neighbour)) == (["computed", "memory"], ["shared"])


def test_an_answer_lives_as_long_as_its_time_and_not_a_second_more(process: Cache) -> None:
    work = Work()
    ages = [0, 59, 61, 90, 0]  # the last one goes back in time

    assert [ask(process, work, now=NOW + timedelta(seconds=age))["n"] for age in ages] == [1, 1, 2, 2, 3]


def test_the_stamp_of_the_data_decides_whatever_the_time(process: Cache, neighbour: Cache) -> None:
    work = Work()

    assert ask(process, work, stamp="v1") == {"n": 1}
    assert ask(neighbour, work, stamp="v2") == {"n": 2}
    assert ask(process, work, stamp="v2") == {"n": 2}
    assert ask(neighbour, work, stamp="v1") == {"n": 3}


def test_what_is_found_is_what_was_worked_out(process: Cache, neighbour: Cache) -> None:
    value = {"text": "ü\x00", "money": "12.50", "none": None, "list": [1, 2.5, True], "big": 2**63 - 1}

    assert [ask(cache, Work(value)) for cache in (process, process, neighbour)] == [value] * 3


def test_typed_answers_come_back_as_their_type(process: Cache, neighbour: Cache) -> None:
    @dataclass(frozen=True)
    class Total:
        value: Decimal
        at: datetime

    value = [Total(Decimal("0.10"), NOW)]

    found = [ask(cache, Work(value), into=list[Total]) for cache in (process, process, neighbour)]

    assert found == [value] * 3


def test_a_number_that_cannot_be_written_is_handed_over_and_not_kept(process: Cache) -> None:
    work = Work({"n": 2**70})

    assert [ask(process, work), ask(process, work)] == [{"n": 2**70}] * 2
    assert work.times == 2


def test_an_error_is_not_remembered(process: Cache) -> None:
    def fails() -> Any:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        ask(process, fails)

    assert ask(process, Work()) == {"n": 1}
    assert process.shared._redis.exists(f"{key()}:lock") == 0


def test_long_answers_are_compressed(process: Cache, neighbour: Cache) -> None:
    value = ["0123456789" * 10] * 500
    ask(process, Work(value))

    assert process.shared._redis.strlen(key()) < 1_000
    assert ask(neighbour, Work()) == value


def key(tenant: int = ACME, role: str = "owner", question: Any = None) -> str:
    return answer_key(Audience.member(tenant, role), "t", question or {"metric": "a"})


# --- By whom ----------------------------------------------------------------------------------------------------------


def test_tenants_and_roles_asked_in_turn_never_meet(process: Cache, neighbour: Cache) -> None:
    """T10: every pair of tenant and role gets its own, whatever was asked before, by whichever process."""
    for round_ in range(50):
        for tenant in (ACME, GLOBEX):
            for role in ("owner", "viewer"):
                own = f"{tenant}:{role}"
                for cache in (process, neighbour):
                    assert ask(cache, Work(own), tenant=tenant, role=role, question=round_ % 5) == own


def test_a_key_whose_rights_change_asks_anew(process: Cache) -> None:
    tenant = TenantInfo(ACME, "acme", "UTC", "EUR")
    wide, narrow = (KeyInfo(tenant, "sk", frozenset(scopes)) for scopes in (("a", "b"), ("a",)))

    assert answer_key(Audience.of(wide), "t", 1) != answer_key(Audience.of(narrow), "t", 1)


def test_a_member_and_the_members_session_are_one_audience() -> None:
    from analytics.access.roles import scopes_of_role

    tenant = TenantInfo(ACME, "acme", "UTC", "EUR")
    session = KeyInfo(tenant, "session", scopes_of_role("viewer"), user_id=1, role="viewer")

    assert Audience.of(session) == Audience.member(ACME, "viewer")


@pytest.mark.parametrize("question", [{"tenant_id": GLOBEX}, {"tenant": TenantInfo(GLOBEX, "globex", "UTC", "EUR")}])
def test_a_question_about_the_neighbour_is_refused(process: Cache, question: Any) -> None:
    with pytest.raises(WrongTenant):
        ask(process, Work(), question=question)


def test_a_question_without_a_written_form_is_refused(process: Cache) -> None:
    with pytest.raises(TypeError, match="object has no written form"):
        ask(process, Work(), question=object())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": True}),
        ({"a": None}, {"a": "~"}),
        (["a,b"], ["a", "b"]),
        ({"a": "x", "b": "y"}, {"a": "x','b':'y"}),
        (Decimal("1.0"), 1.0),
    ],
)
def test_questions_that_look_alike_are_told_apart(one: Any, other: Any) -> None:
    assert key(question=one) != key(question=other)


def test_a_value_moved_under_another_key_is_no_answer(process: Cache, neighbour: Cache) -> None:
    ask(process, Work("secret"), tenant=GLOBEX)
    server = process.shared._redis
    server.set(key(ACME), server.get(key(GLOBEX)))

    assert ask(neighbour, Work("own")) == "own"


def test_garbage_and_pickles_in_redis_are_no_answers(process: Cache, neighbour: Cache) -> None:
    """S14: nothing that lies in Redis is ever run."""

    class Bomb:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("a pickle was run",))

    server, versions = process.shared._redis, process.shared.versions([tag_key(EVERYTHING, None)])
    entry = Entry(NOW.timestamp(), versions, "", b"\x01")
    signed = b"p" + msgspec.msgpack.encode({"other": "shape"})
    for junk in (b"", b"x", pickle.dumps(Bomb()), msgspec.msgpack.encode(entry), seal(key(), signed) + signed):
        server.set(key(), junk)
        assert ask(neighbour, Work("own"), stamp=str(junk)) == "own"


# --- Dropped ----------------------------------------------------------------------------------------------------------


def test_a_dropped_tag_is_followed_at_once_here_and_within_a_second_elsewhere(process: Cache, neighbour: Cache) -> None:
    work, other = Work(), Work()
    for cache in (process, neighbour):
        ask(cache, work)
        ask(cache, other, tenant=GLOBEX)

    process.drop(METRICS, tenant_id=ACME)

    assert ask(process, work) == {"n": 2}
    time.sleep(1)
    assert ask(neighbour, work) == {"n": 2}
    assert ask(neighbour, other, tenant=GLOBEX) == {"n": 1}


@pytest.mark.parametrize(("tag", "again"), [(METRICS, 2), (ROLES, 1), (TENANT, 2), (EVERYTHING, 2)])
def test_an_answer_is_dropped_by_its_own_tags_its_tenant_and_everything(process: Cache, tag: str, again: int) -> None:
    work = Work()
    ask(process, work)

    process.drop(tag, tenant_id=None if tag == EVERYTHING else ACME)

    assert ask(process, work)["n"] == again


def test_an_answer_that_was_begun_before_the_drop_is_not_kept_after_it(process: Cache) -> None:
    def slow() -> Any:
        process.drop(METRICS, tenant_id=ACME)
        return "of before"

    ask(process, slow)

    assert ask(process, Work("of after")) == "of after"


def test_counted_buckets_and_erased_people_drop_what_was_told_of_them(process: Cache) -> None:
    work = Work()
    ask(process, work)
    buckets_refreshed.send(sender=None, tenant_id=ACME, start=NOW, end=NOW)
    ask(process, work)
    subject_erased.send(sender=None, tenant_id=ACME, subject_ids=[1])

    assert ask(process, work) == {"n": 3}


@pytest.mark.django_db(transaction=True)
def test_rows_drop_when_they_are_committed_and_not_before(process: Cache, acme: Tenant, owner_user: Any) -> None:
    work = Work()
    seen = []
    ask(process, work, tenant=acme.pk, tags=(ROLES,))

    with transaction.atomic():
        membership_set(tenant_id=acme.pk, user=owner_user, role="viewer")
        seen.append(ask(process, work, tenant=acme.pk, tags=(ROLES,))["n"])
    seen.append(ask(process, work, tenant=acme.pk, tags=(ROLES,))["n"])

    assert seen == [1, 2]


# --- Without Redis ----------------------------------------------------------------------------------------------------


def test_redis_may_be_emptied_at_any_moment(process: Cache, neighbour: Cache) -> None:
    work = Work()
    before = ask(process, work)
    forget(process)
    time.sleep(1)

    # The versions are new ones, so not even what lies in this process is taken for good.
    assert (before, ask(process, work), ask(neighbour, work)) == ({"n": 1}, {"n": 2}, {"n": 2})


def forget(cache: Cache) -> None:
    """FLUSHALL, but of our own keys: other tests use the same server."""
    for found in cache.shared._redis.scan_iter(f"{PREFIX}*", count=1000):
        cache.shared._redis.delete(found)


def test_without_redis_every_answer_is_worked_out_and_nobody_fails() -> None:
    lonely, work = Cache(url="unix:///nowhere/redis.sock", memory_bytes=1_000_000), Work()

    assert [ask(lonely, work)["n"] for _ in range(3)] == [1, 2, 3]
    assert lonely.drop(METRICS, tenant_id=ACME) is False
    assert told(lonely) == ["alone"] * 3


def test_a_drop_while_redis_is_away_is_made_up_for_before_anything_is_read(process: Cache, neighbour: Cache) -> None:
    work = Work()
    ask(process, work)
    ask(neighbour, work)

    away(process)
    assert process.drop(METRICS, tenant_id=ACME) is False
    back(process)

    assert ask(process, work) == {"n": 2}
    time.sleep(1)
    assert ask(neighbour, work) == {"n": 2}


def away(cache: Cache) -> None:
    cache.shared._away_until = float("inf")


def back(cache: Cache) -> None:
    cache.shared._away_until = 0.0


def test_an_old_snapshot_of_redis_brings_no_old_answer_back(process: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart the server has another run id, whatever its keys say."""
    work = Work()
    ask(process, work)
    monkeypatch.setattr(process.shared._redis, "info", lambda section: {"run_id": "restarted"})
    time.sleep(1)

    assert ask(process, work) == {"n": 2}


def test_redis_that_dies_while_an_answer_is_worked_out_costs_nothing_but_the_answer(
    process: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies() -> Any:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise redis.ConnectionError("gone")

        for command in ("set", "get", "delete"):
            monkeypatch.setattr(process.shared._redis, command, refuse)
        return "done"

    assert ask(process, dies) == "done"


# --- One at a time ----------------------------------------------------------------------------------------------------


def test_of_many_threads_one_works_and_the_others_wait(process: Cache) -> None:
    work = Work()

    def slow() -> Any:
        time.sleep(0.2)
        return work()

    assert in_threads(20, lambda: ask(process, slow)) == [{"n": 1}] * 20
    assert sorted(told(process)) == ["computed"] + ["waited"] * 19


def test_of_many_processes_one_works_and_the_others_wait(process: Cache, neighbour: Cache) -> None:
    work = Work()

    def slow() -> Any:
        time.sleep(0.3)
        return work()

    caches = iter([process, neighbour])
    assert in_threads(2, lambda: ask(next(caches), slow)) == [{"n": 1}] * 2


def test_somebody_who_dies_with_the_lock_holds_nobody_up_for_long(
    process: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "WAIT_SECONDS", 0.2)
    process.shared._redis.set(f"{key()}:lock", "the dead", ex=30)
    began = time.monotonic()

    assert ask(process, Work()) == {"n": 1}
    assert time.monotonic() - began < 2


def in_threads(count: int, call: Any) -> list[Any]:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(call())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return found


# --- Bounds and counts ------------------------------------------------------------------------------------------------


def test_memory_keeps_to_its_bytes_and_lets_go_of_what_was_used_longest_ago() -> None:
    memory = Memory(10_000)
    entry = Entry(0, (), "", bytes(600))  # a thousand with its overhead
    for number in range(10):
        memory.put(str(number), entry)
    memory.get("0")

    memory.put("10", entry)
    memory.put("huge", Entry(0, (), "", bytes(2_000)))

    assert memory.size == (10, 10_000)
    assert [name for name in ("0", "1", "10", "huge") if memory.get(name)] == ["0", "10"]


def test_hits_and_misses_are_counted_for_all_processes(process: Cache, neighbour: Cache) -> None:
    hour = int(time.time() // 3600)
    process.shared._redis.delete(f"{PREFIX}counts:x")
    before = {name: value for counts in process.shared.counts([hour]) for name, value in counts.items()}
    for cache in (process, neighbour):
        ask(cache, Work())
        ask(cache, Work())
        cache.flush()

    after = {name: value for counts in process.shared.counts([hour]) for name, value in counts.items()}

    gained = {
        name: after[name] - before.get(name, 0) for name in after if name in ("t|computed", "t|memory", "t|shared")
    }
    assert gained == {"t|computed": 1, "t|memory": 2, "t|shared": 1}


# --- The decorator ----------------------------------------------------------------------------------------------------


def test_a_decorated_function_is_remembered_by_its_arguments_but_not_by_the_clock(process: Cache) -> None:
    calls = []

    @cached(ttl=60, tags=(METRICS,))
    def total(*, audience: Audience, metric: str, now: datetime) -> dict[str, Any]:
        calls.append(metric)
        return {"metric": metric, "tenant": audience.tenant_id}

    def told_of(tenant: int, metric: str, seconds: int = 0) -> dict[str, Any]:
        return total(audience=Audience.member(tenant, "owner"), metric=metric, now=NOW + timedelta(seconds=seconds))

    assert told_of(ACME, "a") == told_of(ACME, "a", 30) == {"metric": "a", "tenant": ACME}
    assert told_of(GLOBEX, "a") == {"metric": "a", "tenant": GLOBEX}
    assert told_of(ACME, "b")["metric"] == "b"
    assert calls == ["a", "a", "b"]
    drop(METRICS, tenant_id=ACME)
    told_of(ACME, "a")
    assert calls == ["a", "a", "b", "a"]


def test_limits_of_alerts_stay_in_the_process_and_outlive_redis(process: Cache) -> None:
    calls = []

    @cached(ttl=60, only_process=True)
    def limits(*, audience: Audience) -> dict[str, int]:
        calls.append(1)
        return {"drop": 20}

    audience = Audience.member(ACME, "owner")
    limits(audience=audience)
    away(process)

    assert limits(audience=audience) == {"drop": 20}
    assert calls == [1]


def test_switched_off_it_remembers_nothing(process: Cache, settings: Any) -> None:
    settings.CACHE_ENABLED = False
    work = Work()

    assert [ask(process, work)["n"] for _ in range(2)] == [1, 2]
