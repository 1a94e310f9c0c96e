"""What the example says about secrets in comments is true once the comments are taken away."""

from __future__ import annotations

from pathlib import Path

from reconciler.core.aws_policies import rollout_policies
from tests.desired.builders import compiled

EXAMPLE = Path(__file__).parents[2] / "example-repo"
PRODUCTION = "clusters/production.yaml"
STORE = """\
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: vault-main}
spec: {vault: {}}
"""


def test_the_example_delivers_its_secrets_where_a_way_is_installed() -> None:
    tree = {
        str(path.relative_to(EXAMPLE)): path.read_text(encoding="utf-8")
        for path in EXAMPLE.rglob("*.yaml")
    }
    commented = tree[PRODUCTION]
    lines = commented.replace("  # secretDelivery", "  secretDelivery").replace("  #   ", "    ")
    assert lines != commented
    policy = tree["fairlead.yaml"].replace(
        "[staging, production]", "[staging, production, vault-main]"
    )
    state = compiled(
        {**tree, PRODUCTION: lines, "clusters/vault.yaml": STORE, "fairlead.yaml": policy}
    ).state
    assert state.readers == {
        "agent/eval-bot": {"vault:kv/risk/eval/*"},
        "rollout/fraud-detector": {"vault:kv/risk/fraud"},
        "rollout/reranker-production": {"aws:prod/search/reranker"},
    }
    assert len(rollout_policies(state, "reranker-production")) == 1
