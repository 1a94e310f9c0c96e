"""`fairlead secrets policy`: what AWS has to allow so that the replicas of a rollout get theirs.

Separate from what is applied: roles of AWS are kept by whoever keeps the account, and nothing here
signs in to one. The invariant: what is printed comes from the repository alone, so that everybody
prints the same.

Exit codes: 0; 1 when the repository is not valid, or the rollout reads nothing from AWS.
"""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from reconciler.core.aws_policies import aws_policies
from reconciler.core.errors import Missing
from reconciler.surfaces.validate_command import valid_state


@click.group("secrets")
def secrets_group() -> None:
    """See what readers of secrets need in their stores."""


@secrets_group.command("policy")
@click.argument("rollout", metavar="ROLLOUT")
@click.argument(
    "repository",
    metavar="[DIR]",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
)
def policy_command(*, rollout: str, repository: Path) -> None:
    """Print what the roles of AWS need so that the replicas of ROLLOUT get their secrets.

    It is an object with a policy document for the ARN of each role. DIR is the work tree of the
    config repository; the current directory by default.
    """
    state = valid_state(repository)
    if rollout not in state.rollouts:
        known = ", ".join(sorted(state.rollouts)) or "there are none"
        raise Missing(f"{repository} declares no Rollout {rollout}", hint=f"known: {known}")
    policies = aws_policies(state, rollout)
    if not policies:
        raise Missing(
            f"no secret of AWS is delivered to Rollout {rollout}",
            hint="its model has to name one under serving.secrets, and a cluster that it runs in "
            "to have secretDelivery with aws",
        )
    click.echo(orjson.dumps(policies, option=orjson.OPT_INDENT_2).decode())
