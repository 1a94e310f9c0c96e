"""The process that owns the programs of one control plane.

It is separate, and a script of the standard library alone, so that it starts in 30 ms, weighs
10 MB, and has a single thread to fork from. Invariant: whatever ends it or the process that
started it, no program and no file of the control plane outlives them. There are three lines of
defence: it stops its children and removes their directory when its channel closes, on a signal,
or, once detached, when a child dies; a child is killed by the kernel when its supervisor dies
(Linux); and the lock that it holds tells the next command that files of a dead one may be swept.

It is told what to do by JSON lines on a socket it inherits, and answers each with one line.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Request(TypedDict, total=False):
    """`do` is start, stop, status or detach; `descriptors` are those that the program inherits."""

    do: str
    name: str
    command: list[str]
    descriptors: list[int]
    graceful: bool


class Answer(TypedDict, total=False):
    """`exited` has the exit status of every program that ended without being told to."""

    error: str
    running: dict[str, int]
    exited: dict[str, int]


def die_with_parent() -> Callable[[], None]:
    """For `preexec_fn`: the kernel kills the child when the thread that forked it is gone."""
    parent = os.getpid()

    def ask_kernel() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the request
            os._exit(1)

    return ask_kernel


@dataclass(slots=True)
class Supervisor:
    """State of the loop. `directory` and `lock` are removed at the end."""

    directory: Path
    lock: Path
    channel: socket.socket
    detached: bool = False
    ending: bool = False
    unread: bytes = b""
    programs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self) -> None:
        """Serves until there is a reason to end, then leaves nothing behind."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.channel, selectors.EVENT_READ, self._serve)
            wakeup = _signals_as_socket(self._on_signal)
            selector.register(wakeup, selectors.EVENT_READ, lambda: wakeup.recv(4096))
            while not self.ending:
                for key, _ in selector.select():
                    key.data()
                if self.detached and self.channel.fileno() in selector.get_map():
                    selector.unregister(self.channel)
                if self.detached and (exited := self._exited()):
                    self._record_failure(exited)
                    self.ending = True
        self._remove_everything()

    def _on_signal(self, number: int) -> None:
        # SIGCHLD only has to wake the loop up, which looks at the children anyway.
        if number != signal.SIGCHLD:
            self.ending = True

    def _serve(self) -> None:
        received = self.channel.recv(65536)
        if not received:  # the starter is gone
            self.ending = True
            return
        *lines, self.unread = (self.unread + received).split(b"\n")
        for line in lines:
            answer = json.dumps(self._answer(json.loads(line)))
            self.channel.sendall(answer.encode() + b"\n")

    def _answer(self, request: Request) -> Answer:
        match request["do"]:
            case "start":
                return self._start(request["name"], request["command"], request["descriptors"])
            case "stop":
                self._stop(request["name"], graceful=request["graceful"])
            case "detach":
                self.detached = True
        running = {name: p.pid for name, p in self.programs.items() if p.poll() is None}
        return {"running": running, "exited": self._exited()}

    def _start(self, name: str, command: list[str], descriptors: list[int]) -> Answer:
        with (self.directory / "logs" / f"{name}.log").open("ab") as log:
            try:
                self.programs[name] = subprocess.Popen(
                    command,
                    cwd=self.directory,
                    # Nothing of the user's environment, such as a proxy, may change what they do.
                    env={"PATH": os.defpath, "HOME": str(self.directory)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=descriptors,
                    preexec_fn=die_with_parent(),  # noqa: PLW1509 - this process has one thread
                )
            except OSError as error:
                return {"error": f"{command[0]}: {error.strerror}"}
        return {}

    def _stop(self, name: str, *, graceful: bool) -> None:
        program = self.programs.pop(name)
        program.send_signal(signal.SIGTERM if graceful else signal.SIGKILL)
        try:
            program.wait(timeout=30)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()

    def _exited(self) -> dict[str, int]:
        return {n: code for n, p in self.programs.items() if (code := p.poll()) is not None}

    def _record_failure(self, exited: dict[str, int]) -> None:
        """Its logs go away with the directory, so that the reason is kept beside it."""
        name, code = next(iter(exited.items()))
        log = (self.directory / "logs" / f"{name}.log").read_bytes()
        failure = {
            "component": name,
            "exit_status": code,
            "at": time.time(),
            "log_tail": log[-4096:].decode("utf-8", errors="replace"),
        }
        self.lock.with_suffix(".failure").write_text(json.dumps(failure))

    def _remove_everything(self) -> None:
        # Killed, not asked: all they could do at their leisure is save data that is removed next.
        for program in reversed(self.programs.values()):
            program.kill()
        for program in self.programs.values():
            program.wait()
        shutil.rmtree(self.directory)
        self.lock.unlink(missing_ok=True)


def _signals_as_socket(react: Callable[[int], None]) -> socket.socket:
    """Makes signals readable in the selector, so that they interrupt nothing."""
    readable, writable = socket.socketpair()
    writable.setblocking(False)
    signal.set_wakeup_fd(writable.detach())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda received, _frame: react(received))
    return readable


def main() -> None:
    """Arguments: the directory, its lock file, and the inherited descriptors of both ends."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--directory", type=Path, required=True)
    arguments.add_argument("--lock", type=Path, required=True)
    arguments.add_argument("--channel", type=int, required=True)
    options = arguments.parse_args()
    channel = socket.socket(fileno=options.channel)
    channel.set_inheritable(False)
    Supervisor(options.directory, options.lock, channel).run()


if __name__ == "__main__":
    main()
