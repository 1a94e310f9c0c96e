"""Settings of the forge: where change requests are, and as whom they are answered.

Separate from settings.py, which has what every daemon needs. The invariants are the same: a secret
is only ever named by the file that holds it, and none travels in the clear.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, TypeAlias

from pydantic import ConfigDict, model_validator

from reconciler.core.kinds.common import Choice, Part, one_of, refusal
from reconciler.core.kinds.scalars import Duration, Maybe, PositiveCount, TextForm
from reconciler.settings_page import SafeUrl
from reconciler.settings_places import FilePath

RepositoryPath: TypeAlias = Annotated[
    str,
    TextForm(
        what="the owner and the name of a repository",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*/(?!\.{1,2}$)[A-Za-z0-9._-]+$",
        hint="write OWNER/NAME, such as example/ml-platform",
        examples=("example/ml-platform",),
        longest=140,
    ),
]


class GitHubAppSettings(Part):
    """A GitHub App that is installed in the repository."""

    id: PositiveCount
    """App ID, on the page of the app."""
    installation: PositiveCount
    """Installation ID, the number at the end of the installation's address."""
    private_key_file: FilePath
    """File with a private key of the app, in PEM. It is read again at every use."""


class GitHubSettings(Choice):
    """A repository on GitHub or GitHub Enterprise, and as whom it is answered."""

    choices: ClassVar[tuple[str, ...]] = ("token_file", "app")
    model_config = ConfigDict(json_schema_extra=one_of(*choices))

    url: SafeUrl = "https://api.github.com"
    """The API; of GitHub Enterprise it is https://HOST/api/v3."""
    repository: RepositoryPath
    """OWNER/NAME of the config repository."""
    token_file: Maybe[FilePath] = None
    """File with an access token. It is read again at every use."""
    app: Maybe[GitHubAppSettings] = None
    """A GitHub App. Only as one are there check runs, with remarks at the lines of files."""
    ca_file: Maybe[FilePath] = None
    """File with the certificates to trust, in PEM; those of the system by default."""


class ForgeSettings(Part):
    """Where people propose changes of the config repository."""

    github: GitHubSettings
    """A repository on GitHub or GitHub Enterprise."""
    poll: Duration = timedelta(seconds=30)
    """How often change requests are looked at when no webhook says that one changed."""

    @model_validator(mode="after")
    def _require_patience(self) -> ForgeSettings:
        if self.poll < timedelta(seconds=5):
            raise refusal("has a poll that GitHub would refuse soon", hint="give 5s or more")
        return self
