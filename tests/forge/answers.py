"""What the stand-in for GitHub answers: published examples, with what stands there put into them.

Separate from the state. The invariant: every field that GitHub's examples have is there, so that
nobody gets used to answers that GitHub does not give.
"""

from __future__ import annotations

import copy
from typing import Any, TypeAlias

from reconciler.core.change_requests import Permission

from .description import Description
from .people import Deployed, People, Pull, Reviewed, Run, Said

Json: TypeAlias = dict[str, Any]

_REPO = "/repos/{owner}/{repo}"


class Answers:
    """As the repository `repository` (OWNER/NAME) of the server at `url`."""

    def __init__(self, description: Description, people: People, repository: str) -> None:
        self.url = ""
        self._known = description
        self._people = people
        self._repository = repository
        pull = description.example("get", f"{_REPO}/pulls/{{pull_number}}", 200)
        self._user = pull["user"]
        self._pull = pull
        self._short_pull = description.example("get", f"{_REPO}/pulls", 200)[0]

    @property
    def place(self) -> str:
        return f"{self.url}/repos/{self._repository}"

    def user(self, login: str | None) -> Json | None:
        if login is None:
            return None
        kind = "Bot" if login.endswith("[bot]") else "User"
        return {**self._user, "login": login, "id": sum(login.encode()), "type": kind}

    def myself(self, login: str) -> Json:
        example = self._known.example("get", "/user", 200)
        return {**example, "business_plus": False, "login": login}

    def app(self, slug: str, number: int) -> Json:
        return {**self._known.example("get", "/app", 200), "slug": slug, "id": number}

    def pull(self, pull: Pull, *, short: bool = False) -> Json:
        told = copy.deepcopy(self._short_pull if short else self._pull)
        address = f"{self.place}/pulls/{pull.number}"
        told |= {
            "id": 5000 + pull.number,
            "number": pull.number,
            "url": address,
            "html_url": f"https://github.example/{self._repository}/pull/{pull.number}",
            "state": pull.state,
            "title": pull.title,
            "body": pull.body,
            "user": self.user(pull.author),
            "draft": pull.draft,
            "merged_at": None if pull.merged is None else "2027-01-02T00:00:00Z",
            # Of an open one it is the merge that GitHub tries, and of no use.
            "merge_commit_sha": pull.merged or "e" * 40,
            "requested_teams": [],
        }
        if not short:
            told |= {"merged": pull.merged is not None}
        home = {**told["base"]["repo"], "full_name": self._repository, "id": 1}
        told["base"] |= {"ref": pull.base_branch, "sha": pull.pushed_on, "repo": home}
        origin: Json | None = {**home, "id": 2, "fork": True} if pull.fork else home
        told["head"] |= {
            "ref": pull.branch,
            "sha": pull.head,
            "repo": None if pull.head_gone else origin,
        }
        return told

    def review(self, reviewed: Reviewed) -> Json:
        told = self._known.example("get", f"{_REPO}/pulls/{{pull_number}}/reviews", 200)[0]
        return {
            **told,
            "id": reviewed.id,
            "user": self.user(reviewed.author),
            "state": reviewed.state,
            "commit_id": reviewed.commit,
            "submitted_at": reviewed.at,
        }

    def comment(self, said: Said) -> Json:
        told = self._known.example("get", f"{_REPO}/issues/comments/{{comment_id}}", 200)
        return {
            **told,
            "id": said.id,
            "user": self.user(said.author),
            "body": said.body,
            "created_at": said.created,
            "updated_at": said.updated,
            "issue_url": f"{self.place}/issues/{said.number}",
            "url": f"{self.place}/issues/comments/{said.id}",
        }

    def permission(self, login: str, permission: Permission) -> Json:
        told = self._known.example("get", f"{_REPO}/collaborators/{{username}}/permission", 200)
        role = permission.name.lower()
        # GitHub's older word knows no maintainer.
        word = "write" if permission is Permission.MAINTAIN else role
        return {
            **told,
            "permission": word,
            "role_name": role,
            "user": {**(self.user(login) or {}), "role_name": role},
        }

    def run(self, run: Run) -> Json:
        told = self._known.example("post", f"{_REPO}/check-runs", 201)
        given = {k: v for k, v in run.fields.items() if k not in ("output", "actions")}
        output = run.fields.get("output", {})
        conclusion = run.fields.get("conclusion")
        status = "completed" if conclusion else run.fields.get("status", "queued")
        told |= {"external_id": "", **given, "id": run.id}
        told |= {"status": status, "conclusion": conclusion}
        told["app"]["id"] = run.app
        told["output"] |= {
            "title": output.get("title"),
            "summary": output.get("summary"),
            "text": output.get("text"),
            "annotations_count": len(run.annotations),
        }
        return told

    def status(self, fields: Json) -> Json:
        (told,) = self._known.example("get", f"{_REPO}/commits/{{ref}}/statuses", 200)
        empty = {"description": None, "target_url": None, "context": "default"}
        return {**told, **empty, **fields}

    def deployment(self, deployed: Deployed) -> Json:
        told = self._known.example("post", f"{_REPO}/deployments", 201)
        fields = deployed.fields
        return {
            **told,
            "id": deployed.id,
            "sha": fields["ref"],
            "ref": fields["ref"],
            "task": fields.get("task", "deploy"),
            "environment": fields.get("environment", "production"),
            "description": fields.get("description", ""),
        }

    def deployment_status(self, fields: Json) -> Json:
        template = f"{_REPO}/deployments/{{deployment_id}}/statuses"
        told = self._known.example("post", template, 201)
        return {**told, "log_url": "", "description": "", **fields}

    def reference(self, branch: str) -> Json:
        told = self._known.example("get", f"{_REPO}/git/ref/{{ref}}", 200)
        told["ref"] = f"refs/heads/{branch}"
        told["object"]["sha"] = self._people.branches[branch]
        return told

    def access_token(self, token: str, until: str) -> Json:
        template = "/app/installations/{installation_id}/access_tokens"
        return {
            **self._known.example("post", template, 201),
            "token": token,
            "expires_at": until,
        }
