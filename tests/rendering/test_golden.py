"""The rendered manifests, whole. A difference here restarts every model of every user."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from tests.rendering.cases import CASES, bodies_of, unit_of


@pytest.mark.parametrize("case", CASES)
def test_rendered_manifests_are_as_reviewed(case: str, snapshot: SnapshotAssertion) -> None:
    documents = yaml.safe_dump_all(bodies_of(unit_of(CASES[case])), sort_keys=True)
    assert documents == snapshot


def test_rendering_gives_the_same_bytes_in_another_process() -> None:
    program = (
        "from tests.rendering.cases import CASES, unit_of\n"
        "print(*(unit_of(files).digest for files in CASES.values()))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {" ".join(unit_of(files).digest for files in CASES.values()) + "\n"}
