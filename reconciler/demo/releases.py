"""Versions under real requests: a good one, a bad one, and the way back.

Separate from the rest of the story, because here users send requests all the time and count what
they get. The invariant: what is told of answers is what the users counted.
"""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reconciler.core.identifiers import Digest
from reconciler.core.rendering.aliases import loaded_name
from reconciler.demo.daemon_process import DaemonProcess, Status, fairlead
from reconciler.demo.evidence import Administrator
from reconciler.demo.narration import WIDTH, Narrator, StepFailed
from reconciler.demo.questions import Questions
from reconciler.demo.users import Users
from reconciler.demo.workshop import Workshop
from reconciler.sandbox.traffic import Cohort, Traffic

MODEL = "fraud-detector"
NAMESPACE = "team-risk"
ROLLOUT = "rollouts/risk/fraud-detector.yaml"
DECLARATION = "models/risk/fraud-detector.yaml"
HOST = "fraud.models.example.com"
COHORTS = (
    Cohort("internal", 0.2, {"x-cohort": "internal"}),
    Cohort("everybody", 0.8),
)
TESTERS = (
    Cohort("testers", 0.8, {"x-fairlead-preview": "true"}),
    Cohort("everybody", 0.2),
)
RATE = 150.0
ASSISTANT = "assistant.models.example.com"
BAD = "errors=0.3"

_NEXT_VERSION = """\
  - name: v4
    artifact: oci://registry.example.com/models/fraud-detector@sha256:{digest}
    metadata: {{framework: sklearn, dataset: transactions-2026-q3, license: proprietary}}
    access: {{inference: [product-owner], retraining: [ml-researcher]}}
"""


class Releases:
    """Plays the steps that move traffic."""

    def __init__(
        self,
        narrator: Narrator,
        *,
        workshop: Workshop,
        daemon: DaemonProcess,
        administrators: Mapping[str, Administrator],
        gateways: Mapping[str, str],
    ) -> None:
        self._tell = narrator
        self._workshop = workshop
        self._daemon = daemon
        self._administrators = administrators
        self._gateways = gateways

    def ship(self) -> str:
        """Bring out v3, which stays; returns the commit that asked for it."""
        with self._users_of(MODEL, HOST, COHORTS) as users:
            return self._ship_a_good_version(users)

    def go_on(self, shipped: str) -> None:
        with self._users_of(MODEL, HOST, COHORTS) as users:
            self._ship_a_bad_version(users)
            self._go_back(users, shipped)
        self._blue_and_green()
        self._reload_an_adapter()

    def _users_of(self, model: str, host: str, cohorts: Sequence[Cohort]) -> Users:
        def send(address: str) -> Traffic:
            return Traffic(address, model, host=host, rate=RATE, cohorts=cohorts, seed=len(model))

        return Users(self._gateways, send, host=host, path=f"/v2/models/{model}/ready")

    def _ship_a_good_version(self, users: Users) -> str:
        self._tell.step("Ship v3 of fraud-detector while users send requests: one line in Git")
        self._tell.say(f"({RATE:.0f} requests a second at the gateway of each cluster, v2 answers)")
        self._workshop.edit(ROLLOUT, "version: v2", "version: v3")
        self._workshop.git("add", "--all")
        self._workshop.git("commit", "--quiet", "--message", "Ship fraud-detector v3")
        self._tell.command(["git", "diff", "HEAD~1", "--unified=0"])
        self._tell.output(
            self._workshop.git("diff", "HEAD~1", "--unified=0", "--", ROLLOUT), most=8
        )
        config = ["--config", str(self._daemon.settings)]
        self._tell.command(["fairlead", "plan", "--repo", "config", "HEAD"])
        planned = fairlead("plan", *config, "--repo", str(self._workshop.clone), "HEAD")
        self._tell.output(_without_notices(planned), most=14)
        began = time.time()
        sha = self._workshop.push()
        asked = False

        def told(rollout: dict[str, Any]) -> None:
            nonlocal asked
            if "approval by" in rollout["step"] and not asked:
                asked = True
                self._approve()

        self._follow("v3", on_step=told)
        users.wait_for(100)
        counts = users.counts(since=began)
        if counts.dropped or counts.failed_by_version:
            raise StepFailed(f"users were not served: {counts}")
        self._tell.proof(
            f"{counts.requests:,} requests meanwhile: none failed, none was dropped; "
            f"v2 answered {counts.by_version.get('v2', 0):,}, v3 {counts.by_version['v3']:,}"
        )
        return sha

    def _approve(self) -> None:
        self._workshop.edit(
            ROLLOUT,
            "  onFailure: revert",
            "  approved: [{version: v3, step: 5, by: product-owner}]\n  onFailure: revert",
        )
        sha = self._workshop.commit("Approve fraud-detector v3 for all requests")
        self._tell.say(f"       the approval comes as a commit, {sha[:10]}")

    def _ship_a_bad_version(self, users: Users) -> None:
        self._tell.step("Ship v4, which fails three requests of ten: nobody is there to notice")
        version = _NEXT_VERSION.format(digest="4" * 64)
        self._workshop.edit(DECLARATION, "  serving:\n", f"{version}  serving:\n")
        self._workshop.edit(ROLLOUT, "  version: v3\n", "  version: v4\n")
        began = time.time()
        bad = self._workshop.commit("Ship fraud-detector v4")
        self._daemon.until(
            lambda status: _rollout(status, MODEL)["candidate"] == "v4", what="v4 begins"
        )
        self._administrators["staging"].behave(NAMESPACE, "v4", BAD)
        self._follow("v3", failed="v4")
        status = self._daemon.until(
            lambda status: bool(status["asDeclared"]) and status["accepted"] != bad,
            what="the revert",
        )
        seconds = time.time() - began
        self._workshop.pull()
        if status["accepted"] != self._workshop.git("rev-parse", "HEAD"):
            raise StepFailed("the revert is not the head of the branch")
        self._tell.command(["git", "log", "-1"])
        self._tell.output(self._workshop.git("log", "--max-count=1", "--format=%h %an: %s%n%n%b"))
        users.wait_for(50)
        counts = users.counts(since=began)
        self._tell.proof(
            f"{seconds:.0f} s from the push of v4 to the revert in force; users got "
            f"{counts.failed_by_version.get('v4', 0)} bad answers of {counts.requests:,}, "
            f"all in the internal cohort"
        )
        self._tell.command(["fairlead", "rollout", "explain", MODEL])
        explained = fairlead("rollout", "explain", MODEL, "--config", str(self._daemon.settings))
        self._tell.output(explained, most=22)

    def _go_back(self, users: Users, shipped: str) -> None:
        self._tell.step("And v3 back to v2, which is still warm: git revert is the rollback")
        self._tell.command(["git", "revert", "--no-edit", shipped[:10]])
        began = time.time()
        with self._tell.measured("v2 has all requests in both clusters, without a step,"):
            sha = self._workshop.revert(shipped)
            self._daemon.until(
                lambda status: bool(status["asDeclared"]) and status["accepted"] == sha,
                what="the revert",
            )
        users.wait_for(100)
        if (counts := users.counts(since=began)).dropped:
            raise StepFailed(f"requests were dropped on the way back: {counts}")
        self._tell.proof(f"{counts.requests:,} requests meanwhile, none was dropped")

    def _blue_and_green(self) -> None:
        self._tell.step("Blue and green: embedder v2 is tried on a preview, then has all at once")
        path = "rollouts/search/embedder.yaml"
        with self._users_of("embedder", "search.models.example.com", TESTERS) as users:
            began = time.time()
            self._workshop.edit(path, "version: v1", "version: v2")
            sha = self._workshop.commit("Ship embedder v2")
            self._follow("v2", model="embedder")
            with self._tell.measured("and back to v1"):
                back = self._workshop.revert(sha)
                self._daemon.until(
                    lambda status: bool(status["asDeclared"]) and status["accepted"] == back,
                    what="the way back",
                )
            users.wait_for(50)
        counts = users.counts(since=began)
        if counts.dropped or counts.failed_by_version:
            raise StepFailed(f"users were not served: {counts}")
        self._tell.proof(f"{counts.requests:,} requests meanwhile: none failed, none was dropped")

    def _reload_an_adapter(self) -> None:
        self._tell.step("Hot reload: the next LoRA adapter on servers that go on running")
        adapters = self._adapters()

        def ask(address: str) -> Questions:
            return Questions(address, "reply-style", host=ASSISTANT, rate=RATE, paths=adapters)

        with Users(self._gateways, ask, host=ASSISTANT, path="/v2/health/ready") as users:
            users.wait_for(100)
            began = time.time()
            self._workshop.edit("rollouts/support/reply-style.yaml", "version: v1", "version: v2")
            self._workshop.commit("Ship reply-style v2")
            self._follow("v2", model="reply-style")
            users.wait_for(100)
            counts = users.counts(since=began)
        wrong = sum(counts.wrong_by_version.values())
        if wrong or counts.dropped or len(counts.by_version) != len(adapters):
            raise StepFailed(f"users were not answered as they should: {counts}")
        answered = ", ".join(f"{name} {n:,}" for name, n in sorted(counts.by_version.items()))
        self._tell.proof(f"{counts.requests:,} questions meanwhile, no wrong answer: {answered}")
        self._tell.proof("no server was restarted; v1 stays loaded for ten minutes")

    def _adapters(self) -> Mapping[str, str]:
        """Where servers find the adapters of the example, by their names."""
        file = self._workshop.clone / "models/support/reply-style.yaml"
        digests = re.findall(r"artifact: \S+@sha256:(\w+)", file.read_text())
        return {
            loaded_name("reply-style", Digest(f"sha256:{digest}")): f"/adapters/{digest}"
            for digest in digests
        }

    def _follow(
        self,
        serving: str,
        *,
        model: str = MODEL,
        failed: str = "",
        on_step: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Tell each position until one version serves everywhere again."""
        seen = [""]

        def arrived(status: Status) -> bool:
            rollout = _rollout(status, model)
            if rollout["candidate"] and rollout["step"] != seen[-1]:
                seen.append(rollout["step"])
                self._tell.moment(f"{rollout['candidate']}: {rollout['step']}")
                if on_step is not None:
                    on_step(rollout)
            failure = rollout["failure"]
            if failure and failure["version"] != failed:
                raise StepFailed(f"{failure['version']} was taken back: {failure['reason']}")
            if failed and failure and seen[-1] != failed:
                seen.append(failed)
                for line in textwrap.wrap(f"taken back: {failure['reason']}", WIDTH - 16):
                    self._tell.moment(line)
            done = not rollout["candidate"] and rollout["stable"] == serving
            return bool(done and (not failed or failure or seen[-1] == failed))

        self._daemon.until(arrived, what=f"{model} {serving}", seconds=300.0)
        if not failed:
            self._daemon.until(
                lambda status: bool(status["asDeclared"]), what=f"{model} {serving} everywhere"
            )
            self._tell.moment(f"{serving} has all requests in both clusters")


def _rollout(status: Status, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(r for r in status["rollouts"] if r["rollout"] == name)
    return found


def _without_notices(text: str) -> str:
    return text.partition("Declared, not enforced yet")[0]
