"""Commits that want to use up memory or time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reconciler.adapters.git_remotes import GitSource
from reconciler.core.documents import MAX_FILE_BYTES
from tests.git.builders import serving

from .estate import Origin, Siege, besieged

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILE = "apps/web/x.yaml"
MEBIBYTE = 1024 * 1024


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def stall() -> AsyncIterator[list[float]]:
    """How long the event loop was busy with one thing, again and again, in seconds."""
    gaps = [0.0]

    async def tick() -> None:
        while True:
            last = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - last)

    task = asyncio.create_task(tick())
    try:
        yield gaps
    finally:
        task.cancel()


async def test_a_huge_file_is_refused_without_being_read(tmp_path: Path) -> None:
    """Random bytes cannot be packed smaller, so they would show wherever they are kept."""
    origin = Origin(tmp_path / "served" / "config.git")
    with serving(origin.directory.parent) as server:
        source = GitSource(url=f"{server.url}/config.git")
        async with besieged(tmp_path, origin=origin, source=source) as siege:
            huge = tmp_path / "huge"
            with huge.open("wb") as file:
                for _ in range(48):
                    file.write(os.urandom(MEBIBYTE))
            oid = origin.repository.create_blob_fromdisk(str(huge))
            commit = origin.plant(b"apps", b"web", b"x.yaml", oid=oid)
            await siege.until(lambda: siege.engine.branch.head == commit, seconds=40)
            await siege.refuses(commit, ("file-too-large", FILE, None))
            before = resident()
            await siege.engine.reconciler.reconcile(commit)
            assert resident() - before < 8 * MEBIBYTE
            await siege.goes_on()


async def test_many_large_files_are_refused_without_being_read(siege: Siege) -> None:
    """One megabyte, in Git once, that a thousand paths name."""
    oid = siege.origin.blob((b"# " + b"x" * 100 + b"\n") * (MAX_FILE_BYTES // 103))
    entries = [((b"apps", b"u", b"%d.yaml" % n), b"100644", oid) for n in range(1000)]
    commit = siege.origin.plant_all(entries)
    started = time.process_time()
    refusal = await siege.resists(commit)
    assert {problem[0] for problem in refusal.problems} == {"too-much-text"}
    assert time.process_time() - started < 2


async def test_fifty_thousand_files_that_declare_nothing_are_passed_over(siege: Siege) -> None:
    oid = siege.origin.blob(b"nothing")
    entries = [((b"docs", b"%d" % (n % 100), b"%d.md" % n), b"100644", oid) for n in range(50_000)]
    commit = siege.origin.plant_all(entries)
    started = time.process_time()
    await siege.applies(commit)
    assert time.process_time() - started < 5


async def test_twenty_thousand_wrong_files_are_refused(siege: Siege) -> None:
    oid = siege.origin.blob(b"a: 1\n")
    entries = [
        ((b"apps", b"%d" % (n % 100), b"%d.yaml" % n), b"100644", oid) for n in range(20_000)
    ]
    commit = siege.origin.plant_all(entries)
    async with stall() as longest:
        refusal = await siege.refuses(commit)
    assert len(refusal.problems) == 50
    assert max(longest) < 2, "leases could not be renewed meanwhile"
    await siege.goes_on()
