"""A real Spark cluster for the parity suite: one master, two workers, on loopback, from the pyspark wheel."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

WORKERS = 2
START_SECONDS = 60.0


def missing() -> str:
    """Why there can be no cluster here, '' when there can."""
    if find_spec("pyspark") is None:
        return "pyspark is not installed (pip install -r requirements-spark.txt -c constraints.txt)"
    java = shutil.which("java")
    if java is None:
        return "there is no Java (Spark needs 17: apt-get install openjdk-17-jre-headless)"
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < 17:
        return f"Java 17 or later is needed, this is {told.splitlines()[0] if told else 'silent'}"
    return ""


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """The address of the master, once both workers are there."""
    port = _free_port()
    url = f"spark://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_DIR": str(folder / "work"),
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_DAEMON_MEMORY": "256m",
    }
    base = "org.apache.spark.deploy"
    master = [f"{base}.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]
    worker = [
        f"{base}.worker.Worker",
        "--host",
        "127.0.0.1",
        "--cores",
        "1",
        "--memory",
        "1g",
        "--webui-port",
        "0",
        url,
    ]
    log = folder / "spark.log"
    started = []
    try:
        for number, role in enumerate([master, *[worker] * WORKERS]):
            started.append(_start(role, environment, folder / f"spark-{number}.log"))
            if number == 0:
                _await(lambda: _answers(port), log)
        _await(lambda: _registered(folder / "spark-0.log") == WORKERS, folder / "spark-0.log")
        yield url
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(role: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    import pyspark

    home = Path(pyspark.__file__).parent
    with log.open("wb") as output:
        return subprocess.Popen(
            [str(home / "bin" / "spark-class"), *role],
            env={**environment, "SPARK_HOME": str(home)},
            stdout=output,
            stderr=output,
        )


def _registered(log: Path) -> int:
    return log.read_text(errors="replace").count("Registering worker")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _await(is_true: object, log: Path) -> None:
    assert callable(is_true)
    end = time.monotonic() + START_SECONDS
    while not is_true():
        if time.monotonic() > end:
            raise TimeoutError(
                f"the cluster did not start: {log.read_text(errors='replace')[-2000:] if log.exists() else ''}"
            )
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
