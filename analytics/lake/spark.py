"""Questions on a Spark cluster, over the same files: for when one machine is not enough.

The driver lives in this process and its session is shared; a question has views of its own. The lake has to lie where
driver and executors see it under the same path: a shared folder, or object storage that is mounted.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import ibis
import pyarrow as pa
from django.conf import settings
from ibis.backends.sql.compilers.pyspark import compiler
from ibis.expr import types as ir

from analytics.lake.errors import EngineFailed, EngineUnavailable, LakeFileBroken, StoreCancelled
from analytics.lake.schema import FILES, File, arrow_schema
from analytics.lake.selection import EVENTS, Selection, condition, text, view

CONNECT_SECONDS: Final = 3.0
DIALECT: Final = "spark"

# ANSI as DuckDB is: overflows and divisions by zero are errors, not nulls. One zone, UTC.
OPTIONS: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.parquet.filterPushdown": "true",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.shuffle.partitions": "16",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}

_SPARK_TYPES: Final = {
    pa.string(): "string",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
}
logging.getLogger("py4j").setLevel(logging.WARNING)  # it would tell of every call

_lock = threading.Lock()
_sessions: dict[str, Any] = {}


class SparkEngine:
    """One question's session on the cluster at `master`."""

    name: Literal["spark"] = "spark"

    def __init__(self, master: str) -> None:
        self._session = _session(master).newSession()
        for key in ("spark.sql.session.timeZone", "spark.sql.ansi.enabled"):
            self._session.conf.set(key, OPTIONS[key])
        self._group = f"lake-{uuid.uuid4().hex}"

    def show(self, selection: Selection) -> None:
        with _translated():
            if selection.is_empty or selection.table is not None:
                table = selection.table if selection.table is not None else selection.shape.schema.empty_table()
                self.register("lake_memory", table)
                columns = ", ".join(f"e.{name}" for name in selection.shape.schema.names)
                body = f"SELECT {columns} FROM lake_memory AS e WHERE {condition(selection, DIALECT)}"
            else:
                sources: dict[File, str] = {file: self._parquet(selection, file) for file in selection.shape.files}
                body = view(selection, DIALECT, sources, [_property(name) for name in selection.shape.properties])
            self._session.sql(body).createOrReplaceTempView(EVENTS)

    def _parquet(self, selection: Selection, file: File) -> str:
        name = f"lake_{FILES.index(file)}"
        paths = [Path(path).as_uri() for path in selection.paths[file]]
        self._session.read.schema(_ddl(file)).parquet(*paths).createOrReplaceTempView(name)
        return name

    def register(self, name: str, table: pa.Table) -> None:
        with _translated():
            rows = table.to_pylist()
            schema = ", ".join(f"`{field.name}` {_spark_type(field.type)}" for field in table.schema)
            frame = self._session.createDataFrame([tuple(row.values()) for row in rows], schema=schema)
            frame.createOrReplaceTempView(name)

    def run(self, expression: ir.Expr) -> pa.Table:
        from analytics.engines import typed

        with _translated():
            self._session.sparkContext.setJobGroup(self._group, "lake", interruptOnCancel=True)
            answer = self._session.sql(compiler.to_sqlglot(expression).sql(DIALECT)).toArrow()
        return typed(answer, expression)

    def batches(self, expression: ir.Table) -> Iterator[pa.RecordBatch]:
        yield from self.run(expression).to_batches(1 << 16)

    def interrupt(self) -> None:
        self._session.sparkContext.cancelJobGroup(self._group)

    def close(self) -> None:
        for name in (EVENTS, "lake_memory", *(f"lake_{at}" for at in range(len(FILES)))):
            self._session.catalog.dropTempView(name)


def _property(name: str) -> str:
    """As PostgreSQL's `properties ->> name`; the whole text as a map, because a path cannot hold every name."""
    return f"try_element_at(from_json(p.properties, 'map<string,string>'), {text(name, DIALECT)})"


def _ddl(file: File) -> str:
    return ", ".join(f"`{field.name}` {_spark_type(field.type)}" for field in arrow_schema(file))


def _spark_type(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind) or pa.types.is_large_string(kind):
        return "string"
    return _SPARK_TYPES[kind]


def _session(master: str) -> Any:
    """The driver of this process. Raises EngineUnavailable."""
    with _lock:
        found = _sessions.get(master)
        if found is not None and not found.sparkContext._jsc.sc().isStopped():
            return found
        _reachable(master)
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise EngineUnavailable(
                f"{master} needs pyspark: pip install -r requirements-spark.txt; or set ANALYTICS_ENGINE=duckdb"
            ) from error
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.master(master).appName("bellwether")
        for key, value in OPTIONS.items():
            builder = builder.config(key, value)
        builder = builder.config("spark.driver.memory", settings.ANALYTICS_ENGINE_MEMORY.lower().removesuffix("b"))
        if re.match(r"spark://(127\.|localhost)", master):
            builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
        ibis.pyspark  # noqa: B018 - naming it registers the options that its compiler reads
        try:
            _sessions[master] = builder.getOrCreate()
        except Exception as error:
            raise _unavailable(master) from error
        return _sessions[master]


def _unavailable(master: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"the Spark cluster {master} does not answer; start it, or answer on this machine: ANALYTICS_ENGINE=duckdb"
    )


def _reachable(master: str) -> None:
    """Spark itself would try for a minute and then end the driver."""
    addresses = re.findall(r"([^,/]+):(\d+)", master.removeprefix("spark://"))
    if not master.startswith("spark://"):
        return
    for host, port in addresses:
        try:
            with socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS):
                return
        except OSError:
            continue
    raise _unavailable(master)


@contextmanager
def _translated() -> Iterator[None]:
    """Spark's errors in our words: its own hold paths and stack traces."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        message = str(error)
        if "cancelled" in message.lower():
            raise StoreCancelled("the question was cancelled") from error
        if any(sign in message for sign in _DAMAGE):
            raise LakeFileBroken("a file of the lake is missing or damaged") from error
        raise EngineFailed(f"the cluster could not answer ({type(error).__name__})") from error


_DAMAGE: Final = (
    "FAILED_READ_FILE",
    "PATH_NOT_FOUND",
    "FileNotFoundException",
    "is not a Parquet file",
    "CANNOT_READ_FILE_FOOTER",
)


def sessions_close() -> None:
    """End the drivers of this process."""
    with _lock:
        for session in _sessions.values():
            session.stop()
        _sessions.clear()
