"""The starter's end of the network namespace: what to run to be inside, and whether one may.

Separate from the script that enters it, which may import nothing of ours. Invariant: it is asked
before anything is started, so that where it is forbidden nothing has to be stopped.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from reconciler.sandbox.components import POD_RANGE
from reconciler.sandbox.errors import IsolationForbidden

SCRIPT = Path(__file__).with_name("network_namespace.py")
ATTEMPT_SECONDS = 30.0


def inside(command: Sequence[str]) -> list[str]:
    """The command that runs `command`, which begins with a path, in a network of its own."""
    # -I -S: neither the environment nor installed packages change what it does.
    return [sys.executable, "-I", "-S", str(SCRIPT), POD_RANGE, *command]


def require_network_namespaces() -> None:
    """Raises IsolationForbidden where this user may not have one here."""
    if sys.platform != "linux":
        raise IsolationForbidden(f"{sys.platform} has no network namespaces")
    attempt = subprocess.run(
        inside([sys.executable, "-I", "-S", "-c", ""]),
        capture_output=True,
        text=True,
        timeout=ATTEMPT_SECONDS,
        check=False,
    )
    if attempt.returncode != 0:
        raise IsolationForbidden(attempt.stderr.strip())
