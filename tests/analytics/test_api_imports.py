"""Files sent to the API: imported by a job that goes on after a kill, safe to repeat, and nothing is left on disk."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from analytics.capture.importing import uploads
from analytics.capture.importing.delivery import Delivery
from analytics.imports import KIND, MAX_WAITING, uploads_forget
from analytics.jobs import cancel, run_due
from analytics.models import Event, Job, Quarantine, Tenant
from analytics.privacy import erase_subject
from analytics.tenancy import tenant_context
from tests.analytics.test_importer import SIGNUPS
from tests.api import Caller, caller, problem

ROWS = "id,at,who,plan\n1,2026-03-02T09:00:00Z,ann,pro\n2,2026-03-02T10:00:00Z,ben,free\n3,no time at all,cal,free\n"
ORDERS = """
version: 1
columns: {id: text, at: time, who: text, total: decimal}
every_row: {id: "order:{id}", time: "{at}", user: "{who}"}
rows: [{event: order_completed, set: {amount: "{total}", currency: EUR}}]
"""


@pytest.fixture(autouse=True)
def home(settings: Any, tmp_path: Path) -> Path:
    settings.BELLWETHER_HOME = tmp_path
    return tmp_path


@pytest.fixture
def api(acme: Tenant, globex: Tenant) -> Caller:
    return caller(acme)


def csv(text: str = ROWS, name: str = "signups.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode())


def send(api: Caller, file: Any = None, mapping: Any = SIGNUPS, **more: Any) -> Any:
    return api.upload("imports/", {"file": file or csv(), "mapping": mapping, **more})


def names(tenant: Tenant) -> list[str]:
    with tenant_context(tenant.pk):
        return sorted(Event.objects.filter(tenant_id=tenant.pk).values_list("event_id", flat=True))


def left(home: Path) -> list[str]:
    return [path.name for path in home.glob("uploads/*/*")]


def test_a_file_is_imported_counted_and_gone_from_the_disk(
    api: Caller, acme: Tenant, globex: Tenant, home: Path
) -> None:
    answer = send(api)

    assert answer.status_code == 202, answer.content
    path = answer["Location"].partition("/api/v1/")[2]
    waiting = api.get(path).json()
    assert (waiting["kind"], waiting["state"], waiting["params"]["file"]) == (KIND, "queued", "signups.csv")

    assert run_due() == 2  # the import, and the counting that it orders

    done = api.get(path).json()
    assert (done["state"], done["progress"], done["error"]) == ("done", 1.0, "")
    assert done["result"] == {
        "dry_run": False,
        "rows": 3,
        "skipped": 0,
        "resumed_after": 0,
        "events": {"signed_up": 2},
        "outcomes": {"stored": 2, "duplicate": 0, "conflict": 0, "quarantined": 1, "rejected": 0},
        "reasons": {"bad_time": 1},
        "problems": [{"line": 4, "field": "at", "reason": "bad_time"}],
        "from": "2026-03-02T09:00:00+00:00",
        "to": "2026-03-02T10:00:00+00:00",
    }
    assert (names(acme), names(globex)) == (["signup:1", "signup:2"], [])
    with tenant_context(acme.pk):
        assert Quarantine.objects.get().detail.startswith("signups.csv, line 4")
    assert left(home) == []
    assert api.get("kpis/users.new/series/", from_="2026-03-02", to="2026-03-03").status_code == 200


def test_a_repeated_file_changes_nothing(api: Caller, acme: Tenant) -> None:
    for stored, duplicate in ((2, 0), (0, 2)):
        path = send(api)["Location"].partition("/api/v1/")[2]
        run_due()
        outcomes = api.get(path).json()["result"]["outcomes"]
        assert (outcomes["stored"], outcomes["duplicate"], outcomes["quarantined"]) == (stored, duplicate, 1)
    assert names(acme) == ["signup:1", "signup:2"]


def test_the_same_order_while_one_waits_is_the_same_job(api: Caller, home: Path) -> None:
    answers = [send(api).json()["id"] for _ in range(3)]

    assert len(set(answers)) == 1
    assert len(left(home)) == 1
    assert send(api, dry_run="true").json()["id"] not in answers


def test_a_dry_run_plans_and_writes_nothing(api: Caller, acme: Tenant, home: Path) -> None:
    path = send(api, dry_run="true")["Location"].partition("/api/v1/")[2]

    assert run_due() == 1

    result = api.get(path).json()["result"]
    assert (result["dry_run"], result["events"], result["reasons"]) == (True, {"signed_up": 2}, {"bad_time": 1})
    assert (names(acme), left(home)) == ([], [])
    with tenant_context(acme.pk):
        assert not Quarantine.objects.exists()


@pytest.mark.parametrize("kind", ["csv.gz", "jsonl", "parquet"])
def test_every_kind_of_file_is_taken(api: Caller, acme: Tenant, kind: str) -> None:
    rows = [{"id": "7", "at": "2026-03-02T09:00:00Z", "who": "ann", "plan": "pro"}]
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), table)
    content = {
        "csv.gz": gzip.compress(b"id,at,who,plan\n7,2026-03-02T09:00:00Z,ann,pro\n"),
        "jsonl": b'{"id":"7","at":"2026-03-02T09:00:00Z","who":"ann","plan":"pro"}\n',
        "parquet": table.getvalue(),
    }[kind]

    path = send(api, SimpleUploadedFile(f"x.{kind}", content))["Location"].partition("/api/v1/")[2]
    run_due()

    assert api.get(path).json()["result"]["outcomes"]["stored"] == 1, api.get(path).json()
    assert names(acme) == ["signup:7"]


def test_a_mapping_may_be_a_file_or_one_of_ours(api: Caller) -> None:
    assert send(api, mapping=SimpleUploadedFile("m.yaml", SIGNUPS.encode())).status_code == 202
    badges = csv("Id,UserId,Name,Date,Class,TagBased\n1,2,Scholar,2010-07-19T19:39:07.047,3,False\n", "Badges.csv")
    assert send(api, badges, mapping="stats_se_badges").status_code in (202, 400)
    errors = problem(send(api, mapping="stats_se_badge"))["errors"]
    assert [(each["field"], each["code"]) for each in errors] == [("mapping", "unusable_mapping")]
    assert "stats_se_badges" in errors[0]["detail"]


def test_a_killed_import_goes_on_after_its_last_committed_line(
    api: Caller, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.capture.importer.BATCH", 10)
    monkeypatch.setattr("analytics.capture.importer.LEDGER_SECONDS", 0.0)
    text = "id,at,who,plan\n" + "".join(f"{n},2026-03-02T09:00:00Z,ann,pro\n" for n in range(100))
    path = send(api, csv(text))["Location"].partition("/api/v1/")[2]
    sent = Delivery.send
    lines: list[int] = []

    def dies(self: Delivery, batch: Any) -> None:
        if batch.line > 80 and not lines:
            lines.append(batch.line)
            raise RuntimeError("killed")
        if lines and batch.events:
            lines.append(batch.line)
        sent(self, batch)

    monkeypatch.setattr(Delivery, "send", dies)
    run_due()
    stopped = api.get(path).json()
    assert (stopped["state"], 0 < stopped["result"]["outcomes"]["stored"] < 100) == ("queued", True)
    with tenant_context(acme.pk):
        job = Job.objects.get(kind=KIND)
        at = job.cursor["line"]
        Job.objects.filter(pk=job.pk).update(run_at=job.created_at)

    run_due()

    done = api.get(path).json()
    assert (done["state"], done["result"]["resumed_after"]) == ("done", at)
    assert all(line > at for line in lines)
    assert done["result"]["outcomes"]["stored"] + done["result"]["outcomes"]["duplicate"] == 100
    assert len(names(acme)) == 100


def test_a_kill_after_the_file_was_deleted_loses_no_result(
    api: Caller, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = send(api)["Location"].partition("/api/v1/")[2]
    with monkeypatch.context() as broken:
        broken.setattr("analytics.imports._count", lambda *_: 1 / 0)
        run_due()
    assert api.get(path).json()["state"] == "queued"
    with tenant_context(acme.pk):
        job = Job.objects.get(kind=KIND)
        Job.objects.filter(pk=job.pk).update(run_at=job.created_at)

    run_due()

    assert (api.get(path).json()["state"], api.get(path).json()["result"]["rows"]) == ("done", 3)


def test_a_file_that_cannot_be_read_fails_with_its_line_and_leaves_nothing(api: Caller, home: Path) -> None:
    broken = SimpleUploadedFile("x.csv.gz", gzip.compress(ROWS.encode() * 2000)[:-40])
    path = send(api, broken)["Location"].partition("/api/v1/")[2]

    assert run_due() == 1

    failed = api.get(path).json()
    assert (failed["state"], left(home)) == ("failed", [])
    assert "cut off" in failed["error"]
    assert str(home) not in failed["error"]


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({"mapping": SIGNUPS}, "file"),
        ({"file": "no file", "mapping": SIGNUPS}, "file"),
        ({"file": csv()}, "mapping"),
        ({"file": csv(), "mapping": "rows: ["}, "mapping"),
        ({"file": csv(), "mapping": "version: 1\nrows: [{evnt: x}]"}, "mapping"),
        ({"file": csv("id,when\n1,2\n"), "mapping": SIGNUPS}, "file"),
        ({"file": csv(name="signups.xlsx"), "mapping": SIGNUPS}, "file"),
        ({"file": csv(), "mapping": SIGNUPS, "dry_run": "perhaps"}, "dry_run"),
        ({"file": csv(), "mapping": SIGNUPS, "dryrun": "true"}, "dryrun"),
        ({"file": csv(), "mapping": SIGNUPS, "more": csv()}, "more"),
    ],
)
def test_a_bad_order_names_the_field_and_keeps_nothing(
    api: Caller, home: Path, parts: dict[str, Any], field: str
) -> None:
    answer = api.upload("imports/", parts)

    assert answer.status_code == 400
    (error,) = problem(answer)["errors"]
    assert error["field"] == field, error
    assert str(home) not in error["detail"]
    answer.close()
    assert [path for path in home.glob("uploads/**/*") if path.is_file()] == []


def test_too_large_a_file_is_refused_while_it_arrives(api: Caller, home: Path, settings: Any) -> None:
    settings.IMPORT_MAX_BYTES = 100_000

    for size in (100_001, 3_000_000):
        answer = send(api, csv("x" * size))
        assert answer.status_code == 413
        assert problem(answer)["code"] == "too_large"
    assert [path for path in home.glob("uploads/**/*") if path.is_file()] == []


def test_a_full_disk_is_said_and_nothing_is_kept(api: Caller, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    answer = send(api)

    assert (answer.status_code, problem(answer)["code"]) == (507, "disk_full")
    answer.close()
    assert left(home) == []


def test_other_bodies_and_other_credentials_are_refused(api: Caller, acme: Tenant, home: Path) -> None:
    assert api.post("imports/", {"file": "x"}).status_code == 415
    assert send(caller(acme, kind="pk")).status_code == 403
    assert send(Caller(None)).status_code == 401
    assert not (home / "uploads").exists()


def test_only_so_many_may_wait(api: Caller, acme: Tenant, globex: Tenant) -> None:
    for number in range(MAX_WAITING):
        assert send(api, csv(ROWS + f"{number + 10},2026-03-02T09:00:00Z,ann,pro\n")).status_code == 202

    answer = send(api)

    assert (answer.status_code, problem(answer)["code"]) == (409, "too_many_waiting")
    assert send(caller(globex)).status_code == 202


def test_the_neighbour_neither_sees_nor_gets_anything(api: Caller, acme: Tenant, globex: Tenant) -> None:
    path = send(api)["Location"].partition("/api/v1/")[2]
    theirs = caller(globex)
    run_due()

    assert theirs.get(path).status_code == 404
    assert theirs.get("jobs/").json()["count"] == 0
    assert send(theirs).json()["id"] != api.get(path).json()["id"]


def test_a_cancelled_import_stops_and_its_file_goes_with_the_next_erasure(
    api: Caller, acme: Tenant, home: Path, t0: Any
) -> None:
    id_ = send(api).json()["id"]
    with tenant_context(acme.pk):
        job = Job.objects.get(pk=id_)
    assert uploads_forget(acme.pk) == 0  # it waits: its events of erased people will be refused
    cancel(job, now=t0)
    assert (run_due(), len(left(home))) == (0, 1)

    receipt = erase_subject(tenant_id=acme.pk, distinct_id="ann", now=t0, settle_seconds=0, using="default")

    assert (receipt.rows["uploads"], left(home)) == (1, [])


def test_old_files_of_ended_imports_are_swept(api: Caller, acme: Tenant, globex: Tenant, home: Path) -> None:
    send(api)
    kept = left(home)
    arriving = uploads.made(home / "uploads" / "arriving")
    (arriving / "half").touch()

    assert uploads.uploads_sweep(globex.pk, active=set(), older_than=-uploads.KEPT) == 0
    assert uploads.uploads_sweep(acme.pk, active=set(kept), older_than=-uploads.KEPT) == 0
    assert uploads.uploads_sweep(acme.pk, active=set()) == 0
    assert uploads.uploads_sweep(acme.pk, active=set(), older_than=-uploads.KEPT) == 1


def test_orders_are_counted_from_the_file(api: Caller, acme: Tenant) -> None:
    text = "id,at,who,total\n" + "".join(f"{n},2026-03-02T0{n}:00:00Z,u{n},{n}.25\n" for n in range(1, 5))
    send(api, csv(text, "orders.csv"), mapping=ORDERS)

    run_due()

    # 1.25 + 2.25 + 3.25 + 4.25
    total = api.get("kpis/revenue.gross/series/", from_="2026-03-02", to="2026-03-03").json()["total"]
    assert total == "11.00"
