"""`fairlead status`: how the clusters stand.

Separate from the daemon, which it asks. When none answers, the state database is read instead,
and the answer says so: what was true once is not shown as true now.

Exit codes: 0, whatever the status is; with --exit-code 1 unless every cluster surely is as
the head of the branch declares.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

import click
import orjson

from reconciler.core.presenting.status_text import status_lines
from reconciler.core.standing import Status, status_json
from reconciler.settings import Settings
from reconciler.settings_loading import load_settings
from reconciler.surfaces.printing import print_lines
from reconciler.surfaces.run_command import config_option


@dataclass(frozen=True, slots=True)
class StatusTools:
    """What the composition root hands to the command, as the context's object."""

    status: Callable[[Settings], Coroutine[object, object, Status]]


@click.command("status")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--exit-code", "tell", is_flag=True, help="Exit with 1 unless everything is as declared."
)
@click.make_pass_decorator(StatusTools)
@click.pass_context
def status_command(
    context: click.Context, tools: StatusTools, *, config: Path, as_json: bool, tell: bool
) -> None:
    """Show which commit is in force, and how far each cluster is as it declares."""
    status = asyncio.run(tools.status(load_settings(config, os.environ)))
    if as_json:
        click.echo(orjson.dumps(status_json(status), option=orjson.OPT_INDENT_2))
    else:
        print_lines(status_lines(status))
    context.exit(1 if tell and not status.as_declared else 0)
