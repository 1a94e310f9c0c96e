"""A revert, made by `fairlead revert`, brings back exactly what was there before.

Over random histories on a real repository: every commit is reverted by the command, the result
pushed and reconciled, and the digests of the objects that the reverted commit touched are those
of before it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.core.errors import Refused
from reconciler.core.identifiers import CommitSha
from reconciler.core.reverting import RevertConflict
from reconciler.surfaces.revert_command import revert_command
from reconciler.wiring.forges import revert_tools
from tests.engine.world import config_map, deployment

from .estate import GOOD, ONE, POLICY, Siege, besieged

Files = dict[str, bytes | None]
Digests = Mapping[str, str]


def random_commit(chance: random.Random, present: dict[str, str]) -> Files:
    """Creations, changes, deletions and moves between units, each object at most once."""
    files: Files = {}
    for name in chance.sample("pqrstuvwxz", chance.randint(1, 3)):
        path = present.pop(name, None)
        if path and chance.random() < 0.3:
            files[path] = None
            continue
        if path and chance.random() < 0.2:
            files[path] = None
            path = None
        path = path or f"apps/{chance.choice('xyz')}/{name}{chance.randrange(1000)}.yaml"
        present[name] = path
        make = deployment if name in "pq" else config_map
        files[path] = make(name, chance.choice("abcdef"))
    return files


def digests(siege: Siege) -> Digests:
    """Of what the ledger says was applied, without the unit that it was applied with."""
    entries = siege.engine.books.ledger(ONE).entries.values()
    return {str(e.key): e.applied.manifest.digest for e in entries if e.applied}


def reverted(siege: Siege, sha: CommitSha) -> CommitSha | None:
    """The commit that `fairlead revert` prepares; None when later commits are in the way."""
    done = CliRunner().invoke(
        revert_command,
        [sha, "--repo", str(siege.origin.directory), "--branch", f"undo-{siege.origin.head}"],
        obj=revert_tools(),
    )
    if isinstance(done.exception, RevertConflict | Refused):
        return None
    assert done.exception is None, done.output
    found = siege.origin.repository.references[f"refs/heads/undo-{siege.origin.head}"]
    return CommitSha(str(found.target))


@pytest.mark.parametrize("seed", range(4))
async def test_a_revert_restores_the_digests_of_before(tmp_path: Path, seed: int) -> None:
    chance, present = random.Random(seed), dict[str, str]()
    generous = {**GOOD, "fairlead.yaml": POLICY.replace(b"20%", b"100%")}
    restored = 0
    async with besieged(tmp_path, first=generous) as siege:
        siege.origin.repository.set_head("refs/heads/main")
        siege.origin.repository.config["user.name"] = "Grace"
        siege.origin.repository.config["user.email"] = "grace@example.com"
        history: list[tuple[CommitSha, Digests, Digests]] = []
        before = digests(siege)
        for _ in range(6):
            commit = siege.origin.push(random_commit(chance, present))
            await siege.applies(commit)
            history.append((commit, before, digests(siege)))
            before = history[-1][2]
        for commit, before, after in chance.sample(history, len(history)):
            now = digests(siege)
            undo = reverted(siege, commit)
            if undo is None:
                continue
            good = siege.good
            siege.origin.rewrite(undo)
            if not await siege.judges(undo):
                # Git sees no conflict where an object that came back has moved meanwhile.
                refusal = await siege.refusal_of(undo)
                assert {problem[0] for problem in refusal.problems} == {"duplicate-object"}
                siege.origin.rewrite(good)
                continue
            result = digests(siege)
            for key in before.keys() | after.keys() | now.keys():
                if before.get(key) == after.get(key):
                    assert result.get(key) == now.get(key), "what it did not touch stays"
                elif now.get(key) == after.get(key):
                    # Where a later commit moved the file, Git carries the revert to the new place.
                    assert result.get(key) == before.get(key)
                    restored += 1
    assert restored
