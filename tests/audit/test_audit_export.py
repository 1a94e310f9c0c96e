"""An export is checked to its last byte, with no database."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.builders import SIGNER, a_log, decision, export_to, signed_log
from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core.audit.encoding import encode
from reconciler.core.audit.tiles import bundle, entries_of
from reconciler.core.audit.verification import Verification
from reconciler.core.errors import Misconfigured, Missing
from reconciler.surfaces.audit_export import write_export
from reconciler.surfaces.audit_reading import verified_export

SIZES = (5, 260, 300)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_to(tmp_path_factory.mktemp("audit") / "export", *SIZES)


@pytest.fixture
def copy(export: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(export, tmp_path / "export"))


def checked(directory: Path) -> Verification:
    return verified_export(directory, vkey=SIGNER.verifier, anchors=(), has_commit=None)


def places(directory: Path) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.index) for finding in checked(directory).findings]


def rewrite_bundle(directory: Path, change: Callable[[list[bytes]], None], number: int = 0) -> None:
    path = directory / "tile/entries" / ("000" if number == 0 else "001.p/44")
    entries = entries_of(path.read_bytes())
    change(entries)
    path.write_bytes(bundle(entries))


def test_an_export_passes(export: Path) -> None:
    verification = checked(export)
    assert verification.findings == ()
    assert (verification.size, verification.checkpoints) == (300, 3)


def test_an_export_has_the_files_of_the_specification(export: Path) -> None:
    names = {path.relative_to(export).as_posix() for path in export.rglob("*") if path.is_file()}
    assert names == {
        "checkpoint",
        "checkpoints/00000000000000000005",
        "checkpoints/00000000000000000260",
        "checkpoints/00000000000000000300",
        "records.jsonl",
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/44",
        "vkey",
    }


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512])
def test_an_export_of_any_size_passes(tmp_path: Path, size: int) -> None:
    assert checked(export_to(tmp_path / "export", size)).findings == ()


def test_an_export_ends_at_its_checkpoint(tmp_path: Path) -> None:
    async def exported() -> int:
        store = await signed_log(10)
        await store.append([decision()])
        return await write_export(store, tmp_path / "export", verifier=SIGNER.verifier)

    assert asyncio.run(exported()) == 10
    assert checked(tmp_path / "export").findings == ()


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_a_flipped_bit_anywhere_is_found(export: Path, data: st.DataObject) -> None:
    files = sorted(path for path in export.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    good = path.read_bytes()
    spoilt = bytearray(good)
    spoilt[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(spoilt))
    try:
        found = not checked(export).passed
    except Missing:
        found = True  # The checkpoint itself cannot be read any more.
    finally:
        path.write_bytes(good)
    assert found


def test_a_changed_record_is_named(copy: Path) -> None:
    changed = encode(decision(1000))
    rewrite_bundle(copy, lambda entries: entries.__setitem__(17, changed))
    assert ("changed", 17) in places(copy)


def test_a_removed_record_is_named(copy: Path) -> None:
    rewrite_bundle(copy, lambda entries: entries.__delitem__(17))
    assert ("removed", 17) in places(copy)


def test_an_added_record_is_named(copy: Path) -> None:
    rewrite_bundle(copy, lambda entries: entries.insert(17, encode(decision(1000))))
    assert ("added", 17) in places(copy)


def test_a_record_added_at_the_end_is_named(copy: Path) -> None:
    rewrite_bundle(copy, lambda entries: entries.append(encode(decision(1000))), number=1)
    assert ("added", 300) in places(copy)


def test_exchanged_records_are_named(copy: Path) -> None:
    def exchange(entries: list[bytes]) -> None:
        entries[17], entries[18] = entries[18], entries[17]

    rewrite_bundle(copy, exchange)
    assert ("reordered", 17) in places(copy)


def test_a_log_rewritten_as_a_whole_is_found(copy: Path, tmp_path: Path) -> None:
    """Everything is made anew and fits together; only the old checkpoints are in the way."""

    async def forge() -> None:
        store = MemoryStateStore()
        records = a_log(300)
        await store.append([*records[:8], decision(1000), *records[9:]])
        note = (copy / "checkpoint").read_bytes()
        await store.keep_checkpoint(300, note)
        await write_export(store, tmp_path / "forged", verifier=SIGNER.verifier)

    asyncio.run(forge())
    shutil.copytree(copy / "checkpoints", tmp_path / "forged/checkpoints", dirs_exist_ok=True)
    assert ("contradicts-checkpoint", 5) in places(tmp_path / "forged")


@pytest.mark.parametrize("name", ["tile/0/000", "tile/entries/000", "records.jsonl", "vkey"])
def test_a_missing_file_is_found(copy: Path, name: str) -> None:
    (copy / name).unlink()
    assert ("missing-file", None) in places(copy)


@pytest.mark.parametrize(
    "name", ["tile/entries/002", "tile/entries/001.p/45", "checkpoints/readme", "readme"]
)
def test_an_additional_file_is_found(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"x")
    assert not checked(copy).passed


def test_a_removed_middle_checkpoint_leaves_the_rest_verifiable(copy: Path) -> None:
    (copy / "checkpoints/00000000000000000260").unlink()
    assert checked(copy).passed


def test_a_readable_copy_that_says_something_else_is_found(copy: Path) -> None:
    path = copy / "records.jsonl"
    path.write_bytes(path.read_bytes().replace(b"ada@", b"eve@", 1))
    assert places(copy) == [("readable-copy", 0)]


def test_a_directory_in_use_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(Misconfigured, match="empty"):
        export_to(tmp_path, 3)
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_log_that_was_never_signed_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no signed checkpoint"):
        asyncio.run(write_export(MemoryStateStore(), tmp_path / "export", verifier=SIGNER.verifier))


def test_a_directory_that_is_no_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="not an export"):
        checked(tmp_path)
