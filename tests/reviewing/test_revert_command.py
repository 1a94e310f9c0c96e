"""`fairlead revert --pull-request`: the revert on a branch, and a pull request at GitHub."""

from __future__ import annotations

import json
from pathlib import Path

import pygit2
import pytest
from click.testing import CliRunner
from forge.github import StandIn
from forge.worlds import PERSON, TOKEN, github
from git.builders import SourceRepository

from reconciler.core.errors import FairleadError, Misconfigured
from reconciler.surfaces.revert_command import revert_command
from reconciler.wiring.forges import revert_tools

SETTINGS = """\
directory: ./data
repository: {{name: acme, url: {remote}}}
clusters: [{{name: one, kubeconfig: ./nowhere}}]
"""
RIGHTS = """\
reverts: {{email: fairlead@example.com}}
forge:
  github: {{url: {url}, repository: {repository}, tokenFile: ./token}}
"""


class Desk:
    """A remote, a clone of it, and settings beside them."""

    def __init__(self, directory: Path, server: StandIn) -> None:
        self.remote = SourceRepository(directory / "remote.git")
        self.before = self.remote.push({"models/a.yaml": b"v1\n"}, message="Ship v1")
        self.bad = self.remote.push({"models/a.yaml": b"v2\n"}, message="Ship v2")
        self.clone = directory / "clone"
        pygit2.clone_repository(str(self.remote.directory), str(self.clone)).free()
        (directory / "token").write_text(f"{TOKEN}\n")
        server.accounts.tokens[TOKEN] = PERSON
        server.people.move_base(self.bad)
        self.settings = directory / "settings.yaml"
        self.settings.write_text(
            SETTINGS.format(remote=self.remote.directory)
            + RIGHTS.format(url=server.url, repository=server.repository)
        )

    def revert(self, *arguments: str) -> str:
        given = ["--repo", str(self.clone), "--config", str(self.settings), "--pull-request"]
        result = CliRunner().invoke(
            revert_command, [*given, *arguments], obj=revert_tools(), standalone_mode=False
        )
        if isinstance(result.exception, FairleadError):
            raise result.exception
        assert result.exception is None, result.exception
        return result.output


@pytest.fixture
def desk(tmp_path: Path):
    with github() as server:
        made = Desk(tmp_path, server)
        made.server = server
        yield made


def test_the_revert_is_pushed_to_a_branch_and_offered(desk) -> None:
    said = json.loads(desk.revert(desk.bad[:10], "--json"))
    assert said == {
        "reverts": desk.bad,
        "branch": f"fairlead/revert-{desk.bad[:10]}",
        "pullRequest": 1,
    }
    made = desk.remote.repository.references[f"refs/heads/{said['branch']}"].peel(pygit2.Commit)
    assert made.tree["models/a.yaml"].data == b"v1\n"
    assert desk.remote.head == desk.bad
    pull = desk.server.people.pulls[1]
    assert (pull.branch, pull.base_branch) == (said["branch"], "main")
    assert pull.title == 'Revert "Ship v2"'


def test_twice_is_as_once(desk) -> None:
    assert "Pull request 1" in desk.revert(desk.bad)
    assert "Pull request 1" in desk.revert(desk.bad)
    assert len(desk.server.people.pulls) == 1


def test_without_a_forge_in_the_settings_it_says_what_is_missing(desk) -> None:
    desk.settings.write_text(SETTINGS.format(remote=desk.remote.directory))
    with pytest.raises(Misconfigured, match="forge"):
        desk.revert(desk.bad)
    assert list(desk.remote.repository.references) == ["refs/heads/main"]
