"""Whoever was erased after a backup stays erased when it is restored, whatever became of the log and of the restore."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pyarrow.parquet as pq
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from psycopg.conninfo import make_conninfo

from analytics.contracts import IdentityLink, LinkKind, PersonChange
from analytics.erased import Erased, erased_append, erased_log, erased_read
from analytics.lake.marks import ERASURE
from analytics.models import LakeMark, Suppression, Tenant
from analytics.privacy import erase_subject
from analytics.sealing import installation, keyring
from analytics.signals import subject_erased
from analytics.tenancy import tenant_context
from config import embedded
from config.backup.erasing import ErasedAgain, erase_again
from config.backup.erasures import Gathered, erasures_gather, erasures_known
from config.backup.errors import BackupError
from config.backup.server import admin_conninfo
from config.doctor.installation import erasures
from tests.analytics.events import event, rows, write
from tests.config.backups import count_and_seal, manage, python, save

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])

ID, BEFORE, PHONE = "canary-restored-51", "canary-browser-51", "+33 6 51 93 00 51"
MAIL, NOTE = "zoe.canary-51@{}.example", "canary: leave it at the door of {}"

SLUGS = """
import json
from analytics.tenancy import tenants
print(json.dumps({f"t{tenant.id}": tenant.slug for tenant in tenants()}))
"""
LOOK = f"""
import json
from analytics.identity import person_of
from analytics.models import Tenant
from analytics.tenancy import tenant_by_slug
from tests.analytics.events import event, rows, told, write
from config.boot import refuse_unbound_roles
refuse_unbound_roles()
found = {{}}
for slug in ("acme", "globex"):
    tenant = Tenant(pk=tenant_by_slug(slug).id)
    def known(name):
        try:
            return person_of(tenant_id=tenant.pk, distinct_id=name).traits
        except LookupError:
            return "unknown"
    texts = rows(tenant, "SELECT properties::text || coalesce(object_id, '') || event_id FROM bw_event")
    late = [event(tenant, f"late-{{n}}", distinct_id=name) for n, name in enumerate(({ID!r}, {BEFORE!r}, "bob"))]
    found[slug] = {{
        "known": known({ID!r}),
        "neighbour": known("bob"),
        "readable": sum("canary" in text for (text,) in texts),
        "totals": rows(tenant, "SELECT name, count(*), sum(amount_base)::int FROM bw_event GROUP BY 1 ORDER BY 1"),
        "people": rows(tenant, "SELECT count(DISTINCT s.person_id) FROM bw_event e JOIN bw_subject s"
                               " ON s.id = e.subject_id AND s.tenant_id = e.tenant_id")[0][0],
        "late": told(write(tenant, late)),
    }}
print(json.dumps(found))
"""


def people(tenant: Tenant) -> None:
    """Zoë, known by two ids, and Bob, who dealt with her; counted and sealed."""
    link = (IdentityLink(LinkKind.IDENTIFY, BEFORE),)
    mail, note = MAIL.format(tenant.slug), NOTE.format(tenant.slug)
    bob = PersonChange(set={"plan": "free"})
    zoe = PersonChange(set={"email": mail, "plan": "pro"})
    write(
        tenant,
        [
            event(tenant, "e1", distinct_id=BEFORE, properties={"path": "/a", "note": note}),
            event(tenant, "e2", distinct_id=ID, links=link, identifies=True, person=zoe, name="$identify", minute=1),
            event(
                tenant, "e3", distinct_id=ID, minute=2, name="order_completed", amount=1999, currency="EUR",
                properties={"plan": "pro", "note": note}, sensitive={"email": mail, "phone": PHONE},
            ),
            event(tenant, "e4", distinct_id="bob", minute=3, object_id=BEFORE, person=bob),
            event(tenant, "e5", distinct_id="carol", minute=4),
        ],
    )  # fmt: skip
    count_and_seal(tenant)


@pytest.fixture
def shops(acme: Tenant, globex: Tenant, settings: Any, tmp_path: Path) -> tuple[Tenant, Tenant]:
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    settings.ANALYTICS_SEAL_WORKERS = 1
    settings.ANALYTICS_ERASED_LOG = str(tmp_path / "erased.jsonl")
    for tenant in (acme, globex):
        people(tenant)
    return acme, globex


def erase(tenant: Tenant, distinct_id: str = ID) -> None:
    assert erase_subject(tenant_id=tenant.pk, distinct_id=distinct_id, now=timezone.now()).is_complete


def known_by(gathered: Gathered) -> set[tuple[int, UUID]]:
    return set(gathered.latest)


def digests(tenant: Tenant, *names: str) -> set[tuple[int, UUID]]:
    return {(tenant.pk, UUID(bytes=keyring().digest(tenant.pk, name))) for name in names}


def logged() -> set[tuple[int, UUID]]:
    lines = erased_read(erased_log(), installation=installation())
    return {(each.tenant, digest) for each in lines for digest in each.digests}


# --- Restored ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_older_backup_comes_back_without_whoever_was_erased_though_its_restore_is_killed_again_and_again(
    shops: tuple[Tenant, Tenant], new_home: Path, tmp_path: Path
) -> None:
    acme, _ = shops
    save(tmp_path / "kept")
    erase(acme)
    erase(acme, "nobody has seen them")
    log, kept = erased_log(), str(tmp_path / "kept")

    told = manage(new_home, "restore", kept, "--dry-run", "--json", f"--erased={log}")
    assert json.loads(told.stdout)["ids_erased_since"] == 3
    assert not (new_home / "erased.jsonl").exists()
    done = manage(new_home, "restore", kept, f"--erased={log}", failpoint="restore.after_gathering:kill:1")
    assert done.returncode == -9, done.stderr
    log.unlink()  # from here on it is known to the new home alone
    done = manage(new_home, "restore", kept, failpoint="restore.after_secrets:kill:1")
    assert done.returncode == -9, done.stderr
    done = manage(new_home, "restore", kept, failpoint="restore.while_erasing:kill:1")
    assert "nothing starts before it can" in done.stderr
    assert "has not come to its end" in manage(new_home, "bootstrap", "--no-demo").stderr
    done = manage(new_home, "restore", kept, REDIS_URL="redis://127.0.0.1:1/0")
    assert "1 problems\n  erased again: 1 people, who were known by some of 3 ids that were erased since" in done.stdout
    assert done.stderr.endswith(
        "not all is well:\n"
        "Redis is away and may hold answers of before: `manage.py cache clear --all` when it is back\n"
    )

    assert lake_tells_of_canaries(new_home) == {"globex"}
    found = json.loads(python(new_home, LOOK))
    totals = [["$identify", 1, None], ["order_completed", 1, 1999], ["page_viewed", 3, None]]
    in_rupees = [["$identify", 1, None], ["order_completed", 1, None], ["page_viewed", 3, None]]
    bob = {"plan": "free"}
    assert found == {
        "acme": {
            "known": "unknown", "neighbour": bob, "readable": 0, "totals": totals, "people": 3,
            "late": ["rejected/erased_subject", "rejected/erased_subject", "stored"],
        },
        "globex": {
            "known": {"email": MAIL.format("globex"), "plan": "pro"}, "neighbour": bob, "readable": 3,
            "totals": in_rupees, "people": 3, "late": ["stored"] * 3,
        },
    }  # fmt: skip
    with psycopg.connect(embedded.admin_url(new_home), autocommit=True) as admin:
        admin.execute("CHECKPOINT")
        (data,) = admin.execute("SHOW data_directory").fetchone() or ("",)
    bytes_of = {text: files_with(text, [Path(data), new_home]) for text in (ID, MAIL.format("acme"), PHONE, "bw_event")}
    assert [text for text, files in bytes_of.items() if files] == ["bw_event"], "the scan can see what is there"


def lake_tells_of_canaries(home: Path) -> set[str]:
    """Tenants by whose files she can still be read of."""
    slugs = json.loads(python(home, SLUGS))
    lake = home / "lake"
    texts = {path: str(pq.read_table(path).to_pylist()) for path in lake.rglob("*.parquet")}
    return {slugs[path.relative_to(lake).parts[0]] for path, text in texts.items() if "canary" in text}


def files_with(text: str, folders: list[Path]) -> list[str]:
    found = subprocess.run(["grep", "-rlaF", "--", text, *folders], capture_output=True, text=True, check=False)
    return found.stdout.splitlines()


# --- Known by whatever is left ----------------------------------------------------------------------------------------


def test_without_a_log_a_later_backup_tells_of_it_and_so_does_the_database_that_is_replaced(
    shops: tuple[Tenant, Tenant], tmp_path: Path
) -> None:
    acme, globex = shops
    erase(globex, "carol")
    taken = save(tmp_path / "kept")
    erase(acme)
    erased_log().unlink()  # and with it what the later backup would copy: it asks the database too
    everybody = digests(globex, "carol") | digests(acme, ID, BEFORE)
    before = erasures_known(taken.folder, taken.contents)
    assert known_by(before) == digests(globex, "carol"), "of its own copy"
    assert before.since(taken.contents.taken_at) == 0

    later = save(tmp_path / "kept")
    found = erasures_known(taken.folder, taken.contents)
    assert (known_by(found), found.since(taken.contents.taken_at)) == (everybody, 2)
    (later.folder / "erased.jsonl").unlink()
    (later.folder / "erased.jsonl").mkdir()
    assert erasures_known(taken.folder, taken.contents).unread == (
        f"{later.folder / 'erased.jsonl'} cannot be read (Is a directory)",
    )

    shutil.rmtree(later.folder)
    nowhere = make_conninfo(admin_conninfo(), dbname="nowhere")
    gathered = erasures_gather(taken.folder, taken.contents, [], [nowhere, admin_conninfo()])
    assert known_by(gathered) == everybody == logged()
    assert [source.split("(")[0] for source in gathered.unread] == ["the database that is replaced cannot be asked "]
    erasures_gather(taken.folder, taken.contents, [], [admin_conninfo()])
    assert len(erased_log().read_text().splitlines()) == 2, "once is enough"


def test_a_log_of_another_installation_is_no_log_and_one_that_is_not_there_is_said(
    shops: tuple[Tenant, Tenant], tmp_path: Path, settings: Any
) -> None:
    acme, _ = shops
    taken = save(tmp_path / "kept")
    ours, theirs = settings.FIELD_ENCRYPTION_KEY, "c29tZWJvZHkgZWxzZSdzIGtleSBvZiAzMiBieXRlcyE="
    settings.FIELD_ENCRYPTION_KEY = theirs
    erased_append([Erased(at=timezone.now(), installation=installation(), tenant=acme.pk, digests=(uuid4(),))])
    settings.FIELD_ENCRYPTION_KEY = ours
    assert known_by(erasures_known(taken.folder, taken.contents)) == set()
    with pytest.raises(BackupError, match="tells of no erasure of the installation that the backup is of"):
        erasures_known(taken.folder, taken.contents, [erased_log()])
    with pytest.raises(CommandError, match=r"nowhere cannot be read \(No such file or directory\)"):
        call_command("restore", str(taken.folder), dry_run=True, erased=[tmp_path / "nowhere"])


# --- Erased again, in a database that does not know -------------------------------------------------------------------


@pytest.fixture
def gone(shops: tuple[Tenant, Tenant]) -> tuple[Tenant, Tenant]:
    """Zoë of Acme was erased, as the log tells, in a life that this database knows nothing of."""
    acme, globex = shops
    write_log(acme, ID, BEFORE)
    return acme, globex


def write_log(tenant: Tenant, *names: str, at: datetime | None = None) -> None:
    ids = tuple(digest for _, digest in digests(tenant, *names))
    erased_append([Erased(at=at or timezone.now(), installation=installation(), tenant=tenant.pk, digests=ids)])


def identities(tenant: Tenant) -> int:
    return int(rows(tenant, "SELECT count(*) FROM bw_identity")[0][0])


def test_a_key_that_was_replaced_in_between_changes_nothing(gone: tuple[Tenant, Tenant], settings: Any) -> None:
    acme, globex = gone
    old = settings.FIELD_ENCRYPTION_KEY
    settings.FIELD_ENCRYPTION_KEY = f"bmV3IGtleSB0aGF0IGlzIDMyIGJ5dGVzIGxvbmchISE=,{old}"
    write_log(acme, "carol")  # erased when both keys were known; the backup's own is the old one
    settings.FIELD_ENCRYPTION_KEY = old
    done = erase_again(now=timezone.now())
    assert (done.ids, done.people, done.not_erased, done.waiting) == (3, 2, [], [])
    assert (identities(acme), identities(globex)) == (1, 4)
    assert erase_again(now=timezone.now()) == ErasedAgain(), "once is enough"


def test_a_backup_of_the_middle_of_an_erasure_has_its_rest_erased(shops: tuple[Tenant, Tenant]) -> None:
    acme, globex = shops
    with tenant_context(acme.pk, using="erasure"):
        for _, digest in digests(acme, ID, BEFORE):
            Suppression.objects.using("erasure").create(tenant=acme, digest=digest)
    with tenant_context(globex.pk):
        (subject,) = rows(globex, "SELECT min(id) FROM bw_subject")[0]
        LakeMark.objects.create(tenant_id=globex.pk, subject_id=subject, reason=ERASURE)
    done = erase_again(now=timezone.now())
    assert (done.ids, done.people, done.not_erased) == (2, 1, [])
    assert identities(acme) == 2
    assert rows(globex, "SELECT * FROM bw_lake_mark WHERE reason = 'erasure'") == []


def test_a_tenant_that_got_the_number_of_a_former_one_keeps_its_people(shops: tuple[Tenant, Tenant]) -> None:
    acme, globex = shops
    write_log(acme, "carol", at=timezone.now() - timedelta(days=1))
    assert erase_again(now=timezone.now()) == ErasedAgain()
    assert (identities(acme), identities(globex)) == (4, 4)


def test_after_another_kind_of_restore_the_doctor_finds_whoever_is_back_and_erases_again(
    gone: tuple[Tenant, Tenant],
) -> None:
    acme, globex = gone
    (finding,) = erasures(timezone.now())
    assert (finding.level, finding.problem[:29]) == ("error", "2 ids are back that were eras")
    assert finding.repair is not None
    assert finding.repair() == "1 people were erased again"
    assert (identities(acme), identities(globex)) == (2, 4)
    assert list(erasures(timezone.now())) == []


def test_a_part_that_cannot_let_go_is_a_problem_with_a_job_for_each_person(gone: tuple[Tenant, Tenant]) -> None:
    acme, _ = gone
    write_log(acme, "carol")

    def stubborn(sender: Any, **news: Any) -> None:
        raise OSError("Redis is away")

    subject_erased.connect(stubborn, dispatch_uid="test")
    try:
        done = erase_again(now=timezone.now())
    finally:
        subject_erased.disconnect(dispatch_uid="test")
    (part,) = done.waiting
    assert part.startswith("acme: ")
    assert "stubborn" in part
    assert done.not_erased == []
    assert rows(acme, "SELECT count(*) FROM bw_job WHERE kind = 'privacy.erase' AND state = 'queued'") == [(2,)]
