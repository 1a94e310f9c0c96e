"""`fairlead sandbox send | fault`: users for a sandbox with a gateway, and versions that fail.

Separate from the commands that start and stop one. Results go to standard output; who answered is
counted from the answers themselves.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import click

from reconciler.core.rendering.release import VERSION_LABEL
from reconciler.sandbox import detached
from reconciler.sandbox.bootstrap import ApiClient
from reconciler.sandbox.components import ADMIN
from reconciler.sandbox.errors import SandboxError
from reconciler.sandbox.locations import sandboxes_directory
from reconciler.sandbox.model_servers.faults import ANNOTATION, Faults
from reconciler.sandbox.traffic import Cohort, Counts, Traffic

REPORT_SECONDS = 2.0


@click.command()
@click.argument("model")
@click.option("--name", default="default", show_default=True, help="Which sandbox.")
@click.option("--host", required=True, help="Host name of the model's route.")
@click.option("--rate", default=150.0, show_default=True, help="Requests a second.")
@click.option("--seconds", default=600.0, show_default=True, help="How long.")
@click.option(
    "--header", default="", metavar="NAME=VALUE", help="Sent with one request in five: a cohort."
)
def send(*, model: str, name: str, host: str, rate: float, seconds: float, header: str) -> None:
    """Send requests to MODEL through the gateway, and say which version answers."""
    description = detached.find(sandboxes_directory(os.environ), name)
    if not description.gateway:
        raise SandboxError(
            f"sandbox {name!r} has no gateway",
            hint=f"start one: fairlead sandbox up --with gateway --name {name}",
        )
    traffic = Traffic(
        description.gateway, model, host=host, rate=rate, cohorts=_cohorts(header), seed=1
    )
    asyncio.run(_report(traffic, seconds))


@click.command()
@click.argument("version")
@click.argument("faults")
@click.option("--name", default="default", show_default=True, help="Which sandbox.")
@click.option("--namespace", required=True, help="Namespace of the model.")
def fault(*, version: str, faults: str, name: str, namespace: str) -> None:
    """Let the pods of VERSION do as FAULTS say, such as errors=0.3,delay=0.05 or errors=0.

    Also drift=0.5 and wrong=0.1. It holds for the pods that are there.
    """
    Faults.parse(faults)
    description = detached.find(sandboxes_directory(os.environ), name)
    pki = Path(description.kubeconfig).parent / "pki"
    client = ApiClient(urlsplit(description.server).port or 443, pki=pki, user=ADMIN)
    pods = f"/api/v1/namespaces/{quote(namespace)}/pods"
    selector = quote(f"{VERSION_LABEL}={version}")
    found = cast("list[Any]", client.get_object(f"{pods}?labelSelector={selector}").get("items"))
    if not found:
        raise SandboxError(
            f"there is no pod of {version} in namespace {namespace}",
            hint=f"see what runs: kubectl get pods -n {namespace} -L {VERSION_LABEL}",
        )
    for pod in found:
        client.annotate(f"{pods}/{pod['metadata']['name']}", {ANNOTATION: faults})
    click.echo(f"from now on, {version} does {faults} (pods: {len(found)})")


def _cohorts(header: str) -> tuple[Cohort, ...]:
    if not header:
        return (Cohort("everybody"),)
    key, separator, value = header.partition("=")
    if not (key and separator and value):
        raise click.BadParameter("write NAME=VALUE", param_hint="--header")
    return Cohort("cohort", 0.2, {key: value}), Cohort("others", 0.8)


async def _report(traffic: Traffic, seconds: float) -> None:
    async with traffic:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        said = Counts.none()
        while (left := end - loop.time()) > 0:
            await asyncio.sleep(min(REPORT_SECONDS, left))
            now = traffic.record.counts()
            click.echo(_line(now, said))
            said = now


def _line(now: Counts, before: Counts) -> str:
    answered = " · ".join(
        f"{version} {count - before.by_version.get(version, 0):,}"
        for version, count in sorted(now.by_version.items())
        if count > before.by_version.get(version, 0)
    )
    failed = sum(now.failed_by_version.values()) - sum(before.failed_by_version.values())
    dropped = now.dropped - before.dropped
    return f"answered by {answered or 'nobody'}; {failed:,} failed, {dropped:,} not answered"
