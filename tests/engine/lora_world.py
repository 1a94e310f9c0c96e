"""A world whose users ask for a LoRA adapter: model servers load and unload, and answer by name.

Builds on rollout_world.py. The gateway reads the filters of the route, and the servers are played
after vLLM: a name that is loaded is refused a second time, one that is not answers 404.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import orjson

from reconciler.adapters.replicas_memory import Asked, MemoryReplicas, Respond
from reconciler.core.errors import FairleadError, Unavailable
from reconciler.core.identifiers import ClusterName
from reconciler.core.manifests import JsonValue
from reconciler.core.rendering.aliases import loaded_name, mark_of
from reconciler.core.rollouts.states import state_from_json
from reconciler.ports import Answer, Replica
from tests.engine.rollout_world import GATE, RolloutWorld, model, rollout

SERVER_MODEL = model("v1").replace("fraud", "base")
SERVER = """\
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {name: base}
spec:
  model: base
  version: v1
  namespace: team-a
  waves: [WAVES]
"""
STEPS = """\
    canary:
      steps:
      - {cohort: {header: x-cohort, value: internal}, requests: 20}
      - {weight: 5%, requests: 20}
      - {weight: 25%, requests: 50}
      - {weight: 100%}
    keepWarm: 2m
"""
WAYS = ["v1", "v1 cohort", "v2 5", "v2 25", "v2 100"]


def adapters(*versions: str, digests: Mapping[str, str]) -> str:
    """The Model of an adapter, whose versions have the digests that are given, or their number."""
    listed = "".join(
        f"""\
  - name: {name}
    artifact: oci://registry.example.com/adapters/fraud@sha256:{digests.get(name) or digest(name)}
"""
        for name in versions
    )
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: fraud}}
spec:
  owner: team-risk
  versions:
{listed}\
  serving:
    runtime: lora
    lora: {{server: base, alias: fraud, path: "/adapters/{{digest}}"}}
    signals: {{label: model_name}}
"""


def digest(version: str) -> str:
    return str(int(version[1:]) % 10) * 64


def named(version: str) -> str:
    return loaded_name("fraud", f"sha256:{digest(version)}")


class SlowReplicas(MemoryReplicas):
    """Those in `slow` take half a minute for whatever they are told to do."""

    def __init__(self, respond: Respond) -> None:
        super().__init__(respond)
        self.slow: set[str] = set()

    async def post(self, replica: Replica, port: int, path: str, body: JsonValue) -> Answer:
        if replica.name in self.slow:
            await asyncio.sleep(30.0)
        return await super().post(replica, port, path, body)


class LoraWorld(RolloutWorld):
    """`loaded` is what each process has, by uid; `ever` what each pod was ever asked to load.

    `refusals` are the words in which servers refuse a version. `missed` are requests that came to
    a process without the adapter, with the time; `strays` those for an adapter that no position
    allows.
    """

    label = "model_name"

    def __init__(self, *clusters: str, rate: float = 100.0, seed: int = 1) -> None:
        super().__init__(*clusters, rate=rate, seed=seed)
        self.loaded: dict[str, dict[str, str]] = defaultdict(dict)
        self.ever: dict[str, set[str]] = defaultdict(set)
        self.refusals: dict[str, str] = {}
        self.missed: list[tuple[float, str]] = []
        self.strays: list[str] = []
        self.served: list[tuple[str, str]] = []
        """Loads and unloads that servers carried out, in order, by verb and version."""
        self.replicas = {name: SlowReplicas(self._respond) for name in self.clusters}
        self._allowed: set[str] = set()
        self._ready_at: dict[str, float] = {}
        self.probe_seconds = 0.0
        """How long a pod runs before it is ready."""
        self._by_adapter: Counter[tuple[str, str, bool]] = Counter()

    def declare(self, version: str, *, files: Mapping[str, str] | None = None, **said: Any) -> str:
        digests = said.pop("digests", {})
        versions = said.pop("versions", [f"v{n}" for n in range(1, int(version[1:]) + 2)])
        waves = ", ".join(f"{{clusters: {{env: {name}}}}}" for name in self.names)
        said.setdefault("strategy", STEPS)
        texts = {
            "models/base.yaml": SERVER_MODEL,
            "rollouts/base.yaml": SERVER.replace("WAVES", waves),
            "models/fraud.yaml": adapters(*versions, digests=digests),
            "rollouts/fraud.yaml": rollout(version, waves=self.names, **said),
            "gates/errors.yaml": GATE,
            **(files or {}),
        }
        return super().declare(version, files=texts)

    def restart(
        self, number: int = 0, cluster: str | None = None, *, unready: float = 0.0
    ) -> Replica:
        """A process of the server begins anew in its pod, which is not ready for some seconds."""
        found = self.servers(cluster)[number]
        self._ready_at[found.uid] = self.clock.monotonic() + unready
        self._sync_replicas(ClusterName(cluster or self.names[0]))
        self.loaded[found.uid].clear()
        for key in [key for key in self._by_adapter if key[0] == found.uid]:
            del self._by_adapter[key]
        return found

    def named(self, version: str) -> str:
        """The name by which servers know a version."""
        return named(version)

    def servers(self, cluster: str | None = None, name: str = "base") -> list[Replica]:
        present = self.replicas[ClusterName(cluster or self.names[0])].present()
        return sorted((one for one in present if one.name.startswith(f"{name}-")), key=str)

    def has(self, version: str, cluster: str | None = None) -> list[bool]:
        """Which servers have it."""
        return [self.named(version) in self.loaded[one.uid] for one in self.servers(cluster)]

    def _is_ready(self, uid: str) -> bool:
        now = self.clock.monotonic()
        return now >= self._ready_at.setdefault(uid, now + self.probe_seconds)

    def shares(self, cluster: str | None = None) -> dict[str, int]:
        rules = self.rules(cluster)
        backends = rules[-1]["backendRefs"] if rules else []
        return {_version(ref): ref["weight"] for ref in backends if ref["weight"]}

    async def _before_requests(self) -> None:
        """What may get traffic: where the journal stands, and where it stood one tick before."""
        position = await self.store.position()
        body = position.journal.get("fraud")
        now: set[str] = set()
        if body is not None:
            state = state_from_json(body)
            kept = [entry.target for entry in state.kept]
            targets = [state.stable, state.candidate, *kept]
            now = {target.version for target in targets if target is not None}
        self._allowed, self._allowed_before = now, self._allowed
        self._may = self._allowed | self._allowed_before

    def _request(self, cluster: str, count: int) -> None:
        rules = self.rules(cluster)
        if not rules:
            return
        up = {
            ref["name"]: [one for one in self.servers(cluster, ref["name"]) if one.ready]
            for rule in rules
            for ref in rule["backendRefs"]
        }
        for _ in range(count):
            is_cohort = self._random.random() < self.cohort
            backends = rules[0 if len(rules) == 1 or is_cohort else -1]["backendRefs"]
            (chosen,) = self._random.choices(backends, [one["weight"] for one in backends])
            self._reach(cluster, _version(chosen), up[chosen["name"]])

    def _reach(self, cluster: str, version: str, up: list[Replica]) -> None:
        if version not in self._may:
            self.strays.append(version)
        if not up:
            return
        uid = self._random.choice(up).uid
        if self.named(version) not in self.loaded[uid]:
            self.missed.append((self.clock.monotonic(), version))
            return
        failed = self._random.random() < self.errors.get(version, 0.0)
        self.answered[cluster, version, failed] += 1
        self._by_adapter[uid, self.named(version), failed] += 1

    def _respond(self, asked: Asked) -> Answer | FairleadError | None:
        if asked.replica.name in self.silent:
            return Unavailable("no answer in time")
        match asked.path:
            case "/metrics":
                return self._metrics(asked.replica.uid)
            case "/v1/models":
                return self._listing(asked.replica.uid)
            case "/v1/load_lora_adapter":
                return self._load(asked)
            case "/v1/unload_lora_adapter":
                return self._unload(asked)
            case _:
                return Answer(200, b"{}")

    def _metrics(self, uid: str) -> Answer:
        lines = []
        for metric, failed in (("success", False), ("failure", True)):
            name = f"model_infer_request_{metric}_total"
            lines.append(f"# TYPE {name} counter")
            lines += [
                f'{name}{{{self.label}="{adapter}"}} {count}'
                for (where, adapter, bad), count in self._by_adapter.items()
                if where == uid and bad is failed
            ]
        return Answer(200, "\n".join(lines).encode() + b"\n")

    def _listing(self, uid: str) -> Answer:
        base = {"id": "base", "root": "base", "parent": None}
        found = [
            {"id": name, "root": path, "parent": "base"} for name, path in self.loaded[uid].items()
        ]
        return Answer(200, orjson.dumps({"object": "list", "data": [base, *found]}))

    def _load(self, asked: Asked) -> Answer:
        body: Any = asked.body
        return self.take(asked.replica.uid, body["lora_name"], body["lora_path"])

    def take(self, uid: str, name: str, path: str) -> Answer:
        """A server loads something, or says why it does not."""
        version = f"v{name.rpartition('@')[2][0]}"
        if version in self.refusals:
            return Answer(400, orjson.dumps({"error": {"message": self.refusals[version]}}))
        if name in self.loaded[uid]:
            return Answer(400, b'{"message": "has already been loaded"}')
        self.loaded[uid][name] = path
        self.ever[name].add(path)
        self.served.append(("load", version))
        return Answer(200, b"Success")

    def _unload(self, asked: Asked) -> Answer:
        body: Any = asked.body
        return self.drop(asked.replica.uid, body["lora_name"])

    def drop(self, uid: str, name: str) -> Answer:
        """A server unloads something."""
        if self.loaded[uid].pop(name, None) is None:
            return Answer(404, b'{"message": "cannot be found"}')
        self.served.append(("unload", f"v{name.rpartition('@')[2][0]}"))
        return Answer(200, b"Success")


def _version(backend: dict[str, Any]) -> str:
    return f"v{mark_of(backend).rpartition('@')[2][0]}"
