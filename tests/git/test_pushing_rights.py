"""Who may push is in the settings: nobody by default, and with rights of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.core.errors import Forbidden, Misconfigured
from reconciler.settings import Settings
from reconciler.settings_loading import load_settings
from reconciler.wiring.ports import publisher_of

from .builders import TOKEN, SourceRepository, serving


def settings(directory: Path, url: str, reverts: str) -> Settings:
    (directory / "read-token").write_text("may-only-read")
    (directory / "push-token").write_text(TOKEN)
    file = directory / "settings.yaml"
    file.write_text(f"""\
directory: data
repository:
  name: ml-platform
  url: {url}
  credentials: {{tokenFile: read-token}}
clusters:
- {{name: staging, kubeconfig: staging.kubeconfig}}
{reverts}
""")
    return load_settings(file, {})


async def test_without_settings_for_it_nobody_pushes(tmp_path: Path) -> None:
    async with publisher_of(settings(tmp_path, "/config.git", "")) as publisher:
        assert publisher is None


@pytest.fixture
def remote(tmp_path: Path) -> SourceRepository:
    made = SourceRepository(tmp_path / "served" / "config.git")
    made.repository.config["http.receivepack"] = "true"
    return made


async def test_whoever_pushes_has_credentials_of_its_own(
    remote: SourceRepository, tmp_path: Path
) -> None:
    bad = remote.push({"a": b"2\n"})
    with serving(tmp_path / "served", token=TOKEN) as server:
        reverts = "reverts: {email: f@example.com, credentials: {tokenFile: push-token}}"
        given = settings(tmp_path, f"{server.url}/config.git", reverts)
        async with publisher_of(given) as publisher:
            assert publisher is not None
            assert await publisher.push_revert(bad, reason="bad") == remote.head


async def test_those_of_the_repository_are_the_default(
    remote: SourceRepository, tmp_path: Path
) -> None:
    bad = remote.push({"a": b"2\n"})
    with serving(tmp_path / "served", token=TOKEN) as server:
        reverts = "reverts: {email: f@example.com}"
        given = settings(tmp_path, f"{server.url}/config.git", reverts)
        async with publisher_of(given) as publisher:
            assert publisher is not None
            with pytest.raises(Forbidden):
                await publisher.push_revert(bad, reason="bad")


@pytest.mark.parametrize(
    "reverts",
    ["{}", "{email: nobody}", "{email: 'a@b>c'}", '{email: a@b, author: "A\\nB"}'],
)
def test_an_author_that_git_could_not_write_is_refused(tmp_path: Path, reverts: str) -> None:
    with pytest.raises(Misconfigured):
        settings(tmp_path, "/config.git", f"reverts: {reverts}")
