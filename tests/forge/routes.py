"""What each operation does at the stand-in for GitHub.

Separate from the server. The invariant: what GitHub limits or refuses is refused here with its
words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .accounts import APP_ID, SLUG, Accounts, Refused
from .answers import Answers
from .description import Operation
from .people import Deployed, People, Pull, Run

Json: TypeAlias = Any

LARGEST_COMMENT = 262_144
MOST_STATUSES = 1000

_REPO = "/repos/{owner}/{repo}"


class Routes:
    """One method for each operation, by its name in the description."""

    def __init__(
        self, people: People, answers: Answers, accounts: Accounts, repository: str
    ) -> None:
        self._people = people
        self._answers = answers
        self._accounts = accounts
        self._owner = repository.partition("/")[0]
        self._routes: dict[str, Callable[[Operation, dict[str, str], Json], tuple[int, Json]]] = {
            "GET /app": lambda *_: (200, answers.app(SLUG, APP_ID)),
            "GET /user": lambda *_: (200, answers.myself(accounts.login)),
            "POST /app/installations/{installation_id}/access_tokens": self._token,
            f"GET {_REPO}/pulls": self._pulls,
            f"POST {_REPO}/pulls": self._open,
            f"GET {_REPO}/pulls/{{pull_number}}": self._pull,
            f"GET {_REPO}/pulls/{{pull_number}}/reviews": self._reviews,
            f"GET {_REPO}/git/ref/{{ref}}": self._ref,
            f"GET {_REPO}/issues/{{issue_number}}/comments": self._comments,
            f"POST {_REPO}/issues/{{issue_number}}/comments": self._say,
            f"GET {_REPO}/issues/comments/{{comment_id}}": self._comment,
            f"PATCH {_REPO}/issues/comments/{{comment_id}}": self._edit,
            f"GET {_REPO}/collaborators/{{username}}/permission": self._permission,
            f"POST {_REPO}/check-runs": self._run,
            f"PATCH {_REPO}/check-runs/{{check_run_id}}": self._change_run,
            f"GET {_REPO}/commits/{{ref}}/check-runs": self._runs,
            f"POST {_REPO}/statuses/{{sha}}": self._status,
            f"GET {_REPO}/commits/{{ref}}/statuses": self._statuses,
            f"GET {_REPO}/deployments": self._deployments,
            f"POST {_REPO}/deployments": self._deploy,
            f"GET {_REPO}/deployments/{{deployment_id}}/statuses": self._deployment_statuses,
            f"POST {_REPO}/deployments/{{deployment_id}}/statuses": self._deployment_status,
        }

    def answer(self, operation: Operation, query: dict[str, str], body: Json) -> tuple[int, Json]:
        return self._routes[operation.name](operation, query, body)

    def _token(self, *_: Any) -> tuple[int, Json]:
        return 201, self._answers.access_token(*self._accounts.granted())

    def _pulls(self, _: Operation, query: dict[str, str], __: Json) -> tuple[int, Json]:
        state, head = query.get("state", "open"), query.get("head", "").partition(":")[2]
        found = [
            pull
            for pull in self._people.pulls.values()
            if state in ("all", pull.state)
            and head in ("", pull.branch)
            and query.get("base", pull.base_branch) == pull.base_branch
        ]
        newest = query.get("direction", "desc") == "desc"
        found.sort(key=lambda pull: pull.number, reverse=newest)
        return 200, [self._answers.pull(pull, short=True) for pull in found]

    def _open(self, _: Operation, __: dict[str, str], body: Json) -> tuple[int, Json]:
        for pull in self._people.pulls.values():
            if (pull.state, pull.branch, pull.base_branch) == ("open", body["head"], body["base"]):
                said = f"A pull request already exists for {self._owner}:{body['head']}."
                raise _invalid("PullRequest", "custom", message=said)
        if body["base"] not in self._people.branches:
            raise _invalid("PullRequest", "invalid", field="base")
        number = len(self._people.pulls) + 1
        base = self._people.branches[body["base"]]
        made = Pull(
            number, body["title"], self._accounts.login, "f" * 40, body["head"], body["base"], base
        )
        made.body = body.get("body", "")
        self._people.pulls[number] = made
        return 201, self._answers.pull(made)

    def _pull(self, operation: Operation, *_: Any) -> tuple[int, Json]:
        return 200, self._answers.pull(self._known(operation.parameters["pull_number"]))

    def _reviews(self, operation: Operation, *_: Any) -> tuple[int, Json]:
        number = self._known(operation.parameters["pull_number"]).number
        found = [each for each in self._people.all_reviews if each.number == number]
        return 200, [self._answers.review(each) for each in found]

    def _ref(self, operation: Operation, *_: Any) -> tuple[int, Json]:
        branch = operation.parameters["ref"].removeprefix("heads/")
        if branch not in self._people.branches:
            raise Refused(404, "Not Found")
        return 200, self._answers.reference(branch)

    def _comments(self, operation: Operation, *_: Any) -> tuple[int, Json]:
        number = self._known(operation.parameters["issue_number"]).number
        found = [said for said in self._people.comments.values() if said.number == number]
        return 200, [self._answers.comment(said) for said in found]

    def _say(self, operation: Operation, _: dict[str, str], body: Json) -> tuple[int, Json]:
        number = self._known(operation.parameters["issue_number"]).number
        _bounded(body["body"])
        made = self._people.say(number, self._accounts.login, body["body"])
        return 201, self._answers.comment(self._people.comments[made])

    def _comment(self, operation: Operation, *_: Any) -> tuple[int, Json]:
        said = self._people.comments.get(int(operation.parameters["comment_id"]))
        if said is None:
            raise Refused(404, "Not Found")
        return 200, self._answers.comment(said)

    def _edit(self, operation: Operation, _: dict[str, str], body: Json) -> tuple[int, Json]:
        self._comment(operation)
        _bounded(body["body"])
        said = self._people.comments[int(operation.parameters["comment_id"])]
        self._people.edit(said.number, said.id, body["body"])
        return 200, self._answers.comment(said)

    def _permission(self, operation: Operation, *_: Any) -> tuple[int, Json]:
        login = operation.parameters["username"]
        if login not in self._people.permissions:
            raise Refused(404, f"{login} is not a user")
        return 200, self._answers.permission(login, self._people.permissions[login])

    def _run(self, _: Operation, __: dict[str, str], body: Json) -> tuple[int, Json]:
        made = Run(next(self._people.ids), APP_ID, dict(body))
        made.annotations += body.get("output", {}).get("annotations", [])
        self._people.runs.append(made)
        return 201, self._answers.run(made)

    def _change_run(self, operation: Operation, _: dict[str, str], body: Json) -> tuple[int, Json]:
        number = int(operation.parameters["check_run_id"])
        (run,) = [run for run in self._people.runs if run.id == number]
        run.fields |= body
        # They are added to those that are there.
        run.annotations += body.get("output", {}).get("annotations", [])
        return 200, self._answers.run(run)

    def _runs(self, operation: Operation, query: dict[str, str], _: Json) -> tuple[int, Json]:
        wanted = (operation.parameters["ref"], query.get("check_name"))
        found = [
            run
            for run in self._people.runs
            if (run.fields["head_sha"], run.fields["name"]) == wanted
        ]
        latest = found[-1:] if query.get("filter", "latest") == "latest" else found
        told = [self._answers.run(run) for run in latest]
        return 200, {"total_count": len(told), "check_runs": told}

    def _status(self, operation: Operation, _: dict[str, str], body: Json) -> tuple[int, Json]:
        sha = operation.parameters["sha"]
        if len(body.get("description", "")) > 140:
            said = "description is too long (maximum is 140 characters)"
            raise _invalid("Status", "custom", message=said, field="description")
        if sum(known == sha for known, _ in self._people.statuses) >= MOST_STATUSES:
            said = "This SHA and context has reached the maximum number of statuses."
            raise _invalid("Status", "custom", message=said)
        self._people.statuses.insert(0, (sha, dict(body)))
        return 201, self._answers.status(body)

    def _statuses(self, operation: Operation, *_: Any) -> tuple[int, Json]:
        wanted = operation.parameters["ref"]
        found = [fields for sha, fields in self._people.statuses if sha == wanted]
        return 200, [self._answers.status(fields) for fields in found]

    def _deployments(self, _: Operation, query: dict[str, str], __: Json) -> tuple[int, Json]:
        told = [self._answers.deployment(each) for each in reversed(self._people.deployed)]
        wanted = {k: v for k, v in query.items() if k in ("sha", "ref", "task", "environment")}
        return 200, [d for d in told if all(d[k] == v for k, v in wanted.items())]

    def _deploy(self, _: Operation, __: dict[str, str], body: Json) -> tuple[int, Json]:
        if body.get("required_contexts") != []:
            raise Refused(409, "Conflict: Commit status checks failed for " + body["ref"])
        if body.get("auto_merge", True):
            return 202, {"message": "Auto-merged main into topic-branch on deployment."}
        made = Deployed(next(self._people.ids), dict(body))
        self._people.deployed.append(made)
        return 201, self._answers.deployment(made)

    def _deployment_statuses(self, operation: Operation, *_: Any) -> tuple[int, Json]:
        found = self._deployed(operation).statuses
        return 200, [self._answers.deployment_status(each) for each in found]

    def _deployment_status(
        self, operation: Operation, _: dict[str, str], body: Json
    ) -> tuple[int, Json]:
        if len(body.get("description", "")) > 140:
            raise _invalid("DeploymentStatus", "custom", field="description")
        self._deployed(operation).statuses.insert(0, dict(body))
        return 201, self._answers.deployment_status(body)

    def _deployed(self, operation: Operation) -> Deployed:
        number = int(operation.parameters["deployment_id"])
        for each in self._people.deployed:
            if each.id == number:
                return each
        raise Refused(404, "Not Found")

    def _known(self, number: str) -> Pull:
        if int(number) not in self._people.pulls:
            raise Refused(404, "Not Found")
        return self._people.pulls[int(number)]


def _bounded(body: str) -> None:
    if len(body.encode()) > LARGEST_COMMENT:
        said = f"body is too long (maximum is {LARGEST_COMMENT} bytes)"
        raise _invalid("IssueComment", "unprocessable", field="data", message=said)


def _invalid(resource: str, code: str, **more: str) -> Refused:
    return Refused(422, "Validation Failed", [{"resource": resource, "code": code, **more}])
