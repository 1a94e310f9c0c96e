"""`fairlead authorize`: the authorizer, in the foreground.

Separate from the daemon and its settings on purpose: the process that meets everybody's requests
has another identity, which may ask about access and read one object, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from reconciler.settings_places import Address


@dataclass(frozen=True, slots=True)
class AuthorizeSettings:
    """What one authorizer works with. `kubeconfig` is None within a cluster."""

    cluster: str
    namespace: str
    audiences: tuple[str, ...]
    listen: Address
    directory: Path
    kubeconfig: Path | None
    tool_servers: dict[str, str]
    record_grants: float
    grpc_listen: Address | None = None
    replica: str = ""

    @property
    def origin(self) -> str:
        """The name of its log, which no other has."""
        return "/".join(filter(None, ("fairlead-authorize", self.cluster, self.replica)))


@dataclass(frozen=True, slots=True)
class AuthorizeTools:
    """What the composition root hands to the command, as the context's object."""

    run: Callable[[AuthorizeSettings], None]


def _address(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> Address | None:
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter("write HOST:PORT, such as 127.0.0.1:9470")
    return Address(host.strip("[]"), int(port))


def _servers(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        name, _, url = value.partition("=")
        if not name or not url.startswith(("http://", "https://")) or name in found:
            raise click.BadParameter("write NAME=URL, once for each name")
        found[name] = url
    return found


@click.command("authorize")
@click.option("--cluster", required=True, help="Name of the Cluster document.")
@click.option("--replica", default="", help="Which of several: part of the name of its log.")
@click.option("--namespace", required=True, help="Where the ConfigMap fairlead-authorize is.")
@click.option(
    "--audience", "audiences", required=True, multiple=True, help="For whom tokens must be."
)
@click.option(
    "--listen",
    default="127.0.0.1:9470",
    show_default=True,
    callback=_address,
    help="Address for the gateway. It must be the only one that reaches it.",
)
@click.option(
    "--grpc-listen",
    callback=_address,
    help="Address for gateways that ask over gRPC, as Contour does; none if left out.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/var/lib/fairlead-authorize"),
    show_default=True,
    help="Where the audit log and its keys are kept.",
)
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="How the API server is reached; by the pod's own credential if left out.",
)
@click.option(
    "--tool-server",
    "tool_servers",
    multiple=True,
    metavar="NAME=URL",
    callback=_servers,
    help="An MCP server whose tools AgentScopes list. May be repeated.",
)
@click.option(
    "--record-grants",
    type=click.FloatRange(0, 100),
    default=100,
    show_default=True,
    metavar="PERCENT",
    help="Share of the grants that is recorded. Denials always are.",
)
@click.make_pass_decorator(AuthorizeTools)
def authorize_command(
    tools: AuthorizeTools,
    *,
    cluster: str,
    replica: str,
    namespace: str,
    audiences: tuple[str, ...],
    listen: Address,
    grpc_listen: Address | None,
    directory: Path,
    kubeconfig: Path | None,
    tool_servers: dict[str, str],
    record_grants: float,
) -> None:
    """Answer a gateway that asks who may call which model, until SIGTERM or SIGINT."""
    tools.run(
        AuthorizeSettings(
            cluster=cluster,
            namespace=namespace,
            audiences=audiences,
            listen=listen,
            directory=directory,
            kubeconfig=kubeconfig,
            tool_servers=tool_servers,
            record_grants=record_grants / 100,
            grpc_listen=grpc_listen,
            replica=replica,
        )
    )
