"""The stores and clusters that the contracts are asked of."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest

from contracts.cluster_worlds import Body, MemoryWorld, RealWorld, World, unique
from contracts.state_worlds import (
    PostgresServer,
    Store,
    answers,
    postgres_binaries,
    wait_until,
)
from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.adapters.state_sql import open_state


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL server binaries (initdb) are neither on PATH nor in /usr/lib")
    home = Path(tempfile.mkdtemp(prefix="fairlead-pg-", dir="/tmp"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL refuses to run as root, and setpriv is not there")
        # Last option: the server goes when the tests do, however they end.
        as_user = [
            "setpriv",
            "--reuid=nobody",
            "--regid=nogroup",
            "--clear-groups",
            "--pdeathsig=KILL",
        ]
        shutil.chown(home, "nobody", "nogroup")
    subprocess.run(
        [*as_user, binaries / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust", "-N"],
        check=True,
        capture_output=True,
        cwd="/",
    )
    options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50"]
    server = subprocess.Popen(
        [*as_user, binaries / "postgres", "-D", home / "data", "-k", home, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    try:
        wait_until(lambda: answers(home), "PostgreSQL answers")
        yield PostgresServer(home, count())
    finally:
        server.send_signal(signal.SIGINT)  # Fast shutdown: waits for no client.
        server.wait(20)
        shutil.rmtree(home, ignore_errors=True)


postgres = pytest.param("postgresql", marks=pytest.mark.postgres)


@pytest.fixture(params=["sqlite", postgres])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "state.db")
    return request.getfixturevalue("postgres_server").new_database()


@pytest.fixture(params=["memory", "sqlite", postgres])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStateStore()
        return
    if request.param == "sqlite":
        place = str(tmp_path / "state.db")
    else:
        place = request.getfixturevalue("postgres_server").new_database()
    opened = await open_state(place)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.cluster)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    made: World = (
        MemoryWorld()
        if request.param == "memory"
        else RealWorld(request.getfixturevalue("api_server"))
    )
    yield made
    await made.cluster.close()


@pytest.fixture
async def namespace(world: World) -> str:
    name = unique("contract")
    body: Body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await world.cluster.apply(body, dry_run=False)
    return name
