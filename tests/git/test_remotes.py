"""Which sources are accepted, and that no credential is ever told."""

from pathlib import Path

import pytest

from reconciler.adapters.git_remotes import GitCredentials, GitSource, Remote
from reconciler.core.errors import Misconfigured

KEY = GitCredentials(ssh_key=Path("/key"), known_hosts=Path("/known_hosts"))


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/team/config.git",
        "https://git.example.com:8443/config",
        "http://git.example.com/config.git",
        "ssh://git@git.example.com:2222/config.git",
        "git@git.example.com:team/config.git",
        "/srv/git/config.git",
        "file:///srv/git/config.git",
    ],
)
def test_a_url_of_a_known_form_is_accepted(url: str) -> None:
    Remote(GitSource(url, credentials=KEY))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "config.git",
        "../config.git",
        "git://git.example.com/config.git",
        "ext::sh -c touch% /evil",
        "-oProxyCommand=evil",
        "ftp://git.example.com/x",
        "https:///config.git",
        "file://host/config.git",
        "https://[::1/config.git",
        "https://git.example.com:port/config.git",
    ],
)
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured):
        Remote(GitSource(url, credentials=KEY))


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@git.example.com/config.git",
        "https://hunter2@git.example.com/config.git",
        "ssh://git:hunter2@git.example.com/config.git",
        "nonsense://user:hunter2@git.example.com/config.git",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        Remote(GitSource(url, credentials=KEY))
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_a_token_in_the_clear_is_refused() -> None:
    credentials = GitCredentials(token_file=Path("/token"))
    with pytest.raises(Misconfigured, match="in the clear"):
        Remote(GitSource("http://git.example.com/c.git", credentials=credentials))
    Remote(GitSource("http://127.0.0.1:8080/c.git", credentials=credentials))


@pytest.mark.parametrize(
    "credentials",
    [
        GitCredentials(),
        GitCredentials(ssh_key=Path("/key")),
        GitCredentials(known_hosts=Path("/hosts")),
    ],
)
def test_ssh_needs_a_key_and_known_hosts(credentials: GitCredentials) -> None:
    with pytest.raises(Misconfigured, match="needs a key and known hosts"):
        Remote(GitSource("git@git.example.com:c.git", credentials=credentials))


@pytest.mark.parametrize(
    "branch", ["", "a b", "a..b", "../x", "a:b", "*", "a\nb", "x.lock", "@{0}"]
)
def test_a_name_that_is_no_branch_is_refused(branch: str) -> None:
    with pytest.raises(Misconfigured, match="not a name of a branch"):
        Remote(GitSource("/srv/config.git", branch=branch))


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://git.example.com/other.git", True),
        ("https://git.example.com.evil.com/config.git", False),
        ("https://evil.com/git.example.com", False),
        ("http://git.example.com/config.git", False),
        ("https://git.example.com:444/config.git", False),
        ("https://git.example.com@evil.com/config.git", False),
    ],
)
def test_credentials_belong_to_one_origin(url: str, same: bool) -> None:
    assert Remote(GitSource("https://git.example.com/config.git")).is_at(url) is same
