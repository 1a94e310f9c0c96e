"""The product's side of the demo: the daemon as a process of its own, and the command line.

Separate from the story. Nothing here reaches into the daemon: it is asked as anybody would ask
it, through its endpoints and its commands.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from reconciler.demo.narration import StepFailed

Status = dict[str, Any]
"""The status JSON, version 1: see core/standing.py."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DaemonProcess:
    """`fairlead run`, started and ended with the demo. Its log goes to a file."""

    def __init__(
        self,
        directory: Path,
        *,
        remote: Path,
        kubeconfigs: Mapping[str, Path],
        repository: str,
        more: Mapping[str, object] | None = None,
    ) -> None:
        """`more` are further settings, by their names in the file."""
        self.address = f"127.0.0.1:{_free_port()}"
        self.directory = directory
        self.settings = directory / "settings.yaml"
        self.log = directory / "daemon.log"
        self.settings.write_text(
            yaml.safe_dump(
                {
                    "directory": str(directory / "state"),
                    "repository": {"name": repository, "url": str(remote), "poll": "1s"},
                    "clusters": [
                        {"name": name, "kubeconfig": str(path)}
                        for name, path in kubeconfigs.items()
                    ],
                    "lease": {"namespace": "default"},
                    "listen": self.address,
                    "rights": "unrestricted-for-development",
                    **(more or {}),
                },
                sort_keys=False,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> DaemonProcess:
        self.start()
        return self

    def start(self) -> None:
        """Start it, or start it again; the log goes on."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_FAIRLEAD, "run", "--config", str(self.settings)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask the daemon to end, as systemd and Kubernetes do; it signs its log on the way."""
        assert self._process is not None
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def page(self) -> str:
        """Address of the status page."""
        return f"http://{self.address}/"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def status(self) -> Status | None:
        """What the daemon says, or None while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/status", timeout=2) as answer:
                status: Status = json.load(answer)
                return status
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def read_page(self, path: str) -> tuple[float, float]:
        """Ask for a page as a browser does; returns its size in kB, and the seconds it took.

        Raises StepFailed when it is not there.
        """
        began = time.monotonic()
        try:
            with urllib.request.urlopen(f"{self.page}{path}", timeout=10) as answer:  # noqa: S310
                size = len(answer.read()) / 1000
        except urllib.error.URLError as error:
            raise StepFailed(f"the page {self.page}{path} cannot be read: {error}") from error
        return size, time.monotonic() - began

    def until(self, so: Callable[[Status], bool], *, what: str, seconds: float = 45.0) -> Status:
        """Wait until the status is so. Raises StepFailed with the last one when it never is."""
        deadline = time.monotonic() + seconds
        status: Status | None = None
        while time.monotonic() < deadline:
            self._require_alive()
            status = self.status()
            if status is not None and so(status):
                return status
            time.sleep(0.05)
        raise StepFailed(f"{what}: not within {seconds:.0f} s; the last status was {status}")

    def _require_alive(self) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise StepFailed(f"the daemon ended by itself; the end of its log:\n{tail}")


_FAIRLEAD = [sys.executable, "-m", "reconciler"]


def fairlead(*arguments: str, expect: int = 0) -> str:
    """Run a command of the product and return what it printed.

    Raises StepFailed when it ends with another code than `expect`.
    """
    result = subprocess.run(
        [*_FAIRLEAD, *arguments],
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "110"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    if result.returncode != expect:
        raise StepFailed(
            f"fairlead {' '.join(arguments)} ended with {result.returncode}, not {expect}:\n"
            f"{result.stdout}"
        )
    return result.stdout
