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

from bench.access import access_table, measure_access
from bench.authorizing import AskingBench, asking_table
from bench.estate import Estate
from bench.report import table
from bench.reviews import ReviewBench, review_table
from bench.rollouts import RolloutBench, rollout_table
from bench.scenario import Figures, Scenario, prepared
from bench.server import Server
from reconciler.sandbox import Binaries, BinarySettings, Components, ControlPlane, artefacts, locate
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
@click.option(
    "--trials", default=20, show_default=True, help="Bad versions that are shipped; 0 for none."
)
@click.option(
    "--reviews",
    "reviewed",
    multiple=True,
    default=["100/10/1", "1000/10/3", "10000/100/1"],
    show_default=True,
    help="OBJECTS/UNITS/CLUSTERS whose pull requests are answered, as often as wanted.",
)
@click.option("--write", type=click.Path(path_type=Path), help="Write the tables to this file.")
def bench(
    estates: tuple[str, ...],
    rounds: int,
    trials: int,
    reviewed: tuple[str, ...],
    write: Path | None,
) -> None:
    """Measure the daemon against a real API server and real requests on this machine."""
    with shown_progress() as progress:
        parts = Components.FULL
        binaries = locate(
            artefacts(parts, gateway_api=True, gateway=trials > 0),
            BinarySettings.from_environment(os.environ),
            progress=progress,
        )
    text = _estates(binaries, estates, rounds=rounds)
    if reviewed:
        text += f"\n{_reviews(binaries, reviewed, rounds=rounds)}"
    text += f"\n{access_table(measure_access())}"
    if trials:
        text += f"\n{_asking(binaries, trials=trials)}"
        text += f"\n{_rollouts(binaries, trials=trials)}"
    click.echo(text)
    if write:
        write.write_text(text)


def _asking(binaries: Binaries, *, trials: int) -> str:
    with (
        ControlPlane(binaries, components=Components.FULL, gateway=True, authorize=True) as plane,
        tempfile.TemporaryDirectory(prefix="fairlead-bench-") as directory,
    ):
        bench = AskingBench(plane, Path(directory), lambda text: click.echo(f"  {text}…"))
        return asking_table(bench.measure(trials=trials))


def _rollouts(binaries: Binaries, *, trials: int) -> str:
    with (
        ControlPlane(binaries, components=Components.FULL, gateway=True) as plane,
        tempfile.TemporaryDirectory(prefix="fairlead-bench-") as directory,
    ):
        bench = RolloutBench(plane, Path(directory), lambda text: click.echo(f"  {text}…"))
        return rollout_table(bench.measure(trials=trials))


def _estates(binaries: Binaries, estates: tuple[str, ...], *, rounds: int) -> str:
    parts = Components.FULL
    measured = []
    for estate in estates:
        objects, units = map(int, estate.split("/"))
        with ControlPlane(binaries, components=parts, gateway_api=False) as plane:
            measured.append(_measure(plane, objects=objects, units=units, rounds=rounds))
    return table(measured, machine=_machine())


def _reviews(binaries: Binaries, estates: tuple[str, ...], *, rounds: int) -> str:
    measured = []
    for estate in estates:
        objects, units, clusters = map(int, estate.split("/"))
        with (
            ControlPlane(binaries, components=Components.FULL, gateway_api=False) as plane,
            tempfile.TemporaryDirectory(prefix="fairlead-bench-") as directory,
        ):
            names = [f"bench-{number}" for number in range(1, clusters + 1)]
            made = Estate(Path(directory), objects=objects, units=units, clusters=names)
            bench = ReviewBench(plane.kubeconfig, Path(directory), made)
            click.echo(f"  pull requests: {objects} objects in {clusters} clusters…")
            measured.append(asyncio.run(bench.measure(rounds=rounds)))
    return review_table(measured)


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
