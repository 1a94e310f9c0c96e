"""How people sign in to a cluster's API server: the part `authentication` of kind Cluster.

Separate from the file that it becomes (core/access/authentication.py). The invariant: what is
accepted here gives a configuration in which nobody chooses a name of the system's, and in which a
group is told by a claim that the provider really sends.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from reconciler.core.kinds.common import Part, refusal, unique
from reconciler.core.kinds.scalars import Hostname, Maybe, Text, TextForm

DEFAULT_PREFIX = "oidc:"
GOOGLE = "https://accounts.google.com"

Issuer: TypeAlias = Annotated[
    str,
    TextForm(
        what="the URL of an OpenID provider",
        pattern=r"^https://[^\s/@?#]+(/[^\s@?#]*)?$",
        hint="write https://, host and path as in the provider's tokens, to the letter",
        examples=("https://example.okta.com/oauth2/default",),
    ),
]
NamesPrefix: TypeAlias = Annotated[
    str,
    TextForm(
        what="a prefix for names of people and groups",
        pattern=r"^(?!.*system:)[a-z]([-a-z0-9.]*[a-z0-9])?:$",
        hint="write lower-case letters, digits and '-' with a ':' at the end; 'system:' is the "
        "cluster's own",
        examples=(DEFAULT_PREFIX,),
        longest=63,
    ),
]
Certificates: TypeAlias = Annotated[
    str,
    TextForm(
        what="certificates in PEM",
        pattern=r"^(-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n?)+$",
        hint="paste the certificates alone, from BEGIN CERTIFICATE to END CERTIFICATE, as a block "
        "after '|'",
        examples=("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",),
        longest=65536,
    ),
]


class Authentication(Part):
    """An OpenID provider whose tokens the API server takes."""

    provider: Literal["okta", "auth0", "google", "generic"]
    """Whose provider it is; each tells groups in its own way, and Google Workspace none."""
    issuer: Issuer
    """The provider's URL, to the letter as `iss` of its tokens; that of Auth0 ends with '/'."""
    audiences: tuple[Text, ...] = Field(min_length=1)
    """Clients of the provider whose tokens are for this cluster."""
    username_claim: Text = "email"
    """Claim that names the person. `email` counts only where the provider verified it."""
    groups_claim: Maybe[Text] = None
    """Claim that lists the groups: `groups` unless said otherwise, at Auth0 the one of your Action,
    none at Google."""
    hosted_domain: Maybe[Hostname] = None
    """Of Google alone: the domain of the Workspace. People of others are refused."""
    prefix: NamesPrefix = DEFAULT_PREFIX
    """What stands before the names of people and groups in this cluster."""
    certificate_authority: Maybe[Certificates] = None
    """Whom the API server trusts for the provider's own certificate, instead of the usual ones."""

    @model_validator(mode="after")
    def _fit_the_provider(self) -> Authentication:
        unique(self.audiences, name=str)
        if self.provider == "google":
            self._fit_google()
        elif self.hosted_domain is not None:
            raise refusal("gives hostedDomain, which only Google knows", hint="remove it")
        if self.provider == "okta" and self.issuer.endswith("/"):
            raise refusal("has an issuer with '/' at the end", hint="Okta's tokens have none there")
        if self.provider == "auth0":
            self._fit_auth0()
        return self

    def _fit_google(self) -> None:
        if self.issuer != GOOGLE:
            raise refusal("has another issuer than Google's", hint=f"write {GOOGLE}")
        if self.groups_claim is not None:
            raise refusal(
                "names a groupsClaim, and Google sends none",
                hint="remove it; for groups of a Workspace put a provider between that looks them "
                "up in the directory",
            )
        if self.hosted_domain is None or self.hosted_domain.startswith("*"):
            raise refusal(
                "has no hostedDomain that is one domain",
                hint="name the domain of your Workspace: everybody in the world can have an "
                "account at Google",
            )

    def _fit_auth0(self) -> None:
        if not self.issuer.endswith("/"):
            raise refusal(
                "has an issuer without '/' at the end", hint="Auth0's tokens have one there"
            )
        if self.groups_claim is None:
            raise refusal(
                "has no groupsClaim",
                hint="name the claim that an Action of yours adds to the ID token, such as "
                "https://example.com/groups",
            )
