"""What the request path goes by: the rules of the repository, and where routes lead now.

Separate from the decisions, which only read it. The invariant: what was not read for a few
seconds is not used, and a Service that a route has just left counts for as long as the gateway may
still send requests there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import structlog

from reconciler.core.authorizing.refusals import Denied
from reconciler.core.authorizing.rules import RULES_KEY, RULES_NAME, ModelRoute, Rules, rules_of
from reconciler.core.errors import Corrupt, FairleadError, Missing, Transient
from reconciler.core.identifiers import CommitSha, GroupVersionKind, ObjectKey
from reconciler.core.manifests import COMMIT_ANNOTATION, REPOSITORY_LABEL, JsonObject
from reconciler.core.rendering.lora import ADAPTER_HEADER
from reconciler.core.rendering.prompts import PROMPT_VERSION_HEADER
from reconciler.engine.concurrency import together
from reconciler.ports import Clock, Cluster, Interrupted, Listed, Seen

READ_SECONDS = 1.0
STALE_SECONDS = 5.0
LEAVING_SECONDS = 2.0
"""For how long a gateway may go on sending requests to what its route no longer names."""

HTTP_ROUTE = GroupVersionKind("gateway.networking.k8s.io", "v1", "HTTPRoute")

_MARKS = frozenset({ADAPTER_HEADER, PROMPT_VERSION_HEADER})

log = structlog.get_logger()


class LiveRules:
    """Follows one ConfigMap and the routes of the cluster, for as long as `run` runs."""

    def __init__(self, cluster: Cluster, namespace: str, clock: Clock) -> None:
        self._cluster = cluster
        self._key = ObjectKey("", "ConfigMap", namespace, RULES_NAME)
        self._clock = clock
        self._text = ""
        self._rules: Rules | None = None
        self._read = -math.inf
        self._routes: dict[tuple[str, str], dict[str, float]] = {}
        self._listed = False
        self.commit = CommitSha("")

    @property
    def repository(self) -> str:
        return self._rules.repository if self._rules is not None else ""

    @property
    def ready(self) -> bool:
        fresh = self._clock.monotonic() - self._read <= STALE_SECONDS
        return self._rules is not None and self._listed and fresh

    def rules(self) -> Rules:
        """Raises Denied when they are not known for certain."""
        if self._rules is None or not self.ready:
            raise Denied("rules-unknown", "the rules of access are not known now", status=503)
        return self._rules

    def answering(self, route: ModelRoute) -> frozenset[str]:
        """The Services, or loaded names, that may answer requests of the route at this moment."""
        now = self._clock.monotonic()
        known = self._routes.get((route.namespace, route.name), {})
        return frozenset(name for name, until in known.items() if now < until)

    async def run(self) -> None:
        await together((self._read_for_ever(), self._watch_for_ever()))

    async def _read_for_ever(self) -> None:
        while True:
            try:
                await self._read_once()
            except FairleadError as error:
                log.warning("authorizer.rules_not_read", code=error.code, reason=error.message)
            await self._clock.sleep(READ_SECONDS)

    async def _read_once(self) -> None:
        """A get by name each second needs a right to this one object, a watch one to all."""
        body: dict[str, Any] | None = await self._cluster.get(self._key, "v1")
        if body is None:
            self._rules = None
            raise Missing(f"there is no ConfigMap {self._key.namespace}/{self._key.name}")
        text = str(body.get("data", {}).get(RULES_KEY, ""))
        if text != self._text or self._rules is None:
            try:
                self._rules = rules_of(text)
            except Corrupt:
                self._rules = None
                raise
            self._text = text
        annotations = body["metadata"].get("annotations") or {}
        self.commit = CommitSha(str(annotations.get(COMMIT_ANNOTATION, "")))
        self._read = self._clock.monotonic()

    async def _watch_for_ever(self) -> None:
        while True:
            try:
                await self._watch()
            except Transient as error:
                log.warning("authorizer.routes_not_seen", code=error.code, reason=error.message)
            self._listed = False
            await self._clock.sleep(READ_SECONDS)

    async def _watch(self) -> None:
        resources = await self._cluster.resources(refresh=True)
        if HTTP_ROUTE not in resources:
            raise Missing(
                "the cluster serves no HTTPRoutes", hint="install the Gateway API's definitions"
            )
        seen: set[tuple[str, str]] = set()
        async for event in self._cluster.watch(resources[HTTP_ROUTE], selector=REPOSITORY_LABEL):
            if isinstance(event, Interrupted):
                self._listed = False
                seen.clear()
            elif isinstance(event, Listed):
                for key in self._routes.keys() - seen:
                    self._note(key, frozenset())
                self._listed = True
            else:
                key = _place(event.body)
                seen.add(key)
                named = backends_of(event.body) if isinstance(event, Seen) else ()
                self._note(key, frozenset(named))

    def _note(self, key: tuple[str, str], named: frozenset[str]) -> None:
        leaving = self._clock.monotonic() + LEAVING_SECONDS
        before = self._routes.get(key, {})
        left = {name: min(until, leaving) for name, until in before.items() if name not in named}
        self._routes[key] = {**left, **dict.fromkeys(named, math.inf)}


def backends_of(route: JsonObject) -> Iterator[str]:
    """Whatever may get requests: by its mark where versions share a Service, else by its name."""
    spec = cast("dict[str, Any]", route["spec"])
    for rule in spec.get("rules") or ():
        for backend in rule.get("backendRefs") or ():
            if backend.get("weight", 1) > 0:
                yield _mark(backend) or str(backend["name"])


def _mark(backend: dict[str, Any]) -> str:
    """Empty for none. Others may keep backends in a route, and filters, of any form."""
    for one in backend.get("filters") or ():
        for setting in (one.get("requestHeaderModifier") or {}).get("set") or ():
            if setting["name"] in _MARKS:
                return str(setting["value"])
    return ""


def _place(body: JsonObject) -> tuple[str, str]:
    metadata = cast("dict[str, str]", body["metadata"])
    return metadata["namespace"], metadata["name"]
