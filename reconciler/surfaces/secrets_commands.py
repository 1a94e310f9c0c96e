"""`fairlead secrets policy`: what AWS has to allow so that a rollout or an agent can read its own.

Separate from what is applied: roles of AWS are kept by whoever keeps the account, and nothing here
signs in to one. The invariant: what is printed comes from the repository alone, so that everybody
prints the same.

Exit codes: 0; 1 when the repository is not valid, or the reader reads nothing from AWS.
"""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from reconciler.core.access.subjects import agent_name
from reconciler.core.aws_policies import agent_policies, rollout_policies
from reconciler.core.errors import Missing
from reconciler.surfaces.validate_command import valid_state


@click.group("secrets")
def secrets_group() -> None:
    """See what readers of secrets need in their stores."""


@secrets_group.command("policy")
@click.argument("reader", metavar="ROLLOUT|agent/NAME")
@click.argument(
    "repository",
    metavar="[DIR]",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
)
def policy_command(*, reader: str, repository: Path) -> None:
    """Print what the roles of AWS need so that a rollout's replicas, or an agent, can read secrets.

    It is an object with a policy document for the ARN of each role. DIR is the work tree of the
    config repository; the current directory by default.
    """
    state = valid_state(repository)
    agent = agent_name(reader)
    declared = state.rollouts if agent is None else state.agents
    name = reader if agent is None else agent
    if name not in declared:
        kind = "Rollout" if agent is None else "AgentScope"
        known = ", ".join(sorted(declared)) or "there are none"
        raise Missing(f"{repository} declares no {kind} {name}", hint=f"known: {known}")
    policies = rollout_policies(state, name) if agent is None else agent_policies(state, name)
    if not policies:
        raise Missing(
            f"{reader} reads no secret of AWS",
            hint="its Model has to name one under serving.secrets, or its AgentScope under "
            "secrets, and a cluster that it runs in to have secretDelivery with aws",
        )
    click.echo(orjson.dumps(policies, option=orjson.OPT_INDENT_2).decode())
