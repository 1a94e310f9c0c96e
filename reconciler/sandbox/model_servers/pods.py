"""Follows the pods of versions, as the API server tells of them.

Separate from serving, because it is all of Kubernetes that the model servers know. Invariant:
after every listing, exactly the pods in it are served; a watch that ends is begun again; and a
pod is ready when its server listens, not before.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from reconciler.core.rendering.release import MODEL_LABEL, VERSION_LABEL
from reconciler.sandbox.model_servers.doorkeeper import Doorkeeper, endpoint_of
from reconciler.sandbox.model_servers.faults import ANNOTATION, VARIABLE
from reconciler.sandbox.model_servers.fleet import Fleet, ServedPod
from reconciler.sandbox.model_servers.replica import ReplicaIdentity

PODS = "/api/v1/pods"
AGAIN_SECONDS = 0.2
"""Pause before an API server that did not answer is asked again. It is on this machine."""

WATCH_SECONDS = 300
LONGEST_LINE = 2**22
STRATEGIC_MERGE = "application/strategic-merge-patch+json"


async def follow_pods(server: str, *, pki: Path, user: str) -> None:
    """Serves them until it is cancelled."""
    tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    tls.load_cert_chain(pki / f"{user}.crt", pki / f"{user}.key")
    connector = aiohttp.TCPConnector(ssl=tls)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with (
        aiohttp.ClientSession(
            server, connector=connector, timeout=timeout, read_bufsize=LONGEST_LINE
        ) as session,
        asyncio.TaskGroup() as told,
    ):
        follower = _Follower(session, Fleet(Doorkeeper(session).admits), told)
        while True:
            try:
                await follower.watch(await follower.list())
            except (aiohttp.ClientError, TimeoutError, _WatchEnded) as error:
                sys.stderr.write(f"the API server is asked again: {error}\n")
                await asyncio.sleep(AGAIN_SECONDS)


class _WatchEnded(Exception):
    """The API server said why. Never leaves this module."""


class _Follower:
    """What a listing or an event says of pods goes to the fleet."""

    def __init__(
        self, session: aiohttp.ClientSession, fleet: Fleet, told: asyncio.TaskGroup
    ) -> None:
        self._session = session
        self._fleet = fleet
        self._told = told

    async def list(self) -> str:
        """The version from which to watch."""
        selector = {"labelSelector": VERSION_LABEL}
        async with self._session.get(PODS, params=selector) as response:
            response.raise_for_status()
            listing = orjson.loads(await response.read())
        present = {pod["metadata"]["uid"]: pod for pod in listing["items"]}
        for uid in self._fleet.served - present.keys():
            self._fleet.retire(uid)
        for pod in present.values():
            await self._serve(pod)
        version: str = listing["metadata"]["resourceVersion"]
        return version

    async def watch(self, version: str) -> None:
        query = {
            "labelSelector": VERSION_LABEL,
            "watch": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with self._session.get(PODS, params=query) as response:
            response.raise_for_status()
            async for line in response.content:
                event = orjson.loads(line)
                pod = event["object"]
                match event["type"]:
                    case "ADDED" | "MODIFIED":
                        await self._serve(pod)
                    case "DELETED":
                        self._fleet.retire(pod["metadata"]["uid"])
                    case "ERROR":
                        raise _WatchEnded(pod.get("message", ""))

    async def _serve(self, pod: dict[str, Any]) -> None:
        served = served_pod(pod)
        if served is None:
            self._fleet.retire(pod["metadata"]["uid"])
        elif await self._fleet.serve(served) and not is_ready(pod):
            self._told.create_task(self._tell_ready(pod))

    async def _tell_ready(self, pod: dict[str, Any]) -> None:
        """As the kubelet would after a probe."""
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": since}
            for kind in ("Ready", "ContainersReady")
        ]
        # The API server takes the list as a whole.
        statuses = pod["status"].get("containerStatuses") or []
        containers = [{**one, "ready": True} for one in statuses]
        patch = {
            "metadata": {"uid": metadata["uid"]},
            "status": {"conditions": conditions, "containerStatuses": containers},
        }
        try:
            async with self._session.patch(
                path, data=orjson.dumps(patch), headers={"Content-Type": STRATEGIC_MERGE}
            ) as response:
                response.raise_for_status()
        except aiohttp.ClientError as error:
            # Gone meanwhile, or the next listing finds it not ready.
            sys.stderr.write(f"{metadata['name']} was not told to be ready: {error}\n")


def served_pod(pod: dict[str, Any]) -> ServedPod | None:
    """None for a pod that does not run."""
    metadata, spec = pod["metadata"], pod["spec"]
    status = pod.get("status") or {}
    address = status.get("podIP")
    containers = spec["containers"]
    if not address or status.get("phase") != "Running":
        return None
    labels = metadata["labels"]
    version = labels[VERSION_LABEL]
    return ServedPod(
        uid=metadata["uid"],
        identity=ReplicaIdentity(metadata["name"], labels.get(MODEL_LABEL, version), version),
        address=address,
        ports=tuple(port["containerPort"] for one in containers for port in one.get("ports", ())),
        fault=_fault(metadata.get("annotations") or {}, containers),
        drain_seconds=max(map(_drain_seconds, containers)),
        endpoint=endpoint_of(pod),
    )


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _fault(annotations: dict[str, str], containers: list[dict[str, Any]]) -> str:
    variables = [variable for one in containers for variable in one.get("env", ())]
    given = (one.get("value", "") for one in variables if one["name"] == VARIABLE)
    return annotations.get(ANNOTATION, next(given, ""))


def _drain_seconds(container: dict[str, Any]) -> float:
    """How long the kubelet lets it serve before it tells it to stop."""
    before_stop = (container.get("lifecycle") or {}).get("preStop") or {}
    return float((before_stop.get("sleep") or {}).get("seconds", 0))
