"""Whose a change is, from the bytes of signed commits: the key says so, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pygit2
import pytest

from reconciler.adapters.git_proposals import GitProposals
from reconciler.adapters.git_remotes import GitSource
from reconciler.adapters.git_signatures import SignatureVerifier
from reconciler.core.authorship import Author, People, Unattributed
from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName, CommitSha
from reconciler.core.ledger import Applied, Entry, Ledger, Position
from reconciler.core.outstanding import ClusterView, outstanding
from reconciler.core.snapshots import FrozenSnapshot
from reconciler.engine.attributing import Attributor, Merging, Standpoint
from reconciler.engine.fetching import Compiled, Compiler
from tests.engine.world import cluster_document, config_map, policy

from .signing import SecurityKey
from .test_signatures import Signed

ALICE = Author("alice@example.com", "oidc:alice")
BOB = Author("bob@example.com", "oidc:bob", ("oidc:platform-engineers",))
PEOPLE = People(
    {author.signer: author for author in (ALICE, BOB)},
    frozenset({ClusterName("one")}),
    own="fairlead@example.com",
)


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


def test_a_commit_is_of_whom_the_key_belongs_to_whatever_it_says_itself(signed: Signed) -> None:
    hers, his = SecurityKey.plain(), SecurityKey.plain()
    signed.allow(f"{ALICE.signer} {hers.public}", f"{BOB.signer} {his.public}")
    signed.commit(hers, email=BOB.signer, message="change\n\nSigned-off-by: bob@example.com")
    assert PEOPLE.of(signed.verify()) == (ALICE,)
    signed.commit(his, email=ALICE.signer)
    assert PEOPLE.of(signed.verify()) == (ALICE, BOB)


def test_a_key_for_a_whole_domain_is_nobodys(signed: Signed) -> None:
    key = SecurityKey.plain()
    signed.allow(f"*@example.com {key.public}")
    signed.commit(key, email=BOB.signer)
    found = PEOPLE.of(signed.verify())
    assert isinstance(found, Unattributed)
    assert "do not say whose it is" in found.reason


def test_nobody_passes_for_the_daemon_by_its_address(signed: Signed) -> None:
    key = SecurityKey.plain()
    signed.allow(f"{ALICE.signer} {key.public}")
    signed.commit(key, email=PEOPLE.own)
    assert PEOPLE.of(signed.verify()) == (ALICE,)


def test_a_second_key_of_a_person_is_the_same_author(signed: Signed) -> None:
    one, two = SecurityKey.plain(), SecurityKey.plain()
    signed.allow(f"{ALICE.signer} {one.public}", f"{ALICE.signer},alice@home {two.public}")
    signed.commit(one)
    signed.commit(two)
    assert PEOPLE.of(signed.verify()) == (ALICE,)


class Proposed:
    """A repository with a branch, and a change beside it that is behind."""

    def __init__(self, directory: Path) -> None:
        self.keys = {author.signer: SecurityKey.plain() for author in (ALICE, BOB)}
        self.allowed = directory / "allowed_signers"
        lines = [f"{name} {key.public}\n" for name, key in self.keys.items()]
        self.allowed.write_text("".join(lines), encoding="utf-8")
        self.place = directory / "config.git"
        self.repository = pygit2.init_repository(str(self.place), bare=True)

    def commit(self, signer: str, ref: str, files: Mapping[str, bytes], *parents: str) -> str:
        index = pygit2.Index()
        if parents:
            index.read_tree(self.repository[parents[0]].tree)
        for path, content in files.items():
            blob = self.repository.create_blob(content)
            index.add(pygit2.IndexEntry(path, blob, pygit2.enums.FileMode.BLOB))
        tree = index.write_tree(self.repository)
        who = pygit2.Signature("Ada", signer, 1_767_225_600 + len(parents), 0)
        oids = [pygit2.Oid(hex=parent) for parent in parents]
        content = self.repository.create_commit_string(who, who, "change", tree, oids)
        armored = self.keys[signer].sign(content.encode(), namespace="git").decode()
        made = str(self.repository.create_commit_with_signature(content, armored, "gpgsig"))
        self.repository.references.create(ref, pygit2.Oid(hex=made), force=True)
        return made


async def test_what_a_merge_would_bring_is_of_whoever_proposes_it(tmp_path: Path) -> None:
    remote, main = Proposed(tmp_path), "refs/heads/main"
    a, b = config_map("a"), config_map("b")
    files = {"fairlead.yaml": policy("one"), "clusters/one.yaml": cluster_document("one")}
    first = remote.commit(BOB.signer, main, {**files, "apps/w/a.yaml": a, "apps/w/b.yaml": b})
    hers = {"apps/w/b.yaml": config_map("b", "2")}
    theirs = remote.commit(ALICE.signer, "refs/pull/1/head", hers, first)
    his = {"apps/w/c.yaml": config_map("c")}
    base = remote.commit(BOB.signer, main, his, first)
    verifier = SignatureVerifier(remote.allowed)
    proposals = GitProposals(GitSource(url=str(remote.place)), tmp_path / "m", verifier=verifier)
    try:
        assert await proposals.fetch() == base
        await proposals.fetch_ref("refs/pull/1/head")
        merged = await proposals.merged(CommitSha(base), CommitSha(theirs))
        proposed = await proposals.proposed(CommitSha(base), CommitSha(theirs))
        assert [commit.signer for commit in proposed] == [ALICE.signer]
        compiler = Compiler(proposals)
        before = await compiler.compile(CommitSha(first), rules=None)
        after = await compiler.compile(merged, rules=None)
        assert isinstance(before, Compiled)
        assert isinstance(after, Compiled)
        target = after.compilation.state
        one = ClusterName("one")
        position = Position(accepted=CommitSha(base), applied={one: CommitSha(first)})
        view = ClusterView(_ledger(before.compilation.state), FrozenSnapshot(one))
        at = Standpoint(
            target,
            position,
            lambda _: {},
            (before.compilation.state,),
            Merging(CommitSha(base), proposed),
        )
        work = outstanding(target, [view], every_object=True)
        found = await Attributor(proposals, PEOPLE, Compiler(proposals)).attribute(work, at)
        assert {key.name: who for (_, key), who in found.items()} == {"b": (ALICE,), "c": (BOB,)}
    finally:
        proposals.close()


def _ledger(state: DesiredState) -> Ledger:
    """As if all of a state was applied once, and is gone from the cluster."""
    entries = {
        key: Entry(key, unit.name, "v1", Applied(manifest, state.commit, manifest.digest, "uid"))
        for unit in state.units.values()
        for key, manifest in unit.manifests.items()
    }
    return Ledger(ClusterName("one"), entries)
