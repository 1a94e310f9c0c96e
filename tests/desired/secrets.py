"""A model, an agent and a store that delivers to them, for tests."""

from __future__ import annotations

from tests.desired.builders import CLUSTERS, MODEL, ROLLOUT, repository

REFERENCES = {
    "hf-token": "vault:kv/risk/fraud#hf_token@7",
    "feature-store": "vault:kv/risk/features#token.v2",
    "licence": "vault:other/shared#licence",
    "search": "aws:prod/search/reranker#token",
}

STORE = """\
---
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: vault-main, labels: {fleet: acme}}
spec: {vault: {address: "https://vault.example.com:8200"}}
"""

AGENT = """\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {name: eval-bot}
spec:
  purpose: evaluation
  secrets: ["vault:kv/risk/eval/*", "vault:kv/risk/judge"]
  token: {audience: models}
  expires: 2027-06-30
"""


def clusters(vault: str = "", aws: str = "", *, store: str = STORE) -> str:
    """Those of the builders; production has the methods that are named, and staging has none."""
    ways = [
        *([f"    vault: {{method: {vault}, store: vault-main}}"] if vault else []),
        *(
            [f"    aws: {{method: {aws}, region: eu-west-1, account: '123456789012'}}"]
            if aws
            else []
        ),
    ]
    before, spec, after = CLUSTERS.partition("spec: ")
    gateway = after.strip().removeprefix("{").removesuffix("}")
    if not ways:
        return f"{before}{spec}{after}{store}"
    return before + "\n".join(["spec:", f"  {gateway}", "  secretDelivery:", *ways]) + "\n" + store


def model(*names: str, template: str = MODEL) -> str:
    lines = [f'    - {{name: {name}, from: "{REFERENCES[name]}"}}' for name in names]
    return template + "\n".join(["    secrets:", *lines]) + "\n" if names else template


def with_secrets(
    *names: str, vault: str = "", aws: str = "", **files: str
) -> dict[str, str | bytes]:
    """A repository whose model wants these."""
    return repository(
        **{
            "clusters": clusters(vault, aws),
            "models": model(*names),
            "rollouts": ROLLOUT,
            **files,
        }
    )
