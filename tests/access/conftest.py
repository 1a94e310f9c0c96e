"""Fixtures of the tests that ask a real API server about access."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.sandbox import ControlPlane
from tests.access.real import Names, connected


@pytest.fixture
def names() -> Names:
    return Names(f"t{secrets.token_hex(3)}")


@pytest.fixture
async def cluster(api_server: ControlPlane) -> AsyncIterator[KubernetesCluster]:
    async with connected(api_server) as found:
        yield found
