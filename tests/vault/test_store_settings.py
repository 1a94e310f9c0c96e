"""A secret store in the settings of the daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.core.errors import Misconfigured
from reconciler.settings import Settings
from reconciler.settings_loading import load_settings
from reconciler.wiring.secret_stores import home_of_lease, secret_stores_of

STORE = "- {name: vault-main, vault: {address: 'https://vault.example.com:8200', tokenFile: token}}"
CLUSTER = "- {name: staging, kubeconfig: staging.kubeconfig}"


def loaded(directory: Path, *clusters: str) -> Settings:
    file = directory / "settings.yaml"
    first = "repository: {name: shop, url: https://git.example.com/shop.git}\nclusters:\n"
    file.write_text(first + "\n".join(clusters), encoding="utf-8")
    return load_settings(file, {})


def test_the_lease_of_a_store_lies_in_the_first_cluster(tmp_path: Path) -> None:
    settings = loaded(tmp_path, STORE, CLUSTER)
    assert home_of_lease(settings, settings.clusters[0]).name == "staging"
    assert home_of_lease(settings, settings.clusters[1]).name == "staging"


def test_a_store_alone_has_no_place_for_its_lease(tmp_path: Path) -> None:
    settings = loaded(tmp_path, STORE)
    with pytest.raises(Misconfigured, match="secret store"):
        home_of_lease(settings, settings.clusters[0])


@pytest.mark.parametrize("named", [False, True])
async def test_secrets_manager_is_asked_only_where_the_settings_name_it(
    tmp_path: Path, named: bool
) -> None:
    settings = loaded(tmp_path, CLUSTER, STORE, *(["secretStores: {aws: {}}"] if named else []))
    async with secret_stores_of(settings, SystemClock()) as stores:
        assert set(stores.vaults) == {"vault-main"}
        assert (stores.aws is not None) is named


def test_a_store_has_one_way_to_sign_in(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        loaded(tmp_path, STORE.replace(", tokenFile: token", ""), CLUSTER)
    assert "gives none of kubernetes, tokenFile" in caught.value.problems[0].message
