"""`fairlead access authentication`: the file by which an API server knows people.

Separate from what is applied: the file is no object, and only whoever runs the API server can give
it to it. The invariant: what is printed comes from the repository alone, so that everybody prints
the same.

Exit codes: 0; 1 when the repository is not valid, or declares no such cluster or no sign-in for it.
"""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.core.access.authentication import authentication_file
from reconciler.core.errors import Missing
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds.authentication import Authentication
from reconciler.surfaces.validate_command import valid_state


@click.command("authentication")
@click.argument("cluster", metavar="CLUSTER")
@click.argument(
    "repository",
    metavar="[DIR]",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
)
def authentication_command(*, cluster: str, repository: Path) -> None:
    """Print the file by which the API server knows people.

    It goes to --authentication-config of CLUSTER's kube-apiserver.

    DIR is the work tree of the config repository; the current directory by default.
    """
    click.echo(authentication_file(cluster, _declared(cluster, repository)), nl=False)


def _declared(cluster: str, repository: Path) -> Authentication:
    clusters = valid_state(repository).clusters
    found = clusters.get(ClusterName(cluster))
    if found is None:
        known = ", ".join(sorted(clusters)) or "there are none"
        raise Missing(f"{repository} declares no Cluster {cluster}", hint=f"known: {known}")
    if found.spec.authentication is None:
        raise Missing(
            f"Cluster {cluster} does not say how people sign in",
            hint="declare spec.authentication: see docs/access-authentication.md",
        )
    return found.spec.authentication
