"""The lake on object storage: a real S3 server on this machine."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analytics.lake import storage
from analytics.lake.errors import LakeTaken
from analytics.lake.garbage import collect
from analytics.lake.storage import OWNER, ObjectStorage, lake_storage
from analytics.models import Tenant
from analytics.privacy import erase_subject
from tests.analytics.events import NOON, event, write
from tests.analytics.lake.lakes import event_ids, lake_rows, seal, stored_ids

pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")
pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """The address of an S3 server."""
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = make_server("127.0.0.1", 0, server.DomainDispatcherApplication(server.create_backend_app), threaded=True)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    thread.join()


@pytest.fixture
def bucket(s3_url: str, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket, and the settings to use it; the file system of fsspec."""
    import s3fs

    values = {
        "AWS_ENDPOINT_URL": s3_url,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    name = f"lake-{os.getpid()}-{tmp_path.name.replace('_', '-').lower()}"[:60].rstrip("-")
    files.mkdir(name)
    settings.ANALYTICS_LAKE_URL = f"s3://{name}/events"
    settings.BELLWETHER_HOME = tmp_path / "home"
    yield files
    s3fs.S3FileSystem.clear_instance_cache()


def _objects(bucket: Any, settings: Any) -> list[str]:
    bucket.invalidate_cache()
    return sorted(name for name in bucket.find(settings.ANALYTICS_LAKE_URL) if not name.endswith(f"/{OWNER}"))


def _three(tenant: Tenant) -> None:
    write(tenant, [event(tenant, f"e{n}", minute=1440 * n, distinct_id="ann", properties={"n": n}) for n in range(3)])
    seal(tenant)


def test_files_lie_in_the_bucket_and_questions_read_copies(
    acme: Tenant, globex: Tenant, bucket: Any, settings: Any
) -> None:
    _three(acme)
    _three(globex)
    assert len(_objects(bucket, settings)) == 18
    assert event_ids(acme) == stored_ids(acme)
    cache = settings.BELLWETHER_HOME / "lake-cache"
    assert len(list(cache.rglob("*.events.parquet"))) == 3
    assert list(cache.rglob(f"t{globex.pk}/**/*.parquet")) == [], "nobody asked about its neighbour"


def test_the_cache_stays_within_its_bound(acme: Tenant, bucket: Any, settings: Any) -> None:
    _three(acme)
    settings.ANALYTICS_LAKE_CACHE_BYTES = 1
    storage = lake_storage()
    assert isinstance(storage, ObjectStorage)
    with pytest.raises(Exception, match="missing"):
        event_ids(acme)
    settings.ANALYTICS_LAKE_CACHE_BYTES = 10**9
    assert len(lake_rows(acme, "ts")) == 3


def test_a_lost_object_is_made_again(acme: Tenant, bucket: Any, settings: Any) -> None:
    _three(acme)
    bucket.rm(next(name for name in _objects(bucket, settings) if ".events." in name))
    assert event_ids(acme) == stored_ids(acme)


def test_a_damaged_object_is_made_again(acme: Tenant, bucket: Any, settings: Any) -> None:
    _three(acme)
    name = next(name for name in _objects(bucket, settings) if ".ids." in name)
    bucket.pipe_file(name, bytes(bucket.info(name)["size"]))
    assert event_ids(acme) == stored_ids(acme)


@pytest.mark.django_db(transaction=True, databases=["default", "erasure"])
def test_an_erasure_reaches_bucket_and_cache(acme: Tenant, bucket: Any, settings: Any) -> None:
    write(acme, [event(acme, "canary-event", distinct_id="canary", session_id="canary-s")])
    seal(acme)
    event_ids(acme)
    receipt = erase_subject(tenant_id=acme.pk, distinct_id="canary", now=NOON)
    assert receipt.is_complete
    assert len(_objects(bucket, settings)) == 3
    assert not any(b"canary" in bucket.cat_file(name) for name in _objects(bucket, settings))
    assert list((settings.BELLWETHER_HOME / "lake-cache").rglob("*.parquet")) == []


def test_two_installations_never_share_a_lake(
    acme: Tenant, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their tenants have the same numbers, so one would take the other's files for strays."""
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    _three(acme)
    monkeypatch.setattr(storage, "installation", lambda: "another")
    write(acme, [event(acme, "later", minute=5)])
    with pytest.raises(LakeTaken, match="belongs to another installation: set ANALYTICS_LAKE_URL"):
        seal(acme)
    with pytest.raises(LakeTaken):
        collect(acme.pk, now=NOON)
