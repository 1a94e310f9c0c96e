"""`fairlead break-glass`: ask for a role for an hour at most, because something is on fire.

Separate from `fairlead approve`, by which somebody else has to agree. The invariant: it writes one
document in one signed commit, which gives nothing before the daemon has seen that approval.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import click

from reconciler.core.identifiers import CommitSha, DocumentPath, short
from reconciler.core.kinds import API_VERSION
from reconciler.core.kinds.break_glass import LONGEST, MOMENT
from reconciler.surfaces.approve_command import Lifetime
from reconciler.surfaces.validate_command import ValidateTools, valid_revision


class CommitDocument(Protocol):
    """adapters/git_breaking.py, as the command needs it."""

    def __call__(
        self,
        clone: Path,
        path: DocumentPath,
        content: bytes,
        *,
        message: str,
        remote: str,
        branch: str,
        key: str = "",
    ) -> tuple[CommitSha, CommitSha]: ...


class PushCommit(Protocol):
    """Take a commit to the branch."""

    def __call__(self, clone: Path, commit: CommitSha, /, *, remote: str, branch: str) -> None: ...


@dataclass(frozen=True, slots=True)
class BreakGlassTools:
    """What the composition root hands to the command, as the context's object."""

    validate: ValidateTools
    commit: CommitDocument
    push: PushCommit


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked for."""

    role: str
    people: tuple[str, ...]
    because: str
    starts: datetime
    ends: datetime

    @property
    def name(self) -> str:
        return f"{self.role[:40]}-{self.starts:%Y%m%d-%H%M%S}"

    @property
    def document(self) -> str:
        people = ", ".join(map(_quoted, self.people))
        return (
            f"apiVersion: {API_VERSION}\nkind: BreakGlass\nmetadata: {{name: {self.name}}}\n"
            f"spec:\n  role: {_quoted(self.role)}\n  people: [{people}]\n"
            f"  because: {_quoted(self.because)}\n"
            f'  starts: "{self.starts.strftime(MOMENT)}"\n'
            f'  ends: "{self.ends.strftime(MOMENT)}"\n'
        )

    @property
    def message(self) -> str:
        who = ", ".join(self.people)
        return f"Break the glass: {self.role} for {who}\n\n{self.because}\n"


def _quoted(text: str) -> str:
    """As YAML reads it: JSON would escape what is beyond U+FFFF in halves."""
    return json.dumps(text, ensure_ascii=False)


class _RoleName(click.ParamType[str]):
    """It goes into the name of a document and of its file."""

    name = "role"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", value, re.ASCII):
            self.fail(f"{value!r} is no name of a Role, such as platform-engineer", param, ctx)
        return value


@click.command("break-glass")
@click.option(
    "--role", required=True, type=_RoleName(), help="The Role whose permissions are needed."
)
@click.option(
    "--person",
    "people",
    multiple=True,
    required=True,
    help="Who needs them, as the identity provider names them; more than once for more.",
)
@click.option("--because", required=True, help="Why. It is in the audit log for good.")
@click.option(
    "--for",
    "lifetime",
    type=Lifetime(LONGEST),
    default="30m",
    show_default=True,
    help="For how long, from now on; an hour at most.",
)
@click.option("--key", default="", help="SSH key to sign with; as git is configured by default.")
@click.option(
    "--repo",
    "clone",
    type=click.Path(exists=True, path_type=Path),
    default=Path(),
    help="A clone; the current directory by default.",
)
@click.option("--remote", default="origin", show_default=True, help="Where to push.")
@click.option("--branch", default="main", show_default=True, help="The branch that is applied.")
@click.option("--directory", default="emergencies", show_default=True, help="Where it is kept.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.make_pass_decorator(BreakGlassTools)
def break_glass_command(
    tools: BreakGlassTools,
    *,
    role: str,
    people: tuple[str, ...],
    because: str,
    lifetime: timedelta,
    key: str,
    clone: Path,
    remote: str,
    branch: str,
    directory: str,
    as_json: bool,
) -> None:
    """Ask for a role for an hour at most, because something is on fire.

    It is given when somebody else has approved it, and ends by itself.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    request = _Request(role, people, because, now, now + lifetime)
    commit, base = tools.commit(
        clone,
        DocumentPath(f"{directory.strip('/')}/{request.name}.yaml"),
        request.document.encode(),
        message=request.message,
        remote=remote,
        branch=branch,
        key=key,
    )
    # What is not valid would keep the branch from going on, in the worst moment.
    asyncio.run(valid_revision(tools.validate, clone, commit))
    tools.push(clone, commit, remote=remote, branch=branch)
    approve = f"fairlead approve {commit} --base {base}"
    if as_json:
        ends = request.ends.isoformat()
        told = {"name": request.name, "commit": commit, "ends": ends, "approve": approve}
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(
        f"Commit {short(commit)} asks for {request.role} until {request.ends:%H:%M:%S} UTC.\n"
        f"It gives nothing before somebody else says:  {approve}"
    )
