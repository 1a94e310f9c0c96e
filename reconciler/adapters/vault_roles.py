"""Roles of Vault's Kubernetes auth method: our words for its parameters.

Separate because the names are a matter of the plugin. The invariant: a specification that was
written reads the same.
https://developer.hashicorp.com/vault/api-docs/auth/kubernetes
"""

from __future__ import annotations

from typing import Final

from reconciler.core.manifests import JsonObject

_PARAMETERS: Final = {
    "boundServiceAccountNames": "bound_service_account_names",
    "boundServiceAccountNamespaces": "bound_service_account_namespaces",
    "audience": "audience",
    "tokenPolicies": "token_policies",
    "tokenTtlSeconds": "token_ttl",
    "tokenMaxTtlSeconds": "token_max_ttl",
    "aliasNameSource": "alias_name_source",
}
_ABSENT: Final[JsonObject] = {
    "boundServiceAccountNames": [],
    "boundServiceAccountNamespaces": [],
    "audience": "",
    "tokenPolicies": [],
    "tokenTtlSeconds": 0,
    "tokenMaxTtlSeconds": 0,
    "aliasNameSource": "serviceaccount_uid",
}


def data_of(spec: JsonObject) -> JsonObject:
    return {parameter: spec[name] for name, parameter in _PARAMETERS.items()}


def spec_of(data: JsonObject) -> JsonObject:
    """Vault leaves out an audience that is empty, and says null for lists that are."""
    return {name: data.get(parameter) or _ABSENT[name] for name, parameter in _PARAMETERS.items()}
