"""`fairlead access`: what is declared about access, and what becomes of it.

Separate from the single commands, which are files of their own.
"""

from __future__ import annotations

import click

from reconciler.surfaces.authentication_command import authentication_command


@click.group("access")
def access_group() -> None:
    """See who may do what, and how it is enforced."""


access_group.add_command(authentication_command)
