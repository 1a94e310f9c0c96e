"""The story of the demo: fourteen steps, each of which proves what it tells.

Separate from the people and processes that play it (workshop.py, daemon_process.py, evidence.py).
"""

from __future__ import annotations

import re
import shutil
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path

from reconciler.core.identifiers import ObjectKey
from reconciler.demo.access_steps import AccessSteps
from reconciler.demo.daemon_process import DaemonProcess, Status, fairlead
from reconciler.demo.evidence import Administrator, Digests, digests
from reconciler.demo.narration import WIDTH, Narrator, StepFailed
from reconciler.demo.releases import MODEL, NAMESPACE, ROLLOUT, Releases
from reconciler.demo.workshop import Workshop

STEPS = 14
CLUSTERS = ("staging", "production")

_COMMENT_LINES = 10


class Story:
    """Plays the steps in order."""

    def __init__(
        self,
        narrator: Narrator,
        *,
        workshop: Workshop,
        daemon: DaemonProcess,
        administrators: Mapping[str, Administrator],
        releases: Releases,
        access: AccessSteps,
    ) -> None:
        self._tell = narrator
        self._workshop = workshop
        self._daemon = daemon
        self._administrators = administrators
        self._releases = releases
        self._access = access
        self._state = daemon.directory / "state" / "state.db"

    def play(self) -> None:
        first = self._first_sync()
        before = self._digests()
        shipped = self._releases.ship()
        self._access.play("v3")
        self._releases.go_on(shipped)
        self._prove_that_all_is_as_before(before, first)
        self._delete_something()
        self._commit_nonsense()
        self._commit_what_the_server_refuses()
        self._propose()
        self._list_the_log()
        self._verify_offline()
        self._open_the_page()

    def _first_sync(self) -> str:
        self._tell.step("The daemon starts and brings both clusters to the first commit")
        head = self._workshop.git("rev-parse", "HEAD")
        status = self._until_applied(head, "first sync")
        for cluster in status["clusters"]:
            self._tell.proof(
                f"{cluster['cluster']}: {cluster['objects']} objects in "
                f"{cluster['settledUnits']} units, all healthy, at {head[:10]}"
            )
        self._tell.say(f"({len(status['notices'])} notes on what is declared but not enforced yet)")
        return head

    def _prove_that_all_is_as_before(self, before: Digests, first: str) -> None:
        """Reverts were all that was needed to get back: versions that are warm may stay a while."""
        now = self._digests()
        kept = {place: digest for place, digest in before.items() if not _is_route(place)}
        if any(now.get(place) != digest for place, digest in kept.items()):
            raise StepFailed(f"the digests are not those of {first[:10]}")
        self._tell.proof(
            f"all {len(kept)} objects but routes that were there at {first[:10]} are as they were"
        )

    def _delete_something(self) -> None:
        self._tell.step("Somebody deletes the live Deployment in production by hand")
        self._show("kubectl", "delete", "deployment", f"{MODEL}-v2", "-n", NAMESPACE)
        seconds = self._administrators["production"].delete_and_await_return(
            _deployment("v2"), "apps/v1"
        )
        self._tell.proof(f"it is back after {seconds * 1000:.0f} ms, and the log says why:")
        self._run(
            "audit", "list", *self._settings_option(), "--object", f"{MODEL}-v2", "--limit", "2"
        )

    def _commit_nonsense(self) -> None:
        self._tell.step("A commit is wrong: a version that does not exist, and an image by tag")
        good = self._workshop.git("rev-parse", "HEAD")
        self._workshop.edit(ROLLOUT, "version: v2", "version: v22")
        self._workshop.replace_pin("models/search/embedder.yaml", image="latest")
        before = self._digests()
        bad = self._workshop.commit("Ship the next version in a hurry")
        self._until_refused(bad)
        self._run("validate", str(self._workshop.clone), expect=1)
        if self._digests() != before:
            raise StepFailed("the invalid commit changed something")
        self._tell.proof(f"nothing changed: {good[:10]} is still in force in both clusters")
        self._until_applied(self._workshop.revert(bad), "taking the wrong commit back")
        self._tell.say("(taken back with git revert)")

    def _commit_what_the_server_refuses(self) -> None:
        self._tell.step("A commit reads well, but the API server refuses a part of it")
        self._workshop.edit(
            "platform/team-risk/quota.yaml", 'requests.cpu: "32"', 'requests.cpu: "48"'
        )
        policy = self._workshop.clone / "platform/team-risk/partner.yaml"
        policy.write_text(_IMPOSSIBLE_POLICY)
        before = self._digests()
        bad = self._workshop.commit("Raise the quota and let the partner in")
        status = self._until_refused(bad)
        for line in textwrap.wrap(status["explanation"], WIDTH - 10):
            self._tell.output(line)
        if self._digests() != before:
            raise StepFailed("a part of the refused commit was applied")
        self._tell.proof("nothing was applied, not even the quota that was fine by itself")
        self._until_applied(self._workshop.revert(bad), "taking the refused commit back")
        self._tell.say("(taken back with git revert)")

    def _propose(self) -> None:
        self._tell.step("Somebody proposes a change: the comment on its pull request")
        self._workshop.git("switch", "--quiet", "--create", "proposal")
        self._workshop.edit(ROLLOUT, "version: v2", "version: v3")
        self._workshop.edit("models/search/embedder.yaml", "replicas: 2", "replicas: 3")
        self._workshop.git("commit", "--quiet", "--all", "--message", "Ship v3, and more embedders")
        clone = str(self._workshop.clone)
        said = self._run(
            *("plan", *self._settings_option(), "--repo", clone, "proposal", "--markdown"),
            most=0,
        )
        self._workshop.git("switch", "--quiet", "main")
        comment = _kept(said)
        for entry in said.splitlines()[:_COMMENT_LINES]:
            for found in textwrap.wrap(entry, WIDTH - 10):
                self._tell.output(found)
        size = len(said.encode()) / 1000
        self._tell.proof(f"all {size:.0f} kB of it: {comment}")

    def _list_the_log(self) -> None:
        self._tell.step("Who changed what, when and why: the audit log")
        self._run("status", *self._settings_option())
        self._run("audit", "list", *self._settings_option(), "--limit", "8")

    def _verify_offline(self) -> None:
        self._tell.step("The daemon stops; its log is verified offline, and a forged one found out")
        self._daemon.stop()
        export = self._daemon.directory / "export"
        key = str(self._state.with_name("audit.vkey"))
        self._run("audit", "export", *self._settings_option(), str(export))
        self._run("audit", "verify", str(export), "--vkey", key)
        forged = self._daemon.directory / "forged"
        shutil.copytree(export, forged)
        _forge(forged)
        self._tell.say("one digit of one record is changed in a copy:")
        self._run("audit", "verify", str(forged), "--vkey", key, expect=1)
        self._tell.proof("the forgery was found")

    def _open_the_page(self) -> None:
        self._tell.step("The daemon starts again, and its read-only page shows how it all came")
        self._daemon.start()
        self._daemon.until(lambda status: bool(status["asDeclared"]), what="the start")
        for path, what in _PAGES:
            size, seconds = self._daemon.read_page(path)
            self._tell.proof(
                f"{what:<36} {self._daemon.page}{path}  {size:.0f} kB, {seconds:.2f} s"
            )

    def _until_applied(self, sha: str, what: str) -> Status:
        def applied(status: Status) -> bool:
            if status["refused"] == sha:
                raise StepFailed(f"{what}: commit {sha} was refused: {status['explanation']}")
            return bool(status["asDeclared"]) and status["accepted"] == sha

        return self._daemon.until(applied, what=what)

    def _until_refused(self, sha: str) -> Status:
        def refused(status: Status) -> bool:
            if status["accepted"] == sha:
                raise StepFailed(f"commit {sha} was accepted")
            return bool(status["refused"] == sha)

        return self._daemon.until(refused, what="the refusal")

    def _digests(self) -> Digests:
        return digests(self._state, CLUSTERS)

    def _settings_option(self) -> tuple[str, str]:
        return ("--config", str(self._daemon.settings))

    def _show(self, *words: str) -> None:
        self._tell.command(words)

    def _run(self, *arguments: str, expect: int = 0, most: int = 24) -> str:
        """Show a command and the first lines of what it prints; returns all of it."""
        short = [_shortened(word, self._daemon.directory) for word in arguments]
        self._tell.command(["fairlead", *short])
        said = fairlead(*arguments, expect=expect)
        if most:
            self._tell.output(said.replace(f"{self._daemon.directory}/", ""), most=most)
        return said


def _kept(text: str) -> Path:
    """A file that stays when the demo has ended, for who wants to read it."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="fairlead-comment-", suffix=".md", delete=False
    ) as file:
        file.write(text)
    return Path(file.name)


def _deployment(version: str) -> ObjectKey:
    return ObjectKey("apps", "Deployment", NAMESPACE, f"{MODEL}-{version}")


def _is_route(place: tuple[str, ObjectKey]) -> bool:
    """Routes name the versions that are kept warm as well."""
    return place[1].kind == "HTTPRoute"


def _shortened(word: str, directory: Path) -> str:
    return word.removeprefix(f"{directory}/")


def _forge(export: Path) -> None:
    """Change one digit of a commit in the first bundle of records that names one."""
    for path in sorted(export.rglob("*")):
        content = bytearray(path.read_bytes()) if path.is_file() else bytearray()
        if "entries" in path.parts and (found := _COMMIT.search(content)):
            digit = found.end() - 1
            content[digit] = ord("1") if content[digit] == ord("0") else ord("0")
            path.write_bytes(content)
            return
    raise StepFailed("the export names no commit")


_PAGES = (
    ("", "every cluster, and what waits"),
    ("rollouts/fraud-detector", "the rollout that was taken back"),
    ("models/fraud-detector", "its versions, and who may use them"),
    ("audit", "who changed what, and why"),
)

_COMMIT = re.compile(rb'"commit":"[0-9a-f]')

_IMPOSSIBLE_POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-partner
  namespace: team-risk
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
  - from:
    - ipBlock: {cidr: 198.51.100.0/99}
"""
