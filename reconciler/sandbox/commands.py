"""`fairlead sandbox up | down | status | env`.

Separate from the library, which knows no terminal. Results go to standard output, where scripts
read them; progress goes to standard error.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict

import click

from reconciler.sandbox import detached
from reconciler.sandbox.binaries import BinarySettings, locate
from reconciler.sandbox.components import Components
from reconciler.sandbox.control_plane import ControlPlane, artefacts
from reconciler.sandbox.detached import Description, Listing
from reconciler.sandbox.errors import SandboxError
from reconciler.sandbox.isolation import require_network_namespaces
from reconciler.sandbox.locations import sandboxes_directory
from reconciler.sandbox.progress import duration
from reconciler.sandbox.terminal import shown_progress
from reconciler.sandbox.traffic_commands import fault, send

DEFAULT_NAME = "default"
GATEWAY = "gateway"
AUTHORIZE = "authorize"

_name_option = click.option(
    "--name", default=DEFAULT_NAME, show_default=True, help="Which sandbox; several can run."
)


@click.group(name="sandbox")
def sandbox_group() -> None:
    """A real Kubernetes API server with controllers and GPU nodes, on this machine."""


sandbox_group.add_command(send)
sandbox_group.add_command(fault)


@sandbox_group.command()
@_name_option
@click.option(
    "--nodes", type=click.IntRange(0, 1000), default=3, show_default=True, help="Of 8 GPUs each."
)
@click.option(
    "--with",
    "extras",
    type=click.Choice([GATEWAY, AUTHORIZE]),
    multiple=True,
    help="gateway: requests reach a model server for every pod, through a Gateway. "
    "authorize: it asks who may first.",
)
def up(name: str, nodes: int, extras: tuple[str, ...]) -> None:
    """Start a sandbox that stays until `down`. The first time, its programs are built."""
    authorize = AUTHORIZE in extras
    gateway = authorize or GATEWAY in extras
    root = sandboxes_directory(os.environ)
    for description in detached.list_sandboxes(root).ready:
        if description.name == name:
            _require(description, gateway=gateway, authorize=authorize)
            click.echo(f"{name} is already running")
            _explain(description)
            return
    if gateway:
        require_network_namespaces()  # before minutes of building for nothing
    with shown_progress() as progress:
        names = artefacts(Components.FULL, gateway_api=True, gateway=gateway)
        binaries = locate(names, BinarySettings.from_environment(os.environ), progress=progress)
        with ControlPlane(
            binaries,
            nodes=nodes,
            gateway=gateway,
            authorize=authorize,
            name=name,
            root=root,
            progress=progress,
        ) as plane:
            description = detached.detach(plane, nodes=nodes)
    _explain(description)


@sandbox_group.command()
@_name_option
def down(name: str) -> None:
    """Stop a sandbox and remove everything of it."""
    stopped = detached.stop(sandboxes_directory(os.environ), name)
    click.echo(f"{name} is stopped" if stopped else f"{name} was not running")


@sandbox_group.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """List the sandboxes of this user."""
    listing = detached.list_sandboxes(sandboxes_directory(os.environ))
    if as_json:
        click.echo(json.dumps(asdict(listing), indent=2))
        return
    lines = _lines(listing, now=time.time())
    click.echo("\n".join(lines) or "no sandbox is running; start one: fairlead sandbox up")


@sandbox_group.command()
@_name_option
def env(name: str) -> None:
    """Print what a shell needs: eval "$(fairlead sandbox env)"."""
    description = detached.find(sandboxes_directory(os.environ), name)
    click.echo(f"export KUBECONFIG={shlex.quote(description.kubeconfig)}")


def _require(description: Description, *, gateway: bool, authorize: bool) -> None:
    lacking = {
        "a gateway": gateway and not description.gateway,
        "an authorizer": authorize and not description.audience,
    }
    for what in (name for name, lacks in lacking.items() if lacks):
        raise SandboxError(
            f"sandbox {description.name!r} is running without {what}",
            hint="stop it first, or choose another --name",
        )


def _explain(description: Description) -> None:
    option = "" if description.name == DEFAULT_NAME else f" --name {description.name}"
    click.echo(f"API server  {description.server}")
    if description.gateway:
        click.echo(f"gateway     {description.gateway}")
    if description.audience:
        click.echo(f"tokens for  {description.audience}, which is its authorizer.namespace as well")
    click.echo(f"kubeconfig  {description.kubeconfig}")
    click.echo(f'use it      eval "$(fairlead sandbox env{option})"')
    click.echo(f"stop it     fairlead sandbox down{option}")


def _lines(listing: Listing, *, now: float) -> Iterator[str]:
    for ready in listing.ready:
        age = duration(now - ready.started_at)
        gateway = f", gateway {ready.gateway}" if ready.gateway else ""
        yield f"{ready.name}: ready for {age}, {ready.nodes} nodes, {ready.server}{gateway}"
    for name in listing.starting:
        yield f"{name}: starting, or in use by the process that started it"
    for failure in listing.failed:
        yield f"{failure.name}: {failure}; the last lines of its log:"
        yield from (f"    {line}" for line in failure.log_tail.splitlines()[-8:])
