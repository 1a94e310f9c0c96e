"""A world in which KServe runs the versions and divides the requests.

Builds on rollout_world.py. KServe's controller and webhook are played here after its source
(github.com/kserve/kserve at aaac4e2): a canary is laid over the predictor, labels and annotations
of the InferenceService come to the pods, a Deployment whose template changes starts its pods anew,
and the replicas of canaries that are ready are taken off the predictor's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from reconciler.core.errors import Invalid
from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.kserve import INFERENCE_SERVICE_LABEL
from reconciler.ports import Replica
from tests.engine.rollout_world import GATE, RolloutWorld, model
from tests.engine.world import fares_by_image

SERVICE = ObjectKey("serving.kserve.io", "InferenceService", "team-a", "fraud")
STEPS = """\
    canary:
      steps:
      - {weight: 5%, requests: 20}
      - {weight: 25%, requests: 50}
      - {weight: 100%}
    keepWarm: 10m
"""
WAYS = ["v1", "v2 5", "v2 25", "v2 100"]
DEFINITION: JsonObject = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "inferenceservices.serving.kserve.io"},
    "spec": {
        "group": "serving.kserve.io",
        "names": {"kind": "InferenceService", "plural": "inferenceservices"},
        "scope": "Namespaced",
        "versions": [{"name": "v1beta1", "served": True, "storage": True}],
    },
}


def kserve_model(*versions: str, digit: str = "a") -> str:
    declared = model(*versions, digit=digit).replace("runtime: deployment", "runtime: kserve")
    return declared.replace("    route: {hostnames: [fraud.example.com]}\n", "")


class KServeWorld(RolloutWorld):
    """`broken` are versions whose replicas do not come up.

    `starts` counts how often the pods of a version were started anew, by cluster and version, and
    `fewest` how few replicas of a version there were while it had requests.
    """

    def __init__(
        self, *clusters: str, rate: float = 100.0, seed: int = 1, served: bool = True
    ) -> None:
        super().__init__(*clusters, rate=rate, seed=seed)
        self.broken: set[str] = set()
        self.starts: Counter[tuple[str, str]] = Counter()
        self.fewest: dict[str, int] = {}
        self._deployments: dict[tuple[str, str], bytes] = {}
        for cluster in self.clusters.values():
            cluster.status = self._status
            if served:
                cluster.apply_as("kubectl", DEFINITION)
                cluster.admission = self._admission(cluster.name)
            cluster.requests.clear()

    def declare(self, version: str, *, files: Mapping[str, str] | None = None, **said: Any) -> str:
        said.setdefault("strategy", STEPS)
        versions = [f"v{n}" for n in range(1, int(version[1:]) + 2)]
        declared = kserve_model(*versions, digit=said.pop("digit", "a"))
        texts = {"models/fraud.yaml": declared, "gates/errors.yaml": GATE, **(files or {})}
        return super().declare(version, files=texts, **said)

    def spec(self, cluster: str | None = None) -> Any:
        body = self._service(cluster or self.names[0])
        return body["spec"] if body else None

    def break_down(self, version: str) -> None:
        """Its replicas go, and stay away."""
        self.broken.add(version)
        self._report()

    def come_up(self, version: str) -> None:
        self.broken.discard(version)
        self._report()

    def rules(self, cluster: str | None = None) -> list[dict[str, Any]]:
        """The route that KServe makes: only what is ready gets requests."""
        body = self._service(cluster or self.names[0])
        if body is None:
            return []
        ready = {canary["name"] for canary in body["status"]["canaryStatuses"] if canary["ready"]}
        weights = {
            canary["predictor"]["name"]: canary["trafficPercent"]
            for canary in body["spec"]["canary"]
            if canary["predictor"]["name"] in ready
        }
        weights = {body["spec"]["predictor"]["name"]: 100 - sum(weights.values()), **weights}
        refs = [{"name": f"fraud-{name}", "weight": weight} for name, weight in weights.items()]
        return [{"backendRefs": refs}]

    def _service(self, cluster: str) -> Any:
        return self.clusters[ClusterName(cluster)].peek(SERVICE)

    def _report(self) -> None:
        for cluster in self.clusters.values():
            body: Any = cluster.peek(SERVICE)
            if body is not None:
                cluster.set_status(SERVICE, self._status(body))

    def _status(self, body: JsonObject) -> Any:
        if body["kind"] != "InferenceService":
            return fares_by_image(body)
        spec: Any = body["spec"]
        up = "False" if spec["predictor"]["name"] in self.broken else "True"
        return {
            # That of a Deployment: KServe tells no other.
            "observedGeneration": 1,
            "conditions": [
                {"type": name, "status": up, "reason": "", "message": ""}
                for name in ("Ready", "PredictorReady")
            ],
            "canaryStatuses": [
                {
                    "name": canary["predictor"]["name"],
                    "ready": canary["predictor"]["name"] not in self.broken,
                    "trafficPercent": canary["trafficPercent"],
                }
                for canary in spec["canary"]
            ],
        }

    def _admission(self, cluster: ClusterName) -> Any:
        def admit(body: Any) -> None:
            if body["kind"] != "InferenceService":
                return
            before: Any = self.clusters[cluster].peek(SERVICE)
            for objection in _objections(body["spec"], before["spec"] if before else None):
                raise Invalid(f"admission webhook denied the request: {objection}")

        return admit

    def _sync_replicas(self, cluster: ClusterName) -> None:
        replicas = self.replicas[cluster]
        wanted = self._pods(cluster)
        known = {replica.name for replica in replicas.present()}
        for name in known - wanted.keys():
            replicas.remove("team-a", name)
        for replica, labels in wanted.values():
            self._counters.setdefault(replica.uid, Counter())
            replicas.put(replica, labels)

    def _pods(self, cluster: ClusterName) -> dict[str, tuple[Replica, dict[str, str]]]:
        body = self._service(cluster)
        counts = replica_counts(body) if body else {}
        for gone in [
            key for key in self._deployments if key[0] == cluster and key[1] not in counts
        ]:
            del self._deployments[gone]
        found = {}
        shares = self.shares(cluster)
        for version, count in counts.items():
            template = template_of(body, version)
            content = orjson.dumps(template, option=orjson.OPT_SORT_KEYS)
            place = (str(cluster), version)
            if self._deployments.get(place) != content:
                self._deployments[place] = content
                self.starts[place] += 1
            if shares.get(version):
                self.fewest[version] = min(count, self.fewest.get(version, count))
            for number in range(0 if version in self.broken else count):
                name = f"fraud-{version}-predictor-{number}"
                uid = f"{cluster}/{version}/{self.starts[place]}/{number}"
                pod = Replica("team-a", name, uid, "10.0.0.1", ready=True)
                found[name] = pod, template["labels"]
        return found


def replica_counts(body: Any) -> dict[str, int]:
    """Replicas by version: those of canaries that are ready are taken off the predictor's."""
    ready = {canary["name"] for canary in body["status"]["canaryStatuses"] if canary["ready"]}
    first = body["spec"]["predictor"]
    canaries = [canary["predictor"] for canary in body["spec"]["canary"]]
    counts = {one["name"]: one["minReplicas"] for one in canaries}
    taken = sum(count for name, count in counts.items() if name in ready)
    own = first["minReplicas"]
    return {first["name"]: max(own - taken, 1) if taken else own, **counts}


def template_of(body: Any, version: str) -> Any:
    """The pod template of a version: a canary is laid over the predictor."""
    first, metadata = body["spec"]["predictor"], body["metadata"]
    predictors = [canary["predictor"] for canary in body["spec"]["canary"]]
    own = next((one for one in predictors if one["name"] == version), {})
    laid = {**first, **own}
    labels = {**metadata["labels"], **laid["labels"], INFERENCE_SERVICE_LABEL: metadata["name"]}
    annotations = {**metadata["annotations"], **laid["annotations"]}
    return {**laid, "minReplicas": None, "labels": labels, "annotations": annotations}


def _artifact(predictor: Any) -> str:
    variables = {one["name"]: one["value"] for one in predictor["containers"][0]["env"]}
    return str(variables["STORAGE_URI"])


def _objections(spec: Any, before: Any) -> list[str]:
    """What KServe's webhook says."""
    first = spec["predictor"]
    canaries = [canary["predictor"] for canary in spec["canary"]]
    names = [first["name"], *(one["name"] for one in canaries)]
    found = []
    if len(set(names)) < len(names):
        found.append("predictor.name is duplicated")
    if sum(canary["trafficPercent"] for canary in spec["canary"]) > 100:
        found.append("total traffic exceeds 100")
    if any(one["minReplicas"] > first["minReplicas"] for one in canaries):
        found.append("minReplicas must not exceed stable predictor minReplicas")
    renamed = before is not None and before["predictor"]["name"] != first["name"]
    if renamed and _artifact(before["predictor"]) == _artifact(first):
        found.append("predictor.name change requires a model change")
    return found
