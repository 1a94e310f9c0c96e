"""What can go wrong with a sandbox, as exceptions.

Separate so that every module of the package can raise them without importing another. All are
Terminal: nothing here gets better by repeating the call unchanged.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.core.errors import Terminal


class SandboxError(Terminal):
    code = "sandbox"


class BinariesMissing(SandboxError):
    """No usable programs were found, and they could not be had."""

    code = "sandbox-binaries-missing"


class BuildFailed(SandboxError):
    code = "sandbox-build-failed"


class AlreadyRunning(SandboxError):
    code = "sandbox-already-running"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"a sandbox named {name!r} is already running or starting",
            hint=f"use it, choose another --name, or run: fairlead sandbox down --name {name}",
        )


class NotRunning(SandboxError):
    code = "sandbox-not-running"

    def __init__(self, name: str, *, failure: str = "") -> None:
        super().__init__(
            f"no sandbox named {name!r} is running" + (f"; it ended: {failure}" if failure else ""),
            hint=f"start it: fairlead sandbox up --name {name}",
        )


class ComponentFailed(SandboxError):
    """A program of the control plane ended or never became ready. Carries its last words."""

    code = "sandbox-component-failed"

    def __init__(self, component: str, reason: str, *, log_tail: str = "") -> None:
        last_words = f"\nlast lines of its log:\n{log_tail}" if log_tail else ""
        super().__init__(f"{component} {reason}{last_words}")
        self.component = component
        self.log_tail = log_tail


class IsolationForbidden(SandboxError):
    """A data plane needs a network namespace, and this user may not have one here."""

    code = "sandbox-isolation-forbidden"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the gateway and the model servers need a network namespace of their own: {reason}",
            hint="run it as root on Linux; or let users have namespaces, by root: "
            "sysctl -w user.max_user_namespaces=10000 user.max_net_namespaces=10000; on Debian "
            "also kernel.unprivileged_userns_clone=1, on Ubuntu also "
            "kernel.apparmor_restrict_unprivileged_userns=0; in a container start it with "
            "--privileged",
        )


def tail(log: Path, *, lines: int = 15) -> str:
    """The end of a log, for an error message: what a person would look at first."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 16_384))
        text = stream.read().decode("utf-8", errors="replace")
    return "\n".join(text.splitlines()[-lines:])
