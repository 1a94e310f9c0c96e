"""`fairlead access who-can`, `what-can`, `explain` and `diff`: questions about access, offline.

Separate from the group that they belong to. The invariant: they ask the evaluator by which commits
are checked and plans are told, and nothing else, so that what they say is what the next plan says.

Exit codes: 0; 1 when the repository is not valid or has nothing of that name, and for `explain`
also when it is denied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import cast

import click
import orjson

from reconciler.core.access.deciding import decide, split
from reconciler.core.access.differences import difference
from reconciler.core.access.permissions import ACTIONS, permissions
from reconciler.core.access.policy import AccessPolicy
from reconciler.core.access.subjects import agent_name, agent_subject
from reconciler.core.desired import DesiredState
from reconciler.core.errors import Missing
from reconciler.core.kinds.access_rules import ModelAction
from reconciler.core.manifests import JsonValue
from reconciler.core.presenting import access_text
from reconciler.surfaces.printing import print_lines
from reconciler.surfaces.validate_command import ValidateTools, valid_revision, valid_state

_directory = click.argument(
    "directory",
    metavar="[DIR]",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
)
_commit = click.option("--commit", "revision", help="Ask this commit of the clone at DIR.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_action = click.argument("action", type=click.Choice(ACTIONS))
_version = click.argument("version", metavar="MODEL@VERSION")


@click.command("who-can")
@click.argument("action", type=click.Choice((*ACTIONS, access_text.READ)))
@click.argument("thing", metavar="MODEL@VERSION|SECRET")
@_directory
@_commit
@_json
@click.pass_context
def who_can_command(
    context: click.Context,
    *,
    action: str,
    thing: str,
    directory: Path,
    revision: str | None,
    as_json: bool,
) -> None:
    """Say who may do ACTION with MODEL@VERSION today, or read a SECRET as vault:kv/risk/fraud."""
    policy = _state(context, directory, revision).access
    if action == access_text.READ:
        if not thing.startswith(("vault:", "aws:")):
            raise Missing(
                f"{thing} names no secret", hint="write it as documents do, as vault:kv/risk/fraud"
            )
        found = access_text.who_reads(permissions(policy, _today()), thing)
    else:
        _known_version(policy, thing)
        found = access_text.who_can(policy, cast(ModelAction, action), thing, _today())
    if as_json:
        _print_json(access_text.who_json(policy, found))
    else:
        print_lines(access_text.who_lines(policy, found, action, thing))


@click.command("what-can")
@click.argument("subject")
@_directory
@_commit
@_json
@click.pass_context
def what_can_command(
    context: click.Context, *, subject: str, directory: Path, revision: str | None, as_json: bool
) -> None:
    """Say all that SUBJECT, a role, an agent or `rollout/NAME`, may do today."""
    policy = _state(context, directory, revision).access
    who, allowed = _known_subject(policy, subject), permissions(policy, _today())
    if as_json:
        _print_json(access_text.what_json(policy, allowed, who))
    else:
        print_lines(access_text.what_lines(policy, allowed, who))


@click.command("explain")
@click.argument("subject")
@_action
@_version
@_directory
@_commit
@_json
@click.pass_context
def explain_command(
    context: click.Context,
    *,
    subject: str,
    action: str,
    version: str,
    directory: Path,
    revision: str | None,
    as_json: bool,
) -> None:
    """Say whether SUBJECT may do ACTION with MODEL@VERSION today, and why.

    Exits 1 when it may not.
    """
    policy = _state(context, directory, revision).access
    who, (model, name) = _known_subject(policy, subject), split(version)
    decision = decide(policy, who, cast(ModelAction, action), model, name, today=_today())
    if as_json:
        _print_json(access_text.explain_json(decision))
    else:
        print_lines(access_text.explain_lines(decision))
    context.exit(0 if decision.allowed else 1)


@click.command("diff")
@click.argument("base", metavar="A")
@click.argument("head", metavar="B")
@_directory
@_json
@click.pass_context
def diff_command(
    context: click.Context, *, base: str, head: str, directory: Path, as_json: bool
) -> None:
    """Say who gains and who loses what from commit A to commit B of the clone at DIR."""
    today = _today()
    before, after = (
        permissions(_state(context, directory, name).access, today) for name in (base, head)
    )
    found = difference(before, after)
    if as_json:
        _print_json(access_text.difference_json(found))
    else:
        print_lines(access_text.difference_lines(found))


def _state(context: click.Context, directory: Path, revision: str | None) -> DesiredState:
    if revision is None:
        return valid_state(directory)
    tools = context.find_object(ValidateTools)
    assert tools is not None, "the composition root provides the tools"
    return asyncio.run(valid_revision(tools, directory, revision))


def _known_version(policy: AccessPolicy, name: str) -> None:
    if name not in policy.versions:
        model = policy.models.get(split(name)[0])
        known = [v for v in policy.versions if model is None or split(v)[0] == model.name]
        raise Missing(f"no version {name} is declared", hint=f"known: {_listed(known)}")


def _known_subject(policy: AccessPolicy, name: str) -> str:
    """An agent may be named without its prefix where no role has the name."""
    if name in policy.roles or agent_name(name) in policy.agents or name in policy.readers:
        return name
    if name in policy.agents:
        return agent_subject(name)
    raise Missing(
        f"no Role or AgentScope {name} is declared", hint=f"known: {_listed(policy.subjects)}"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "there are none"


def _today() -> date:
    return datetime.now(UTC).date()


def _print_json(value: JsonValue) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
