"""A real Prometheus of the tests' own, on a port that it chooses itself. It scrapes itself."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from reconciler.sandbox.supervisor import die_with_parent

CONFIGURATION = """\
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: itself
  file_sd_configs:
  - files: [targets.json]
    refresh_interval: 1s
"""
_LISTENS = re.compile(r'"?Listening on"?.* address=\S*:(\d+)')


@contextmanager
def running(binary: Path, directory: Path) -> Iterator[str]:
    """Its URL, once it answers."""
    (directory / "prometheus.yml").write_text(CONFIGURATION)
    log = directory / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [
                binary,
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--web.listen-address=127.0.0.1:0",
            ],
            cwd=directory,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - it calls only prctl
        )
    try:
        _wait(lambda: _LISTENS.search(log.read_text()), log)
        found = _LISTENS.search(log.read_text())
        assert found is not None
        port = int(found[1])
        (directory / "targets.json").write_text(f'[{{"targets": ["127.0.0.1:{port}"]}}]')
        _wait(lambda: _is_ready(port), log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _is_ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _wait(condition: Callable[[], object], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"Prometheus does not answer:\n{log.read_text()}"
        time.sleep(0.02)
