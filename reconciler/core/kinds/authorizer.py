"""The authorizer of the request path, as the policy of a repository names it.

Separate from the policy, which is about documents. The invariant: without `admit` nothing is said
about who may connect to model servers; with it, whoever is not named may not.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, TypeAlias

from reconciler.core.kinds.common import Part
from reconciler.core.kinds.scalars import DnsLabel, Maybe, TextForm

AddressRange: TypeAlias = Annotated[
    str,
    TextForm(
        what="a range of addresses",
        pattern=r"^[0-9a-f.:]+/[0-9]{1,3}$",
        hint="write it as 10.0.0.0/28",
        examples=("10.0.0.0/28",),
        read=lambda text: str(ip_network(text)),
        longest=64,
    ),
]


class AdmittedPeers(Part):
    """Who may connect to model servers besides the gateway, and so past the authorizer."""

    namespaces: tuple[DnsLabel, ...] = ()
    """Namespaces, such as those of monitoring and of the daemon."""
    addresses: tuple[AddressRange, ...] = ()
    """Ranges of addresses, such as those of API servers through which the daemon asks replicas."""


class AuthorizerReference(Part):
    """Where the authorizer of the request path is, and what keeps requests from going round it."""

    namespace: DnsLabel
    """Namespace in which it finds its rules, in every cluster. Must be one that is allowed."""
    admit: Maybe[AdmittedPeers] = None
    """Given, be it empty, model servers take connections from the gateway and from these alone."""
