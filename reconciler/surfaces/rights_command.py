"""`fairlead rights`: what the daemon has to be allowed in a cluster, for an administrator to apply.

Separate from the review of the rights that it has (engine/guarding.py). The invariant: what is
printed follows from the work tree and the settings alone, and no cluster is asked.

Exit codes: 0; 1 when the repository is not valid; 2 for wrong usage or settings.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import orjson

from reconciler.core.errors import Misconfigured
from reconciler.core.identifiers import ClusterName
from reconciler.core.needed_rights import Setup, needed_rights
from reconciler.core.presenting.rights_text import rights_objects, rights_text
from reconciler.settings import ClusterSettings, Settings
from reconciler.settings_loading import load_settings
from reconciler.surfaces.run_command import config_option
from reconciler.surfaces.validate_command import valid_state


@dataclass(frozen=True, slots=True)
class RightsTools:
    """What the composition root hands to the command, as the context's object."""

    setup: Callable[[Settings, ClusterSettings], Setup]


@click.command("rights")
@click.argument(
    "directory",
    metavar="[DIR]",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
)
@config_option
@click.option("--cluster", help="Name of the cluster; the only one of the settings by default.")
@click.option(
    "--account",
    metavar="NAMESPACE/NAME",
    default="fairlead-system/fairlead",
    show_default=True,
    help="ServiceAccount of the daemon.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the objects as JSON.")
@click.make_pass_decorator(RightsTools)
def rights_command(
    tools: RightsTools,
    *,
    directory: Path,
    config: Path,
    cluster: str | None,
    account: str,
    as_json: bool,
) -> None:
    """Print the rights that the daemon needs in a cluster, for what DIR declares and no more.

    DIR is the work tree of the config repository; the current directory by default. Apply what is
    printed as an administrator: kubectl apply -f -
    """
    namespace, slash, name = account.partition("/")
    if not (namespace and slash and name):
        raise click.BadParameter("write NAMESPACE/NAME", param_hint="--account")
    settings = load_settings(config, os.environ)
    setup = tools.setup(settings, _chosen(settings, cluster))
    features = needed_rights(valid_state(directory), setup)
    if as_json:
        objects = [body for _, body in rights_objects(features, account=(namespace, name))]
        click.echo(orjson.dumps(objects))
    else:
        click.echo(rights_text(features, account=(namespace, name)), nl=False)


def _chosen(settings: Settings, cluster: str | None) -> ClusterSettings:
    clusters = {each.name: each for each in settings.clusters if each.vault is None}
    known = ", ".join(sorted(clusters)) or "none"
    if cluster is None and len(clusters) != 1:
        raise Misconfigured(
            f"the settings name {len(clusters)} clusters", hint=f"give --cluster: {known}"
        )
    found = clusters.get(ClusterName(cluster)) if cluster else next(iter(clusters.values()))
    if found is None:
        raise click.BadParameter(f"the settings name {known}", param_hint="--cluster")
    return found
