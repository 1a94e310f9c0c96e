"""The forge that the settings name, and reverts that are offered there.

Separate from the reviews, so that the command that offers a revert loads neither engine nor
cluster. The invariant: no credential is read here, only the names of the files that hold them.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, closing
from pathlib import Path

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.forge_github import GitHubForge
from reconciler.adapters.forge_github_access import GitHubApp
from reconciler.adapters.git_clone import GitClone
from reconciler.adapters.git_publishing import GitPublisher
from reconciler.adapters.git_reverting import prepare_revert
from reconciler.core.errors import Misconfigured
from reconciler.core.identifiers import short
from reconciler.core.presenting.markdown import document, paragraph
from reconciler.core.problems import printable
from reconciler.forge_ports import Forge
from reconciler.ports import Clock
from reconciler.settings import Settings
from reconciler.settings_forge import ForgeSettings
from reconciler.surfaces.revert_command import OfferedRevert, RevertTools
from reconciler.wiring.git_sources import committer_of, source_of


def revert_tools() -> RevertTools:
    return RevertTools(prepare_revert, offer_revert)


def forge_of(given: ForgeSettings, clock: Clock) -> Forge:
    """The forge that the settings name, as whom they say."""
    github = given.github
    app = github.app
    return GitHubForge(
        github.url,
        github.repository,
        clock,
        token_file=github.token_file,
        app=GitHubApp(app.id, app.installation, app.private_key_file) if app else None,
        ca_file=github.ca_file,
    )


async def offer_revert(settings: Settings, repository: Path, revision: str) -> OfferedRevert:
    """Push the revert of a commit to a branch of its own, and open a pull request.

    Raises Misconfigured where the settings give no right to.
    """
    forges, reverts = settings.forge, settings.reverts
    if forges is None or reverts is None:
        missing = "forge" if forges is None else "reverts"
        raise Misconfigured(
            f"the settings have no `{missing}`, which a pull request needs",
            hint="add it, or leave --pull-request out and push the branch by hand",
        )
    async with AsyncExitStack() as opened:
        clone = opened.enter_context(closing(GitClone(repository)))
        commit = await clone.commit(revision)
        directory = settings.directory / "reverts-by-hand"
        source = source_of(settings, reverts.credentials)
        publisher = GitPublisher(source, directory, committer_of(reverts))
        opened.callback(publisher.close)
        forge = forge_of(forges, SystemClock())
        opened.push_async_callback(forge.close)
        reason = "Asked for with `fairlead revert --pull-request`."
        branch = await publisher.push_revert_branch(commit.sha, reason=reason)
        if branch == settings.repository.branch:
            return OfferedRevert(commit.sha, branch, 0)
        told = f"It undoes {short(commit.sha)}. The comment below says what that changes."
        number = await forge.open_pull_request(
            branch=branch,
            base=settings.repository.branch,
            title=f'Revert "{printable(commit.subject, limit=150)}"',
            body=document([paragraph(told)]),
        )
        return OfferedRevert(commit.sha, branch, number)
