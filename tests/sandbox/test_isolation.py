"""The network namespace of a data plane, and what is said where there can be none."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.sandbox.isolation import inside

SERVE_AND_ASK = """
import socket
with socket.create_server(("10.77.200.3", 8000)) as server:
    with socket.create_connection(("10.77.200.3", 8000), timeout=5) as client:
        accepted, _ = server.accept()
        print(accepted.getsockname()[0])
"""

UNSHARE = 272
"""Of x86-64."""


def forbid_namespaces() -> None:
    """As Docker does by default: a filter of the kernel for this process and its children."""
    allow, refuse = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ERRNO with EPERM
    load, jump_if_equal, give = 0x20, 0x15, 0x06
    steps = [(load, 0, 0, 0), (jump_if_equal, 0, 1, UNSHARE), (give, 0, 0, refuse)]
    program = b"".join(struct.pack("HBBI", *step) for step in [*steps, (give, 0, 0, allow)])
    code = ctypes.create_string_buffer(program)
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(code)))
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, ctypes.byref(filter_), 0, 0) == 0  # PR_SET_SECCOMP


@pytest.mark.gateway
def test_the_address_of_every_pod_is_local_inside() -> None:
    answer = subprocess.run(
        inside([sys.executable, "-c", SERVE_AND_ASK]), capture_output=True, text=True, check=True
    )
    assert answer.stdout == "10.77.200.3\n"


@pytest.mark.gateway
def test_what_runs_inside_runs_as_the_same_user() -> None:
    command = [sys.executable, "-c", "import os; print(os.getuid(), os.getgid())"]
    answer = subprocess.run(inside(command), capture_output=True, text=True, check=True)
    assert answer.stdout == f"{os.getuid()} {os.getgid()}\n"


@pytest.mark.gateway
def test_loopback_inside_is_not_the_hosts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=5)"
        answer = subprocess.run(
            inside([sys.executable, "-c", command]), capture_output=True, text=True, check=False
        )
    assert "ConnectionRefusedError" in answer.stderr


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the filter is for x86-64"
)
def test_where_namespaces_are_forbidden_up_says_what_to_do_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "reconciler", "sandbox", "up", "--with", "gateway"]
    answer = subprocess.run(
        command,
        env=dict(os.environ) | {"XDG_STATE_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        preexec_fn=forbid_namespaces,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "Operation not permitted" in answer.stderr
    assert "run it as root" in answer.stderr
    assert list(tmp_path.iterdir()) == []
