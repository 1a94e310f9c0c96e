"""Follows the pods of versions, as the API server tells of them.

Separate from serving, because it is all of Kubernetes that the model servers know. Invariant:
after every listing, exactly the pods in it are served; a watch that ends is begun again.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from reconciler.core.rendering.release import MODEL_LABEL, VERSION_LABEL
from reconciler.sandbox.model_servers.faults import ANNOTATION, VARIABLE
from reconciler.sandbox.model_servers.fleet import Fleet, ServedPod
from reconciler.sandbox.model_servers.replica import ReplicaIdentity

PODS = "/api/v1/pods"
AGAIN_SECONDS = 0.2
"""Pause before an API server that did not answer is asked again. It is on this machine."""

WATCH_SECONDS = 300
LONGEST_LINE = 2**22


async def follow_pods(server: str, *, pki: Path, user: str, fleet: Fleet) -> None:
    """Until it is cancelled."""
    tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    tls.load_cert_chain(pki / f"{user}.crt", pki / f"{user}.key")
    connector = aiohttp.TCPConnector(ssl=tls)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(
        server, connector=connector, timeout=timeout, read_bufsize=LONGEST_LINE
    ) as session:
        while True:
            try:
                version = await _list(session, fleet)
                await _watch(session, fleet, version)
            except (aiohttp.ClientError, TimeoutError, _WatchEnded) as error:
                sys.stderr.write(f"the API server is asked again: {error}\n")
                await asyncio.sleep(AGAIN_SECONDS)


class _WatchEnded(Exception):
    """The API server said why. Never leaves this module."""


async def _list(session: aiohttp.ClientSession, fleet: Fleet) -> str:
    async with session.get(PODS, params={"labelSelector": VERSION_LABEL}) as response:
        response.raise_for_status()
        listing = orjson.loads(await response.read())
    present = {pod["metadata"]["uid"]: pod for pod in listing["items"]}
    for uid in fleet.served - present.keys():
        fleet.retire(uid)
    for pod in present.values():
        await _serve(pod, fleet)
    version: str = listing["metadata"]["resourceVersion"]
    return version


async def _watch(session: aiohttp.ClientSession, fleet: Fleet, version: str) -> None:
    query = {
        "labelSelector": VERSION_LABEL,
        "watch": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(WATCH_SECONDS),
    }
    async with session.get(PODS, params=query) as response:
        response.raise_for_status()
        async for line in response.content:
            event = orjson.loads(line)
            pod = event["object"]
            match event["type"]:
                case "ADDED" | "MODIFIED":
                    await _serve(pod, fleet)
                case "DELETED":
                    fleet.retire(pod["metadata"]["uid"])
                case "ERROR":
                    raise _WatchEnded(pod.get("message", ""))


async def _serve(pod: dict[str, Any], fleet: Fleet) -> None:
    served = served_pod(pod)
    if served is None:
        fleet.retire(pod["metadata"]["uid"])
    else:
        await fleet.serve(served)


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
    )


def _fault(annotations: dict[str, str], containers: list[dict[str, Any]]) -> str:
    variables = [variable for one in containers for variable in one.get("env", ())]
    given = (one.get("value", "") for one in variables if one["name"] == VARIABLE)
    return annotations.get(ANNOTATION, next(given, ""))


def _drain_seconds(container: dict[str, Any]) -> float:
    """How long the kubelet lets it serve before it tells it to stop."""
    before_stop = (container.get("lifecycle") or {}).get("preStop") or {}
    return float((before_stop.get("sleep") or {}).get("seconds", 0))
