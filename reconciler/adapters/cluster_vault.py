"""Vault or OpenBao behind the Cluster port.

Separate because policies and roles of a secret store are planned, compared, recorded and reverted
as everything else is, and the engine need not know that they lie elsewhere. The invariant: what
has no marker of ours is neither changed nor deleted unless forced, and no value of a secret is
ever asked for.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.adapters.cluster_identity import identity_of
from reconciler.adapters.label_selectors import selects
from reconciler.adapters.vault_connection import VaultConnection
from reconciler.adapters.vault_objects import (
    API_VERSION,
    GROUP,
    POLICY,
    RESOURCES,
    ROLE_MARKER_PREFIX,
    Stored,
    body_of,
    marker_line,
    merged,
    policy_key,
    read_policy,
    role_key,
)
from reconciler.adapters.vault_roles import data_of, spec_of
from reconciler.core.authorship import Author
from reconciler.core.errors import Misconfigured, Missing, Refused, Transient
from reconciler.core.identifiers import ClusterName, GroupVersionKind, ObjectKey
from reconciler.core.manifests import JsonObject, canonical_json
from reconciler.ports import (
    ApiResource,
    Clock,
    Delegate,
    Gone,
    Interrupted,
    Listed,
    Seen,
    WatchEvent,
)

POLL_SECONDS = 5.0
"""Vault tells nobody of changes, so they are looked for this often."""


_PROBE = "fairlead-rights-probe"
"""Stands for any name; nothing of this name is read or made."""


@dataclass(slots=True)
class _Watch:
    """One who listens. `applied` is what we wrote since it looked last, and it may never see."""

    applied: dict[ObjectKey, JsonObject] = field(default_factory=dict)
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class VaultCluster:
    """One server, or one namespace of it."""

    def __init__(
        self,
        name: ClusterName,
        connection: VaultConnection,
        *,
        clock: Clock,
        new_uid: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._name = name
        self._connection = connection
        self._clock = clock
        self._new_uid = new_uid
        # A reading that overtook a write would bring an older state back.
        self._one_at_a_time = asyncio.Lock()
        self._versions: dict[ObjectKey, tuple[bytes, int]] = {}
        self._latest = 0
        self._watches: list[_Watch] = []

    @property
    def name(self) -> ClusterName:
        return self._name

    async def resources(self, *, refresh: bool = False) -> Mapping[GroupVersionKind, ApiResource]:
        del refresh  # what is served is known
        return RESOURCES

    async def get(self, key: ObjectKey, api_version: str) -> JsonObject | None:
        _require_served(key, api_version)
        async with self._one_at_a_time:
            found = await self._read(key)
            return None if found is None else self._told(found)

    async def apply(self, body: JsonObject, *, dry_run: bool, force: bool = False) -> JsonObject:
        key, api_version = identity_of(body)
        _require_served(key, api_version)
        async with self._one_at_a_time:
            found = await self._read(key)
            wanted = merged(body, found, key=key, force=force, uid=self._new_uid())
            if dry_run:
                return body_of(wanted, version=self._versions.get(key, (b"", 0))[1])
            if wanted != found:
                await self._write(wanted)
                stored = await self._read(key)
                assert stored is not None, "Vault lost what it had taken"
                wanted = stored
            told = self._told(wanted)
            for watch in self._watches:
                watch.applied[key] = told
            return told

    async def delete(self, key: ObjectKey, api_version: str, *, uid: str) -> bool:
        _require_served(key, api_version)
        async with self._one_at_a_time:
            found = await self._read(key)
            if found is None:
                return False
            if found.marker is None or found.marker.uid != uid:
                raise Refused(f"delete {key}: it is another one than was seen")
            await self._connection.delete(self._path(key))
            if key.kind != POLICY:
                await self._connection.delete(self._marker_path(key))
            for watch in self._watches:
                watch.woken.set()
            return True

    def on_behalf_of(self, author: Author) -> Delegate:
        raise Misconfigured(
            f"a secret store knows nobody but the daemon, and not {author.signer}",
            hint="take applyAs out of its settings",
        )

    def watch(self, resource: ApiResource, *, selector: str) -> AsyncIterator[WatchEvent]:
        return self._watch(resource, selector)

    async def rights(self, namespace: str) -> tuple[JsonObject, ...]:
        """As rules of a Kubernetes role, so that one judgement serves both.

        Reading values counts as a verb on secrets, and what would let the daemon give itself more
        as `escalate`.
        """
        del namespace  # a token has the same rights everywhere
        connection = self._connection
        value = f"{connection.kv_mount}/data/{_PROBE}"
        others = (f"sys/auth/{_PROBE}", f"sys/mounts/{_PROBE}", "auth/token/create")
        told = await connection.capabilities((value, *others))
        rules = [_rule("secrets", "", told[value])]
        for path in others:
            rules.append(_rule(path, GROUP, ["escalate"] if told[path] else []))
        if any("root" in held for held in told.values()):
            rules.append(_rule("paths", GROUP, ["*"]))
        return tuple(rule for rule in rules if rule["verbs"])

    async def close(self) -> None:
        await self._connection.close()

    async def _watch(self, resource: ApiResource, selector: str) -> AsyncIterator[WatchEvent]:
        known: dict[ObjectKey, JsonObject] | None = None
        watch = _Watch()
        self._watches.append(watch)
        try:
            while True:
                written, watch.applied = watch.applied, {}
                try:
                    bodies = await self._matching(resource.type.kind, selector)
                except Transient as error:
                    known = None
                    yield Interrupted(error.message)
                else:
                    ours = {k: b for k, b in written.items() if k.kind == resource.type.kind}
                    for event in _events({**ours, **(known or {})}, known or {}, bodies):
                        yield event
                    if known is None:
                        yield Listed(str(self._latest))
                    known = bodies
                await self._pause(watch)
        finally:
            self._watches.remove(watch)

    async def _pause(self, watch: _Watch) -> None:
        """Until it is time to look again, or somebody waits to hear that something is gone."""
        waiting = {
            asyncio.ensure_future(self._clock.sleep(POLL_SECONDS)),
            asyncio.ensure_future(watch.woken.wait()),
        }
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        watch.woken.clear()

    async def _matching(self, kind: str, selector: str) -> dict[ObjectKey, JsonObject]:
        async with self._one_at_a_time:
            found: dict[ObjectKey, JsonObject] = {}
            for key in await self._keys(kind):
                stored = await self._read(key)
                if stored is None or stored.marker is None:
                    continue
                if selects(selector, dict(stored.marker.labels)):
                    found[key] = self._told(stored)
            return found

    async def _keys(self, kind: str) -> list[ObjectKey]:
        if kind == POLICY:
            names = await self._connection.names(self._connection.policies)
            return [policy_key(name) for name in names if not name.startswith(ROLE_MARKER_PREFIX)]
        return [role_key(name) for name in await self._connection.names(self._connection.roles)]

    async def _read(self, key: ObjectKey) -> Stored | None:
        data = await self._connection.read(self._path(key))
        if data is None:
            return None
        if key.kind == POLICY:
            marker, text = read_policy(str(data.get("policy") or ""))
            return Stored(key, {"policy": text}, marker)
        noted = await self._connection.read(self._marker_path(key))
        marker, _ = read_policy(str((noted or {}).get("policy") or ""))
        return Stored(key, spec_of(data), marker)

    async def _write(self, wanted: Stored) -> None:
        assert wanted.marker is not None
        line = marker_line(wanted.marker)
        if wanted.key.kind == POLICY:
            text = f"{line}{wanted.spec['policy']}"
            await self._connection.write(self._path(wanted.key), {"policy": text})
            return
        # The marker first: a role that nobody knows to be ours would stay for ever.
        await self._connection.write(self._marker_path(wanted.key), {"policy": line})
        await self._connection.write(self._path(wanted.key), data_of(wanted.spec))

    def _told(self, stored: Stored) -> JsonObject:
        """With a version that grows whenever the object was found to be another than before."""
        content = canonical_json(body_of(stored, version=0))
        known, version = self._versions.get(stored.key, (b"", 0))
        if known != content:
            # Of the clock, so that it grows over the life of a process as well.
            now = int(self._clock.now().timestamp() * 1_000_000)
            version = self._latest = max(now, self._latest + 1)
            self._versions[stored.key] = (content, version)
        return body_of(stored, version=version)

    def _path(self, key: ObjectKey) -> str:
        parent = self._connection.policies if key.kind == POLICY else self._connection.roles
        return f"{parent}/{key.name}"

    def _marker_path(self, key: ObjectKey) -> str:
        return f"{self._connection.policies}/{ROLE_MARKER_PREFIX}{key.name}"


def _events(
    known: Mapping[ObjectKey, JsonObject],
    seen: Mapping[ObjectKey, JsonObject],
    bodies: Mapping[ObjectKey, JsonObject],
) -> Iterator[WatchEvent]:
    """What to tell of `bodies` to somebody who has `known`, and was told of `seen` by us."""
    for key, body in bodies.items():
        if seen.get(key) != body:
            yield Seen(body)
    for key in known.keys() - bodies.keys():
        yield Gone(known[key])


def _require_served(key: ObjectKey, api_version: str) -> None:
    if api_version != API_VERSION or GroupVersionKind.of(api_version, key.kind) not in RESOURCES:
        raise Missing(f"{key}: the secret store does not serve {key.kind} in {api_version}")


def _rule(resource: str, group: str, verbs: list[str]) -> JsonObject:
    return {"verbs": [*verbs], "apiGroups": [group], "resources": [resource]}
