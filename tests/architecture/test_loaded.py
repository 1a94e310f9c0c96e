"""What starting the daemon loads. Every library costs memory and time in each process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest

ONLY_WHEN_SET = (
    "github3",
    "google.protobuf",
    "hvac",
    "joserfc",
    "kubernetes",
    "opentelemetry.exporter",
    "requests",
)
ONLY_IN_COMMANDS = ("jsonschema", "reconciler.demo", "reconciler.sandbox")


@cache
def loaded(module: str = "reconciler.wiring.daemon") -> frozenset[str]:
    program = f"import sys, {module}; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return frozenset(told.stdout.split())


def inside(package: str) -> Iterator[str]:
    return (name for name in loaded() if name.startswith(f"{package}."))


@pytest.mark.parametrize("package", [*ONLY_WHEN_SET, *ONLY_IN_COMMANDS])
def test_the_daemon_loads_no_library_that_it_is_not_set_to_use(package: str) -> None:
    assert package not in loaded()
    assert list(inside(package)) == []


@pytest.mark.parametrize("package", ["sqlalchemy", "aiohttp", "structlog", "reconciler.engine"])
def test_validate_loads_neither_database_nor_client_nor_engine(package: str) -> None:
    assert package not in loaded("reconciler.wiring.validating")
