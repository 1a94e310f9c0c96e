"""How people sign in to an API server: what may be declared, what becomes of it, what is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from pydantic import ValidationError

from reconciler.core.access.authentication import (
    authentication_configuration,
    file_digest,
    names_prefix,
)
from reconciler.core.desired import DesiredState
from reconciler.core.kinds import Cluster
from reconciler.core.kinds.authentication import GOOGLE, Authentication
from reconciler.core.presenting.access_changes import access_changes
from reconciler.surfaces.access_commands import access_group
from tests.comments.builders import OWNER
from tests.desired.builders import CLUSTERS, compiled, repository

EXAMPLE = Path(__file__).parents[2] / "example-repo"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n"
AUTH0 = "https://example.eu.auth0.com/"
DECLARED = {
    "okta": {"issuer": "https://example.okta.com/oauth2/default"},
    "auth0": {"issuer": AUTH0, "groupsClaim": "https://example.com/groups"},
    "google": {"issuer": GOOGLE, "hostedDomain": "example.com"},
    "generic": {
        "issuer": "https://id.example.com/realms/staff",
        "certificateAuthority": CERTIFICATE,
    },
}


def declared(provider: str, **said: object) -> Authentication:
    given = {"provider": provider, "audiences": ["kube"], **DECLARED[provider], **said}
    return Authentication.model_validate({k: v for k, v in given.items() if v is not None})


def issuer_of(authentication: Authentication) -> dict[str, dict[str, object]]:
    (found,) = authentication_configuration(authentication)["jwt"]
    return found


def state(*said: str, **files: str) -> DesiredState:
    """Of a repository whose first cluster has such an authentication."""
    tree = repository(**files)
    text = "".join(f"    {line}\n" for line in said)
    first = "metadata: {name: staging-1, labels: {fleet: acme, env: staging}}\n"
    assert first in CLUSTERS
    tree["clusters.yaml"] = CLUSTERS.replace(first, f"{first}spec:\n  authentication:\n{text}")
    return compiled(tree).state


OKTA = ("provider: okta", "issuer: https://example.okta.com", "audiences: [kube]")


@pytest.mark.parametrize(
    ("provider", "groups"),
    [
        ("okta", {"claim": "groups", "prefix": "oidc:"}),
        ("auth0", {"claim": "https://example.com/groups", "prefix": "oidc:"}),
        ("google", None),
        ("generic", {"claim": "groups", "prefix": "oidc:"}),
    ],
)
def test_each_provider_tells_groups_in_its_own_way(
    provider: str, groups: dict[str, str] | None
) -> None:
    mappings = issuer_of(declared(provider))["claimMappings"]
    assert mappings.get("groups") == groups
    assert mappings["username"] == {"claim": "email", "prefix": "oidc:"}


@pytest.mark.parametrize(
    ("provider", "said", "reason"),
    [
        ("okta", {"issuer": "http://example.okta.com"}, "is not the URL of an OpenID provider"),
        ("okta", {"issuer": "https://me:pw@example.okta.com"}, "is not the URL"),
        ("okta", {"issuer": "https://example.okta.com/?tenant=1"}, "is not the URL"),
        ("okta", {"issuer": "https://example.okta.com/"}, "issuer with '/' at the end"),
        ("okta", {"hostedDomain": "example.com"}, "only Google knows"),
        ("okta", {"audiences": []}, "at least 1 item"),
        ("okta", {"audiences": ["kube", "kube"]}, "lists kube twice"),
        ("auth0", {"issuer": AUTH0.rstrip("/")}, "issuer without '/' at the end"),
        ("auth0", {"groupsClaim": None}, "has no groupsClaim"),
        ("google", {"issuer": "https://accounts.google.com/"}, "another issuer than Google's"),
        ("google", {"groupsClaim": "groups"}, "Google sends none"),
        ("google", {"hostedDomain": None}, "has no hostedDomain"),
        ("google", {"hostedDomain": "*.example.com"}, "has no hostedDomain"),
        ("generic", {"certificateAuthority": "MIIB"}, "is not certificates in PEM"),
    ],
)
def test_what_cannot_work_at_the_provider_is_refused(
    provider: str, said: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        declared(provider, **said)


@pytest.mark.parametrize(
    "prefix", ["", "oidc", "system:", "my-system:", "system:oidc:", "OIDC:", "o'idc:", ":"]
)
def test_a_prefix_keeps_names_apart_from_those_of_the_system(prefix: str) -> None:
    with pytest.raises(ValidationError, match="is not a prefix for names"):
        declared("generic", prefix=prefix)


@pytest.mark.parametrize("provider", DECLARED)
def test_every_file_bounds_lifetimes_keeps_out_names_of_the_system_and_anonymous_callers(
    provider: str,
) -> None:
    authentication = declared(provider, prefix="corp:")
    found = authentication_configuration(authentication)
    rules = [rule["expression"] for rule in issuer_of(authentication)["claimValidationRules"]]
    users = [rule["expression"] for rule in issuer_of(authentication)["userValidationRules"]]
    assert found["anonymous"] == {
        "enabled": True,
        "conditions": [{"path": "/livez"}, {"path": "/readyz"}],
    }
    assert "claims.exp - claims.iat <= 3600" in rules
    assert ("claims.hd == 'example.com'" in " ".join(rules)) is (provider == "google")
    assert all("startsWith('corp:system:')" in rule for rule in users)


def test_only_an_address_needs_to_be_verified() -> None:
    rules = issuer_of(declared("generic", usernameClaim="sub"))["claimValidationRules"]
    assert "email_verified" not in str(rules)


def test_names_have_the_usual_prefix_where_nothing_else_is_declared() -> None:
    assert names_prefix(None) == "oidc:"
    cluster = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "a"}}
    assert names_prefix(Cluster.model_validate(cluster)) == "oidc:"
    other = {"authentication": {**DECLARED["okta"], "provider": "okta", "audiences": ["kube"]}}
    other["authentication"]["prefix"] = "corp:"
    assert names_prefix(Cluster.model_validate({**cluster, "spec": other})) == "corp:"


def test_the_plan_names_the_file_by_its_digest() -> None:
    found = state(*OKTA)
    authentication = found.clusters["staging-1"].spec.authentication
    assert (
        "people sign in to cluster staging-1 once its API server has the file "
        f"{file_digest('staging-1', authentication)[:19]}: fairlead access authentication staging-1"
    ) in found.notices
    other = state(*OKTA, "prefix: 'corp:'")
    assert set(found.notices) != set(other.notices)


@pytest.mark.parametrize(("roles", "told"), [({"roles": OWNER}, True), ({}, False)])
def test_roles_that_nobody_can_have_at_google_are_told(roles: dict[str, str], told: bool) -> None:
    google = ("provider: google", f"issuer: {GOOGLE}", "audiences: [k]", "hostedDomain: a.example")
    notice = "nobody has a Role in cluster staging-1: Google tells it no groups"
    assert (notice in state(*google, **roles).notices) is told


def test_who_loses_and_who_gains_sign_in_is_told() -> None:
    before, after = state(*OKTA), state(*OKTA[:2], "audiences: [page]")
    said = [(change.gains, change.who, change.what) for change in access_changes(before, after, ())]
    who, where = "people of https://example.okta.com", "sign-in to cluster staging-1 by client"
    assert said == [
        (True, who, f"{where} page as oidc:email, with groups by groups"),
        (False, who, f"{where} kube as oidc:email, with groups by groups"),
    ]


def test_the_command_prints_the_file_and_says_whose_it_is() -> None:
    result = CliRunner().invoke(access_group, ["authentication", "production", str(EXAMPLE)])
    found = yaml.safe_load(result.output)
    assert result.exit_code == 0
    assert found["kind"] == "AuthenticationConfiguration"
    assert found["jwt"][0]["issuer"]["url"] == "https://example.okta.com/oauth2/default"
    assert result.output.startswith("# --authentication-config of cluster production,")


@pytest.mark.parametrize(
    ("cluster", "said"),
    [("nowhere", "declares no Cluster nowhere"), ("staging", "does not say how people sign in")],
)
def test_the_command_says_why_there_is_no_file(cluster: str, said: str) -> None:
    result = CliRunner().invoke(access_group, ["authentication", cluster, str(EXAMPLE)])
    assert said in str(result.exception)
