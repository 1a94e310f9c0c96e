"""Signed notes, checkpoints, tile names and proofs in the forms that other tools use."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.builders import OTHER_SIGNER, SIGNER, signed_log
from reconciler.core.audit import merkle
from reconciler.core.audit.notes import (
    NoteError,
    Signer,
    Verifier,
    checkpoint_of,
    checkpoint_text,
    open_checkpoint,
    open_note,
)
from reconciler.core.audit.proofs import Proof, ProofError, verify_proof
from reconciler.core.audit.tiles import BundleError, Tile, bundle, entries_of, hashes_of, tiles_of
from reconciler.surfaces.audit_reading import proof_of

# The example of Go's golang.org/x/mod/sumdb/note.
NEUMANN_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NEUMANN_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NEUMANN_NOTE = (
    f"{NEUMANN_TEXT}\n\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN"
    "1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

# The example of c2sp.org/signed-note.
C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n\N{EM DASH} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6Tf"
    "Xppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

ROOT = b"r" * 32
TEXT = checkpoint_text(origin=SIGNER.name, size=7, root=ROOT)
NOTE = SIGNER.signed(TEXT)


def test_the_note_of_go_sumdb_opens() -> None:
    assert open_note(NEUMANN_NOTE, [Verifier.parse(NEUMANN_VKEY)]) == NEUMANN_TEXT


def test_our_signature_is_the_one_of_go_sumdb() -> None:
    assert Signer.parse(NEUMANN_SKEY).signed(NEUMANN_TEXT) == NEUMANN_NOTE


def test_the_note_of_c2sp_opens() -> None:
    text = open_note(C2SP_NOTE, [Verifier.parse(C2SP_VKEY)])
    assert text == "This is an example message.\n"


def test_keys_are_read_as_they_are_written() -> None:
    assert Verifier.parse(SIGNER.verifier.vkey) == SIGNER.verifier
    assert Signer.parse(SIGNER.skey) == SIGNER
    assert Signer.parse(NEUMANN_SKEY).verifier.vkey == NEUMANN_VKEY


def test_a_signing_key_is_not_shown() -> None:
    assert SIGNER.seed.hex() not in repr(SIGNER)
    assert "seed" not in repr(SIGNER)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        NEUMANN_VKEY.replace("c74f20a3", "c74f20a4"),
        NEUMANN_VKEY.replace("PeterNeumann", "Peter Neumann"),
        NEUMANN_VKEY[:-4],
        NEUMANN_VKEY.replace("+ARpc", "+BBpc"),
        NEUMANN_VKEY.replace("TW", "TX"),
    ],
)
def test_what_is_no_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        Verifier.parse(vkey)


@pytest.mark.parametrize("skey", ["", NEUMANN_VKEY, NEUMANN_SKEY[:-4], NEUMANN_SKEY.lower()])
def test_what_is_no_signing_key_is_refused_without_showing_it(skey: str) -> None:
    with pytest.raises(NoteError) as refused:
        Signer.parse(skey)
    assert "AYEKFALVFGyN" not in str(refused.value)


def test_another_key_of_the_same_name_does_not_open_a_note() -> None:
    with pytest.raises(NoteError, match="not signed by"):
        open_note(NOTE, [OTHER_SIGNER.verifier])


def test_signatures_by_strangers_are_ignored() -> None:
    stranger = Signer.named("witness.example/w", bytes(32))
    line = stranger.signed(TEXT).split(b"\n\n")[1]
    assert open_note(NOTE + line, [SIGNER.verifier]) == TEXT
    assert open_note(NOTE + line, [stranger.verifier]) == TEXT


def test_a_wrong_signature_by_a_known_key_spoils_the_note() -> None:
    witness = Signer.named("witness.example/w", bytes(32))
    wrong = witness.signed("another text\n").split(b"\n\n")[1]
    with pytest.raises(NoteError, match="witness"):
        open_note(NOTE + wrong, [SIGNER.verifier, witness.verifier])


def test_every_flipped_bit_of_a_note_is_noticed() -> None:
    survivors = []
    for position in range(len(NOTE) * 8):
        spoilt = bytearray(NOTE)
        spoilt[position // 8] ^= 1 << position % 8
        try:
            open_checkpoint(bytes(spoilt), [SIGNER.verifier])
        except NoteError:
            continue
        survivors.append(position)
    assert survivors == []


@pytest.mark.parametrize(
    "note",
    [
        b"",
        TEXT.encode(),
        NOTE[:-1],
        NOTE.replace(b"\n\n", b"\n"),
        NOTE.replace("\N{EM DASH}".encode(), b"-"),
        b"\x07" + NOTE,
        b"\xff" + NOTE,
        NOTE + b"\n",
        NOTE + b" " * 1_000_001,
    ],
)
def test_what_is_no_note_is_refused(note: bytes) -> None:
    with pytest.raises(NoteError):
        open_note(note, [SIGNER.verifier])


def test_a_checkpoint_says_origin_size_and_root() -> None:
    checkpoint = open_checkpoint(NOTE, [SIGNER.verifier])
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (SIGNER.name, 7, ROOT)


@pytest.mark.parametrize(
    "text",
    [
        "only a line\n",
        TEXT.replace("\n7\n", "\n07\n"),
        TEXT.replace("\n7\n", "\n-7\n"),
        TEXT.replace("\n7\n", "\n٧\n"),
        TEXT.replace("\n7\n", f"\n{10**30}\n"),
        TEXT.replace("=", ""),
        checkpoint_text(origin=SIGNER.name, size=7, root=b"short"),
        TEXT.replace(SIGNER.name, ""),
    ],
)
def test_a_signed_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        open_checkpoint(SIGNER.signed(text), [SIGNER.verifier])


# --- Tiles, with the examples of c2sp.org/tlog-tiles ------------------------------------------


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(3, 1234067, 256), "tile/3/x001/x234/067"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(1, 1000, 1), "tile/1/x001/000.p/1"),
    ],
)
def test_tiles_have_the_names_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert tile.entries_path == path.replace(f"tile/{tile.level}/", "tile/entries/")


def test_a_log_of_70000_has_the_tiles_of_the_specification() -> None:
    tiles = list(tiles_of(70_000))
    assert [sum(t.level == n and t.width == 256 for t in tiles) for n in range(4)] == [273, 1, 0, 0]
    partial = [(tile.level, tile.width) for tile in tiles if tile.width < 256]
    assert partial == [(0, 112), (1, 17), (2, 1)]


def test_a_log_of_256_has_one_full_tile_and_one_hash_above() -> None:
    assert list(tiles_of(256)) == [Tile(0, 0, 256), Tile(1, 0, 1)]


def test_an_empty_log_has_no_tiles() -> None:
    assert list(tiles_of(0)) == []


@given(st.lists(st.binary(max_size=300)))
def test_bundles_are_read_as_they_are_written(entries: list[bytes]) -> None:
    assert entries_of(bundle(entries)) == entries


@pytest.mark.parametrize("content", [b"\x00", b"\x00\x02x", bundle([b"abc"])[:-1]])
def test_bundles_that_end_early_are_refused(content: bytes) -> None:
    with pytest.raises(BundleError):
        entries_of(content)


def test_half_a_hash_is_refused() -> None:
    with pytest.raises(BundleError):
        hashes_of(b"x" * 33)


# --- Proofs -----------------------------------------------------------------------------------


def a_proof(index: int = 5, size: int = 300) -> Proof:
    async def made() -> Proof:
        return await proof_of(await signed_log(size), index)

    return asyncio.run(made())


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (255, 256), (299, 300), (130, 300)])
def test_a_proof_convinces_with_nothing_but_the_key(index: int, size: int) -> None:
    proof = Proof.parse(a_proof(index, size).format())
    checkpoint = verify_proof(proof, leaf=proof.extra, verifiers=[SIGNER.verifier])
    assert checkpoint.size == size


def test_a_proof_has_the_lines_of_the_specification() -> None:
    proof = replace(a_proof(1, 2), extra=b"")
    first, index, sibling, empty, *note = proof.format().split("\n")
    assert (first, index, empty) == ("c2sp.org/tlog-proof@v1", "index 1", "")
    assert len(sibling) == 44
    assert "\n".join(note).encode() == proof.note


@given(st.binary(max_size=20), st.integers(0, 2**40), st.lists(st.binary(min_size=32, max_size=32)))
def test_proofs_are_read_as_they_are_written(extra: bytes, index: int, hashes: list[bytes]) -> None:
    proof = Proof(index, tuple(hashes), NOTE, extra)
    assert Proof.parse(proof.format()) == proof


def test_a_proof_of_another_record_index_or_log_is_refused() -> None:
    proof = a_proof()
    wrong = [
        (proof, b"another record"),
        (replace(proof, index=6), proof.extra),
        (replace(proof, hashes=proof.hashes[:-1]), proof.extra),
        (replace(proof, note=NOTE), proof.extra),
        (replace(proof, note=OTHER_SIGNER.signed(TEXT)), proof.extra),
    ]
    for spoilt, leaf in wrong:
        with pytest.raises(ProofError):
            verify_proof(spoilt, leaf=leaf, verifiers=[SIGNER.verifier])


@pytest.mark.parametrize(
    "spoil",
    [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        ("index 5", "index 05"),
        ("index 5", "5"),
        ("\n\n", "\n"),
        ("extra ", "extra !"),
    ],
)
def test_what_is_no_proof_is_refused(spoil: tuple[str, str]) -> None:
    with pytest.raises(ProofError):
        Proof.parse(a_proof().format().replace(*spoil, 1))


def test_a_checkpoint_can_be_looked_at_without_trust() -> None:
    assert checkpoint_of(OTHER_SIGNER.signed(TEXT)).size == 7
    assert len(checkpoint_of(NOTE).root) == merkle.HASH_SIZE
