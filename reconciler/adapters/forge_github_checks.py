"""Marks at a commit on GitHub: a check run where we may make one, and always a commit status.

Separate because a check run with many remarks takes several requests, any of which may be the last
one. The invariant: the same check again changes nothing, and one that broke off is continued; a
finished run stays as it was, as the history of the commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import structlog

from reconciler.adapters.forge_github_calls import GitHubCalls, Json
from reconciler.adapters.forge_github_reading import reading
from reconciler.core.change_requests import Annotation, Check, CheckState
from reconciler.core.errors import Forbidden

_log = structlog.get_logger(__name__)

ANNOTATIONS_A_REQUEST = 50
MOST_ANNOTATIONS = 500
"""More would use up what GitHub takes of writes; the plan itself has all."""

LONGEST_DESCRIPTION = 140
LONGEST_TITLE = 255
LONGEST_MESSAGE = 8000
"""In the 64 KB that GitHub takes, whatever its characters are."""

_CONCLUSIONS = {
    CheckState.SUCCESS: "success",
    CheckState.FAILURE: "failure",
    CheckState.WAITING: "action_required",
    CheckState.CANCELLED: "cancelled",
}

_STATUSES = {
    CheckState.RUNNING: "pending",
    CheckState.SUCCESS: "success",
    CheckState.FAILURE: "failure",
    CheckState.WAITING: "pending",
    CheckState.CANCELLED: "error",
}


class GitHubChecks:
    """Check runs and commit statuses of one repository, at `place`."""

    def __init__(self, calls: GitHubCalls, place: str) -> None:
        self._calls = calls
        self._place = place
        self._may_run = True

    def put(self, check: Check) -> None:
        if self._may_run:
            self._run(check)
        self._status(check)

    def _run(self, check: Check) -> None:
        try:
            self._put_run(check)
        except Forbidden as error:
            # Check runs are for Apps; of an App without the permission somebody should know.
            if self._calls.app_id is not None:
                raise
            self._may_run = False
            _log.info("forge.no_check_runs", reason=error.message)

    def _put_run(self, check: Check) -> None:
        mark = _mark(check)
        last = self._last_run(check)
        if last is None or last["status"] == "completed":
            if last is not None and last["external_id"] == mark:
                return
            self._begin(check, mark)
        elif last["external_id"] == mark:
            self._go_on(check, mark, last["id"], told=int(last["output"]["annotations_count"]))
        elif last["output"]["annotations_count"]:
            # What it says at lines of files cannot be taken back.
            self._change(last["id"], {"status": "completed", "conclusion": "cancelled"}, check)
            self._begin(check, mark)
        else:
            self._go_on(check, mark, last["id"], told=0)

    def _last_run(self, check: Check) -> Json | None:
        doing = f"look at the checks of {check.commit}"
        path = f"{self._place}/commits/{check.commit}/check-runs"
        told = self._calls.get(path, doing=doing, check_name=check.name, filter="latest")
        with reading(doing):
            ours = [run for run in told["check_runs"] if self._is_ours(run)]
            return max(ours, key=lambda run: int(run["id"]), default=None)

    def _is_ours(self, run: Json) -> bool:
        """Anybody may copy the mark; a run of another App is refused to us, and would stop us."""
        app = self._calls.app_id
        marked = str(run["external_id"] or "").startswith(_MARK)
        return marked and (app is None or run["app"]["id"] == app)

    def _begin(self, check: Check, mark: str) -> None:
        first, *more = _batches(check)
        doing = f"put the check {check.name} on {check.commit}"
        body = {"name": check.name, "head_sha": check.commit, **_fields(check, mark, first, more)}
        run = self._calls.write("POST", f"{self._place}/check-runs", body, doing=doing)
        with reading(doing):
            number = int(run["id"])
        self._send(check, mark, number, more)

    def _go_on(self, check: Check, mark: str, run: int, *, told: int) -> None:
        batches = _batches(check)
        # At least the last request, which says how it ended, has not been made.
        rest = batches[told // ANNOTATIONS_A_REQUEST :] if told else batches
        self._send(check, mark, run, rest or [[]])

    def _send(self, check: Check, mark: str, run: int, batches: list[list[Json]]) -> None:
        for index, batch in enumerate(batches):
            self._change(run, _fields(check, mark, batch, batches[index + 1 :]), check)

    def _change(self, run: int, fields: Json, check: Check) -> None:
        path = f"{self._place}/check-runs/{run}"
        doing = f"change the check {check.name} on {check.commit}"
        self._calls.write("PATCH", path, fields, doing=doing)

    def _status(self, check: Check) -> None:
        wanted = {
            "state": _STATUSES[check.state],
            "context": check.name,
            "description": shortened(check.title, LONGEST_DESCRIPTION),
            "target_url": check.url or None,
        }
        doing = f"put the status {check.name} on {check.commit}"
        path = f"{self._place}/commits/{check.commit}/statuses"
        with reading(doing):
            for told in self._calls.pages(path, doing=doing):
                if told["context"] == check.name:
                    if all(told[name] == value for name, value in wanted.items()):
                        return
                    break
        body = {name: value for name, value in wanted.items() if value is not None}
        self._calls.write("POST", f"{self._place}/statuses/{check.commit}", body, doing=doing)


def shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _fields(check: Check, mark: str, batch: list[Json], more: list[list[Json]]) -> dict[str, Any]:
    title = shortened(check.title, LONGEST_TITLE)
    output: dict[str, Any] = {"title": title, "summary": _summary(check)}
    if check.text:
        output["text"] = check.text
    if batch:
        output["annotations"] = batch
    fields: dict[str, Any] = {"external_id": mark, "output": output}
    if check.url:
        fields["details_url"] = check.url
    if more or check.state is CheckState.RUNNING:
        return {**fields, "status": "in_progress"}
    return {**fields, "status": "completed", "conclusion": _CONCLUSIONS[check.state]}


def _summary(check: Check) -> str:
    hidden = len(check.annotations) - MOST_ANNOTATIONS
    note = f"\n\n{hidden} more remarks are not shown at the lines." if hidden > 0 else ""
    return (check.summary or check.title) + note


def _batches(check: Check) -> list[list[Json]]:
    shown = [_annotation(each) for each in check.annotations[:MOST_ANNOTATIONS]]
    return list(_chunks(shown)) or [[]]


def _chunks(items: list[Json]) -> Iterator[list[Json]]:
    for start in range(0, len(items), ANNOTATIONS_A_REQUEST):
        yield items[start : start + ANNOTATIONS_A_REQUEST]


def _annotation(annotation: Annotation) -> Json:
    return {
        "path": annotation.path,
        "start_line": annotation.line,
        "end_line": annotation.end_line,
        "annotation_level": annotation.level.value,
        "title": shortened(annotation.title, LONGEST_TITLE),
        "message": shortened(annotation.message, LONGEST_MESSAGE),
    }


_MARK = "fairlead-"


def _mark(check: Check) -> str:
    """A name for all that is said: two checks that say the same have the same."""
    said = repr(
        (check.state.value, check.title, check.summary, check.text, check.annotations, check.url)
    )
    return _MARK + hashlib.sha256(said.encode()).hexdigest()[:32]
