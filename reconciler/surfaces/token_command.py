"""`fairlead access token`: a token of an agent, for those who may have one.

Separate from the questions about access, which need no cluster. The invariant: the token is
written to standard output and nowhere else, and nothing else is written there, so that it can be
piped to where it is used and kept out of logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import click
import orjson

from reconciler.access_ports import AgentTokens
from reconciler.core.access.tokens import AgentToken
from reconciler.surfaces.validate_command import ValidateTools


@dataclass(frozen=True, slots=True)
class AccessTools(ValidateTools):
    """What the composition root hands to `fairlead access`. `tokens` opens a kubeconfig."""

    tokens: Callable[[Path, str], AbstractAsyncContextManager[AgentTokens]]


@click.command("token")
@click.argument("agent")
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    envvar="KUBECONFIG",
    default=Path.home() / ".kube" / "config",
    help="Yours: you need the right to the token. [default: KUBECONFIG or ~/.kube/config]",
)
@click.option("--context", "kube_context", default="", help="Of the kubeconfig.")
@click.option("--pod", default="", help="End the token with this pod of the agent's namespace.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.make_pass_decorator(AccessTools)
def token_command(
    tools: AccessTools,
    *,
    agent: str,
    kubeconfig: Path,
    kube_context: str,
    pod: str,
    as_json: bool,
) -> None:
    """Print a token of AGENT, for the audience and the time that its scope says.

    Those who may are the members of the Roles under `token.by` of the AgentScope.
    """
    token = asyncio.run(_minted(tools, kubeconfig, kube_context, agent, pod))
    click.echo(
        f"a token of agent {agent} for {token.audience}, good until {token.expires.isoformat()}; "
        f"its id in logs is {token.identifier}",
        err=True,
    )
    click.echo(_json(token) if as_json else token.value)


async def _minted(
    tools: AccessTools, kubeconfig: Path, context: str, agent: str, pod: str
) -> AgentToken:
    async with tools.tokens(kubeconfig, context) as tokens:
        return await tokens.mint(await tokens.terms(agent), pod=pod)


def _json(token: AgentToken) -> str:
    body = {
        "token": token.value,
        "id": token.identifier,
        "audience": token.audience,
        "expires": token.expires.isoformat(),
    }
    return orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()
