"""`fairlead revert`: prepare the commit that undoes another one.

Separate from the daemon, which it neither needs nor tells: the commit takes effect when it is
pushed, reviewed and merged as every other. The invariants: it writes one commit and one branch,
and pushes nothing unless it is asked for a pull request; never to the branch that is applied.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click

from reconciler.core.identifiers import CommitSha, short
from reconciler.core.problems import printable
from reconciler.core.reverting import PreparedRevert
from reconciler.settings import Settings
from reconciler.settings_loading import load_settings
from reconciler.surfaces.run_command import config_option


class PrepareRevert(Protocol):
    """adapters/git_reverting.py, as the command needs it."""

    def __call__(
        self, repository: Path, revision: str, *, branch: str = "", message: str = ""
    ) -> PreparedRevert: ...


@dataclass(frozen=True, slots=True)
class OfferedRevert:
    """A revert that waits for people on the forge. `number` is 0 where it is merged already."""

    reverts: CommitSha
    branch: str
    number: int


class OfferRevert(Protocol):
    """Pushes the revert of a commit of `repository` to a branch, and opens a pull request."""

    def __call__(
        self, settings: Settings, repository: Path, revision: str
    ) -> Coroutine[object, object, OfferedRevert]: ...


@dataclass(frozen=True, slots=True)
class RevertTools:
    """What the composition root hands to the command, as the context's object."""

    prepare: PrepareRevert
    offer: OfferRevert


@click.command("revert")
@click.argument("sha")
@click.option(
    "--repo",
    "repository",
    type=click.Path(exists=True, path_type=Path),
    default=Path(),
    help="A clone or bare repository; the current directory by default.",
)
@click.option("--branch", default="", help="Branch to create; revert-SHA by default.")
@click.option("--message", "-m", default="", help="Message of the commit, instead of Git's.")
@click.option(
    "--pull-request",
    "offered",
    is_flag=True,
    help="Push it as the daemon's settings say, and open a pull request.",
)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.make_pass_decorator(RevertTools)
def revert_command(
    tools: RevertTools,
    *,
    sha: str,
    repository: Path,
    branch: str,
    message: str,
    offered: bool,
    config: Path,
    as_json: bool,
) -> None:
    """Prepare the revert of commit SHA, merges included, on a branch of its own.

    The work tree and the branch you are on stay as they are. With --pull-request the commit is
    made on the remote's branch of now instead, signed and pushed by the settings of the daemon.
    """
    if offered:
        if branch or message:
            raise click.UsageError("--pull-request names the branch and the message by itself")
        settings = load_settings(config, os.environ)
        found = asyncio.run(tools.offer(settings, repository, sha))
        click.echo(_offer_json(found) if as_json else _offer_text(found))
        return
    prepared = tools.prepare(repository, sha, branch=branch, message=message)
    click.echo(_as_json(prepared) if as_json else _as_text(prepared))


def _offer_text(found: OfferedRevert) -> str:
    if not found.number:
        return f"Commit {short(found.reverts)} is undone on {found.branch} already."
    return (
        f"Pull request {found.number} reverts {short(found.reverts)}, from branch {found.branch}.\n"
        "Its plan shows what that changes; merge it to have it applied."
    )


def _offer_json(found: OfferedRevert) -> str:
    fields = {
        "reverts": found.reverts,
        "branch": found.branch,
        "pullRequest": found.number or None,
    }
    return json.dumps(fields, indent=2)


def _as_text(prepared: PreparedRevert) -> str:
    branch = shlex.quote(prepared.branch)
    lines = [
        f"Commit {short(prepared.commit)} on branch {prepared.branch} reverts"
        f" {short(prepared.reverts)}:",
        *(f"  {printable(path)}" for path in prepared.paths),
        "",
    ]
    if prepared.needs_signature:
        lines += [f"Sign it:  git switch {branch} && git commit --amend --no-edit -S"]
    return "\n".join([*lines, f"Push it:  {_push(prepared)}"])


def _as_json(prepared: PreparedRevert) -> str:
    fields = {
        "commit": prepared.commit,
        "reverts": prepared.reverts,
        "branch": prepared.branch,
        "message": prepared.message,
        "paths": list(prepared.paths),
        "needsSignature": prepared.needs_signature,
        "push": _push(prepared),
    }
    return json.dumps(fields, indent=2)


def _push(prepared: PreparedRevert) -> str:
    return f"git push {shlex.quote(prepared.remote or 'REMOTE')} {shlex.quote(prepared.branch)}"
