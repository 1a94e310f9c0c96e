"""Asking a running daemon how everything stands.

Separate because it is the one HTTP request that the command line makes. The invariant: an answer
that is no status, or is about another repository, counts as none.
"""

from __future__ import annotations

import asyncio
import http.client

from reconciler.core.standing import Status, status_from_json

ANSWER_SECONDS = 5.0
LARGEST_ANSWER = 64 * 1024 * 1024

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  Names of any address, asked at one.


async def ask_status(host: str, port: int, *, repository: str, token: str = "") -> Status | None:
    """The status from the daemon at an address; None when none of this repository answers.

    `token` is for a daemon that asks people to sign in.
    """
    content = await asyncio.to_thread(_get, _ANY.get(host, host), port, token)
    if content is None:
        return None
    try:
        status = status_from_json(content)
    except ValueError:
        return None
    return status if status.repository == repository else None


def _get(host: str, port: int, token: str) -> bytes | None:
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    try:
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection.request("GET", "/status", headers=headers)
        response = connection.getresponse()
        content = response.read(LARGEST_ANSWER)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return content if response.status == 200 else None
