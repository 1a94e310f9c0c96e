"""What GitHub's answers say, in values of the core.

Separate so that the requests read as what is asked for. The invariant: an answer that lacks what
it should have is Unavailable, never a value with a gap. A deleted account is `ghost`, as on GitHub.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from reconciler.core.change_requests import Comment, Permission, PullRequest, Review, ReviewState
from reconciler.core.errors import Unavailable
from reconciler.core.identifiers import CommitSha, commit_sha

Json: TypeAlias = Mapping[str, Any]

_REVIEW_STATES = {
    "APPROVED": ReviewState.APPROVED,
    "CHANGES_REQUESTED": ReviewState.CHANGES_REQUESTED,
    "COMMENTED": ReviewState.COMMENTED,
    "DISMISSED": ReviewState.DISMISSED,
}

_PERMISSIONS = {
    "admin": Permission.ADMIN,
    "maintain": Permission.MAINTAIN,
    "write": Permission.WRITE,
    "read": Permission.READ,
}


@contextmanager
def reading(doing: str) -> Iterator[None]:
    """Raises Unavailable when an answer has not the form that GitHub describes."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = type(error).__name__
    else:
        return
    raise Unavailable(f"cannot {doing}: GitHub's answer cannot be read ({reason})")


def pull_request_in(told: Json, base: CommitSha) -> PullRequest:
    """`base` is the head of its base branch: GitHub's own `base.sha` is that of the last push."""
    head, home = told["head"], told["base"]["repo"]
    origin = head.get("repo")
    merged = told.get("merge_commit_sha") if told.get("merged_at") else None
    return PullRequest(
        number=int(told["number"]),
        title=str(told["title"]),
        author=author_in(told),
        head=commit_sha(head["sha"]),
        head_branch=str(head["ref"]),
        base=base,
        base_branch=str(told["base"]["ref"]),
        url=str(told["html_url"]),
        fork=origin is None or origin["id"] != home["id"],
        draft=bool(told.get("draft", False)),
        open=told["state"] == "open",
        merged=None if merged is None else commit_sha(merged),
    )


def review_in(told: Json) -> Review | None:
    """None for one that is not sent yet, or of a commit that is gone."""
    state = _REVIEW_STATES.get(told["state"])
    if state is None or told.get("commit_id") is None:
        return None
    return Review(
        id=int(told["id"]),
        author=author_in(told),
        state=state,
        commit=commit_sha(told["commit_id"]),
        at=str(told["submitted_at"]),
    )


def comment_in(told: Json) -> Comment:
    return Comment(
        id=int(told["id"]),
        author=author_in(told),
        body=str(told.get("body") or ""),
        at=str(told["created_at"]),
        edited=told["updated_at"] != told["created_at"],
    )


def permission_in(told: Json) -> Permission:
    """By the role where it is one of GitHub's own: of maintainers the permission says `write`."""
    role = _PERMISSIONS.get(str(told.get("role_name")))
    return role or _PERMISSIONS.get(str(told["permission"]), Permission.NONE)


def author_in(told: Json) -> str:
    user = told.get("user")
    return "ghost" if user is None else str(user["login"])
