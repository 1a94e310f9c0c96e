"""`fairlead approve`: sign that a commit may follow upon the one in force.

Separate from the daemon, which only reads approvals, and from a forge, which need not exist. The
invariants: what is signed was shown before, and is a tree, a base and an end; and nothing but one
reference of the approver's own is written.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import click

from reconciler.core.approvals.statements import LONGEST, GivenApproval, Statement
from reconciler.core.approvals.widening import widenings
from reconciler.core.commits import Commit
from reconciler.core.desired import DesiredState
from reconciler.core.errors import Missing
from reconciler.core.identifiers import short
from reconciler.core.problems import printable
from reconciler.core.quantities import duration_text, parse_duration
from reconciler.ports import Repository
from reconciler.surfaces.validate_command import ValidateTools, valid_revision

SHORTEST = timedelta(minutes=1)


class GiveApproval(Protocol):
    """adapters/git_approving.py, as the command needs it."""

    def __call__(
        self, clone: Path, statement: Statement, *, key: str = "", remote: str = ""
    ) -> GivenApproval: ...


@dataclass(frozen=True, slots=True)
class ApproveTools:
    """What the composition root hands to the command, as the context's object."""

    validate: ValidateTools
    give: GiveApproval


@dataclass(frozen=True, slots=True)
class _Change:
    """What is to be approved: `commits` lead from the base to the head."""

    base: Commit
    head: Commit
    commits: tuple[Commit, ...]
    before: DesiredState
    after: DesiredState


class Lifetime(click.ParamType[timedelta]):
    """From a minute to the longest."""

    name = "duration"

    def __init__(self, longest: timedelta) -> None:
        self._longest = longest

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        try:
            found = value if isinstance(value, timedelta) else parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not SHORTEST <= found <= self._longest:
            self.fail(f"give 1m to {duration_text(self._longest)}", param, ctx)
        return found


@click.command("approve")
@click.argument("sha")
@click.option("--base", help="The commit in force, as `fairlead status` says; SHA's parent else.")
@click.option(
    "--for",
    "lifetime",
    type=Lifetime(LONGEST),
    default="24h",
    show_default=True,
    help="How long the daemon may act upon it.",
)
@click.option("--key", default="", help="SSH key to sign with; git's user.signingKey by default.")
@click.option(
    "--repo",
    "clone",
    type=click.Path(exists=True, path_type=Path),
    default=Path(),
    help="A clone; the current directory by default.",
)
@click.option("--remote", default="origin", show_default=True, help="Where to push the approval.")
@click.option("--no-push", "kept", is_flag=True, help="Leave it in the clone.")
@click.option("--yes", "sure", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.make_pass_decorator(ApproveTools)
def approve_command(
    tools: ApproveTools,
    *,
    sha: str,
    base: str | None,
    lifetime: timedelta,
    key: str,
    clone: Path,
    remote: str,
    kept: bool,
    sure: bool,
    as_json: bool,
) -> None:
    """Approve that commit SHA follows upon the commit in force.

    It is of exactly this tree and that base. The daemon looks for it while the commit is held;
    whose approval is missing, `fairlead status` says.
    """
    change = asyncio.run(_change(tools, clone, sha, base))
    for words in _told(change):
        click.echo(printable(words, limit=400), err=as_json)
    if not sure:
        click.confirm("Approve?", abort=True, err=as_json)
    until = (datetime.now(UTC) + lifetime).replace(microsecond=0)
    statement = Statement(change.after.repository, change.head.tree, change.base.sha, until)
    given = tools.give(clone, statement, key=key, remote="" if kept else remote)
    click.echo(_as_json(given) if as_json else _as_text(given))


async def _change(tools: ApproveTools, clone: Path, sha: str, base: str | None) -> _Change:
    async with tools.validate.open_repository(clone) as repository:
        head = await _found(repository, sha)
        if base is None and not head.parents:
            raise Missing(
                f"commit {short(head.sha)} is the first one", hint="the first commit needs nobody"
            )
        found = await _found(repository, base or head.parents[0])
        commits = await repository.range(found.sha, head.sha)
    before = await valid_revision(tools.validate, clone, found.sha)
    after = await valid_revision(tools.validate, clone, head.sha)
    return _Change(found, head, commits, before, after)


async def _found(repository: Repository, revision: str) -> Commit:
    try:
        return await repository.commit(revision)
    except Missing as error:
        raise Missing(error.message, hint=error.hint or "bring it here first: git fetch") from None


def _told(change: _Change) -> list[str]:
    """What whoever signs has to know."""
    commits = [
        f"  {short(commit.sha)} {commit.subject} ({commit.author})" for commit in change.commits
    ]
    given = widenings(change.before, change.after)
    return [
        f"Upon {short(change.base.sha)}, which must be in force, would follow:",
        *commits,
        "That gives:" if given else "That gives nobody more than before.",
        *(f"  {sentence}" for sentence in given),
    ]


def _as_text(given: GivenApproval) -> str:
    until = f"{given.statement.until:%Y-%m-%d %H:%M} UTC"
    if given.remote:
        return f"Approved until {until}, and pushed to {given.remote}."
    return f"Approved until {until}. Push it:  git push REMOTE {given.reference}"


def _as_json(given: GivenApproval) -> str:
    statement = given.statement
    fields = {
        "tree": statement.tree,
        "base": statement.base,
        "until": statement.until.isoformat(),
        "reference": given.reference,
        "pushedTo": given.remote or None,
    }
    return json.dumps(fields, indent=2)
