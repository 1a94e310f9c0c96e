"""The remote side of the mirror: where it is, how to sign in, how to ask it for one branch.

Separate so that everything that touches a credential or a server is in one file. The invariants:
credentials are read from their files at each fetch, go to the configured host and to no other,
and appear in no URL and no message; only the configured branch is asked for.
"""

from __future__ import annotations

import copy
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pygit2
from pygit2.enums import CredentialType, FetchPrune

from reconciler.adapters.secret_files import text_of
from reconciler.core.errors import (
    FairleadError,
    Forbidden,
    Misconfigured,
    Missing,
    Unavailable,
    Untrusted,
)
from reconciler.core.identifiers import CommitSha
from reconciler.core.loopback import LOOPBACK
from reconciler.core.problems import printable

STAGING = "refs/fairlead/staging"

_SCP_LIKE = re.compile(r"(?:(?P<user>[\w.-]+)@)?(?P<host>[\w.-]+):(?P<path>[^/:].*)", re.ASCII)
_USERINFO = re.compile(r"//[^/@\s]*@")
_HOME_DIRECTORY = threading.Lock()


class Scheme(StrEnum):
    """How the remote is reached. Others (git://, ext::, …) are refused."""

    LOCAL = "file"
    HTTPS = "https"
    HTTP = "http"
    SSH = "ssh"


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where credentials may go."""

    scheme: Scheme
    host: str = ""
    port: int | None = None


@dataclass(frozen=True, slots=True)
class GitCredentials:
    """Files that hold what the remote asks for. Their contents are never kept."""

    username: str = "git"
    token_file: Path | None = None
    """Password or access token for https; surrounding white space is dropped."""
    ssh_key: Path | None = None
    """Private key without a passphrase, readable by the daemon only."""
    known_hosts: Path | None = None
    """Required for ssh: the host keys to accept, in OpenSSH's format."""


@dataclass(frozen=True, slots=True)
class GitSource:
    """The branch to mirror. `url` is https://, ssh://, user@host:path, file:// or a path."""

    url: str
    branch: str = "main"
    credentials: GitCredentials = field(default_factory=GitCredentials)
    silence_seconds: float = 20
    """How long the server may say nothing."""
    fetch_seconds: float = 300
    """How long a whole fetch may take."""


class Remote:
    """A checked GitSource that can be fetched from. Blocks; belongs to one thread.

    Raises:
        Misconfigured: the URL, the branch or the credentials cannot be right.
    """

    def __init__(self, source: GitSource) -> None:
        self.source = source
        self.branch = source.branch
        self._reference = f"refs/heads/{source.branch}"
        self._origin, self._path = _parse(source.url)
        self.scheme, self._host = self._origin.scheme, self._origin.host
        if not pygit2.reference_is_valid_name(self._reference):
            raise Misconfigured(f"{printable(source.branch)!r} is not a name of a branch")
        self._check_credentials()

    def _check_credentials(self) -> None:
        credentials = self.source.credentials
        if self.scheme is Scheme.SSH and not (credentials.ssh_key and credentials.known_hosts):
            raise Misconfigured(
                f"{self} is reached by ssh, which needs a key and known hosts",
                hint="set the SSH key file and the known_hosts file of the repository;"
                " `ssh-keyscan HOST` prints host keys to compare with the published ones",
            )
        if self.scheme is Scheme.HTTP and credentials.token_file and self._host not in LOOPBACK:
            raise Misconfigured(
                f"a token for {self} would travel in the clear", hint="use an https:// URL"
            )

    def at(self, reference: str) -> Remote:
        """The same remote, asked for one reference of any kind.

        Raises Misconfigured for what is no name of a single reference.
        """
        if not reference.startswith("refs/") or not pygit2.reference_is_valid_name(reference):
            raise Misconfigured(f"{printable(reference)!r} is not a name of a reference")
        other = copy.copy(self)
        other.branch = other._reference = reference
        return other

    def references(self, repository: pygit2.Repository, prefix: str) -> dict[str, CommitSha]:
        """What the remote has below `prefix`, without fetching any of it."""
        callbacks = _Callbacks(self)
        try:
            if self.scheme is Scheme.LOCAL:
                found = pygit2.Repository(self._path).references
                heads = {name: str(found[name].resolve().target) for name in found}
            else:
                with self._session() as url:
                    remote = repository.remotes.create_anonymous(url)
                    remote.connect(callbacks=callbacks, proxy=True)
                    heads = {str(h.name): str(h.oid) for h in remote.list_heads(connect=False)}
        except FairleadError:
            raise
        except (pygit2.GitError, OSError, KeyError, ValueError) as error:
            raise self.translated(error, secret=callbacks.secret) from None
        return {name: CommitSha(sha) for name, sha in heads.items() if name.startswith(prefix)}

    def is_at(self, url: str) -> bool:
        """Whether `url`, which may be where a redirect led, is at the configured place."""
        return _parse(_USERINFO.sub("//", url))[0] == self._origin

    def __str__(self) -> str:
        return printable(_USERINFO.sub("//", self.source.url))

    def fetch(self, repository: pygit2.Repository, have: CommitSha | None) -> CommitSha:
        """Fetch the branch into `repository`; return its head. Transfers nothing when `have` is.

        The head is left under STAGING: the caller looks at it before it counts.
        """
        callbacks = _Callbacks(self)
        try:
            if self.scheme is Scheme.LOCAL:
                # Opening a repository and reading a ref: 0.2 ms; libgit2's local transport: 0.7.
                head = self._local_head()
                return head if head == have else self._transfer(repository, callbacks)
            return self._ask(repository, callbacks, have)
        except FairleadError:
            raise
        except (pygit2.GitError, OSError, KeyError, ValueError) as error:
            raise self.translated(error, secret=callbacks.secret) from None

    def _local_head(self) -> CommitSha:
        found = pygit2.Repository(self._path).references.get(self._reference)
        if found is None:
            raise self._no_branch()
        return CommitSha(str(found.resolve().target))

    def _ask(
        self, repository: pygit2.Repository, callbacks: _Callbacks, have: CommitSha | None
    ) -> CommitSha:
        """One connection: list the refs, then fetch if ours moved."""
        with self._session() as url:
            remote = repository.remotes.create_anonymous(url)
            remote.connect(callbacks=callbacks, proxy=True)
            heads = {head.name: str(head.oid) for head in remote.list_heads(connect=False)}
            if self._reference not in heads:
                raise self._no_branch()
            if heads[self._reference] == have:
                return have
            return self._transfer(repository, callbacks, remote)

    def _transfer(
        self,
        repository: pygit2.Repository,
        callbacks: _Callbacks,
        remote: pygit2.Remote | None = None,
    ) -> CommitSha:
        # An anonymous remote brings no tags; a mirror has no use for submodules.
        remote = remote or repository.remotes.create_anonymous(self._path)
        remote.fetch(
            [f"+{self._reference}:{STAGING}"],
            callbacks=callbacks,
            prune=FetchPrune.NO_PRUNE,
            proxy=True,
        )
        return CommitSha(str(repository.references[STAGING].target))

    @contextmanager
    def _session(self) -> Iterator[str]:
        """libgit2's settings are global: the same timeouts for all, one ssh session at a time."""
        milliseconds = int(self.source.silence_seconds * 1000)
        pygit2.settings.server_connect_timeout = milliseconds
        pygit2.settings.server_timeout = milliseconds
        if self.scheme is not Scheme.SSH:
            yield self.source.url
            return
        with _HOME_DIRECTORY, tempfile.TemporaryDirectory(prefix="fairlead-ssh-") as home:
            usual = str(pygit2.settings.homedir)
            _install_known_hosts(self.source.credentials.known_hosts, home=Path(home))
            pygit2.settings.homedir = home
            try:
                yield self.source.url
            finally:
                pygit2.settings.homedir = usual

    def _no_branch(self) -> Missing:
        return Missing(
            f"{self} has no branch {printable(self.branch)!r}, or it has no commit yet",
            hint="push a first commit, or set the branch to watch",
        )

    def translated(self, error: Exception, *, secret: str = "") -> FairleadError:
        """A failure of libgit2 or the file system in our words, without credentials."""
        text = _USERINFO.sub("//", str(error))
        if secret:
            text = text.replace(secret, "…")
        return _in_our_words(error, text=printable(text), place=str(self))


class _Callbacks(pygit2.RemoteCallbacks):
    """Answers libgit2's questions during one fetch."""

    def __init__(self, remote: Remote) -> None:
        super().__init__()
        self.secret = ""
        self._remote = remote
        self._deadline = time.monotonic() + remote.source.fetch_seconds
        self._asked = False

    def credentials(
        self, url: str, username_from_url: str | None, allowed_types: CredentialType
    ) -> pygit2.Username | pygit2.UserPass | pygit2.Keypair:
        place, credentials = str(self._remote), self._remote.source.credentials
        if not self._remote.is_at(url):
            raise Untrusted(f"{place} sends on to another host, which gets no credentials")
        username = username_from_url or credentials.username
        if allowed_types & CredentialType.USERNAME and not allowed_types & CredentialType.SSH_KEY:
            return pygit2.Username(username)
        if self._asked:
            raise Forbidden(
                f"{place} does not accept the credentials", hint="renew the token or the key"
            )
        self._asked = True
        if allowed_types & CredentialType.SSH_KEY and credentials.ssh_key:
            text_of(credentials.ssh_key)
            return pygit2.Keypair(username, None, str(credentials.ssh_key), "")
        if allowed_types & CredentialType.USERPASS_PLAINTEXT and credentials.token_file:
            self.secret = text_of(credentials.token_file).strip()
            return pygit2.UserPass(credentials.username, self.secret)
        raise Forbidden(
            f"{place} asks for credentials and none that fit are set",
            hint="set a token file for https or a key file for ssh",
        )

    def certificate_check(self, _certificate: None, valid: bool, _host: bytes) -> bool:
        # For ssh, `valid` is libgit2's comparison with known_hosts. Without this method pygit2
        # accepts every host key.
        return valid

    def sideband_progress(self, _string: str) -> None:
        self._require_time()

    def transfer_progress(self, _stats: object) -> None:
        self._require_time()

    def _require_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise Unavailable(
                f"{self._remote} took more than {self._remote.source.fetch_seconds:g} s to fetch"
            )


def _parse(url: str) -> tuple[_Origin, str]:
    """The origin and, of a local repository, the path."""
    if url.startswith("/"):
        return _Origin(Scheme.LOCAL), url
    if "://" not in url and (found := _SCP_LIKE.fullmatch(url)):
        return _Origin(Scheme.SSH, found["host"]), ""
    try:
        parts = urlsplit(url)
        origin = _Origin(Scheme(parts.scheme), parts.hostname or "", parts.port)
    except ValueError:
        raise Misconfigured(
            f"{printable(_USERINFO.sub('//', url))!r} is not the URL of a repository",
            hint="use https://, ssh://, user@host:path, file:// or an absolute path",
        ) from None
    if parts.password or (parts.username and origin.scheme is not Scheme.SSH):
        raise Misconfigured(
            f"the URL of the repository at {origin.host} holds credentials",
            hint="remove them from the URL and name a token file",
        )
    if (not origin.host) != (origin.scheme is Scheme.LOCAL):
        raise Misconfigured(f"{printable(url)!r} does not say on which host the repository is")
    return origin, unquote(parts.path) if origin.scheme is Scheme.LOCAL else ""


def _install_known_hosts(known_hosts: Path | None, *, home: Path) -> None:
    """libgit2 reads `.ssh/known_hosts` of its home directory, and no other place."""
    assert known_hosts is not None
    accepted = home / ".ssh" / "known_hosts"
    accepted.parent.mkdir(mode=0o700)
    accepted.write_text(text_of(known_hosts))


def _in_our_words(error: Exception, *, text: str, place: str) -> FairleadError:
    """libgit2 tells apart few failures by type; its texts are stable within 1.x."""
    if isinstance(error, pygit2.errors.AuthError) or "status code: 403" in text:
        return Forbidden(f"{place} does not let us in: {text}", hint="renew the token or the key")
    if isinstance(error, pygit2.errors.CertificateError):
        return Untrusted(
            f"{place} is not who it should be: {text}",
            hint="compare its certificate or host key with the published one before accepting it",
        )
    if "No space left" in text:
        return Unavailable(f"no space left to mirror {place}", hint="free space on the disk")
    if "status code: 404" in text or "epository not found" in text:
        return Missing(f"{place} holds no repository: {text}", hint="correct its URL")
    if "owned by current user" in text:
        return Forbidden(
            f"{place} belongs to another user: {text}",
            hint="run the daemon as its owner, or add it to safe.directory in the git config",
        )
    return Unavailable(f"{place} cannot be fetched: {text}")
