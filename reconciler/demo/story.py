"""The story of the demo: eight steps, each of which proves what it tells.

Separate from the people and processes that play it (workshop.py, daemon_process.py, evidence.py).
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path

from reconciler.core.identifiers import ObjectKey
from reconciler.demo.daemon_process import DaemonProcess, Status, fairlead
from reconciler.demo.evidence import Administrator, Digests, digests
from reconciler.demo.narration import WIDTH, Narrator, StepFailed
from reconciler.demo.workshop import Workshop

STEPS = 8
CLUSTERS = ("staging", "production")
ROLLOUT = "rollouts/risk/fraud-detector.yaml"
MODEL = "fraud-detector"
NAMESPACE = "team-risk"


class Story:
    """Plays the steps in order."""

    def __init__(
        self,
        narrator: Narrator,
        *,
        workshop: Workshop,
        daemon: DaemonProcess,
        administrators: Mapping[str, Administrator],
    ) -> None:
        self._tell = narrator
        self._workshop = workshop
        self._daemon = daemon
        self._administrators = administrators
        self._state = daemon.directory / "state" / "state.db"

    def play(self) -> None:
        first = self._first_sync()
        before = self._digests()
        shipped = self._ship_a_version()
        self._delete_something()
        self._commit_nonsense(shipped)
        self._commit_what_the_server_refuses()
        self._revert(shipped, before, first)
        self._list_the_log()
        self._verify_offline()

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

    def _ship_a_version(self) -> str:
        self._tell.step("A commit changes one line: fraud-detector goes from v2 to v3")
        self._workshop.edit(ROLLOUT, "version: v2", "version: v3")
        self._workshop.git("add", "--all")
        self._workshop.git("commit", "--quiet", "--message", "Ship fraud-detector v3")
        sha = self._workshop.git("rev-parse", "HEAD")
        self._show("git", "diff", "HEAD~1", "--unified=0")
        self._tell.output(
            self._workshop.git("diff", "HEAD~1", "--unified=0", "--", ROLLOUT), most=8
        )
        self._run("plan", *self._settings_option(), "--repo", str(self._workshop.clone), "HEAD")
        with self._tell.measured("staging first, then production: applied and healthy"):
            self._workshop.push()
            self._until_applied(sha, "the new version")
        for name, administrator in self._administrators.items():
            if administrator.commit_of(_deployment("v3"), "apps/v1") != sha:
                raise StepFailed(f"the Deployment of v3 in {name} does not name commit {sha}")
            if administrator.get(_deployment("v2"), "apps/v1") is not None:
                raise StepFailed(f"the Deployment of v2 is still in {name}")
        self._tell.proof(f"every live object of v3 names commit {sha[:10]}; v2 is gone")
        return sha

    def _delete_something(self) -> None:
        self._tell.step("Somebody deletes the live Deployment in production by hand")
        self._show("kubectl", "delete", "deployment", f"{MODEL}-v3", "-n", NAMESPACE)
        seconds = self._administrators["production"].delete_and_await_return(
            _deployment("v3"), "apps/v1"
        )
        self._tell.proof(f"it is back after {seconds * 1000:.0f} ms, and the log says why:")
        self._run(
            "audit", "list", *self._settings_option(), "--object", f"{MODEL}-v3", "--limit", "2"
        )

    def _commit_nonsense(self, good: str) -> None:
        self._tell.step("A commit is wrong: a version that does not exist, and an image by tag")
        self._workshop.edit(ROLLOUT, "version: v3", "version: v33")
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

    def _revert(self, shipped: str, before: Digests, first: str) -> None:
        self._tell.step("v3 was a mistake: git revert is the rollback")
        self._show("git", "revert", "--no-edit", shipped[:10])
        with self._tell.measured("both clusters are back"):
            sha = self._workshop.revert(shipped)
            self._until_applied(sha, "the revert")
        if self._digests() != before:
            raise StepFailed(f"the digests are not those of {first[:10]}")
        self._tell.proof(
            f"all {len(before)} objects have the digests that they had at {first[:10]}"
        )

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

    def _run(self, *arguments: str, expect: int = 0) -> None:
        short = [_shortened(word, self._daemon.directory) for word in arguments]
        self._tell.command(["fairlead", *short])
        said = fairlead(*arguments, expect=expect)
        self._tell.output(said.replace(f"{self._daemon.directory}/", ""))


def _deployment(version: str) -> ObjectKey:
    return ObjectKey("apps", "Deployment", NAMESPACE, f"{MODEL}-{version}")


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
