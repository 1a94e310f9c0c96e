"""What every SecretVersions promises, asked of memory, of Vault and of an emulated AWS."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from vault.memory_server import memory_vault

from contracts.secret_worlds import (
    AwsWorld,
    MemoryVaultWorld,
    MemoryWorld,
    VaultWorld,
    World,
    secrets_manager,
)
from reconciler.core.errors import Forbidden, Misconfigured, Missing, Refused, Transient

REAL = pytest.param("vault", marks=pytest.mark.vault)


@pytest.fixture(scope="module")
def aws_endpoint() -> Iterator[str]:
    with secrets_manager() as url:
        yield url


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-key")


@pytest.fixture(params=["memory", "memory vault", REAL, "aws"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    ours = tmp_path / "token"
    found: World
    if request.param == "memory":
        found = MemoryWorld()
    elif request.param == "memory vault":
        vault = request.getfixturevalue("vault_in_memory")
        ours.write_text(vault.token)
        found = MemoryVaultWorld(vault, ours)
    elif request.param == "vault":
        server = request.getfixturevalue("real_vault")
        ours.write_text(server.daemon_token())
        found = VaultWorld(server.address, server.root_token, ours)
    else:
        request.getfixturevalue("aws_credentials")
        found = AwsWorld(request.getfixturevalue("aws_endpoint"))
    yield found
    await found.store.close()


@pytest.fixture
def vault_in_memory() -> Iterator[object]:
    with memory_vault() as vault:
        yield vault


@pytest.fixture
def name() -> str:
    return f"risk/{secrets.token_hex(4)}"


async def test_the_version_written_last_is_current(world: World, name: str) -> None:
    first = world.write(name)
    assert await world.store.current(world.path(name)) == first
    second = world.write(name)
    assert second != first
    assert await world.store.current(world.path(name)) == second


async def test_a_secret_that_was_never_written_is_missing(world: World, name: str) -> None:
    with pytest.raises(Missing) as caught:
        await world.store.current(world.path(name))
    assert name in caught.value.message


async def test_a_secret_that_was_deleted_has_no_version(world: World, name: str) -> None:
    world.write(name)
    world.delete(name)
    with pytest.raises(Missing):
        await world.store.current(world.path(name))


async def test_no_value_is_asked_for(world: World, name: str) -> None:
    world.write(name)
    await world.store.current(world.path(name))
    assert world.values_asked() == []


# --- What single stores do --------------------------------------------------------------------


async def test_a_path_outside_the_mount_is_refused(tmp_path: Path) -> None:
    with memory_vault() as vault:
        (tmp_path / "token").write_text(vault.token)
        store = MemoryVaultWorld(vault, tmp_path / "token").store
        for path in ("other/risk", "kv/../sys/policies/acl/root", "kv/a?list=true", "kv"):
            with pytest.raises(Refused):
                await store.current(path)
        assert vault.requests == []
        await store.close()


async def test_a_vault_that_is_sealed_is_asked_again(tmp_path: Path) -> None:
    with memory_vault() as vault:
        (tmp_path / "token").write_text(vault.token)
        world = MemoryVaultWorld(vault, tmp_path / "token")
        world.write("risk/fraud")
        vault.sealed = True
        with pytest.raises(Transient):
            await world.store.current("kv/risk/fraud")
        await world.store.close()


async def test_a_token_without_the_right_is_forbidden(tmp_path: Path) -> None:
    with memory_vault() as vault:
        (tmp_path / "token").write_text("another")
        store = MemoryVaultWorld(vault, tmp_path / "token").store
        with pytest.raises(Forbidden):
            await store.current("kv/risk/fraud")
        await store.close()


@pytest.mark.usefixtures("aws_credentials")
async def test_an_endpoint_that_is_away_is_asked_again() -> None:
    store = AwsWorld("http://127.0.0.1:1").store
    with pytest.raises(Transient):
        await store.current("arn:aws:secretsmanager:eu-west-1:123456789012:secret:risk/fraud")
    await store.close()


async def test_the_credentials_of_the_machine_are_not_taken(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable, raising=False)
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = an-id\naws_secret_access_key = a-key\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    store = AwsWorld(aws_endpoint).store
    with pytest.raises(Misconfigured, match="no credentials"):
        await store.current("arn:aws:secretsmanager:eu-west-1:123456789012:secret:risk/fraud")
    await store.close()
