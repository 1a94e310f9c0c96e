"""`fairlead audit`: read the log, prove it, check it.

Separate from the daemon, because an auditor runs these where there is none. The invariant: no
command writes to the log.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from reconciler.core.audit.notes import NoteError, Verifier, checkpoint_of
from reconciler.core.audit.records import Verb
from reconciler.surfaces.audit_export import VKEY, write_export
from reconciler.surfaces.audit_reading import (
    AuditTools,
    Filter,
    newest,
    opened,
    proof_of,
    record_at,
    verified_export,
    verified_state,
)
from reconciler.surfaces.audit_reports import (
    json_text,
    record_json,
    record_text,
    records_table,
    verification_json,
    verification_text,
)

_AGE = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class _Key(click.ParamType[Verifier]):
    """A verifier key, or the file that holds one."""

    name = "vkey"

    def convert(
        self, value: str | Verifier, param: click.Parameter | None, ctx: click.Context | None
    ) -> Verifier:
        if isinstance(value, Verifier):
            return value
        try:
            text = value if "+" in value else Path(value).read_text(encoding="utf-8")
            return Verifier.parse(text)
        except (NoteError, OSError, UnicodeDecodeError) as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class _Since(click.ParamType[datetime]):
    """A time such as 2027-01-31T12:00:00Z, or an age such as 90m."""

    name = "time|age"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        if age := _AGE.fullmatch(value):
            return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a time nor an age such as 90m", param, ctx)
        return time if time.tzinfo else time.replace(tzinfo=UTC)


_DEFAULT_SETTINGS = Path("fairlead-settings.yaml")
"""The same as of the daemon. An auditor has none, and names the places instead."""


def _use_settings(ctx: click.Context, _: click.Parameter, config: Path | None) -> None:
    """Let the settings say what `--state` and `--vkey` do not."""
    if config is None and _DEFAULT_SETTINGS.exists():
        config = _DEFAULT_SETTINGS
    if config is not None:
        tools = ctx.find_object(AuditTools)
        assert tools is not None
        state, vkey = tools.places(config)
        ctx.default_map = {
            "state": state,
            "place": state,
            "vkey": str(vkey) if vkey.exists() else None,
        }


_config = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="FAIRLEAD_CONFIG",
    callback=_use_settings,
    is_eager=True,
    expose_value=False,
    help="Settings file of the daemon, which names the database and the key;"
    " fairlead-settings.yaml by default, if there is one.",
)
_state_place = click.option(
    "--state",
    required=True,
    envvar="FAIRLEAD_STATE_URL",
    help="File or URL of the state database.",
)


def _state(command: Callable[..., object]) -> Callable[..., object]:
    return _config(_state_place(command))


_vkey = click.option(
    "--vkey",
    type=_Key(),
    envvar="FAIRLEAD_AUDIT_VKEY",
    help="Verifier key of the log, or a file that holds it.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_existing = click.Path(path_type=Path, exists=True)
_tools = click.make_pass_decorator(AuditTools)


@click.group("audit")
def audit_group() -> None:
    """Read, prove and verify the audit log."""


@audit_group.command("list")
@_state
@click.option("--commit", default="", help="Beginning of the commit's SHA.")
@click.option("--cluster", default="", help="Name of the cluster.")
@click.option("--object", "key", default="", help="Part of kind/namespace/name.")
@click.option("--verb", default="", type=click.Choice(["", *(verb.value for verb in Verb)]))
@click.option("--since", type=_Since(), help="Only records from this time on.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@_json
@_tools
def list_records(
    tools: AuditTools,
    *,
    state: str,
    commit: str,
    cluster: str,
    key: str,
    verb: str,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show the newest records, oldest of them first."""
    wanted = Filter(commit, cluster, key, verb, since)
    with opened(tools, state) as session:
        found = session.run(newest(session.log, wanted, limit=limit))
    if as_json:
        click.echo(json_text({"records": [record_json(logged) for logged in found]}))
    else:
        _print(records_table(found))


@audit_group.command("show")
@_state
@click.argument("index", type=click.IntRange(0))
@_json
@_tools
def show_record(tools: AuditTools, *, state: str, index: int, as_json: bool) -> None:
    """Show everything that one record says."""
    with opened(tools, state) as session:
        logged = session.run(record_at(session.log, index))
    if as_json:
        click.echo(json_text(record_json(logged)))
    else:
        _print(record_text(logged))


@audit_group.command("prove")
@_state
@click.argument("index", type=click.IntRange(0))
@_json
@_tools
def prove_record(tools: AuditTools, *, state: str, index: int, as_json: bool) -> None:
    """Print a proof that the log holds a record, which c2sp.org/tlog-proof tools accept.

    Its `extra` line holds the record.
    """
    with opened(tools, state) as session:
        proof = session.run(proof_of(session.log, index))
    if as_json:
        size = checkpoint_of(proof.note).size
        click.echo(json_text({"index": index, "size": size, "proof": proof.format()}))
    else:
        click.echo(proof.format(), nl=False)


@audit_group.command("export")
@_state
@_vkey
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@_json
@_tools
def export_log(
    tools: AuditTools, *, state: str, vkey: Verifier | None, directory: Path, as_json: bool
) -> None:
    """Write the log up to its last checkpoint into a new DIRECTORY, for offline verification."""
    key = _required(vkey)
    with opened(tools, state) as session:
        size = session.run(write_export(session.log, directory, verifier=key))
        rest = session.run(session.log.head()).size - size
    if as_json:
        click.echo(json_text({"directory": str(directory), "records": size, "unsigned": rest}))
    else:
        click.echo(f"{size} records written to {directory}; {rest} newer ones are not signed yet")


@audit_group.command("verify")
@click.argument("place", envvar="FAIRLEAD_STATE_URL")
@_config
@_vkey
@click.option("--anchors", type=click.Path(path_type=Path, exists=True), help="Anchor repository.")
@click.option(
    "--repository", type=click.Path(path_type=Path, exists=True), help="Config repository."
)
@_json
@_tools
@click.pass_context
def verify_log(
    context: click.Context,
    tools: AuditTools,
    *,
    place: str,
    vkey: Verifier | None,
    anchors: Path | None,
    repository: Path | None,
    as_json: bool,
) -> None:
    """Check an export directory, or a state database, against its signatures and rules.

    Exits with 1 when anything is wrong. Give --vkey from a source that you trust: the key inside
    an export was written by whoever wrote the export.
    """
    has_commit = tools.commits_in(repository) if repository else None
    anchored = asyncio.run(tools.read_anchors(anchors)) if anchors else ()
    if Path(place).is_dir():
        key = vkey or _key_inside(Path(place))
        result = verified_export(Path(place), vkey=key, anchors=anchored, has_commit=has_commit)
    else:
        key = _required(vkey)
        with opened(tools, place) as session:
            result = verified_state(session, vkey=key, anchors=anchored, has_commit=has_commit)
    if as_json:
        click.echo(json_text(verification_json(result)))
    else:
        _print(verification_text(result))
    context.exit(0 if result.passed else 1)


def _required(vkey: Verifier | None) -> Verifier:
    if vkey is None:
        raise click.UsageError("--vkey is missing: without a key, nothing is known to be signed")
    return vkey


def _key_inside(directory: Path) -> Verifier:
    try:
        key = Verifier.parse((directory / VKEY).read_text(encoding="utf-8"))
    except (NoteError, OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"give --vkey: the export holds no usable key: {error}") from error
    click.echo(f"checked with the key found in the export; compare it: {key.vkey}", err=True)
    return key


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
