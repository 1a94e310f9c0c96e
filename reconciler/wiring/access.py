"""What `fairlead access` needs of the outside: a clone to ask, and an API server for tokens.

Separate from what validates, which people and hooks wait for: only a token needs a connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from reconciler.access_ports import AgentTokens
from reconciler.surfaces.token_command import AccessTools
from reconciler.wiring.validating import validate_tools


def access_tools() -> AccessTools:
    return AccessTools(validate_tools().open_repository, _tokens)


@asynccontextmanager
async def _tokens(kubeconfig: Path, context: str) -> AsyncIterator[AgentTokens]:
    # They load an HTTP client, which the offline questions do without.
    from reconciler.adapters.agent_tokens_kubernetes import KubernetesAgentTokens  # noqa: PLC0415
    from reconciler.adapters.clocks import SystemClock  # noqa: PLC0415
    from reconciler.adapters.cluster_connection import ApiConnection  # noqa: PLC0415
    from reconciler.adapters.cluster_credentials import Kubeconfig  # noqa: PLC0415

    clock = SystemClock()
    # The person who runs it chose the file, and may let it run programs as kubectl would.
    access = Kubeconfig(kubeconfig, context, allow_exec=True)
    tokens = KubernetesAgentTokens(ApiConnection(access, clock), clock)
    try:
        yield tokens
    finally:
        await tokens.close()
