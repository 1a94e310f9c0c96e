"""The section `forge` of the settings: one repository, one way in, nothing in the clear."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from .test_settings import LEAST, loaded, problems

TOKEN = "repository: example/ml-platform, tokenFile: token"


def forge(directory: Path, github: str, more: str = "") -> list[str]:
    return problems(directory, f"{LEAST}forge: {{github: {{{github}}}{more}}}\n")


def test_a_repository_and_a_token_are_enough(tmp_path: Path) -> None:
    given = loaded(tmp_path, f"{LEAST}forge: {{github: {{{TOKEN}}}}}\n").forge
    assert given is not None
    assert given.github.url == "https://api.github.com"
    assert given.github.token_file == tmp_path / "token"
    assert given.poll == timedelta(seconds=30)


def test_an_app_of_github_enterprise_is_taken(tmp_path: Path) -> None:
    app = "app: {id: 7, installation: 8, privateKeyFile: app.pem}"
    place = "url: https://github.example.com/api/v3/, repository: example/ml-platform"
    given = loaded(tmp_path, f"{LEAST}forge: {{github: {{{place}, {app}}}}}\n").forge
    assert given is not None
    assert given.github.url == "https://github.example.com/api/v3"
    assert given.github.app is not None
    assert given.github.app.private_key_file == tmp_path / "app.pem"


@pytest.mark.parametrize(
    ("github", "said"),
    [
        ("repository: example/ml-platform", "gives none of tokenFile, app"),
        (
            f"{TOKEN}, app: {{id: 7, installation: 8, privateKeyFile: app.pem}}",
            "gives tokenFile and app of tokenFile, app",
        ),
        (f"{TOKEN}, url: http://github.example.com/api/v3", "in the clear"),
        (f"{TOKEN}, url: 'https://bot:secret@github.example.com'", "without credentials"),
        ("repository: ml-platform, tokenFile: token", "the owner and the name of a repository"),
        ("repository: example/.., tokenFile: token", "the owner and the name of a repository"),
    ],
)
def test_what_cannot_work_is_refused_at_its_line(tmp_path: Path, github: str, said: str) -> None:
    (problem,) = forge(tmp_path, github)
    assert problem.startswith("settings.yaml:4:")
    assert said in problem


def test_a_poll_that_github_would_refuse_is_refused(tmp_path: Path) -> None:
    (problem,) = forge(tmp_path, TOKEN, ", poll: 1s")
    assert "poll" in problem
