"""Vault in memory, and a real one that is asked the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import pytest

from .memory_server import MemoryVault, memory_vault
from .server import RealVault

Vault: TypeAlias = "MemoryVault | RealVault"


@pytest.fixture
def memory() -> Iterator[MemoryVault]:
    with memory_vault() as vault:
        yield vault


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.vault)])
def vault(request: pytest.FixtureRequest) -> Iterator[Vault]:
    if request.param == "memory":
        yield request.getfixturevalue("memory")
        return
    real: RealVault = request.getfixturevalue("real_vault")
    real.clean()
    yield real
    real.clean()
