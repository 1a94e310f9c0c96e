"""Connections from inside the network of a sandbox, as a pod there would make them.

Separate from the tests, and a process of its own, because only a process with a single thread may
enter a user namespace.
"""

from __future__ import annotations

import subprocess
import sys

from reconciler.sandbox import ControlPlane

_SCRIPT = """
import ctypes, os, socket, sys
pid, source, host, port, request = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
for name, kind in (("user", 0x10000000), ("net", 0x40000000)):
    there = f"/proc/{pid}/ns/{name}"
    if os.readlink(there) != os.readlink(f"/proc/self/ns/{name}"):
        with open(there) as file:
            if libc.setns(file.fileno(), kind) != 0:
                sys.exit(f"setns: {os.strerror(ctypes.get_errno())}")
try:
    with socket.create_connection((host, int(port)), 5, (source, 0) if source else None) as made:
        made.sendall(request.encode())
        print(made.recv(65536).decode(errors="replace"))
except OSError as error:
    print(f"refused: {error.strerror or error}")
"""

REFUSED = "refused:"


def answer(
    plane: ControlPlane,
    host: str,
    port: int,
    *,
    source: str = "",
    path: str = "/v2/health/ready",
    name: str = "pod",
) -> str:
    """What came back, beginning with `refused:` where the connection was."""
    request = f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
    command = [sys.executable, "-I", "-S", "-c", _SCRIPT]
    arguments = [str(plane.supervisor_pid), source, host, str(port), request]
    result = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip() or f"{REFUSED} closed without an answer"
