"""The file that tells an API server whose tokens it takes, and who their bearers are.

Separate from what is applied, because it is no object: whoever runs the API server gives it the
file. The invariants: every name from outside has the prefix, so that nobody is of the system and
no group of the provider is one of the cluster's own; a token is good for an hour at most; without
a token one learns whether the server lives, and no more.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import yaml

from reconciler.core.identifiers import Digest
from reconciler.core.kinds.authentication import DEFAULT_PREFIX, Authentication
from reconciler.core.kinds.cluster import Cluster
from reconciler.core.manifests import JsonObject, JsonValue, digest_of

LONGEST_SECONDS: Final = 3600
_OPEN_PATHS: Final = ("/livez", "/readyz")


def names_prefix(cluster: Cluster | None) -> str:
    """What stands before the names of people and groups in this cluster."""
    declared = cluster.spec.authentication if cluster else None
    return declared.prefix if declared else DEFAULT_PREFIX


def groups_claim(authentication: Authentication) -> str | None:
    """The claim that lists the groups; Google sends none."""
    if authentication.provider == "google":
        return None
    return authentication.groups_claim or "groups"


def file_digest(cluster: str, authentication: Authentication) -> Digest:
    """SHA-256 of the file. An API server that has it says the same in its metrics."""
    return digest_of(authentication_file(cluster, authentication).encode())


@lru_cache(maxsize=1024)
def authentication_file(cluster: str, authentication: Authentication) -> str:
    """The file as YAML. Kept, because every compilation names its digest."""
    configuration = authentication_configuration(authentication)
    body: str = yaml.safe_dump(configuration, sort_keys=False, width=1000)
    return f"# --authentication-config of cluster {cluster}, made by Fairlead\n{body}"


def authentication_configuration(authentication: Authentication) -> JsonObject:
    """An AuthenticationConfiguration, for `--authentication-config` of kube-apiserver."""
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "anonymous": {"enabled": True, "conditions": [{"path": path} for path in _OPEN_PATHS]},
        "jwt": [
            {
                "issuer": _issuer(authentication),
                "claimValidationRules": _claim_rules(authentication),
                "claimMappings": _mappings(authentication),
                "userValidationRules": _user_rules(authentication.prefix),
            }
        ],
    }


def _issuer(authentication: Authentication) -> JsonObject:
    issuer: JsonObject = {
        "url": authentication.issuer,
        "audiences": list(authentication.audiences),
        "audienceMatchPolicy": "MatchAny",
    }
    if authentication.certificate_authority is not None:
        issuer["certificateAuthority"] = authentication.certificate_authority
    return issuer


def _claim_rules(authentication: Authentication) -> list[JsonValue]:
    """All have to hold. A claim that is missing fails its rule."""
    rules = [
        _rule(
            f"claims.exp - claims.iat <= {LONGEST_SECONDS}",
            f"the token is good for more than {LONGEST_SECONDS} seconds",
        )
    ]
    if authentication.username_claim == "email":
        rules.append(
            _rule(
                "has(claims.email_verified) && claims.email_verified == true",
                "the provider did not verify the e-mail address",
            )
        )
    if domain := authentication.hosted_domain:
        rules.append(
            _rule(f"has(claims.hd) && claims.hd == '{domain}'", f"the account is not of {domain}")
        )
    return rules


def _mappings(authentication: Authentication) -> JsonObject:
    # By claim and prefix, not by expression: `claims.groups` has no type there to map over.
    prefix = authentication.prefix
    mappings: JsonObject = {
        "username": {"claim": authentication.username_claim, "prefix": prefix},
    }
    if (claim := groups_claim(authentication)) is not None:
        mappings["groups"] = {"claim": claim, "prefix": prefix}
    return mappings


def _user_rules(prefix: str) -> list[JsonValue]:
    """A name `system:…` has no power behind the prefix, and nobody needs one."""
    named, reserved = f"startsWith('{prefix}')", f"startsWith('{prefix}system:')"
    return [
        _rule(
            f"user.username.{named} && !user.username.{reserved}",
            "the name is one of the system's",
        ),
        _rule(
            f"user.groups.all(g, g.{named} && !g.{reserved})",
            "a group is one of the system's",
        ),
    ]


def _rule(expression: str, message: str) -> JsonValue:
    return {"expression": expression, "message": message}
