"""Measure, print the table, and write it where it is asked to.

Separate from what is measured. Each size gets a control plane and a daemon of its own.
"""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
from pathlib import Path

import click

from bench.estate import Estate
from bench.report import table
from bench.scenario import Figures, Scenario, prepared
from bench.server import Server
from reconciler.sandbox import BinarySettings, Components, ControlPlane, artefacts, locate
from reconciler.sandbox.terminal import shown_progress


@click.command()
@click.option(
    "--estate",
    "estates",
    multiple=True,
    default=["1000/10", "10000/100"],
    show_default=True,
    help="OBJECTS/UNITS, as often as wanted.",
)
@click.option("--rounds", default=30, show_default=True, help="Commits and drifts of each estate.")
@click.option("--write", type=click.Path(path_type=Path), help="Write the table to this file.")
def bench(estates: tuple[str, ...], rounds: int, write: Path | None) -> None:
    """Measure the daemon against a real API server on this machine."""
    with shown_progress() as progress:
        parts = Components.FULL
        binaries = locate(
            artefacts(parts, gateway_api=False),
            BinarySettings.from_environment(os.environ),
            progress=progress,
        )
    measured = []
    for estate in estates:
        objects, units = map(int, estate.split("/"))
        with ControlPlane(binaries, components=parts, gateway_api=False) as plane:
            measured.append(_measure(plane, objects=objects, units=units, rounds=rounds))
    text = table(measured, machine=_machine())
    click.echo(text)
    if write:
        write.write_text(text)


def _measure(plane: ControlPlane, *, objects: int, units: int, rounds: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as name:
        directory = Path(name)
        estate = Estate(directory, objects=objects, units=units)
        head = estate.commit_policy()
        daemon, secret = prepared(directory, kubeconfig=plane.kubeconfig, estate=estate)
        with daemon:
            daemon.until(lambda status: status["accepted"] == head, what="start")

            async def run() -> Figures:
                server = Server(plane.kubeconfig)
                try:
                    await server.create_namespaces()
                    scenario = Scenario(
                        server=server, daemon=daemon, estate=estate, secret=secret, rounds=rounds
                    )
                    return await scenario.measure(units, lambda text: click.echo(f"  {text}…"))
                finally:
                    await server.cluster.close()

            return asyncio.run(run())


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


if __name__ == "__main__":
    bench()
