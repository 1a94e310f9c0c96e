"""Settings of the status page: its address, and who may look at what.

Separate from settings.py, which has what every daemon needs. The invariant is the same: a secret is
only ever named by the file that holds it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from annotated_types import MinLen
from pydantic import AfterValidator, model_validator

from reconciler.core.kinds.common import Part, refusal
from reconciler.core.kinds.scalars import Duration, Maybe, NamePattern, Text
from reconciler.core.loopback import LOOPBACK
from reconciler.settings_places import FilePath, HttpUrl


def _safe_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise refusal("would send credentials in the clear", hint="use an https:// URL")
    return url.rstrip("/")


SafeUrl: TypeAlias = Annotated[HttpUrl, AfterValidator(_safe_url)]


class ViewerSettings(Part):
    """People who may look at the page, and what they see."""

    group: Maybe[Text] = None
    """Group of the identity provider, as its groups claim names it."""
    email: Maybe[Text] = None
    """E-mail address that the provider verified, or a pattern such as `*@example.com`."""
    teams: Annotated[tuple[NamePattern, ...], MinLen(1)]
    """Teams whose models they see, or patterns; `*` is everything, the audit log included."""

    @model_validator(mode="after")
    def _require_one(self) -> ViewerSettings:
        if (self.group is None) == (self.email is None):
            raise refusal("gives none or both of group, email", hint="give exactly one of them")
        return self


class SignInSettings(Part):
    """Sign-in by OpenID Connect: Okta, Auth0, Google Workspace, Keycloak, or another provider."""

    issuer: SafeUrl
    """The provider, as its discovery document names itself."""
    client_id: Text
    """Identifier that the provider gave to this page."""
    client_secret_file: Maybe[FilePath] = None
    """File with the secret of a confidential client; none for a public one."""
    scopes: tuple[Text, ...] = ("openid", "email", "profile")
    """What to ask for; some providers give groups for a scope `groups` only."""
    groups_claim: Text = "groups"
    """Claim with the groups of a person, in the ID token or the user info."""
    viewers: Annotated[tuple[ViewerSettings, ...], MinLen(1)]
    """Who may look, and at what. Nobody else may."""
    session: Duration = timedelta(hours=8)
    """How long a sign-in lasts; after an hour without a look it ends sooner."""
    ca_file: Maybe[FilePath] = None
    """File with the certificates to trust, in PEM; those of the system by default."""

    @model_validator(mode="after")
    def _require_openid(self) -> SignInSettings:
        if "openid" not in self.scopes:
            raise refusal("asks for no scope openid", hint="add openid to scopes")
        return self


class PageSettings(Part):
    """The status page."""

    public_url: Maybe[SafeUrl] = None
    """Where people reach the page, without a path: links in pull requests lead there, and
    sign-in comes back there."""
    sign_in: Maybe[SignInSettings] = None
    """Who may look. Without it the page is for the loopback only."""
    audit: Literal["views", "sign-ins"] = "sign-ins"
    """What of the page goes into the audit log: each view of a page, or who signed in and out."""
    decisions: tuple[FilePath, ...] = ()
    """Databases in which authorizers write down what they decide, `decisions.db` of their
    directory. What they answered an agent is shown with the agent; they are only read."""

    @model_validator(mode="after")
    def _require_place(self) -> PageSettings:
        if self.sign_in is not None and self.public_url is None:
            raise refusal("has signIn without publicUrl", hint="give the address people use")
        if self.public_url is not None and urlsplit(self.public_url).path not in ("", "/"):
            raise refusal("has a path in publicUrl", hint="give scheme and host only")
        return self
