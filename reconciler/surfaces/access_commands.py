"""`fairlead access`: what is declared about access, and what becomes of it.

Separate from the single commands, which are files of their own.
"""

from __future__ import annotations

import click

from reconciler.surfaces.access_questions import (
    diff_command,
    explain_command,
    what_can_command,
    who_can_command,
)
from reconciler.surfaces.authentication_command import authentication_command
from reconciler.surfaces.token_command import token_command


@click.group("access")
def access_group() -> None:
    """See who may do what, and how it is enforced."""


for command in (
    authentication_command,
    diff_command,
    explain_command,
    token_command,
    what_can_command,
    who_can_command,
):
    access_group.add_command(command)
