"""Who signs commits, and as whom the API servers know them.

Separate from the config repository on purpose: whoever can merge a commit must not be able to say
who somebody is. The invariant: nobody is a part of the cluster itself, or above its access rules.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from reconciler.core.kinds.common import Part
from reconciler.core.kinds.scalars import TextForm

_OF_PEOPLE = r"(?!system:)[^\s\x00-\x1f\x7f]+$"

SignerName: TypeAlias = Annotated[
    str,
    TextForm(
        what="the name of a signer",
        pattern=r"^[^\s,*?!]+$",
        hint="write one name of the person as the allowed signers have it, and no pattern",
        examples=("alice@example.com",),
        longest=254,
    ),
]
UserName: TypeAlias = Annotated[
    str,
    TextForm(
        what="the name of a user",
        pattern="^" + _OF_PEOPLE,
        hint="write it with the prefix of the sign-in, such as oidc:alice@example.com; names that "
        "begin with system: are parts of the cluster",
        examples=("oidc:alice@example.com",),
        longest=512,
    ),
]
GroupName: TypeAlias = Annotated[
    str,
    TextForm(
        what="the name of a group",
        pattern="^" + _OF_PEOPLE,
        hint="write it with the prefix of the sign-in, such as oidc:ml-researchers; groups that "
        "begin with system: are the cluster's own",
        examples=("oidc:ml-researchers",),
        longest=512,
    ),
]


class PersonSettings(Part):
    """Somebody who signs commits."""

    signer: SignerName
    """A name of the person in the file of allowed signers."""
    user: UserName
    """User name by which API servers know the person, with its prefix."""
    groups: tuple[GroupName, ...] = ()
    """Groups that API servers know the person to be in, with their prefix."""
