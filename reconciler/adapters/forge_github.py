"""The Forge port over GitHub's REST API, of github.com and of GitHub Enterprise.

Separate from how it is asked (forge_github_calls.py). The library blocks, so it has a thread of its
own. The invariants: only what is ours is ever edited; what a person wrote goes into a request as
text and into no address but as one escaped part of it; putting the same again changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from reconciler.adapters.forge_github_access import AppAccess, GitHubApp, TokenAccess
from reconciler.adapters.forge_github_calls import GitHubCalls, Json
from reconciler.adapters.forge_github_checks import LONGEST_DESCRIPTION, GitHubChecks, shortened
from reconciler.adapters.forge_github_reading import (
    author_in,
    comment_in,
    permission_in,
    pull_request_in,
    reading,
    review_in,
)
from reconciler.adapters.git_lane import Lane
from reconciler.core.change_requests import (
    Check,
    Comment,
    Deployment,
    Permission,
    PullRequest,
    Review,
)
from reconciler.core.errors import Invalid, Misconfigured, Missing
from reconciler.core.identifiers import CommitSha, commit_sha
from reconciler.ports import Clock

TASK = "fairlead"
"""By which our deployments are found again."""

_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\[bot\])?")
"""Accounts of companies have an underscore."""


class GitHubForge:
    """One repository, `OWNER/NAME`, as the holder of a token or as an installed App.

    Raises:
        Misconfigured: a file is no use, or a token would travel in the clear.
    """

    def __init__(
        self,
        url: str,
        repository: str,
        clock: Clock,
        *,
        token_file: Path | None = None,
        app: GitHubApp | None = None,
        ca_file: Path | None = None,
    ) -> None:
        if app is not None:
            access: AppAccess | TokenAccess = AppAccess(app, repository, clock)
        elif token_file is not None:
            access = TokenAccess(token_file)
        else:
            raise Misconfigured("GitHub is asked by nobody", hint="give tokenFile or app")
        self._place = f"repos/{repository}"
        self._owner = repository.partition("/")[0]
        self._calls = GitHubCalls(url, access, clock, ca_file=ca_file)
        self._checks = GitHubChecks(self._calls, self._place)
        self._login = ""
        self._lane = Lane("github")

    async def whoami(self) -> str:
        return await self._lane.run(self._whoami)

    async def pull_requests(self) -> Sequence[PullRequest]:
        return await self._lane.run(self._pull_requests)

    async def pull_request(self, number: int) -> PullRequest:
        return await self._lane.run(lambda: self._pull_request(number))

    async def reviews(self, number: int) -> Sequence[Review]:
        return await self._lane.run(lambda: self._reviews(number))

    async def comments(self, number: int, *, after: int = 0) -> Sequence[Comment]:
        return await self._lane.run(lambda: self._comments(number, after))

    async def permission(self, login: str) -> Permission:
        return await self._lane.run(lambda: self._permission(login))

    async def put_comment(self, number: int, body: str, *, known: int | None) -> int:
        return await self._lane.run(lambda: self._put_comment(number, body, known))

    async def put_check(self, check: Check) -> None:
        await self._lane.run(lambda: self._checks.put(check))

    async def put_deployment(self, deployment: Deployment) -> None:
        await self._lane.run(lambda: self._put_deployment(deployment))

    async def open_pull_request(self, *, branch: str, base: str, title: str, body: str) -> int:
        return await self._lane.run(lambda: self._open_pull_request(branch, base, title, body))

    async def close(self) -> None:
        self._lane.close(self._calls.close)

    def _whoami(self) -> str:
        if not self._login:
            with reading("ask who we are"):
                self._login = self._calls.whoami()
        return self._login

    def _pull_requests(self) -> list[PullRequest]:
        doing = "list the pull requests"
        query = {"state": "open", "sort": "created", "direction": "desc"}
        heads: dict[str, CommitSha] = {}
        with reading(doing):
            told = list(self._calls.pages(f"{self._place}/pulls", doing=doing, **query))
            for each in told:
                branch = each["base"]["ref"]
                heads[branch] = heads.get(branch) or self._base_of(each)
            return [pull_request_in(each, heads[each["base"]["ref"]]) for each in told]

    def _pull_request(self, number: int) -> PullRequest:
        doing = f"look at pull request {number}"
        with reading(doing):
            told = self._calls.get(f"{self._place}/pulls/{number}", doing=doing)
            return pull_request_in(told, self._base_of(told))

    def _base_of(self, told: Json) -> CommitSha:
        """Of the branch as it is now, or as it was when it is gone."""
        ref = f"heads/{quote(str(told['base']['ref']))}"
        try:
            found = self._calls.get(f"{self._place}/git/ref/{ref}", doing=f"look at {ref}")
        except Missing:
            return commit_sha(told["base"]["sha"])
        return commit_sha(found["object"]["sha"])

    def _reviews(self, number: int) -> list[Review]:
        doing = f"read the reviews of pull request {number}"
        with reading(doing):
            pages = self._calls.pages(f"{self._place}/pulls/{number}/reviews", doing=doing)
            found = [review for review in map(review_in, pages) if review is not None]
            return sorted(found, key=lambda review: review.id)

    def _comments(self, number: int, after: int) -> list[Comment]:
        doing = f"read the comments of pull request {number}"
        with reading(doing):
            pages = self._calls.pages(f"{self._place}/issues/{number}/comments", doing=doing)
            found = [comment for comment in map(comment_in, pages) if comment.id > after]
            return sorted(found, key=lambda comment: comment.id)

    def _permission(self, login: str) -> Permission:
        if not _LOGIN.fullmatch(login):
            return Permission.NONE
        doing = f"ask what {login} may do"
        path = f"{self._place}/collaborators/{quote(login, safe='')}/permission"
        try:
            with reading(doing):
                return permission_in(self._calls.get(path, doing=doing))
        except Missing:
            return Permission.NONE

    def _put_comment(self, number: int, body: str, known: int | None) -> int:
        doing = f"write the comment on pull request {number}"
        if known is not None and self._is_ours(known, number):
            path = f"{self._place}/issues/comments/{known}"
            try:
                self._calls.write("PATCH", path, {"body": body}, doing=doing)
            except Missing:
                pass  # Somebody deleted it meanwhile.
            else:
                return known
        path = f"{self._place}/issues/{number}/comments"
        told = self._calls.write("POST", path, {"body": body}, doing=doing)
        with reading(doing):
            return int(told["id"])

    def _is_ours(self, comment: int, number: int) -> bool:
        """By its author, for anybody may copy what it says; and at that very pull request."""
        doing = f"look at comment {comment}"
        try:
            told = self._calls.get(f"{self._place}/issues/comments/{comment}", doing=doing)
        except Missing:
            return False
        with reading(doing):
            at_it = str(told["issue_url"]).endswith(f"/issues/{number}")
            return at_it and author_in(told) == self._whoami()

    def _put_deployment(self, deployment: Deployment) -> None:
        doing = f"show the deployment of {deployment.commit} in {deployment.environment}"
        description = shortened(deployment.description, LONGEST_DESCRIPTION)
        wanted = {"state": deployment.state.value, "description": description}
        wanted |= {"log_url": deployment.url} if deployment.url else {}
        with reading(doing):
            number = self._deployment(deployment, description, doing)
            path = f"{self._place}/deployments/{number}/statuses"
            # Newest first.
            told = self._calls.get(path, doing=doing, per_page=1)
            if told and all(told[0].get(name) == value for name, value in wanted.items()):
                return
            body = {**wanted, "environment": deployment.environment}
            self._calls.write("POST", path, body, doing=doing)

    def _deployment(self, deployment: Deployment, description: str, doing: str) -> int:
        path = f"{self._place}/deployments"
        which = {
            "sha": deployment.commit,
            "environment": deployment.environment,
            "task": TASK,
        }
        found: Sequence[Mapping[str, int]] = self._calls.get(path, doing=doing, **which)
        if found:
            return min(int(each["id"]) for each in found)
        body = {
            "ref": deployment.commit,
            "task": TASK,
            "environment": deployment.environment,
            "description": description,
            # GitHub would merge the default branch into it, or wait for checks that are ours.
            "auto_merge": False,
            "required_contexts": [],
        }
        return int(self._calls.write("POST", path, body, doing=doing)["id"])

    def _open_pull_request(self, branch: str, base: str, title: str, body: str) -> int:
        doing = f"open a pull request of {branch}"
        asked = {"head": branch, "base": base, "title": title, "body": body}
        try:
            with reading(doing):
                told = self._calls.write("POST", f"{self._place}/pulls", asked, doing=doing)
                return int(told["number"])
        except Invalid:
            found = self._open_one(branch, base)
            if found is None:
                raise
            return found

    def _open_one(self, branch: str, base: str) -> int | None:
        doing = f"find the pull request of {branch}"
        query = {"state": "open", "head": f"{self._owner}:{branch}", "base": base}
        with reading(doing):
            told = self._calls.get(f"{self._place}/pulls", doing=doing, **query)
            return int(told[0]["number"]) if told else None
