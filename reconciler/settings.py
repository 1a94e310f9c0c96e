"""Settings of the daemon: connection details and credentials, which are never in Git.

Separate from the config repository on purpose: whoever can merge a commit must not be able to
point a cluster's name at another API server. The invariants: a secret is only ever named by the
file that holds it, and settings in use were checked whole, with every problem at its line.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

from annotated_types import MinLen
from pydantic import AfterValidator, ConfigDict, model_validator

from reconciler.core.identifiers import CommitSha, commit_sha
from reconciler.core.kinds.common import Choice, Part, one_of, refusal, unique
from reconciler.core.kinds.scalars import DnsLabel, Duration, Flag, Maybe, Text, TextForm
from reconciler.settings_forge import ForgeSettings
from reconciler.settings_page import PageSettings
from reconciler.settings_people import PersonSettings
from reconciler.settings_places import (
    Address,
    FilePath,
    HttpUrl,
    ListenAddress,
    RemotePlace,
    StatePlace,
)
from reconciler.settings_secrets import SecretStoreSettings, VaultSettings

FullCommit: TypeAlias = Annotated[
    CommitSha,
    TextForm(
        what="the full SHA of a commit",
        pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$",
        hint="write all of its 40 digits: git rev-parse COMMIT",
        examples=("5c6dc8a1b0c8f9f2b1c2d3e4f5061728394a5b6c",),
        read=commit_sha,
    ),
]
LogName: TypeAlias = Annotated[
    str,
    TextForm(
        what="the name of a log",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$",
        hint="use a name that nobody else gives a log, such as fairlead.example.com/ml-platform",
        examples=("fairlead.example.com/ml-platform",),
        longest=253,
    ),
]

EmailAddress: TypeAlias = Annotated[
    str,
    TextForm(
        what="an e-mail address",
        pattern=r"^[^\s<>@]+@[^\s<>@]+$",
        hint="write it as the Git server knows it, such as fairlead@example.com",
        examples=("fairlead@example.com",),
        longest=254,
    ),
]
AuthorName: TypeAlias = Annotated[
    str,
    TextForm(
        what="the name of an author",
        pattern=r"^[^\s<>]+( [^\s<>]+)*$",
        hint="write words with single spaces between them, without < and >",
        examples=("Fairlead",),
        longest=200,
    ),
]


class Credentials(Part):
    """Files with what the remote asks for. They are read again at every use."""

    username: Text = "git"
    """User name for https; most forges accept any with a token."""
    token_file: Maybe[FilePath] = None
    """File with the access token or password for https."""
    ssh_key_file: Maybe[FilePath] = None
    """File with the private key for ssh, without a passphrase."""
    known_hosts_file: Maybe[FilePath] = None
    """File with the host keys to accept for ssh, in OpenSSH's format."""

    @model_validator(mode="after")
    def _require_known_hosts(self) -> Credentials:
        if self.ssh_key_file and not self.known_hosts_file:
            raise refusal(
                "gives sshKeyFile without knownHostsFile",
                hint="name a file with the host's key; ssh-keyscan prints it",
            )
        return self


class RepositorySettings(Part):
    """The config repository."""

    name: DnsLabel
    """`metadata.name` of its fairlead.yaml. Objects are labelled with it, so it never changes."""
    url: RemotePlace
    """https://, ssh://, user@host:path, file:// or a path; without credentials.

    A relative path begins with `./` or `../`.
    """
    branch: Text = "main"
    """The branch that is applied."""
    poll: Duration = timedelta(seconds=10)
    """How often the branch is looked at when no webhook says that it moved."""
    mirror: Maybe[FilePath] = None
    """Directory of the bare mirror; `mirror.git` in `directory` by default."""
    credentials: Credentials = Credentials()
    """Files with what the remote asks for."""
    allowed_signers_file: Maybe[FilePath] = None
    """File of allowed signers in OpenSSH's format: who may sign commits and approve them, and which
    names and keys are one person's. Needed when the policy asks for signatures."""
    trusted_commits: tuple[FullCommit, ...] = ()
    """Commits whose whole history counts as signed: where signing began."""


class RevertSettings(Part):
    """The right to push the revert of a commit whose version a gate refused."""

    author: AuthorName = "Fairlead"
    """Name of author and committer."""
    email: EmailAddress
    """E-mail address of author and committer."""
    credentials: Maybe[Credentials] = None
    """Files with what the remote asks of whom pushes; those of the repository by default."""
    signing_key_file: Maybe[FilePath] = None
    """File with an SSH private key, without a passphrase, that signs the commit. Needed when the
    policy asks for signatures; the allowed signers must name its public half."""


class ClusterSettings(Choice):
    """How one cluster is reached, and as whom."""

    choices: ClassVar[tuple[str, ...]] = ("kubeconfig", "in_cluster", "vault")
    model_config = ConfigDict(json_schema_extra=one_of(*choices))

    name: DnsLabel
    """`metadata.name` of its Cluster document."""
    kubeconfig: Maybe[FilePath] = None
    """Kubeconfig file."""
    in_cluster: Maybe[Literal[True]] = None
    """The cluster that the daemon runs in, by its pod's service account."""
    vault: Maybe[VaultSettings] = None
    """No cluster but a secret store; its policies and roles are planned as objects of a cluster
    are."""
    context: str = ""
    """Context in the kubeconfig; its current one by default."""
    allow_exec: Flag = False
    """Whether the kubeconfig may name a program to run for credentials."""
    apply_as: Literal["daemon", "author"] = "daemon"
    """As whom is written what a commit changes. `author` is whoever signed the change, as `people`
    has them: then what the API server refuses them is refused. Needs Kubernetes 1.36."""
    replicas: Literal["api-server", "direct"] = "api-server"
    """How model servers are asked for their metrics: through the API server's proxy, or at the
    addresses of their pods, which a daemon inside the cluster reaches."""

    @model_validator(mode="after")
    def _refuse_authors_of_stores(self) -> ClusterSettings:
        if self.vault and self.apply_as == "author":
            raise refusal(
                "gives applyAs to a secret store",
                hint="take it out: a store knows nobody but the daemon",
            )
        return self


class StateSettings(Part):
    """Where audit log and ledgers are kept."""

    url: Maybe[StatePlace] = None
    """File of a SQLite database, or postgresql://user@host/database; `state.db` in `directory`
    by default."""
    password_file: Maybe[FilePath] = None
    """File with the password of the PostgreSQL user."""

    @model_validator(mode="after")
    def _refuse_password(self) -> StateSettings:
        _, _, rest = (self.url or "").partition("://")
        if "@" in rest and ":" in rest.partition("@")[0]:
            raise refusal("has a password in its url", hint="move it to a file, as passwordFile")
        return self


class LeaseSettings(Part):
    """One writer per cluster, by a Lease object in it."""

    enabled: Flag = True
    """Without it, nothing but you keeps a second daemon from writing to the same clusters."""
    namespace: DnsLabel = "fairlead-system"
    """Namespace of the Lease, which must exist."""
    duration: Duration = timedelta(seconds=15)
    """How long a daemon that vanished keeps others out."""

    @model_validator(mode="after")
    def _require_time(self) -> LeaseSettings:
        if not 3 <= self.duration.total_seconds() <= 300:
            raise refusal("has a duration that cannot work", hint="give 3s to 5m")
        return self


class WebhookSettings(Part):
    """Push notifications of the Git server."""

    secret_file: FilePath
    """File with the secret that the Git server signs its notifications with."""


class AnchorSettings(Part):
    """A place outside the log that keeps its signed checkpoints."""

    repository: FilePath
    """Bare Git repository, made when absent. Better owned by another user than the log's."""
    url: Maybe[RemotePlace] = None
    """Where its ref is pushed to, as for the config repository; nowhere by default."""
    credentials: Credentials = Credentials()
    """Files with what that remote asks for."""


class AuditSettings(Part):
    """The audit log."""

    origin: Maybe[LogName] = None
    """Name of the log, for good; `fairlead/` and the repository's name by default."""
    key_file: Maybe[FilePath] = None
    """File with the signing key, made when absent; `audit.key` in `directory` by default."""
    anchor: Maybe[AnchorSettings] = None
    """A place outside the log that keeps its signed checkpoints."""


class MetricsSettings(Part):
    """The provider of time series that gates with `promql` ask."""

    url: HttpUrl
    """Server with Prometheus' HTTP API, without `/api/v1`."""
    token_file: Maybe[FilePath] = None
    """File with a bearer token. It is read again at every use."""
    ca_file: Maybe[FilePath] = None
    """File with the certificates to trust, in PEM; those of the system by default."""


class TelemetrySettings(Part):
    """Where traces go."""

    otlp_endpoint: Maybe[HttpUrl] = None
    """Collector of OpenTelemetry traces over HTTP; none by default."""


class LogSettings(Part):
    """What the daemon says on standard error."""

    format: Literal["auto", "json", "console"] = "auto"
    """`auto` is `console` on a terminal and `json` elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe messages that are shown."""


class Settings(Part):
    """Settings of the daemon."""

    directory: FilePath = Path("/var/lib/fairlead")
    """Where everything is kept that has no place of its own."""
    repository: RepositorySettings
    """The config repository."""
    clusters: Annotated[
        tuple[ClusterSettings, ...],
        MinLen(1),
        AfterValidator(lambda items: unique(items, name=lambda item: item.name)),
    ]
    """The clusters, by the names that the repository gives them."""
    people: Annotated[
        tuple[PersonSettings, ...],
        AfterValidator(lambda items: unique(items, name=lambda item: item.signer)),
    ] = ()
    """Who signs commits, and as whom API servers know them, for clusters with `applyAs: author`."""
    reverts: Maybe[RevertSettings] = None
    """The right to push the revert of a commit whose version a gate refused. Without it the daemon
    takes the traffic back and pushes nothing."""
    state: StateSettings = StateSettings()
    """Where audit log and ledgers are kept."""
    lease: LeaseSettings = LeaseSettings()
    """One writer per cluster, by a Lease object in it."""
    listen: ListenAddress = Address("127.0.0.1", 9460)
    """Address of the HTTP endpoints and the page. Beyond the loopback the page needs a sign-in;
    `/metrics`, `/livez` and `/readyz` ask nobody who they are."""
    page: PageSettings = PageSettings()
    """The status page: its address, and who may look."""
    forge: Maybe[ForgeSettings] = None
    """Where people propose changes. Without it nobody looks at pull requests."""
    webhook: Maybe[WebhookSettings] = None
    """Push notifications of the Git server; without a secret there is no endpoint for them."""
    audit: AuditSettings = AuditSettings()
    """The audit log."""
    secret_stores: SecretStoreSettings = SecretStoreSettings()
    """Stores of secrets that are no clusters."""
    metrics: Maybe[MetricsSettings] = None
    """The provider of time series that gates with `promql` ask. Without it they hold."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """Where traces go."""
    log: LogSettings = LogSettings()
    """What the daemon says on standard error."""
    rights: Literal["least", "unrestricted-for-development"] = "least"
    """`least` refuses to run with wildcard rights, `escalate`, any verb on secrets, or tokens and
    identities that are not named."""

    @model_validator(mode="after")
    def _require_people(self) -> Settings:
        authored = [each.name for each in self.clusters if each.apply_as == "author"]
        if authored and not (self.people and self.repository.allowed_signers_file):
            raise refusal(
                f"has applyAs: author for {authored[0]}, and does not say who the authors are",
                hint="give people, and repository.allowedSignersFile by which they are known",
            )
        return self

    @property
    def mirror(self) -> Path:
        return self.repository.mirror or self.directory / "mirror.git"

    @property
    def reverts_directory(self) -> Path:
        return self.directory / "reverts"

    @property
    def state_place(self) -> str:
        return self.state.url or str(self.directory / "state.db")

    @property
    def audit_origin(self) -> str:
        return self.audit.origin or f"fairlead/{self.repository.name}"

    @property
    def audit_key(self) -> Path:
        return self.audit.key_file or self.directory / "audit.key"
