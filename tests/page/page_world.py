"""A world in memory with the page of its engine: real facts, and no server between."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import html5lib

from reconciler.core.presenting.page_pulls import PullFacts
from reconciler.core.viewers import ANYBODY, Viewer
from reconciler.engine.driving import Engine
from reconciler.engine.notifying import NotifyingStore
from reconciler.surfaces.engine_status import EngineStatus
from reconciler.surfaces.page.application import Page
from reconciler.surfaces.page.chronicling import Chronicler, OpenLog
from reconciler.surfaces.page.facts import Sources
from tests.engine.rollout_world import RolloutWorld
from tests.engine.world import REPOSITORY, config_map
from tests.surfaces.asgi import Answer, ask

ACCESS: Mapping[str, str] = {
    "access/researcher.yaml": """\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {name: ml-researcher, labels: {team: risk}}
spec:
  description: People who train the models of their team
  groups: [ml-researchers]
  allow:
  - {models: {labels: {team: risk}}, actions: [infer, retrain]}
  - {resources: [deployments], verbs: [get, list, watch], namespaces: [team-a]}
  unless: [{labels: {tier: restricted}, actions: [retrain]}]
""",
    "access/owner.yaml": """\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {name: product-owner}
spec:
  groups: [product-owners]
  allow: [{models: {labels: {team: risk}}, actions: [infer, promote]}]
""",
    "access/eval-bot.yaml": """\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {name: eval-bot, labels: {team: risk}}
spec:
  purpose: read-only evaluation
  models: [{model: fraud, versions: [v1], actions: [infer]}]
  tools: [{server: metrics, name: query, schema: "sha256:20bf091be6054d3862cd30ef16f7437035996d2386b746d56a50fc6f6632ca7f"}]
  token: {ttl: 10m, audience: fairlead-gateway}
  limits: {callSeconds: 30, callsPerMinute: 60}
  egress: [gateway]
  expires: 2099-06-30
  tests:
  - {can: infer, model: fraud@v1, expect: allowed}
  - {can: retrain, model: fraud@v1, expect: denied}
""",  # noqa: E501
}

PROMPT = """\
apiVersion: fairlead.dev/v1alpha1
kind: Prompt
metadata: {name: greeting, labels: {team: risk}}
spec:
  owner: team-risk
  model: fraud
  versions:
  - name: v1
    text: |
      You are polite.
      <b>Never</b> say more than asked.
"""

MODEL = """\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {name: fraud, labels: {team: risk, tier: restricted}}
spec:
  owner: team-risk
  description: Says how likely a payment is a fraud
  versions:
  - name: v1
    artifact: oci://registry.example.com/models/fraud@sha256:1111111111111111111111111111111111111111111111111111111111111111
    metadata: {framework: sklearn, evaluation: {auc: 0.94}, card: "https://models.example.com/fraud"}
    access: {inference: [product-owner, agent/eval-bot], retraining: [ml-researcher]}
  - name: v2
    artifact: oci://registry.example.com/models/fraud@sha256:2222222222222222222222222222222222222222222222222222222222222222
    metadata: {framework: sklearn, evaluation: {auc: 0.96}}
    access: {inference: [product-owner], retraining: [ml-researcher]}
  - name: v3
    artifact: oci://registry.example.com/models/fraud@sha256:3333333333333333333333333333333333333333333333333333333333333333
  serving:
    runtime: deployment
    container: {image: "registry.example.com/serve@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", port: 8000}
    route: {hostnames: [fraud.example.com]}
"""  # noqa: E501

FILES: Mapping[str, str] = {
    **ACCESS,
    "models/fraud.yaml": MODEL,
    "prompts/greeting.yaml": PROMPT,
    **{f"apps/{name}/one.yaml": config_map(name).decode() for name in ("billing", "search")},
}

PATHS = (
    "/",
    "/clusters/one",
    "/clusters/one?unit=rollout/fraud",
    "/models",
    "/models/fraud",
    "/prompts/greeting",
    "/rollouts",
    "/rollouts/fraud",
    "/commits",
    "/pulls",
    "/access",
    "/roles/ml-researcher",
    "/agents/eval-bot",
    "/models/fraud/v1/access?subject=ml-researcher",
    "/search",
    "/search?q=fraud",
    "/audit",
    "/audit/1",
)
"""Every page that a world with the FILES has, but for those of one commit or pull request."""


@dataclass(slots=True)
class Watched:
    """Plays whoever looks at pull requests."""

    found: list[PullFacts] = field(default_factory=list)

    def pulls(self) -> Sequence[PullFacts]:
        return self.found


class PageWorld(RolloutWorld):
    """`viewer` is who asks, `watched` the pull requests that somebody looks at.

    `decisions` are logs of authorizers.
    """

    def __init__(self, *clusters: str, **said: Any) -> None:
        super().__init__(*clusters, **said)
        self.chronicler = Chronicler()
        self.watched: Watched | None = None
        self.decisions: tuple[OpenLog, ...] = ()
        self.viewer: Viewer = ANYBODY
        self.page: Page | None = None

    def declare(self, version: str, *, files: Mapping[str, str] | None = None, **said: Any) -> str:
        return super().declare(version, files={**FILES, **(files or {})}, **said)

    async def engine(self, **replaced: object) -> Engine:
        store = NotifyingStore(self.store, self.chronicler)
        engine = await super().engine(**{"store": store, **replaced})
        self.page = self.page_of(engine)
        return engine

    def page_of(self, engine: Engine) -> Page:
        status = EngineStatus(engine, repository=REPOSITORY, clock=self.clock)
        sources = Sources(
            engine, status, self.store, self.repository, self.clock, self.chronicler, self.watched
        )
        sources = replace(sources, decisions=self.decisions)

        async def authorize(_: object) -> Viewer:
            return self.viewer

        return Page(sources, repository=REPOSITORY, authorize=authorize)

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        assert self.page is not None, "make an engine first"
        given = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return await ask(self.page.application(), method, path, headers=given)

    async def text(self, path: str) -> str:
        """What a person reads there."""
        answer = await self.get(path)
        return words(answer.body.decode())

    @asynccontextmanager
    async def settled(self, **said: Any) -> AsyncIterator[Engine]:
        """v1 has all the traffic everywhere."""
        async with self.running() as engine:
            first = self.declare("v1", **said)
            await self.until_applied(engine, first)
            yield engine

    @asynccontextmanager
    async def moving(self, **said: Any) -> AsyncIterator[Engine]:
        """v2 is on its way beside v1."""
        async with self.settled(**said) as engine:
            self.declare("v2", **said)
            await self.until(lambda: self.state(engine).candidate is not None)
            yield engine


def words(html: str) -> str:
    """The text of a page, in one line."""
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    main = tree.find(".//main")
    found = " ".join(main.itertext() if main is not None else tree.itertext())
    return re.sub(r"\s+", " ", found).strip()
