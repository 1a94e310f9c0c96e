"""What a commit is compiled to."""

from __future__ import annotations

import pytest

from tests.desired.builders import (
    CLUSTERS,
    MODEL,
    POLICY,
    ROLLOUT,
    codes,
    compile_tree,
    compiled,
    config_map,
    repository,
)


def units(tree: dict[str, str | bytes]) -> dict[tuple[str, str], int]:
    return {key: unit.stage for key, unit in compiled(tree).state.units.items()}


def test_each_matching_directory_is_a_unit_of_every_selected_cluster() -> None:
    tree = repository(
        platform__monitoring__deep__er=config_map("a"), platform__logging__b=config_map("b")
    )
    assert units(tree) == {
        (cluster, f"manifests/platform/{name}"): 0
        for cluster in ("staging-1", "production-1")
        for name in ("monitoring", "logging")
    }


def test_a_manifest_source_goes_only_to_the_clusters_it_selects() -> None:
    policy = POLICY + "    clusters: {env: staging}\n"
    tree = repository(platform__monitoring__a=config_map("a")) | {"fairlead.yaml": policy}
    assert units(tree) == {("staging-1", "manifests/platform/monitoring"): 0}


def test_a_rollout_has_a_unit_in_each_cluster_with_the_index_of_its_wave() -> None:
    assert units(repository(models=MODEL, rollouts=ROLLOUT)) == {
        ("staging-1", "rollout/fraud-detector"): 0,
        ("production-1", "rollout/fraud-detector"): 1,
    }


def test_a_cluster_that_two_waves_select_changes_with_the_first() -> None:
    rollout = ROLLOUT + "  - clusters: {fleet: acme}\n"
    assert units(repository(models=MODEL, rollouts=rollout)) == {
        ("staging-1", "rollout/fraud-detector"): 0,
        ("production-1", "rollout/fraud-detector"): 1,
    }


def test_every_object_carries_repository_and_unit() -> None:
    tree = repository(models=MODEL, rollouts=ROLLOUT, platform__monitoring__a=config_map("a"))
    for unit in compiled(tree).state.units.values():
        for manifest in unit.manifests.values():
            labels = manifest.body["metadata"]["labels"]  # type: ignore[index,call-overload]
            assert labels["fairlead.dev/repository"] == "acme"  # type: ignore[index,call-overload]
            assert labels["fairlead.dev/unit"] == unit.name.replace("/", ".")  # type: ignore[index,call-overload]


def test_a_manifest_knows_the_place_of_its_document() -> None:
    content = f"{config_map('a')}---\n{config_map('b')}"
    compilation = compiled(repository(platform__monitoring__both=content))
    unit = compilation.state.units["staging-1", "manifests/platform/monitoring"]  # type: ignore[index]
    assert sorted(str(m.source) for m in unit.manifests.values()) == [
        "platform/monitoring/both.yaml:1",
        "platform/monitoring/both.yaml:9",
    ]


def test_white_space_and_order_of_fields_do_not_change_the_digest() -> None:
    one = compiled(repository(platform__x__a=config_map("a")))
    lines = config_map("a").splitlines(keepends=True)
    other = compiled(
        repository(platform__x__a="# moved\n" + lines[1] + lines[0] + "".join(lines[2:]))
    )
    key = ("staging-1", "manifests/platform/x")
    assert one.state.units[key].digest == other.state.units[key].digest  # type: ignore[index]


def test_what_is_declared_and_does_not_act_is_told() -> None:
    tree = repository(
        models=MODEL.replace(
            "    route:", "    secrets: [{name: hf, from: 'vault:kv/fraud#hf'}]\n    route:"
        ),
        rollouts=ROLLOUT + "  strategy: {recreate: {}}\n",
        prompts="apiVersion: fairlead.dev/v1alpha1\nkind: Prompt\nmetadata: {name: answer}\n"
        "spec: {owner: team-risk, model: fraud-detector, versions: [{name: v1, text: Brief.}]}\n",
    )
    assert compiled(tree).state.notices == (
        "Model fraud-detector has a route, but cluster staging-1 has no gateway",
        "Prompt answer is declared but not yet enforced",
        "Rollout fraud-detector declares a strategy (recreate) that is not carried out yet: its "
        "version changes at once",
        "secret hf of Model fraud-detector is not delivered in production-1, staging-1: "
        "no secretDelivery there has vault",
    )


def test_an_empty_repository_is_a_problem_and_not_a_wish_for_nothing() -> None:
    assert codes({}) == ["repository-missing"]


@pytest.mark.parametrize("content", ["", "# nothing\n", "kind: [", CLUSTERS])
def test_an_unreadable_policy_is_a_problem(content: str) -> None:
    tree = repository(models=MODEL) | {"fairlead.yaml": content}
    assert compile_tree(tree)[0] is None


def test_a_policy_that_disappears_is_a_problem() -> None:
    tree = repository(models=MODEL)
    previous = compiled(tree)
    after = {path: content for path, content in tree.items() if path != "fairlead.yaml"}
    assert codes(after, before=tree, previous=previous) == ["repository-missing"]


def test_a_file_outside_the_declared_paths_must_hold_documents_of_fairlead() -> None:
    typo = MODEL.replace("fairlead.dev/v1alpha1", "farilead.dev/v1alpha1")
    assert codes(repository(models=typo)) == ["not-a-document"]


def test_files_that_are_hidden_excluded_or_of_another_type_are_left_alone() -> None:
    policy = POLICY + "  exclude: [docs, mkdocs.yml]\n"
    tree = repository() | {
        "fairlead.yaml": policy,
        ".github/workflows/ci.yaml": "on: push",
        "docs/deep/x.yaml": "a: 1",
        "mkdocs.yml": "site_name: x",
        "README.md": "# hello",
        "run.sh": "exit 0",
    }
    assert codes(tree) == []


def test_a_file_that_is_no_longer_excluded_is_read() -> None:
    tree = repository(docs__a="a: 1") | {"fairlead.yaml": POLICY + "  exclude: [docs]\n"}
    previous = compiled(tree)
    after = tree | {"fairlead.yaml": POLICY}
    assert codes(after, before=tree, previous=previous) == ["field-missing"] * 3


def test_all_problems_come_at_once() -> None:
    tree = repository(
        models=MODEL.replace("port: 8000", "port: 0"),
        rollouts=ROLLOUT.replace("version: v3", "version: v9").replace("team-risk", "kube-system"),
        platform__x__a=config_map("A"),
    )
    assert sorted(codes(tree)) == ["field-value", "name", "namespace-not-allowed"]
