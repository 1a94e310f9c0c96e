"""The starter's end of the supervisor: spawns it, and tells it what to run.

Separate from the supervisor itself, which is a script that may import nothing of ours.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.sandbox.errors import ComponentFailed, SandboxError, tail
from reconciler.sandbox.isolation import inside
from reconciler.sandbox.supervisor import Answer, Request

SCRIPT = Path(__file__).with_name("supervisor.py")
ANSWER_SECONDS = 40.0
"""Longer than the supervisor waits for a program to end gracefully."""


class Supervision:
    """A running supervisor. Closing it, or dying, ends everything it runs."""

    def __init__(
        self, directory: Path, *, lock: Path, held: Sequence[int], isolated: bool = False
    ) -> None:
        """`held` are descriptors that must stay open as long as the supervisor lives.

        When isolated, it and all that it starts are in a network namespace of their own.
        """
        ours, theirs = socket.socketpair()
        ours.settimeout(ANSWER_SECONDS)
        log = directory / "logs" / "supervisor.log"
        # -I -S: neither the environment nor installed packages change what it does.
        command = [sys.executable, "-I", "-S", str(SCRIPT), "--directory", str(directory)]
        command += ["--lock", str(lock), "--channel", str(theirs.fileno())]
        with theirs, log.open("wb") as output:
            self._process = subprocess.Popen(
                inside(command) if isolated else command,
                pass_fds=[theirs.fileno(), *held],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,  # an interrupt at the terminal is for the starter alone
            )
        self._channel = ours
        self._answers = ours.makefile("rb")
        self._directory = directory

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(
        self, component: str, command: Sequence[str], *, descriptors: Sequence[int] = ()
    ) -> None:
        """Raises ComponentFailed when the program cannot be executed at all.

        `descriptors` are of those that the supervisor holds.
        """
        answer = self._ask(
            {
                "do": "start",
                "name": component,
                "command": list(command),
                "descriptors": list(descriptors),
            }
        )
        if error := answer.get("error"):
            raise ComponentFailed(component, f"cannot be started: {error}")

    def stop(self, component: str, *, graceful: bool) -> None:
        self._ask({"do": "stop", "name": component, "graceful": graceful})

    def running(self) -> Mapping[str, int]:
        """Process ids. Raises ComponentFailed when a program ended that should not have."""
        answer = self._ask({"do": "status"})
        for component, status in answer["exited"].items():
            log_tail = tail(self._directory / "logs" / f"{component}.log")
            raise ComponentFailed(component, f"ended with status {status}", log_tail=log_tail)
        return answer["running"]

    def detach(self) -> None:
        """From now on it lives until `down`, or until one of its programs dies."""
        self._ask({"do": "detach"})
        self._close_channel()
        # It is meant to outlive us, so there is nothing to wait for.
        self._process.returncode = 0

    def close(self) -> None:
        """Returns when every program has ended and the directory is gone."""
        self._close_channel()
        self._process.wait(timeout=60)

    def _close_channel(self) -> None:
        self._answers.close()
        self._channel.close()

    def _ask(self, request: Request) -> Answer:
        try:
            self._channel.sendall(json.dumps(request).encode() + b"\n")
            line = self._answers.readline()
        except OSError as error:
            raise SandboxError(f"the sandbox's supervisor does not answer: {error}") from error
        if not line:
            raise SandboxError(
                "the sandbox's supervisor has ended; somebody stopped the sandbox meanwhile"
            )
        answer: Answer = json.loads(line)
        return answer
