"""A cluster in memory: the Cluster port with the manners of a real API server, and faults.

Separate from tests because simulations use it too. It passes the contract suite of the port
together with the real one. The invariant: given the same calls in the same order it does the
same, down to uids and resource versions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import cast

from reconciler.adapters.cluster_identity import identity_of
from reconciler.adapters.cluster_memory_admission import refuse_probe
from reconciler.adapters.cluster_memory_delegate import MemoryDelegate
from reconciler.adapters.cluster_memory_faults import CallFaults, EventFaults, Request
from reconciler.adapters.cluster_memory_fields import Owner, copied
from reconciler.adapters.cluster_memory_objects import ObjectStore
from reconciler.adapters.cluster_memory_schema import served_types, types_defined_by
from reconciler.adapters.cluster_memory_status import StatusFunction, becomes_ready
from reconciler.adapters.cluster_memory_watching import Watch
from reconciler.core.authorship import Author
from reconciler.core.errors import FairleadError, Forbidden, Invalid, Missing, Refused, Unavailable
from reconciler.core.identifiers import ClusterName, GroupVersionKind, ObjectKey
from reconciler.core.manifests import FIELD_MANAGER, JsonObject
from reconciler.ports import ApiResource, Clock, Delegate, WatchEvent

_FAIRLEAD = Owner(FIELD_MANAGER, "Apply")
_EVERYTHING: JsonObject = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
_INITIAL_NAMESPACES = ("default", "kube-system")


class MemoryCluster:
    """Cluster for tests and simulations. The port first, then what only a test may do."""

    def __init__(
        self,
        name: ClusterName,
        *,
        clock: Clock,
        status: StatusFunction = becomes_ready,
        admission: Callable[[JsonObject], None] = lambda _: None,
    ) -> None:
        """`admission` raises what it refuses; it sees dry runs too, as a webhook does. `acts_by`
        says whether the server has read an admission policy, binding or parameters yet."""
        self._name = name
        self.status = status
        self.admission = admission
        self.permits: Callable[[str, str, JsonObject], None] = lambda *_: None
        """Raises what a user may not: who asks, `apply` or `delete`, and the object."""
        self.acts_by: Callable[[JsonObject], bool] = lambda _: True
        self.granted: Callable[[str], tuple[JsonObject, ...]] = lambda _: (_EVERYTHING,)
        self.requests: list[Request] = []
        self.events = EventFaults()
        self._faults = CallFaults()
        self._types = served_types()
        self._watches: list[Watch] = []
        self._store = ObjectStore(clock, self._publish)
        self._up = asyncio.Event()
        self._up.set()
        self._seeded = False

    @property
    def name(self) -> ClusterName:
        return self._name

    async def resources(self, *, refresh: bool = False) -> Mapping[GroupVersionKind, ApiResource]:
        if refresh or not any(request.verb == "discover" for request in self.requests):
            await self._arrive(Request("discover"))
        return dict(self._types)

    async def get(self, key: ObjectKey, api_version: str) -> JsonObject | None:
        await self._arrive(Request("get", key))
        self._resource(key, api_version)
        body = self._store.get(key)
        return {**copied(body), "apiVersion": api_version} if body else None

    async def apply(self, body: JsonObject, *, dry_run: bool, force: bool = False) -> JsonObject:
        return await self.apply_for("", body, dry_run=dry_run, force=force)

    async def delete(self, key: ObjectKey, api_version: str, *, uid: str) -> bool:
        return await self.delete_for("", key, api_version, uid=uid)

    def on_behalf_of(self, author: Author) -> Delegate:
        return MemoryDelegate(self, author)

    async def apply_for(
        self, asker: str, body: JsonObject, *, dry_run: bool, force: bool
    ) -> JsonObject:
        """Apply in the name of a user; the daemon itself has none."""
        key, api_version = identity_of(body)
        request = Request("dry-run" if dry_run else "apply", key, asker)
        await self._arrive(request)
        resource = self._resource(key, api_version)
        if resource.namespaced != bool(key.namespace):
            scope = "needs a namespace" if resource.namespaced else "belongs to no namespace"
            raise Invalid(f"{request.verb} {key}: {key.kind} {scope}")
        self.permits(asker, "apply", copied(body))
        self._check_namespace(key)
        refuse_probe(body, filter(self.acts_by, self._bodies()))
        self.admission(copied(body))
        applied = copied(
            self._store.apply(key, body, owner=_FAIRLEAD, force=force, dry_run=dry_run)
        )
        if not dry_run:
            self._follow_up(key)
        self._faults.after(request)
        return applied

    async def delete_for(
        self, asker: str, key: ObjectKey, api_version: str, *, uid: str, dry_run: bool = False
    ) -> bool:
        """Delete in the name of a user; the daemon itself has none."""
        request = Request("dry-delete" if dry_run else "delete", key, asker)
        await self._arrive(request)
        self._resource(key, api_version)
        body = self._store.get(key)
        if body is None:
            return False
        self.permits(asker, "delete", copied(body))
        if cast(JsonObject, body["metadata"])["uid"] != uid:
            raise Refused(f"delete {key}: the object was replaced meanwhile")
        if not dry_run:
            self._delete(key)
        self._faults.after(request)
        return True

    def watch(self, resource: ApiResource, *, selector: str) -> AsyncIterator[WatchEvent]:
        return self._watch(Watch(resource, selector, self.events))

    async def rights(self, namespace: str) -> tuple[JsonObject, ...]:
        await self._arrive(Request("rights"))
        return self.granted(namespace)

    async def hear(self, asker: str) -> None:
        """A request that is about no object."""
        await self._arrive(Request("who-am-i", asker=asker))
        self.permits(asker, "be", {})

    async def close(self) -> None:
        self._watches.clear()

    # What only a test may do.

    def edit_as(
        self, manager: str, key: ObjectKey, change: Callable[[JsonObject], None]
    ) -> JsonObject:
        """Another client writes the object; it takes the fields it changes.

        Raises KeyError when there is no such object.
        """
        body = self._store.update(key, change, owner=Owner(manager, "Update"))
        if self._store.get(key) is not None:
            self._follow_up(key)
        return copied(body)

    def apply_as(self, manager: str, body: JsonObject) -> JsonObject:
        """Another client applies, by force."""
        self._seed()
        key, _ = identity_of(body)
        owner = Owner(manager, "Apply")
        applied = self._store.apply(key, body, owner=owner, force=True, dry_run=False)
        self._follow_up(key)
        return copied(applied)

    def delete_as_other(self, key: ObjectKey) -> None:
        """Another client deletes the object, whatever its uid. KeyError when there is none."""
        self._delete(key)

    def set_status(self, key: ObjectKey, status: JsonObject) -> None:
        """A controller reports, after the fact."""
        self._store.set_status(key, status)

    def peek(self, key: ObjectKey) -> JsonObject | None:
        """The object, without a request being counted."""
        body = self._store.get(key)
        return copied(body) if body else None

    def keys(self) -> tuple[ObjectKey, ...]:
        """All objects, the initial namespaces among them."""
        return tuple(self._store.ordered_keys())

    def serve(self, resource: ApiResource) -> None:
        """Add a type, as a CustomResourceDefinition does."""
        self._types[resource.type] = resource

    def count(self, *verbs: str) -> int:
        """Requests of these verbs so far; of all when none is given."""
        return sum(1 for request in self.requests if not verbs or request.verb in verbs)

    def fail(
        self,
        error: FairleadError,
        *,
        verb: str = "",
        key: ObjectKey | None = None,
        after_effect: bool = False,
        times: int = 1,
    ) -> None:
        """Let the next matching calls fail; `after_effect` loses only the answer."""
        self._faults.add(error, verb=verb, key=key, after_effect=after_effect, times=times)

    def interrupt_watches(self, explanation: str = "the connection broke") -> None:
        """Break all watches; each lists anew."""
        for watch in self._watches:
            watch.interrupt(explanation)

    def stop(self) -> None:
        """The API server is away until `start`; objects stay."""
        self._up.clear()
        self.interrupt_watches("the API server went away")

    def start(self) -> None:
        self._up.set()

    # How it works.

    async def _watch(self, watch: Watch) -> AsyncIterator[WatchEvent]:
        self._watches.append(watch)
        try:
            async for event in watch.events(self._listing, answers_again=self._up.wait):
                yield event
        finally:
            if watch in self._watches:
                self._watches.remove(watch)

    async def _listing(self) -> tuple[list[JsonObject], str]:
        await self._arrive(Request("list"))
        self._admit(Request("watch"))
        return list(self._bodies()), self._store.version

    def _bodies(self) -> Iterator[JsonObject]:
        bodies = (self._store.get(key) for key in self._store.ordered_keys())
        return (body for body in bodies if body is not None)

    async def _arrive(self, request: Request) -> None:
        # A real request lets other tasks run before it has its effect.
        await asyncio.sleep(0)
        self._admit(request)

    def _admit(self, request: Request) -> None:
        self._seed()
        if not self._up.is_set():
            raise Unavailable("the API server does not answer")
        self.requests.append(request)
        self._faults.before(request)

    def _seed(self) -> None:
        if self._seeded:
            return
        self._seeded = True
        for namespace in _INITIAL_NAMESPACES:
            body: JsonObject = {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": namespace},
            }
            self.apply_as("kube-apiserver", body)

    def _resource(self, key: ObjectKey, api_version: str) -> ApiResource:
        type_ = GroupVersionKind.of(api_version, key.kind)
        if type_ not in self._types:
            raise Missing(f"{key}: the API server does not serve {key.kind} in {api_version}")
        return self._types[type_]

    def _check_namespace(self, key: ObjectKey) -> None:
        if not key.namespace:
            return
        namespace = self._store.get(ObjectKey("", "Namespace", "", key.namespace))
        if namespace is None:
            raise Missing(f"apply {key}: namespace {key.namespace} does not exist")
        terminating = "deletionTimestamp" in cast(JsonObject, namespace["metadata"])
        if terminating and self._store.get(key) is None:
            raise Forbidden(f"apply {key}: namespace {key.namespace} is being terminated")

    def _publish(self, before: JsonObject | None, after: JsonObject | None) -> None:
        for watch in self._watches:
            watch.notice(before, after)

    def _follow_up(self, key: ObjectKey) -> None:
        """What controllers do right after a write."""
        body = self._store.get(key)
        assert body is not None
        if key.kind == "CustomResourceDefinition":
            for resource in types_defined_by(body):
                self._types[resource.type] = resource
        if (status := self.status(copied(body))) is not None:
            self._store.set_status(key, status)

    def _delete(self, key: ObjectKey) -> None:
        if key.kind == "Namespace":
            for content in [
                held for held in self._store.ordered_keys() if held.namespace == key.name
            ]:
                self._store.delete(content)
        self._store.delete(key)
