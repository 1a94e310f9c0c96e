"""`fairlead demo`: set the stage, play the story, clear away.

Separate from the story so that whatever happens in it, nothing is left running and, unless asked
for, nothing is left on the disk.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from reconciler.demo.access_steps import AccessSteps
from reconciler.demo.daemon_process import DaemonProcess
from reconciler.demo.evidence import Administrator
from reconciler.demo.narration import Narrator, StepFailed
from reconciler.demo.releases import Releases
from reconciler.demo.story import CLUSTERS, STEPS, Story
from reconciler.demo.workshop import Workshop
from reconciler.sandbox import (
    BinarySettings,
    Components,
    ControlPlane,
    artefacts,
    locate,
    require_network_namespaces,
)
from reconciler.sandbox.authorizer import LOG as DECISIONS
from reconciler.sandbox.terminal import shown_progress

_CHECKOUT = Path(__file__).parents[2]


@click.command("demo")
@click.option(
    "--example",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=_CHECKOUT / "example-repo",
    help="Config repository to play with; the one of the checkout by default.",
)
@click.option("--keep", is_flag=True, help="Keep the files of the demo and say where they are.")
def demo_command(example: Path, keep: bool) -> None:
    """Show the main job on two real control planes under real requests, in a few minutes."""
    require_network_namespaces()
    with shown_progress() as progress:
        binaries = locate(
            artefacts(Components.FULL, gateway_api=True, gateway=True),
            BinarySettings.from_environment(os.environ),
            progress=progress,
        )
    narrator = Narrator(steps=STEPS)
    with _directory(keep) as directory, ExitStack() as running:
        click.echo(
            "Starting two control planes (etcd, API server, controllers, 3 nodes with GPUs),"
        )
        click.echo("each with a gateway and model servers…")
        planes = {
            name: ControlPlane(binaries, components=Components.FULL, gateway=True)
            for name in CLUSTERS
        }
        with ThreadPoolExecutor() as pool:
            for plane in pool.map(_started, planes.values()):
                running.callback(plane.stop)
        click.echo(f"Both are ready after {narrator.elapsed:.1f} s.")
        daemon = _play(directory, example, planes, narrator, running)
        _end(narrator)
        _let_look(daemon)


def _play(
    directory: Path,
    example: Path,
    planes: Mapping[str, ControlPlane],
    narrator: Narrator,
    running: ExitStack,
) -> DaemonProcess:
    """Returns the daemon, which is ready again after the end of the story."""
    workshop = Workshop(directory, example=example)
    kubeconfigs = {name: plane.kubeconfig for name, plane in planes.items()}
    daemon = DaemonProcess(
        directory,
        remote=workshop.remote,
        kubeconfigs=kubeconfigs,
        repository="ml-platform",
        more={
            "reverts": {"email": "fairlead@example.com"},
            "page": {"decisions": [str(plane.directory / DECISIONS) for plane in planes.values()]},
        },
    )
    running.enter_context(daemon)
    people = {name: Administrator(name, path) for name, path in kubeconfigs.items()}
    gateways = {name: plane.gateway_address for name, plane in planes.items()}
    releases = Releases(
        narrator, workshop=workshop, daemon=daemon, administrators=people, gateways=gateways
    )
    access = AccessSteps(narrator, workshop=workshop, daemon=daemon, plane=planes["production"])
    Story(
        narrator,
        workshop=workshop,
        daemon=daemon,
        administrators=people,
        releases=releases,
        access=access,
    ).play()
    return daemon


def _started(plane: ControlPlane) -> ControlPlane:
    plane.start()
    return plane


@contextmanager
def _directory(keep: bool) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="fairlead-demo-"))
    try:
        yield directory
    except StepFailed as failure:
        log = directory / "daemon.log"
        if log.exists():
            failure.hint = (
                f"the end of the daemon's log:\n{log.read_text(errors='replace')[-3000:]}"
            )
        raise
    finally:
        if keep:
            click.echo(f"The files of the demo are in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def _end(narrator: Narrator) -> None:
    click.echo()
    click.secho(f"Everything happened as told, in {narrator.elapsed:.0f} s.", bold=True)
    click.echo("Where to look next:")
    click.echo("  example-repo/            the config repository that was used: copy it")
    click.echo("  fairlead sandbox up      a control plane of your own to try things on")
    click.echo("  fairlead validate DIR    check a config repository, offline")
    click.echo("  README.md                how to point Fairlead at your repository and clusters")


def _let_look(daemon: DaemonProcess) -> None:
    """Keep the page up while somebody looks; a pipe has nobody who could end it."""
    click.echo()
    click.echo(f"The status page, with all that happened: {click.style(daemon.page, bold=True)}")
    if sys.stdin.isatty() and sys.stdout.isatty():
        click.pause("It is served until you press a key…")
