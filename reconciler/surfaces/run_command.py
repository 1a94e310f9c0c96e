"""`fairlead run`: the daemon, in the foreground.

Separate from the daemon itself, which knows no command line.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from reconciler.settings import Settings
from reconciler.settings_loading import load_settings

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="FAIRLEAD_CONFIG",
    default=Path("fairlead-settings.yaml"),
    show_default=True,
    help="Settings file of the daemon.",
)


@dataclass(frozen=True, slots=True)
class RunTools:
    """What the composition root hands to the command, as the context's object."""

    run: Callable[[Settings], None]


@click.command("run")
@config_option
@click.make_pass_decorator(RunTools)
def run_command(tools: RunTools, *, config: Path) -> None:
    """Keep the clusters as the branch declares, until SIGTERM or SIGINT."""
    tools.run(load_settings(config, os.environ))
