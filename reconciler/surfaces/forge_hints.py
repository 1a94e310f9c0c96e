"""What a forge's notification is about: the one thing in it that may be looked at again.

Separate from the endpoint, which knows who sent it. The invariant: nothing of a notification but a
number or a reference leaves here, and both only say where to look; the facts are fetched anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

_Payload: TypeAlias = dict[str, Any]

GREATEST_NUMBER = 2**31 - 1

_CONCERNED = frozenset(
    {
        "pull_request",
        "pull_request_review",
        "issue_comment",
        "check_run",
        "check_suite",
        "merge_group",
        "push",
    }
)

_REF = re.compile(r"refs/[!-~]{1,250}")


@dataclass(frozen=True, slots=True)
class Hint:
    """A pull request or a reference that may have changed; with neither, any of them may have.

    `again` when somebody asks for the check to be made once more.
    """

    number: int | None = None
    ref: str | None = None
    again: bool = False


def hint_of(event: str, body: bytes) -> Hint | None:
    """What a genuine delivery of GitHub or Gitea hints at. None: it concerns no change request.

    `event` is its header, such as `pull_request`. What cannot be read hints at everything, for it
    was sent by somebody who has the secret.
    """
    if event not in _CONCERNED:
        return None
    try:
        payload = orjson.loads(body)
    except ValueError:
        return Hint()
    if not isinstance(payload, dict):
        return Hint()
    return _hint(event, payload)


def _hint(event: str, payload: _Payload) -> Hint | None:
    match event:
        case "pull_request" | "pull_request_review":
            return Hint(number=_number(payload.get("pull_request")))
        case "issue_comment":
            issue = payload.get("issue")
            # Of issues, which have no plan, there are as many comments.
            of_pull = isinstance(issue, dict) and ("pull_request" in issue or "is_pull" in payload)
            return Hint(number=_number(issue)) if of_pull else None
        case "check_run" | "check_suite":
            return _rerun(payload, payload.get(event))
        case "merge_group":
            group = payload.get("merge_group")
            return Hint(ref=_ref(group.get("head_ref") if isinstance(group, dict) else None))
        case _:
            return Hint(ref=_ref(payload.get("ref")))


def _rerun(payload: _Payload, checked: object) -> Hint | None:
    """Somebody pressed the button of a check; all else of checks is what we do ourselves."""
    if payload.get("action") not in ("rerequested", "requested_action"):
        return None
    pulls = checked.get("pull_requests") if isinstance(checked, dict) else None
    # Of a fork GitHub names none.
    number = _number(pulls[0]) if isinstance(pulls, list) and pulls else None
    return Hint(number=number, again=True)


def _number(told: object) -> int | None:
    number = told.get("number") if isinstance(told, dict) else None
    if isinstance(number, bool) or not isinstance(number, int):
        return None
    return number if 0 < number <= GREATEST_NUMBER else None


def _ref(told: object) -> str | None:
    return told if isinstance(told, str) and _REF.fullmatch(told) else None
