"""A real repository that an attacker may push to, and the daemon's engine that watches it.

Real are Git, the mirror, the engine, the state database and the log lines; the cluster is the one
in memory, unless a test brings another. `Siege.resists` holds what every hostile commit must find:
it is refused with its reason, nothing was written, drift is still put back, the next good commit
is applied, and nothing that people read holds a character that could act on a terminal.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pygit2
import structlog
from pygit2.enums import FileMode, ObjectType

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_lease import ClusterLease
from reconciler.adapters.cluster_memory import MemoryCluster
from reconciler.adapters.git_mirror import GitMirror
from reconciler.adapters.git_remotes import GitSource
from reconciler.adapters.git_signatures import SignatureVerifier
from reconciler.adapters.lease_memory import MemoryLeaseStore
from reconciler.adapters.state_sql import SqlStateStore, open_state
from reconciler.core.audit.records import Verb
from reconciler.core.identifiers import ClusterName, CommitSha, ObjectKey
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.standing import status_json
from reconciler.engine.books import Books
from reconciler.engine.driving import Engine
from reconciler.engine.performing import Context
from reconciler.ports import Cluster, Head, Logged
from reconciler.settings import LogSettings
from reconciler.surfaces.audit_reports import record_text, records_table
from reconciler.surfaces.engine_status import EngineStatus
from reconciler.telemetry import set_up_logging
from tests.engine.world import (
    REPOSITORY,
    cluster_document,
    config_map,
    config_map_key,
)
from tests.git.builders import SourceRepository

ONE = ClusterName("one")
WATCHED = config_map_key("a")
"""The object that is edited by somebody else to see that drift is still put back."""

POLICY = b"""\
apiVersion: fairlead.dev/v1alpha1
kind: Repository
metadata: {name: acme}
spec:
  clusters: {names: [one]}
  manifests:
  - path: apps/*
  allow:
    namespaces: [team-*]
    kinds: [Role.rbac.authorization.k8s.io]
  deletionBudget: {percent: 20%, objects: 1000}
"""

GOOD: Mapping[str, bytes] = {
    "fairlead.yaml": POLICY,
    "clusters/one.yaml": cluster_document("one", env="one"),
    **{f"apps/web/{name}.yaml": config_map(name) for name in "abcdefghij"},
}

INVALID = "invalid"

Segments: TypeAlias = tuple[bytes, ...]
Problem: TypeAlias = tuple[str, str, int | None]
"""Code, path and line, as the audit record has them."""


class Origin(SourceRepository):
    """The remote, with trees that no client of Git would write."""

    def plant(
        self,
        *path: bytes,
        content: bytes = b"",
        mode: bytes = b"100644",
        oid: pygit2.Oid | None = None,
        message: str = "plant",
    ) -> CommitSha:
        """Add one entry under exactly these names, whatever is in them."""
        return self.plant_all([(path, mode, oid or self.blob(content))], message=message)

    def plant_all(
        self, entries: Iterable[tuple[Segments, bytes, pygit2.Oid]], *, message: str = "plant"
    ) -> CommitSha:
        root = self._nested(self.repository[self.head].tree.id) if self.head else {}
        for path, mode, oid in entries:
            at = root
            for name in path[:-1]:
                below = at.setdefault(name, {})
                if not isinstance(below, dict):
                    below = at[name] = self._nested(below[1])
                at = below
            at[path[-1]] = (mode, oid)
        return self.push_tree(self._written(root), message=message)

    def push_tree(
        self,
        tree: pygit2.Oid,
        *,
        message: str = "change",
        author: str = "Ada",
        email: str = "ada@example.com",
        parents: list[str] | None = None,
    ) -> CommitSha:
        """Written byte by byte: libgit2 would refuse some of these trees and people."""
        self._time += 60
        parents = parents if parents is not None else ([self.head] if self.head else [])
        who = f"{author} <{email}> {self._time} +0000"
        lines = [f"tree {tree}", *(f"parent {sha}" for sha in parents)]
        text = "\n".join([*lines, f"author {who}", f"committer {who}", "", message])
        oid = self.repository.odb.write(ObjectType.COMMIT, text.encode("utf-8", "surrogateescape"))
        self.rewrite(CommitSha(str(oid)))
        return CommitSha(str(oid))

    def _nested(self, tree: pygit2.Oid) -> dict[bytes, object]:
        return {
            entry.raw_name: (b"40000" if entry.filemode == FileMode.TREE else b"100644", entry.id)
            for entry in self.repository[tree]
        }

    def _written(self, node: dict[bytes, object]) -> pygit2.Oid:
        entries = [
            (b"40000", name, self._written(value))
            if isinstance(value, dict)
            else (value[0], name, value[1])
            for name, value in node.items()
        ]
        entries.sort(key=lambda e: e[1] + (b"/" if e[0] == b"40000" else b""))
        return self.raw_tree(*entries)


@dataclass(frozen=True)
class Refusal:
    """What the audit log says of a commit that is not in force."""

    code: str
    explanation: str
    problems: tuple[Problem, ...]
    detail: JsonObject


class Siege:
    """One engine, running, and the remote that hostile commits arrive at."""

    def __init__(
        self,
        *,
        origin: Origin,
        mirror: GitMirror,
        engine: Engine,
        cluster: Cluster,
        store: SqlStateStore,
        log: io.StringIO,
        task: asyncio.Task[None],
    ) -> None:
        self.origin = origin
        self.mirror = mirror
        self.engine = engine
        self.store = store
        self.log = log
        self.good = CommitSha("")
        self._cluster = cluster
        self._task = task
        self._writes = self._written()
        self._round = 1
        self._seen = Head(0, b"")

    @property
    def cluster(self) -> MemoryCluster:
        assert isinstance(self._cluster, MemoryCluster)
        return self._cluster

    async def resists(self, commit: CommitSha, *expected: Problem, code: str = INVALID) -> Refusal:
        """`commit` is refused for what is expected, and everything else goes on."""
        refusal = await self.refuses(commit, *expected, code=code)
        await self.goes_on()
        return refusal

    async def refuses(self, commit: CommitSha, *expected: Problem, code: str = INVALID) -> Refusal:
        self.engine.branch.hint()
        await self.until(lambda: self.engine.books.position.refused == commit)
        refusal = await self.refusal_of(commit)
        assert refusal.code == code, refusal
        for problem in expected:
            assert problem in refusal.problems, refusal
        assert self._written() == self._writes, "something was written to the cluster"
        assert self.engine.books.position.accepted == self.good
        assert self.engine.books.position.applied == {ONE: self.good}
        return refusal

    async def goes_on(self) -> None:
        """Drift is put back to the last good commit, and the next good one is applied."""
        await self.keeps_in_place()
        await self.accepts_good()
        await self.shows_nothing_unprintable()

    async def keeps_in_place(self) -> None:
        """What somebody else changes is put back to what the last good commit says."""
        assert self.value("a") == str(self._round)
        self.cluster.edit_as("kubectl", WATCHED, lambda body: body.update(data={"value": "drift"}))
        await self.until(lambda: self.value("a") == str(self._round))

    async def accepts_good(self) -> None:
        """A commit with the tree of the last good one and one change, on top of whatever is."""
        self._round += 1
        origin, index = self.origin, pygit2.Index()
        index.read_tree(origin.repository[self.good].tree)
        blob = origin.blob(config_map("a", str(self._round)))
        index.add(pygit2.IndexEntry("apps/web/a.yaml", blob, FileMode.BLOB))
        await self.applies(origin.push_tree(index.write_tree(origin.repository)))
        assert self.value("a") == str(self._round)

    async def judges(self, commit: CommitSha) -> bool:
        """Whether the commit is applied, and not refused."""
        self.engine.branch.hint()
        books = self.engine.books
        await self.until(
            lambda: commit in (books.position.refused, books.position.applied.get(ONE))
        )
        accepted = books.position.accepted == commit
        if accepted:
            await self.applies(commit)
        return accepted

    async def applies(self, commit: CommitSha) -> None:
        self.engine.branch.hint()
        await self.until(lambda: self.engine.books.position.applied.get(ONE) == commit)
        self.good, self._writes = commit, self._written()

    async def refusal_of(self, commit: CommitSha) -> Refusal:
        records = [item.record for item in await self.records() if item.record.commit == commit]
        refusals = [record for record in records if record.verb is Verb.REFUSE]
        assert len(refusals) == 1, "a refusal is written down once"
        detail = refusals[0].detail
        found = detail.get("problems") or []
        assert isinstance(found, list)
        problems = tuple((p["code"], p["path"], p["line"]) for p in found)  # type: ignore[index,call-overload]
        return Refusal(refusals[0].result, str(detail["explanation"]), problems, dict(detail))  # type: ignore[arg-type]

    async def records(self) -> Sequence[Logged]:
        return await self.store.records(self._seen.size, limit=100_000)

    async def recover(self) -> None:
        """Go back to the last good commit, whatever an earlier test left."""
        if self.engine.branch.trouble:
            self.origin.rewrite(self.good)
        if self.engine.books.position.applied.get(ONE) != self.good or self.engine.branch.trouble:
            await self.accepts_good()
        self._seen = await self.store.head()
        self.log.truncate(0)
        self.log.seek(0)

    async def shows_nothing_unprintable(self) -> None:
        for line in await self.output():
            assert line.isprintable(), repr(line)

    async def output(self) -> list[str]:
        """Every line that people read since `recover`: log, audit list and show, status, plan."""
        records = await self.records()
        lines = [*self.log.getvalue().split("\n"), *records_table(records)]
        for logged in records:
            lines.extend(record_text(logged))
        status = EngineStatus(self.engine, repository=REPOSITORY, clock=SystemClock()).status()
        lines.extend(texts_in(status_json(status)))
        lines.append(json.dumps(status_json(status), ensure_ascii=False))
        if self.engine.reconciler.plan is not None:
            lines.append(self.engine.reconciler.plan.canonical.decode())
        return lines

    def value(self, name: str) -> str | None:
        body = self.cluster.peek(config_map_key(name))
        return None if body is None else str(body["data"]["value"])  # type: ignore[index,call-overload]

    def objects(self) -> set[ObjectKey]:
        return {key for key in self.cluster if key.kind != "Namespace"}

    async def until(self, condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                if self._task.done():
                    self._task.result()
                    raise AssertionError("the daemon ended")
                await asyncio.sleep(0.002)

    def _written(self) -> int:
        if not isinstance(self._cluster, MemoryCluster):
            return 0
        return self._cluster.count("apply") + self._cluster.count("delete")


def texts_in(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)


@contextmanager
def captured_log(form: str = "json") -> Iterator[io.StringIO]:
    """What the daemon would write to standard error, in the form in which it would."""
    stream, handlers = io.StringIO(), list(logging.getLogger().handlers)
    level = logging.getLogger().level
    set_up_logging(LogSettings(format=form), stream=stream)  # type: ignore[arg-type]
    try:
        yield stream
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)


@asynccontextmanager
async def besieged(
    directory: Path,
    *,
    first: Mapping[str, bytes] = GOOD,
    origin: Origin | None = None,
    source: GitSource | None = None,
    cluster: Cluster | None = None,
    verifier: SignatureVerifier | None = None,
    repository: str = REPOSITORY,
    log_form: str = "json",
) -> AsyncIterator[Siege]:
    """A running engine that has applied `first`, or, without it, whatever `origin` has."""
    clock = SystemClock()
    origin = origin or Origin(directory / "served" / "config.git")
    cluster = cluster or memory_cluster()
    source = source or GitSource(url=str(origin.directory))
    mirror = GitMirror(source, directory / "mirror", verifier=verifier)
    store = await open_state(str(directory / "state.db"))
    with captured_log(log_form) as log:
        engine = Engine(
            repository=mirror,
            clusters={ONE: cluster},
            leases={ONE: ClusterLease(MemoryLeaseStore(), clock=clock, identity="daemon")},
            store=store,
            books=await Books.open(store, [ONE]),
            clock=clock,
            context=Context(repository=repository, actor="fairlead"),
            poll_seconds=0.05,
        )
        task = asyncio.create_task(engine.run())
        siege = Siege(
            origin=origin,
            mirror=mirror,
            engine=engine,
            cluster=cluster,
            store=store,
            log=log,
            task=task,
        )
        try:
            if first:
                await siege.applies(origin.push(first))
            yield siege
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            mirror.close()
            await store.close()


def memory_cluster() -> MemoryCluster:
    made = MemoryCluster(ONE, clock=SystemClock())
    for team in ("team-a", "team-b"):
        made.apply_as(
            "kubectl", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": team}}
        )
    return made
