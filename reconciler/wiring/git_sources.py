"""Where Git is, by the settings, and in whose name we write there.

Separate from the ports that are made of it, which are several. The invariant: no credential is read
here, only the names of the files that hold them.
"""

from __future__ import annotations

from reconciler.adapters.git_publishing import Committer
from reconciler.adapters.git_remotes import GitCredentials, GitSource
from reconciler.adapters.git_signatures import SignatureVerifier
from reconciler.settings import Credentials, RevertSettings, Settings


def source_of(settings: Settings, credentials: Credentials | None = None) -> GitSource:
    """The config repository, with its own credentials or others."""
    given = settings.repository
    return GitSource(
        url=given.url,
        branch=given.branch,
        credentials=git_credentials(credentials or given.credentials),
    )


def verifier_of(settings: Settings) -> SignatureVerifier | None:
    given = settings.repository
    if given.allowed_signers_file is None:
        return None
    return SignatureVerifier(given.allowed_signers_file, trusted=given.trusted_commits)


def git_credentials(given: Credentials) -> GitCredentials:
    return GitCredentials(
        username=given.username,
        token_file=given.token_file,
        ssh_key=given.ssh_key_file,
        known_hosts=given.known_hosts_file,
    )


def committer_of(given: RevertSettings) -> Committer:
    return Committer(given.author, given.email, given.signing_key_file)
