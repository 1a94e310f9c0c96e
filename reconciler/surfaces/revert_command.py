"""`fairlead revert`: prepare the commit that undoes another one.

Separate from the daemon, which it neither needs nor tells: the commit takes effect when it is
pushed, reviewed and merged as every other. The invariant: it writes one commit and one branch,
and pushes nothing.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click

from reconciler.core.identifiers import short
from reconciler.core.problems import printable
from reconciler.core.reverting import PreparedRevert


class PrepareRevert(Protocol):
    """adapters/git_reverting.py, as the command needs it."""

    def __call__(
        self, repository: Path, revision: str, *, branch: str = "", message: str = ""
    ) -> PreparedRevert: ...


@dataclass(frozen=True, slots=True)
class RevertTools:
    """What the composition root hands to the command, as the context's object."""

    prepare: PrepareRevert


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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.make_pass_decorator(RevertTools)
def revert_command(
    tools: RevertTools, *, sha: str, repository: Path, branch: str, message: str, as_json: bool
) -> None:
    """Prepare the revert of commit SHA, merges included, on a branch of its own.

    The work tree and the branch you are on stay as they are.
    """
    prepared = tools.prepare(repository, sha, branch=branch, message=message)
    click.echo(_as_json(prepared) if as_json else _as_text(prepared))


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
