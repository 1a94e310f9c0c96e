"""`fairlead rollout simulate`: play a rollout before anybody ships it.

Separate from the commands that read the daemon's log, because this one needs neither daemon nor
settings. The invariant: steps and gates are those that lie in the repository, and what moves the
rollout is the function that the daemon calls.

Exit codes: 0, whatever becomes of the rollout; 1 when the repository cannot be read as one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import orjson

from reconciler.core.desired import DesiredState
from reconciler.core.errors import Invalid, Missing
from reconciler.core.kinds import Rollout
from reconciler.core.presenting.simulation_text import simulation_lines
from reconciler.core.quantities import Percent, parse_duration
from reconciler.core.rollouts.placing import gradual
from reconciler.core.rollouts.simulating import Scenario, is_simulated, simulate, simulation_json
from reconciler.surfaces.printing import print_lines
from reconciler.surfaces.validate_command import valid_state

_Read = TypeVar("_Read")


def _reading(
    parse: Callable[[str], _Read],
) -> Callable[[click.Context, click.Parameter, str], _Read]:
    """An option's callback that reads its text as documents do."""

    def read(_context: click.Context, _option: click.Parameter, text: str) -> _Read:
        try:
            return parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return read


_percent = _reading(lambda text: float(Percent.parse(text).share))
_seconds = _reading(lambda text: parse_duration(text).total_seconds())


@click.command("simulate")
@click.argument("rollout", metavar="ROLLOUT")
@click.option(
    "--repo",
    "repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="Work tree of the config repository; the current directory by default.",
)
@click.option(
    "--candidate-errors",
    required=True,
    callback=_percent,
    metavar="PERCENT",
    help="Share of the new version's requests that fail.",
)
@click.option(
    "--stable-errors",
    default="0.1%",
    show_default=True,
    callback=_percent,
    metavar="PERCENT",
    help="Share of the requests that fail before.",
)
@click.option(
    "--requests-per-second",
    type=click.FloatRange(min=0, max=1e6, min_open=True),
    default=50.0,
    show_default=True,
    help="Requests to the clusters of each wave.",
)
@click.option(
    "--cohort",
    default="5%",
    show_default=True,
    callback=_percent,
    metavar="PERCENT",
    help="Share of the requests with the header of a cohort.",
)
@click.option(
    "--bad-after",
    default="0s",
    callback=_seconds,
    metavar="DURATION",
    help="Let the new version be good until then, such as 10m.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Other seeds, other chances.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def simulate_command(
    *,
    rollout: str,
    repository: Path,
    candidate_errors: float,
    stable_errors: float,
    requests_per_second: float,
    cohort: float,
    bad_after: float,
    seed: int,
    as_json: bool,
) -> None:
    """Play ROLLOUT on a virtual clock: what would happen, when, and what users would notice.

    One look a second. Replicas are up at once, gateways divide as they are told, approvals are
    given at once, and only gates on failed requests judge.
    """
    desired, found = _rollout(repository, rollout)
    scenario = Scenario(stable_errors, candidate_errors, requests_per_second, cohort, bad_after)
    gates = {name: desired.gates[name].spec for name in found.spec.gates}
    simulation = simulate(
        rollout,
        found.spec,
        gates,
        scenario,
        waves=1 + max(unit.stage for _, unit in desired.places_of(rollout)),
        chance=random.Random(seed).random,  # noqa: S311 - a simulation
    )
    left_out = sorted(name for name, gate in gates.items() if not is_simulated(gate))
    if as_json:
        body = {**simulation_json(simulation), "leftOut": left_out}
        click.echo(orjson.dumps(body, option=orjson.OPT_INDENT_2))
        return
    version = found.spec.version
    print_lines(simulation_lines(simulation, scenario, version=version, left_out=left_out))


def _rollout(repository: Path, name: str) -> tuple[DesiredState, Rollout]:
    """The rollout as the work tree has it. Raises Invalid or Missing when nothing can be played."""
    desired = valid_state(repository)
    rollout = desired.rollouts.get(name)
    if rollout is None:
        known = ", ".join(sorted(desired.rollouts)) or "there are none"
        raise Missing(f"{repository} declares no Rollout {name}", hint=f"known: {known}")
    if gradual(rollout.spec.strategy) is None:
        raise Invalid(
            f"rollout {name} does not go step by step, so there is nothing to play",
            hint="give it strategy.canary or strategy.blueGreen",
        )
    if not any(desired.places_of(name)):
        raise Invalid(
            f"no cluster is to run rollout {name}",
            hint="let the labels of a wave match those of a cluster",
        )
    return desired, rollout
