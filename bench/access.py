"""Access: what it costs to tell who gains and who loses, in an organisation of a thousand roles.

Separate from the estates, because no cluster has a part in it. The documents are the worst case:
every role may do everything with every version, and every version lists every role.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from reconciler.core.access.differences import difference
from reconciler.core.access.permissions import permissions
from reconciler.core.access.policy import AccessPolicy
from reconciler.core.kinds import API_VERSION, Model, Role

SUBJECTS, MODELS = 1_000, 200
TEAMS = 20
ROUNDS = 5
_TODAY = date(2026, 1, 1)
_DIGEST = f"sha256:{'ab' * 32}"

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class AccessFigures:
    """Seconds for both sides and their difference, and how many permissions one side has."""

    seconds: float
    permissions: int


def measure_access() -> AccessFigures:
    names = [f"role-{number}" for number in range(SUBJECTS)]
    models = [_model(number, names) for number in range(MODELS)]
    wide = [_role(name, TEAMS) for name in names]
    before = AccessPolicy.of(roles=wide, models=models)
    narrow = [_role(name, TEAMS - 1) for name in names[: SUBJECTS // 2]]
    after = AccessPolicy.of(roles=[*narrow, *wide[SUBJECTS // 2 :]], models=models)

    def told() -> int:
        old, new = permissions(before, _TODAY), permissions(after, _TODAY)
        assert len(difference(old, new).sentences) == SUBJECTS // 2
        return sum(map(len, old.models.values()))

    seconds, count = _fastest(told)
    return AccessFigures(seconds, count)


def access_table(figures: AccessFigures) -> str:
    """Markdown."""
    return (
        "| what | target | measured |\n| --- | --- | --- |\n"
        f"| who gains and who loses among {SUBJECTS:,} roles on {MODELS} models, "
        f"{figures.permissions:,} permissions | ≤ 2 s | {figures.seconds:.1f} s |\n"
    )


def _fastest(work: Callable[[], _Value]) -> tuple[float, _Value]:
    """The least of a few runs: everything else on the machine only adds."""
    best, value = float("inf"), work()
    for _ in range(ROUNDS):
        started = time.perf_counter()
        value = work()
        best = min(best, time.perf_counter() - started)
    return best, value


def _model(number: int, names: list[str]) -> Model:
    access = {"inference": names, "retraining": names}
    artifact = f"oci://registry.example.com/models/m{number}@{_DIGEST}"
    container = {"image": f"registry.example.com/serve@{_DIGEST}", "port": 8000}
    metadata = {"name": f"m{number}", "labels": {"team": f"t{number % TEAMS}"}}
    spec = {
        "owner": "team-a",
        "versions": [{"name": "v1", "artifact": artifact, "access": access}],
        "serving": {"runtime": "deployment", "container": container},
    }
    return Model.model_validate(_document("Model", metadata, spec))


def _role(name: str, teams: int) -> Role:
    actions = ["infer", "retrain", "promote"]
    allow = [
        {"models": {"labels": {"team": f"t{team}"}}, "actions": actions} for team in range(teams)
    ]
    spec = {"groups": [name], "allow": allow}
    return Role.model_validate(_document("Role", {"name": name}, spec))


def _document(
    kind: str, metadata: Mapping[str, object], spec: Mapping[str, object]
) -> dict[str, object]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
