"""`fairlead status`, and the request behind it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from reconciler.adapters.status_http import ask_status
from reconciler.core.ledger import Ledger, Position, Standing, UnitState
from reconciler.core.standing import ClusterFacts, Status, cluster_status, status_json
from reconciler.settings import Settings
from reconciler.surfaces.status_command import StatusTools, status_command
from tests.presenting.builders import FRAUD, HEAD, STAGING

SETTINGS = """\
repository: {name: ml-platform, url: /nowhere}
clusters:
- {name: staging, kubeconfig: /nowhere}
"""
LEDGER = Ledger(STAGING, {}, {FRAUD: UnitState(FRAUD, Standing.SETTLED, HEAD)})
FINE = Status(
    repository="ml-platform",
    time="2027-01-01T12:00:00+00:00",
    running=True,
    head=HEAD,
    accepted=HEAD,
    refused=None,
    explanation="",
    clusters=(
        cluster_status(ClusterFacts(LEDGER), Position(accepted=HEAD, applied={STAGING: HEAD})),
    ),
)


def run(tmp_path: Path, status: Status, *arguments: str) -> Result:
    settings = tmp_path / "settings.yaml"
    settings.write_text(SETTINGS)

    async def tell(_: Settings) -> Status:
        return status

    command = [*arguments, "--config", str(settings)]
    return CliRunner().invoke(status_command, command, obj=StatusTools(tell))


@pytest.mark.parametrize(
    ("status", "code"),
    [(FINE, 0), (replace(FINE, running=False), 1), (replace(FINE, head=None), 1)],
)
def test_the_exit_code_speaks_only_when_asked(tmp_path: Path, status: Status, code: int) -> None:
    assert run(tmp_path, status).exit_code == 0
    assert run(tmp_path, status, "--exit-code").exit_code == code


def test_json_is_the_status_as_the_daemon_serves_it(tmp_path: Path) -> None:
    assert orjson.loads(run(tmp_path, FINE, "--json").stdout_bytes) == status_json(FINE)


async def answering(content: bytes) -> tuple[asyncio.Server, int]:
    """A server that gives one answer to everybody."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (orjson.dumps(status_json(FINE)), FINE),
        (orjson.dumps(status_json(replace(FINE, repository="other"))), None),
        (b'{"version": 1}', None),
        (b"<html>not ours</html>", None),
        (b"", None),
    ],
    ids=["ours", "another repository's", "incomplete", "no JSON", "nothing"],
)
async def test_only_a_status_of_this_repository_counts_as_an_answer(
    content: bytes, expected: Status | None
) -> None:
    server, port = await answering(content)
    async with server:
        assert await ask_status("127.0.0.1", port, repository="ml-platform") == expected


async def test_where_nobody_listens_there_is_no_answer() -> None:
    server, port = await answering(b"")
    server.close()
    await server.wait_closed()
    assert await ask_status("127.0.0.1", port, repository="ml-platform") is None
