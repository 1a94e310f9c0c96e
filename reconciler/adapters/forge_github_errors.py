"""What GitHub refuses, in our words.

Separate so that it is decided in one place what may be tried again and who has to do what. The
invariant: of an answer only its status, its times and its printable messages are told, and never a
request, whose headers hold a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.core.errors import (
    Cause,
    FairleadError,
    Forbidden,
    Invalid,
    Missing,
    Throttled,
    Unavailable,
)
from reconciler.core.problems import printable

UNTOLD_WAIT = 60.0
"""Seconds to leave GitHub alone when it asks for patience and names no time.

https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

_PERMISSIONS = {
    "pulls": "Pull requests: read and write",
    "issues": "Pull requests: read and write",
    "check-runs": "Checks: read and write",
    "statuses": "Commit statuses: read and write",
    "deployments": "Deployments: read and write",
    "collaborators": "Metadata: read",
}


def wait_in(status: int, headers: Mapping[str, str], said: str, *, now: float) -> float | None:
    """Seconds that GitHub wants to be left alone for, or None when it did not say so."""
    after = _number(headers.get("retry-after"))
    if status in (403, 429) and after is not None:
        return max(1.0, after)
    if status in (403, 429) and (spent := spent_until(headers, now=now)) is not None:
        return spent
    if status == 429 or (status == 403 and "rate limit" in said.lower()):
        return UNTOLD_WAIT
    return None


def spent_until(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds until there are requests again, or None while some remain."""
    reset = _number(headers.get("x-ratelimit-reset"))
    if headers.get("x-ratelimit-remaining") != "0" or reset is None:
        return None
    # A second more, since it is given in whole ones.
    return min(max(1.0, reset - now + 1), 3600.0)


def error_in(
    status: int, headers: Mapping[str, str], content: Any, *, doing: str, path: str, now: float
) -> FairleadError:
    """The error that an answer above 299 is."""
    said = said_in(content)
    because = f": {said}" if said else ""
    wait = wait_in(status, headers, said, now=now)
    if wait is not None:
        return Throttled(f"cannot {doing}: GitHub asks for patience{because}", retry_after=wait)
    if status == 401:
        return Forbidden(
            f"cannot {doing}: GitHub does not take our credentials{because}",
            hint="see whether the token is current, or the App's private key still listed",
        )
    if status == 403:
        return Forbidden(f"cannot {doing}: GitHub forbids it{because}", hint=_permission(path))
    if status in (404, 410):
        return Missing(
            f"cannot {doing}: GitHub knows nothing there{because}",
            hint="see whether the repository's name is right and our credentials reach it",
        )
    if 300 <= status < 400:
        return Missing(
            f"cannot {doing}: it is elsewhere now",
            hint="set forge.github.repository to the repository's new name",
        )
    if status >= 500 or status == 408:
        return Unavailable(f"cannot {doing}: GitHub answered {status}")
    return Invalid(f"cannot {doing}: GitHub refused it{because}", causes=_causes(content))


def said_in(content: Any) -> str:
    """GitHub's message, with what it says of single fields."""
    if not isinstance(content, dict):
        return ""
    parts = [str(content.get("message", ""))]
    parts += [f"{cause.field} {cause.message}".strip() for cause in _causes(content)]
    return printable("; ".join(part for part in parts if part), limit=500)


def _causes(content: Any) -> tuple[Cause, ...]:
    errors = content.get("errors") if isinstance(content, dict) else None
    if isinstance(errors, str):
        errors = [errors]
    if not isinstance(errors, list):
        return ()
    return tuple(_cause(error) for error in errors[:20])


def _cause(error: Any) -> Cause:
    if not isinstance(error, dict):
        return Cause("", printable(str(error), limit=200))
    message = error.get("message") or error.get("code") or ""
    return Cause(
        printable(str(error.get("field", "")), limit=100), printable(str(message), limit=200)
    )


def _permission(path: str) -> str:
    # repos/OWNER/NAME/pulls/7: what is asked for decides which right is needed.
    parts = path.split("/")[3:]
    needed = next((_PERMISSIONS[part] for part in reversed(parts) if part in _PERMISSIONS), "")
    if not needed:
        return "see docs/github.md for the permissions that are needed"
    return f"give the App or the token the permission {needed}"


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdecimal() else None
