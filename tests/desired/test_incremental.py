"""Compiling a commit after another gives what compiling it from nothing gives."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.compiling import Compilation
from reconciler.core.problems import Problem
from tests.desired.builders import (
    CLUSTERS,
    MODEL,
    POLICY,
    ROLLOUT,
    Tree,
    compile_tree,
    config_map,
    repository,
)

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team-search}\n"
ACCESS = """\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {name: owner}
spec:
  groups: [owners]
  allow:
  - {models: {labels: {team: risk}}, actions: [promote]}
  - {resources: [pods], verbs: [get], namespaces: [team-*]}
  unless: [{labels: {tier: restricted}, actions: [promote]}]
---
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {name: bot}
spec:
  purpose: evaluation
  models: [{model: fraud-detector, versions: [v3], actions: [infer]}]
  token: {audience: gateway}
  egress: [gateway]
  expires: 2027-06-30
"""

# Contents that each file may have; None is no such file. Some combinations are invalid.
CHOICES: dict[str, tuple[str | None, ...]] = {
    "fairlead.yaml": (
        POLICY,
        POLICY,
        POLICY.replace("name: acme", "name: other"),
        POLICY.replace("monitoring]", "audit]"),
        POLICY + "    clusters: {env: staging}\n",
        POLICY + "  exclude: [platform/b]\n",
        POLICY + "  - path: more\n  exclude: [docs]\n",
        POLICY + "  ignore: [{kind: ConfigMap, fields: [/data/value]}]\n",
        POLICY + "  ignore: [{kind: Service, fields: [/spec/selector]}]\n",
        POLICY.replace("labels: {fleet: acme}", "names: [staging-1, production-1]"),
        POLICY.replace("labels: {fleet: acme}", "names: [staging-1]"),
        POLICY + "  authorizer: {namespace: monitoring}\n",
        None,
    ),
    "clusters.yaml": (
        CLUSTERS,
        CLUSTERS,
        CLUSTERS.replace("env: production", "env: staging"),
        CLUSTERS.replace("name: public", "name: private"),
    ),
    "models.yaml": (MODEL, MODEL, MODEL.replace("port: 8000", "port: 9000"), "# moved\n" + MODEL),
    "rollouts.yaml": (
        ROLLOUT,
        ROLLOUT.replace("v3", "v4"),
        ROLLOUT.replace("v3", "v9"),
        "# moved\n" + ROLLOUT,
        ROLLOUT.replace("env: staging", "env: nowhere"),
        None,
    ),
    "access.yaml": (
        ACCESS,
        "# moved\n" + ACCESS,
        ACCESS.replace("groups: [owners]", "groups: [owners, others]"),
        ACCESS.replace("[pods]", "[podz]"),
        ACCESS.replace("team-*", "*"),
        None,
    ),
    "platform/a/namespace.yaml": (None, None, NAMESPACE, NAMESPACE.replace("search", "risk")),
    "platform/a/one.yaml": (
        config_map("one"),
        config_map("one", value="2"),
        config_map("two"),
        config_map("one") + "---\n" + config_map("extra"),
        config_map("one", namespace="monitoring"),
        config_map("one", namespace="kube-system"),
        None,
    ),
    "platform/a/two.yaml": (config_map("two"), config_map("three"), None),
    "platform/b/one.yaml": (config_map("four"), config_map("three"), "broken: [", None),
    "more/deep/x.yaml": (None, None, config_map("five")),
    "docs/notes.yaml": (None, None, None, "a: 1"),
}


def tree_of(picks: dict[str, str | None]) -> Tree:
    return {path: content for path, content in picks.items() if content is not None}


edits = st.lists(
    st.sampled_from(sorted(CHOICES)).flatmap(
        lambda path: st.tuples(st.just(path), st.sampled_from(CHOICES[path]))
    ),
    min_size=1,
    max_size=3,
)
VALID = tree_of({path: choices[0] for path, choices in CHOICES.items()})
trees = edits.map(lambda edit: tree_of({**VALID, **dict(edit)}))


def everything(compilation: Compilation) -> object:
    """All that a compilation says, places of documents included."""
    state = compilation.state
    return (
        state,
        {
            key: sorted((str(k), m.digest, m.source) for k, m in unit.manifests.items())
            for key, unit in state.units.items()
        },
        {cluster: dict(index) for cluster, index in compilation.owners.items() if index},
        compilation.plain_units,
        compilation.files.entries,
    )


def texts(problems: tuple[Problem, ...]) -> list[tuple[str, str, str, str]]:
    """Without columns: of a file that did not change only the place of the document is known."""
    return sorted((p.path, p.code, p.message, p.hint) for p in problems)


@settings(max_examples=150, deadline=None)
@given(start=trees, history=st.lists(edits, min_size=1, max_size=8))
def test_incremental_equals_from_scratch(
    start: Tree, history: list[list[tuple[str, str | None]]]
) -> None:
    previous: Compilation | None = None
    before: Tree = {}
    tree = start
    for edit in ([], *history):
        tree = tree_of({**tree, **dict(edit)})
        rules = previous.state.policy if previous else None
        now, problems = compile_tree(tree, before=before, previous=previous, rules=rules)
        fresh, fresh_problems = compile_tree(tree, rules=rules)
        assert texts(problems) == texts(fresh_problems)
        if now is None or fresh is None:
            assert now is fresh
            continue
        assert everything(now) == everything(fresh)
        previous, before = now, tree


@settings(max_examples=50, deadline=None)
@given(start=trees, edit=edits)
def test_a_revert_restores_every_digest(start: Tree, edit: list[tuple[str, str | None]]) -> None:
    first, _ = compile_tree(start)
    changed = tree_of({**start, **dict(edit)})
    second, _ = compile_tree(changed, before=start, previous=first)
    if first is None or second is None:
        return
    third, problems = compile_tree(start, before=changed, previous=second)
    assert third is not None, problems
    assert {key: unit.digest for key, unit in third.state.units.items()} == {
        key: unit.digest for key, unit in first.state.units.items()
    }


def test_an_unchanged_unit_stays_the_same_object() -> None:
    tree = repository(
        models=MODEL,
        rollouts=ROLLOUT,
        platform__a__one=config_map("one"),
        platform__b__two=config_map("two"),
    )
    first, _ = compile_tree(tree)
    after = {**tree, "platform/a/one.yaml": config_map("one", value="2")}
    second, _ = compile_tree(after, before=tree, previous=first)
    assert first is not None
    assert second is not None
    different = {
        name
        for (cluster, name), unit in second.state.units.items()
        if first.state.units[cluster, name] is not unit
    }
    assert different == {"manifests/platform/a"}
