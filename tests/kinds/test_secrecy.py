"""Which values look like credentials."""

from __future__ import annotations

import pytest

from reconciler.core.secrecy import known_format


@pytest.mark.parametrize(
    ("prefix", "length", "expected"),
    [
        ("ghp_", 36, "a GitHub token"),
        ("github_pat_", 40, "a GitHub token"),
        ("glpat-", 20, "a GitLab token"),
        ("hf_", 34, "a Hugging Face token"),
        ("sk-proj-", 40, "an API key"),
        ("xoxb-", 24, "a Slack token"),
        ("hvs.", 24, "a Vault token"),
        ("hvr.", 24, "a Vault token"),
        ("npm_", 36, "an npm token"),
        ("pypi-AgE", 40, "a PyPI token"),
        ("sk_live_", 24, "a Stripe key"),
        ("rk_test_", 24, "a Stripe key"),
    ],
)
def test_a_credential_is_known_by_the_form_that_its_issuer_gives_it(
    prefix: str, length: int, expected: str
) -> None:
    suspicion = known_format(f"before {prefix}{'a1B2' * length}"[: 7 + len(prefix) + length])
    assert suspicion is not None
    assert suspicion.description == expected


@pytest.mark.parametrize("text", ["npm_config_cache", "task_live_view", "pypi-mirror", "hvr.txt"])
def test_a_word_that_only_begins_like_one_is_none(text: str) -> None:
    assert known_format(text) is None
