"""Which commits count as signed, with ssh-keygen and git as the second opinion."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pygit2
import pytest

from reconciler.adapters.git_mirror import GitMirror
from reconciler.adapters.git_objects import GitObjects
from reconciler.adapters.git_remotes import GitSource
from reconciler.adapters.git_signatures import SignatureVerifier, split_signature
from reconciler.adapters.git_sshsig import Unverified
from reconciler.core.commits import Commit
from reconciler.core.errors import Misconfigured, Untrusted
from reconciler.core.identifiers import CommitSha

from .signing import Key, SecurityKey, SshKey, signed_blob

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    directory = tmp_path_factory.mktemp("keys")
    kinds = {
        "ed25519": ("ed25519", ""),
        "rsa": ("rsa", "2048"),
        "ecdsa": ("ecdsa", "256"),
        "ecdsa384": ("ecdsa", "384"),
        "ecdsa521": ("ecdsa", "521"),
    }
    made: dict[str, Key] = {
        name: SshKey.generate(directory / name, kind=kind, bits=bits)
        for name, (kind, bits) in kinds.items()
    }
    made["other"] = SshKey.generate(directory / "other", kind="ed25519", bits="")
    made["sk-ed25519"] = SecurityKey.ed25519()
    made["sk-ecdsa"] = SecurityKey.ecdsa()
    return made


@dataclass
class Signed:
    """A repository whose commits are signed, and the judge of them."""

    directory: Path

    def __post_init__(self) -> None:
        self.repository = pygit2.init_repository(str(self.directory / "config.git"), bare=True)
        self.allowed = self.directory / "allowed_signers"
        self.head: CommitSha | None = None

    def allow(self, *lines: str) -> None:
        self.allowed.write_text("".join(f"{line}\n" for line in lines))

    def commit(
        self,
        key: Key | None,
        *,
        at: datetime = NOON,
        email: str = "ada@example.com",
        message: str = "change",
        parents: Sequence[CommitSha] | None = None,
        namespace: str = "git",
    ) -> CommitSha:
        who = pygit2.Signature("Ada", email, int(at.timestamp()), 0)
        tree = self.repository.TreeBuilder().write()
        before = parents if parents is not None else ([self.head] if self.head else [])
        content = self.repository.create_commit_string(
            who, who, message, tree, [pygit2.Oid(hex=sha) for sha in before]
        )
        if key is None:
            sha = self.repository.create_commit(
                None, who, who, message, tree, [pygit2.Oid(hex=sha) for sha in before]
            )
        else:
            armored = key.sign(content.encode(), namespace=namespace).decode()
            sha = self.repository.create_commit_with_signature(content, armored, "gpgsig")
        return self.move(str(sha))

    def raw(self, content: bytes) -> CommitSha:
        return self.move(str(self.repository.odb.write(pygit2.enums.ObjectType.COMMIT, content)))

    def move(self, sha: str) -> CommitSha:
        self.head = CommitSha(sha)
        self.repository.references.create("refs/heads/main", pygit2.Oid(hex=sha), force=True)
        return self.head

    def verify(
        self, base: CommitSha | None = None, *, verifier: SignatureVerifier | None = None
    ) -> tuple[Commit, ...]:
        assert self.head is not None
        objects = GitObjects(self.repository)
        judge = verifier or SignatureVerifier(self.allowed)
        return judge.verify(objects.history(base, self.head), objects)

    def git_says_good(self) -> bool:
        """The verdict of git and ssh-keygen on the head, at the committer's time, in UTC."""
        done = subprocess.run(
            [
                "git",
                "-C",
                str(self.directory / "config.git"),
                "-c",
                f"gpg.ssh.allowedSignersFile={self.allowed}",
                "verify-commit",
                str(self.head),
            ],
            capture_output=True,
            env={"PATH": "/usr/bin:/bin", "TZ": "UTC", "HOME": str(self.directory)},
            check=False,
        )
        return done.returncode == 0


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


ALL = ["ed25519", "rsa", "ecdsa", "ecdsa384", "ecdsa521", "sk-ed25519", "sk-ecdsa"]


@pytest.mark.parametrize("name", ALL)
def test_every_type_of_key_is_verified_as_git_verifies_it(
    signed: Signed, keys: dict[str, Key], name: str
) -> None:
    signed.allow(f"ada@example.com {keys[name].public}")
    signed.commit(keys[name])
    assert [commit.signer for commit in signed.verify()] == ["ada@example.com"]
    assert signed.git_says_good()


@pytest.mark.parametrize("name", ALL)
def test_a_changed_commit_is_refused_as_git_refuses_it(
    signed: Signed, keys: dict[str, Key], name: str
) -> None:
    signed.allow(f"ada@example.com {keys[name].public}")
    sha = signed.commit(keys[name])
    raw = GitObjects(signed.repository).raw_commit(sha)
    signed.raw(raw.replace(b"\n\nchange", b"\n\nevil"))
    with pytest.raises(Untrusted, match="does not match what was signed"):
        signed.verify()
    assert not signed.git_says_good()


def test_an_unsigned_commit_is_refused_by_sha_and_author(signed: Signed) -> None:
    signed.allow()
    sha = signed.commit(None)
    with pytest.raises(Untrusted, match=rf"{sha[:10]} by Ada <ada@example.com>.*is missing"):
        signed.verify()


def test_a_signed_head_does_not_excuse_an_unsigned_ancestor(
    signed: Signed, keys: dict[str, Key]
) -> None:
    signed.allow(f"ada@example.com {keys['ed25519'].public}")
    base = signed.commit(keys["ed25519"])
    unsigned = signed.commit(None)
    signed.commit(keys["ed25519"])
    with pytest.raises(Untrusted, match=unsigned[:10]):
        signed.verify(base)


def test_an_unsigned_side_branch_of_a_signed_merge_is_refused(
    signed: Signed, keys: dict[str, Key]
) -> None:
    signed.allow(f"ada@example.com {keys['ed25519'].public}")
    base = signed.commit(keys["ed25519"])
    side = signed.commit(None, parents=[base])
    signed.commit(keys["ed25519"], parents=[base, side])
    with pytest.raises(Untrusted, match=side[:10]):
        signed.verify(base)


def test_a_key_that_is_not_allowed_is_refused(signed: Signed, keys: dict[str, Key]) -> None:
    signed.allow(f"ada@example.com {keys['other'].public}")
    signed.commit(keys["ed25519"])
    with pytest.raises(Untrusted, match="not among the allowed signers"):
        signed.verify()
    assert not signed.git_says_good()


def test_a_signature_made_for_files_is_refused(signed: Signed, keys: dict[str, Key]) -> None:
    signed.allow(f"ada@example.com {keys['ed25519'].public}")
    signed.commit(keys["ed25519"], namespace="file")
    with pytest.raises(Untrusted, match="another purpose"):
        signed.verify()
    assert not signed.git_says_good()


@pytest.mark.parametrize(
    ("options", "good"),
    [
        ('namespaces="git"', True),
        ('namespaces="file,g*"', True),
        ('namespaces="file"', False),
        ('namespaces="*,!git"', False),
        ('valid-after="20260601"', True),
        ('valid-after="20260601Z"', True),
        ('valid-after="20260602"', False),
        ('valid-before="202606011200"', True),
        ('valid-before="20260601115959"', False),
        ('valid-after="20260101",valid-before="20270101"', True),
        ('Valid-Before="20260101",namespaces="git"', False),
    ],
)
def test_options_of_a_signer_are_honoured_as_ssh_keygen_does(
    signed: Signed, keys: dict[str, Key], options: str, good: bool
) -> None:
    signed.allow("# a comment", "", f"ada@example.com {options} {keys['ed25519'].public} laptop")
    signed.commit(keys["ed25519"])
    assert signed.git_says_good() is good
    if good:
        signed.verify()
    else:
        with pytest.raises(Untrusted):
            signed.verify()


def test_an_expired_key_cannot_sign_commits_dated_back(
    signed: Signed, keys: dict[str, Key]
) -> None:
    signed.allow(
        f"ada@example.com {keys['ed25519'].public}",
        f'eve@example.com valid-before="20260101" {keys["other"].public}',
    )
    signed.commit(keys["ed25519"])
    signed.commit(keys["other"], at=NOON - timedelta(days=300))
    with pytest.raises(Untrusted, match="was not valid at 2026-06-01"):
        signed.verify()


@pytest.mark.parametrize(
    ("principals", "signer"),
    [
        ("ada@example.com", "ada@example.com"),
        ("bot@example.com,ada@example.com", "ada@example.com"),
        ("bot@example.com,cron@example.com", "bot@example.com"),
        ("*@example.com", "ada@example.com"),
    ],
)
def test_the_signer_is_the_principal_of_the_key(
    signed: Signed, keys: dict[str, Key], principals: str, signer: str
) -> None:
    signed.allow(f"{principals} {keys['ed25519'].public}")
    signed.commit(keys["ed25519"])
    assert [commit.signer for commit in signed.verify()] == [signer]


@pytest.mark.parametrize("principals", ["*@elsewhere.com", "*@example.com,!ada@example.com"])
def test_a_pattern_does_not_cover_other_committers(
    signed: Signed, keys: dict[str, Key], principals: str
) -> None:
    signed.allow(f"{principals} {keys['ed25519'].public}")
    signed.commit(keys["ed25519"])
    with pytest.raises(Untrusted, match=r"not for 'ada@example\.com'"):
        signed.verify()


def test_a_key_taken_off_the_list_is_refused_at_once(signed: Signed, keys: dict[str, Key]) -> None:
    signed.allow(f"ada@example.com {keys['ed25519'].public}")
    signed.commit(keys["ed25519"])
    verifier = SignatureVerifier(signed.allowed)
    signed.verify(verifier=verifier)
    signed.allow(f"ada@example.com {keys['other'].public}")
    with pytest.raises(Untrusted):
        signed.verify(verifier=verifier)


@pytest.mark.parametrize(
    "line",
    [
        "ca@example.com cert-authority {key}",
        "ada@example.com no-such-option {key}",
        'ada@example.com valid-before="soon" {key}',
        "ada@example.com ssh-dss AAAA",
        "ada@example.com ssh-rsa {encoded}",
        "ada@example.com",
        "{key}",
    ],
)
def test_a_line_that_cannot_be_used_is_a_problem_with_its_number(
    signed: Signed, keys: dict[str, Key], line: str
) -> None:
    public = keys["ed25519"].public
    signed.allow("# keys", line.format(key=public, encoded=public.split()[1]))
    signed.commit(keys["ed25519"])
    with pytest.raises(Misconfigured, match="allowed_signers:2:1") as caught:
        signed.verify()
    assert len(caught.value.problems) == 1


def test_a_missing_file_of_signers_is_no_permission(signed: Signed) -> None:
    signed.commit(None)
    with pytest.raises(Misconfigured, match="cannot read the allowed signers"):
        signed.verify()


def test_a_security_key_that_was_not_touched_is_refused(signed: Signed) -> None:
    key = SecurityKey.ed25519(flags=0)
    signed.allow(f"ada@example.com {key.public}")
    signed.commit(key)
    with pytest.raises(Untrusted, match="without a touch"):
        signed.verify()


def test_a_signature_quoted_in_the_message_is_none(signed: Signed, keys: dict[str, Key]) -> None:
    signed.allow(f"ada@example.com {keys['ed25519'].public}")
    sha = signed.commit(keys["ed25519"], message="change\n")
    header, _, message = GitObjects(signed.repository).raw_commit(sha).partition(b"\n\n")
    start = header.index(b"gpgsig")
    moved = header[: start - 1] + b"\n\n" + header[start:] + b"\n" + message
    signed.raw(moved)
    with pytest.raises(Untrusted, match="is missing"):
        signed.verify()


def test_two_signatures_are_refused(signed: Signed, keys: dict[str, Key]) -> None:
    signed.allow(f"ada@example.com {keys['ed25519'].public}")
    sha = signed.commit(keys["ed25519"])
    header, _, message = GitObjects(signed.repository).raw_commit(sha).partition(b"\n\n")
    extra = header[header.index(b"gpgsig") :]
    with pytest.raises(Unverified, match="one of several"):
        split_signature(header + b"\n" + extra + b"\n\n" + message)


@pytest.mark.parametrize("cut", [1, 7, 20, 60, 100, 150])
def test_a_cut_signature_never_verifies(signed: Signed, keys: dict[str, Key], cut: int) -> None:
    signed.allow(f"ada@example.com {keys['ed25519'].public}")
    key = keys["ed25519"]
    who = pygit2.Signature("Ada", "ada@example.com", int(NOON.timestamp()), 0)
    content = signed.repository.create_commit_string(
        who, who, "change", signed.repository.TreeBuilder().write(), []
    )
    broken = signed_blob(key.sign(content.encode(), namespace="git"), lambda blob: blob[:-cut])
    signed.move(
        str(signed.repository.create_commit_with_signature(content, broken.decode(), "gpgsig"))
    )
    with pytest.raises(Untrusted):
        signed.verify()


async def test_the_mirror_tells_who_signed_each_commit(
    signed: Signed, keys: dict[str, Key], tmp_path: Path
) -> None:
    signed.allow(f"ada@example.com {keys['ed25519'].public}")
    old = signed.commit(None)
    first = signed.commit(keys["ed25519"])
    second = signed.commit(keys["ed25519"])
    mirror = GitMirror(
        GitSource(url=str(signed.directory / "config.git")),
        tmp_path / "mirror.git",
        verifier=SignatureVerifier(signed.allowed, trusted=(old,)),
    )
    head = await mirror.fetch()
    commits = await mirror.range(None, head)
    assert [(commit.sha, commit.signer) for commit in commits] == [
        (old, None),
        (first, "ada@example.com"),
        (second, "ada@example.com"),
    ]
    mirror.close()


def test_a_thousand_commits_are_verified_in_two_seconds(signed: Signed) -> None:
    key = SecurityKey.plain()
    signed.allow(f"ada@example.com {key.public}")
    for number in range(1000):
        signed.commit(key, message=f"change {number}")
    started = datetime.now(UTC)
    assert len(signed.verify()) == 1000
    assert datetime.now(UTC) - started < timedelta(seconds=2)
