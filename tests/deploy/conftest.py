"""The API server that the example repository and its deployment are tried on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.sandbox import Components, ControlPlane
from tests.conftest import binaries_for


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One of its own: the namespaces have names that other tests use as well."""
    root = tmp_path_factory.mktemp("sandboxes")
    with ControlPlane(binaries_for(Components.BARE), components=Components.BARE, root=root) as own:
        yield own
