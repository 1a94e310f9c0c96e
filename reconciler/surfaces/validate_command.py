"""`fairlead validate`: everything that is wrong with a repository, without a cluster.

Separate from `fairlead plan`, which needs clusters. The invariant: it judges by the same function
as the daemon, so that what it accepts the daemon accepts, as far as no cluster is asked.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import click
import orjson

from reconciler.core.commits import TreeDifference
from reconciler.core.compiling import Compilation, blobs_to_read, compile_commit
from reconciler.core.desired import DesiredState
from reconciler.core.errors import Invalid
from reconciler.core.identifiers import BlobId, CommitSha, DocumentPath
from reconciler.core.manifests import JsonObject
from reconciler.core.problems import Problem, printable
from reconciler.ports import Repository
from reconciler.surfaces.problem_reports import count_text, problem_json, problem_text
from reconciler.surfaces.working_tree import WorkingTree

_NO_COMMIT = CommitSha("0" * 40)


@dataclass(frozen=True, slots=True)
class ValidateTools:
    """What the composition root hands to the command, as the context's object."""

    open_repository: Callable[[Path], AbstractAsyncContextManager[Repository]]


@dataclass(frozen=True, slots=True)
class Validation:
    """What was found, with the files that were read for it."""

    compilation: Compilation | None
    problems: tuple[Problem, ...]
    difference: TreeDifference
    contents: Mapping[BlobId, bytes] = field(repr=False)

    def text_of(self, path: DocumentPath) -> str | None:
        """The text of a file that was read, for excerpts."""
        blobs = {entry.path: entry.blob for entry in self.difference.changed}
        content = self.contents.get(blobs[path]) if path in blobs else None
        return content.decode("utf-8-sig", "replace") if content is not None else None


@click.command("validate")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--commit", "revision", help="Validate this commit of the repository at PATH.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def validate_command(
    context: click.Context, *, path: Path, revision: str | None, as_json: bool
) -> None:
    """Check all documents below PATH, or of a commit, and report every problem at once.

    Exits 0 when there is no error, 1 when there is one. The policy is that of the files
    themselves; the daemon also judges by the policy of the last commit it accepted.
    """
    if revision is None:
        validation = validate_directory(path)
    else:
        tools = context.find_object(ValidateTools)
        assert tools is not None, "the composition root provides the tools"
        validation = asyncio.run(validate_revision(tools, path, revision))
    text = _as_json(validation) if as_json else _as_text(validation)
    click.echo(text, color=False if os.environ.get("NO_COLOR") else None)
    context.exit(0 if validation.compilation else 1)


def validate_directory(path: Path) -> Validation:
    """Validate the files below a directory as they are now."""
    tree = WorkingTree.of(path)
    contents: dict[BlobId, bytes] = {}
    while wanted := blobs_to_read(tree.difference, contents, previous=None):
        contents.update(tree.read(wanted))
    return _validated(_NO_COMMIT, tree.difference, contents)


def valid_state(path: Path) -> DesiredState:
    """What the files below a directory declare. Raises Invalid when that is not valid."""
    validation = validate_directory(path)
    if validation.compilation is None:
        raise Invalid(f"{path} is not valid", hint=f"see what is wrong: fairlead validate {path}")
    return validation.compilation.state


async def valid_revision(tools: ValidateTools, path: Path, revision: str) -> DesiredState:
    """What a commit declares. Raises Missing, and Invalid when it is not valid."""
    validation = await validate_revision(tools, path, revision)
    if validation.compilation is None:
        hint = f"see what is wrong: fairlead validate {path} --commit {revision}"
        raise Invalid(f"commit {printable(revision, limit=60)} is not valid", hint=hint)
    return validation.compilation.state


async def validate_revision(tools: ValidateTools, path: Path, revision: str) -> Validation:
    """Validate a commit of a repository. Raises Missing when there is none of that name."""
    async with tools.open_repository(path) as repository:
        commit = await repository.commit(revision)
        difference = await repository.difference(None, commit.sha)
        contents: dict[BlobId, bytes] = {}
        while wanted := blobs_to_read(difference, contents, previous=None):
            contents.update(await repository.read(wanted))
    return _validated(commit.sha, difference, contents)


def _validated(
    commit: CommitSha, difference: TreeDifference, contents: Mapping[BlobId, bytes]
) -> Validation:
    compilation, problems = compile_commit(commit, difference, contents, previous=None, rules=None)
    return Validation(compilation, problems, difference, contents)


def _as_text(validation: Validation) -> str:
    parts = [problem_text(problem, validation.text_of) for problem in validation.problems]
    if validation.compilation is None:
        return "\n\n".join([*parts, count_text(validation.problems)])
    state = validation.compilation.state
    notes = [f"note: {notice}" for notice in state.notices]
    clusters = len({cluster for cluster, _ in state.units})
    summary = (
        f"valid: {_objects(validation.compilation):,} objects in {len(state.units):,} units for "
        f"{clusters:,} clusters, from {len(validation.contents):,} files"
    )
    return "\n".join([*parts, *notes, summary])


def _as_json(validation: Validation) -> str:
    compilation = validation.compilation
    document: JsonObject = {
        "valid": compilation is not None,
        "problems": [problem_json(problem) for problem in validation.problems],
        "notices": list(compilation.state.notices) if compilation else [],
        "units": len(compilation.state.units) if compilation else None,
        "objects": _objects(compilation) if compilation else None,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _objects(compilation: Compilation) -> int:
    return sum(len(unit.manifests) for unit in compilation.state.units.values())
