"""Repositories whose rendered manifests are looked at."""

from __future__ import annotations

from reconciler.core.desired import Unit
from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.manifests import JsonObject
from tests.desired.builders import (
    ADAPTER,
    ADAPTER_ROLLOUT,
    CLUSTERS,
    DIGEST,
    MODEL,
    ROLLOUT,
    compiled,
    repository,
)
from tests.desired.kserve import KSERVE_MODEL, KSERVE_ROLLOUT

GPU_MODEL = f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: support-llm, labels: {{team: support}}}}
spec:
  owner: team-support
  versions:
  - name: v1
    artifact: oci://registry.example.com/models/support@{DIGEST}
  serving:
    runtime: deployment
    replicas: 1
    modelMount: /mnt/weights
    signals: {{path: /stats}}
    container:
      image: registry.example.com/vllm@{DIGEST}
      port: 9000
      command: [python3, -m, server]
      args: [--model, /mnt/weights]
      env: {{LOG_LEVEL: info, HOME: /work, CACHE: $(HOME)/cache}}
      probes: {{readiness: /health, liveness: /live}}
      resources:
        requests: {{cpu: "4"}}
        limits: {{memory: 64Gi, nvidia.com/gpu: 2}}
"""

GPU_ROLLOUT = """\
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {name: support-llm}
spec:
  model: support-llm
  version: v1
  namespace: team-support
  waves: [{clusters: {env: production}}]
  strategy: {recreate: {}}
"""

LONG = "x" * 60
CASES: dict[str, dict[str, str]] = {
    "routed": {"models": MODEL, "rollouts": ROLLOUT},
    "gpu": {"models": GPU_MODEL, "rollouts": GPU_ROLLOUT},
    "long-names": {
        "models": MODEL.replace("fraud-detector", LONG),
        "rollouts": ROLLOUT.replace("fraud-detector", LONG),
    },
    "adapter": {
        "models": MODEL,
        "rollouts": ROLLOUT,
        "adapter": ADAPTER,
        "adapter_rollout": ADAPTER_ROLLOUT,
    },
    "kserve": {"models": KSERVE_MODEL, "rollouts": KSERVE_ROLLOUT},
}


def unit_of(files: dict[str, str], *, cluster: str = "production-1") -> Unit:
    """The unit that the files give in a cluster; that of the adapter, where there is one."""
    units = compiled(repository(**{"clusters": CLUSTERS, **files})).state.units.values()
    return max((unit for unit in units if unit.cluster == cluster), key=lambda unit: unit.name)


def bodies_of(unit: Unit) -> list[JsonObject]:
    return [manifest.body for _, manifest in sorted(unit.manifests.items())]


def rendered(**files: str) -> dict[tuple[str, str], JsonObject]:
    """Bodies by kind and name."""
    unit = unit_of({"models": MODEL, "rollouts": ROLLOUT, **files})
    return {(key.kind, key.name): m.body for key, m in unit.manifests.items()}


UNIT = (ClusterName("production-1"), UnitName("rollout/fraud-detector"))
