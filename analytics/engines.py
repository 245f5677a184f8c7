"""The engines that answer questions about the lake: DuckDB in this process, or a Spark cluster.

A question is an Ibis expression over the table `events`. It is compiled here and run on a connection that belongs to
one tenant and one question. DuckDB's may open the tenant's folder and nothing else, and can never be told otherwise.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

import pyarrow as pa
from django.conf import settings

from analytics.lake.errors import EngineFailed, EngineUnavailable, LakeFileBroken, StoreCancelled, StoreTimeout
from analytics.lake.schema import File
from analytics.lake.selection import EVENTS, Selection, Shape, condition, text, view
from analytics.lazily import Lazily

if TYPE_CHECKING:
    import duckdb
    import ibis
    from ibis.expr import types as ir
else:
    duckdb = Lazily("duckdb")
    ibis = Lazily("ibis")

EngineName = Literal["duckdb", "spark"]
POLL_SECONDS: Final = 0.1
QUESTIONS_AT_ONCE: Final = 2
"""In one process: each may use the whole memory limit. Others wait within their own time limit."""

_slots = threading.BoundedSemaphore(QUESTIONS_AT_ONCE)


class Engine(Protocol):
    """A connection for one tenant and one question. Its errors are LakeErrors."""

    @property
    def name(self) -> EngineName: ...

    def show(self, selection: Selection) -> None:
        """Make this selection the table `events`, in place of a former one."""

    def register(self, name: str, table: pa.Table) -> None:
        """Make a small table of the caller's visible under this name."""

    def run(self, expression: ir.Expr) -> pa.Table:
        """The answer, with exactly the types that the expression promises."""

    def batches(self, expression: ir.Table) -> Iterator[pa.RecordBatch]:
        """The answer in portions, for more rows than should be held at once."""

    def interrupt(self) -> None:
        """Stop what is running, from another thread."""

    def close(self) -> None: ...


class Stoppable(Protocol):
    """What works on a question."""

    def interrupt(self) -> None:
        """Stop what is running, from another thread."""


class DuckDBEngine:
    """Embedded. `folder` is the only one it may read; None when it reads tables in memory only."""

    name: EngineName = "duckdb"

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    @cached_property
    def _raw(self) -> duckdb.DuckDBPyConnection:
        """Made when it is first asked: kernels that read columns need no engine."""
        spill = Path(settings.BELLWETHER_HOME) / "lake-spill"
        raw = duckdb.connect(
            ":memory:",
            config={
                "threads": settings.ANALYTICS_ENGINE_THREADS,
                "memory_limit": settings.ANALYTICS_ENGINE_MEMORY,
                "temp_directory": str(spill),
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
                "preserve_insertion_order": "false",
            },
        )
        raw.execute("SET TimeZone = 'UTC'")
        allowed = [text(str(self.folder), "duckdb")] if self.folder is not None else []
        raw.execute(f"SET allowed_directories = [{', '.join(allowed)}]")
        raw.execute("SET enable_external_access = false")
        raw.execute("SET lock_configuration = true")
        return raw

    def show(self, selection: Selection) -> None:
        if selection.table is not None or selection.is_empty:
            table = selection.table if selection.table is not None else selection.shape.schema.empty_table()
            self._raw.register("lake_memory", table)
            columns = ", ".join(f"e.{name}" for name in selection.shape.schema.names)
            body = f"SELECT {columns} FROM lake_memory AS e WHERE {condition(selection, 'duckdb')}"
        else:
            sources = {file: _parquet(selection, file) for file in selection.shape.files}
            body = view(selection, "duckdb", sources, [_property(name) for name in selection.shape.properties])
        with _translated():
            self._raw.execute(f"CREATE OR REPLACE VIEW {EVENTS} AS {body}")

    def register(self, name: str, table: pa.Table) -> None:
        self._raw.register(name, table)

    def run(self, expression: ir.Expr) -> pa.Table:
        with _translated():
            answer = self._raw.sql(self._sql(expression)).to_arrow_table()
        return typed(answer, expression)

    def batches(self, expression: ir.Table) -> Iterator[pa.RecordBatch]:
        schema = expression.schema().to_pyarrow()
        with _translated():
            for batch in self._raw.sql(self._sql(expression)).to_arrow_reader(1 << 16):
                yield from pa.Table.from_batches([batch]).cast(schema).to_batches()

    def _sql(self, expression: ir.Expr) -> str:
        from ibis.backends.sql.compilers.duckdb import compiler as duckdb_compiler

        return str(duckdb_compiler.to_sqlglot(expression).sql("duckdb"))

    def interrupt(self) -> None:
        if "_raw" in self.__dict__:
            self._raw.interrupt()

    def close(self) -> None:
        if "_raw" in self.__dict__:
            self._raw.close()


def _parquet(selection: Selection, file: File) -> str:
    paths = ", ".join(text(path, "duckdb") for path in selection.paths[file])
    return f"read_parquet([{paths}], hive_partitioning = false)"


def _property(name: str) -> str:
    """As PostgreSQL's `properties ->> name`. A JSON pointer, because a name may begin with `$` and hold dots."""
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    return f"(p.properties ->> {text(pointer, 'duckdb')})"


@contextmanager
def _translated() -> Iterator[None]:
    """DuckDB's errors in our words: its own name files and may quote data."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise StoreCancelled("the question was cancelled") from error
    except (duckdb.IOException, duckdb.HTTPException, duckdb.SerializationException) as error:
        raise LakeFileBroken("a file of the lake is missing or damaged") from error
    except duckdb.OutOfMemoryException as error:
        raise EngineFailed(
            f"the question needs more than {settings.ANALYTICS_ENGINE_MEMORY} of memory (ANALYTICS_ENGINE_MEMORY); "
            "ask for less time or fewer events"
        ) from error
    except duckdb.Error as error:
        if _is_damage(str(error)):
            raise LakeFileBroken("a file of the lake is missing or damaged") from error
        raise EngineFailed(f"the embedded engine could not answer ({type(error).__name__})") from error


# What DuckDB says of a file whose bytes are not what its header promises, in errors of any class.
_DAMAGE: Final = (
    "parquet",
    "zstd",
    "thrift",
    "page header",
    "decompress",
    "decode",
    "corrupt",
    "snappy",
    "utf-8",
    "utf8",
)


def _is_damage(message: str) -> bool:
    return any(word in message.lower() for word in _DAMAGE)


def typed(answer: pa.Table, expression: ir.Expr) -> pa.Table:
    """The answer in the expression's own types: engines widen sums as they like."""
    schema = expression.as_table().schema().to_pyarrow()
    return answer.rename_columns(schema.names).cast(schema)


def engine_for(folder: Path | None, engine: str = "") -> Engine:
    """The engine of the settings (or this one), bound to a tenant's folder. Raises EngineUnavailable."""
    chosen = engine or settings.ANALYTICS_ENGINE
    if chosen == "duckdb":
        return DuckDBEngine(folder)
    if chosen.startswith(("spark://", "local")):
        from analytics.lake.spark import SparkEngine

        return SparkEngine(chosen)
    raise EngineUnavailable(
        f"ANALYTICS_ENGINE is {chosen!r}; it may be `duckdb` or the address of a cluster, spark://…"
    )


def unbound(shape: Shape) -> ir.Table:
    """The table that expressions are made of."""
    return ibis.table(ibis.schema(shape.schema), name=EVENTS)


@contextmanager
def watched(engine: Stoppable, timeout: float, cancelled: Callable[[], bool] | None) -> Iterator[None]:
    """Interrupt the engine when its time is over or nobody wants the answer. Raises StoreTimeout, StoreCancelled."""
    end = time.monotonic() + timeout
    if not _slots.acquire(timeout=timeout):
        raise StoreTimeout(f"other questions kept the engine busy for {timeout:g} seconds")
    reason: list[type[StoreTimeout] | type[StoreCancelled]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(POLL_SECONDS):
            if time.monotonic() > end:
                reason.append(StoreTimeout)
            elif cancelled is not None and cancelled():
                reason.append(StoreCancelled)
            if reason:
                engine.interrupt()

    thread = threading.Thread(target=watch, name="lake-watch", daemon=True)
    thread.start()
    try:
        yield
    except (StoreCancelled, EngineFailed):
        if reason and reason[0] is StoreTimeout:
            raise StoreTimeout(f"no answer within {timeout:g} seconds; ask for less time or fewer events") from None
        if reason:
            raise StoreCancelled("the question was cancelled") from None
        raise
    finally:
        done.set()
        thread.join()
        _slots.release()
