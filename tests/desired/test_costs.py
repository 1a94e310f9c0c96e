"""Cost follows the change, not the repository."""

from __future__ import annotations

import time

from reconciler.core.compiling import blobs_to_read, compile_commit
from tests.desired.builders import (
    MODEL,
    POLICY,
    ROLLOUT,
    blob,
    commit_of,
    compiled,
    config_map,
    difference,
    repository,
)

UNITS, FILES = 100, 20
LIMIT = 0.015
"""Seconds of CPU for one changed file; measured 0.0013 with five times as many files."""


def large_repository() -> dict[str, str | bytes]:
    plain = {
        f"platform__u{unit}__f{file}": config_map(f"u{unit}-f{file}", value="x" * 700)
        for unit in range(UNITS)
        for file in range(FILES)
    }
    return repository(**plain, models=MODEL, rollouts=ROLLOUT)


def test_one_changed_file_costs_one_read_and_few_milliseconds() -> None:
    tree = large_repository()
    previous = compiled(tree)
    content = config_map("u0-f0", value="y")
    after = {**tree, "platform/u0/f0.yaml": content}
    change, commit, seconds = difference(tree, after), commit_of(after), []
    for _ in range(5):
        started = time.process_time()
        assert blobs_to_read(change, {}, previous=previous) == (blob(content),)
        now, problems = compile_commit(
            commit,
            change,
            {blob(content): content.encode()},
            previous=previous,
            rules=previous.state.policy,
        )
        seconds.append(time.process_time() - started)
        assert now is not None, problems
    assert min(seconds) < LIMIT


def test_a_change_that_concerns_nobody_changes_nothing() -> None:
    tree = repository(models=MODEL, rollouts=ROLLOUT, platform__x__a=config_map("a"))
    previous = compiled(tree)
    after = {**tree, "README.md": "hello"}
    now = compiled(after, before=tree, previous=previous)
    assert all(now.state.units[key] is unit for key, unit in previous.state.units.items())


def test_another_deletion_budget_builds_no_unit_again() -> None:
    tree = repository(models=MODEL, rollouts=ROLLOUT, platform__x__a=config_map("a"))
    previous = compiled(tree)
    after = {**tree, "fairlead.yaml": POLICY + "  deletionBudget: {objects: 3}\n"}
    now = compiled(after, before=tree, previous=previous)
    assert all(now.state.units[key] is unit for key, unit in previous.state.units.items())
