"""Settings: strict, whole, and with the place of every problem."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import orjson
import pytest
import yaml

from reconciler.core.errors import Misconfigured
from reconciler.settings import Settings
from reconciler.settings_loading import load_settings, variables
from reconciler.settings_schema import settings_schema

ROOT = Path(__file__).parents[2]
LEAST = """\
repository: {name: ml-platform, url: https://git.example.com/platform.git}
clusters:
- {name: staging, kubeconfig: staging.kubeconfig}
"""


def loaded(directory: Path, text: str = LEAST, **environment: str) -> Settings:
    file = directory / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, environment)


def problems(directory: Path, text: str, **environment: str) -> list[str]:
    with pytest.raises(Misconfigured) as caught:
        loaded(directory, text, **environment)
    prefix = f"{directory}/"
    return [
        f"{problem.location.removeprefix(prefix)} {problem.message}"
        for problem in caught.value.problems
    ]


def test_name_url_and_a_cluster_are_enough(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert settings.repository.branch == "main"
    assert settings.listen.host == "127.0.0.1"
    assert settings.rights == "least"


def test_everything_without_a_place_of_its_own_is_in_the_directory(tmp_path: Path) -> None:
    settings = loaded(tmp_path, f"directory: data\n{LEAST}")
    assert settings.mirror == tmp_path / "data" / "mirror.git"
    assert settings.state_place == str(tmp_path / "data" / "state.db")
    assert settings.audit_key == tmp_path / "data" / "audit.key"


def test_relative_paths_start_from_the_directory_of_the_file(tmp_path: Path) -> None:
    assert loaded(tmp_path).clusters[0].kubeconfig == tmp_path / "staging.kubeconfig"


def test_a_repository_beside_the_settings_can_be_named_by_a_relative_path(tmp_path: Path) -> None:
    settings = loaded(tmp_path, LEAST.replace("https://git.example.com/", "./"))
    assert settings.repository.url == str(tmp_path / "platform.git")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LEAST + "lisen: 127.0.0.1:80\n", "settings.yaml:4:1 unknown field lisen"),
        (LEAST + "listen: nowhere\n", "settings.yaml:4:9 listen is not host and port"),
        (LEAST + "listen: 127.0.0.1:70000\n", "settings.yaml:4:9 listen is not host and port"),
        (
            LEAST + "- {name: staging, inCluster: true}\n",
            "settings.yaml:3:1 clusters lists staging twice",
        ),
        (
            LEAST.replace("kubeconfig: staging.kubeconfig", "context: x"),
            "settings.yaml:3:3 clusters[0] gives none of kubeconfig, inCluster",
        ),
        (
            LEAST + "state: {url: 'postgresql://fairlead:hunter2@db/fairlead'}\n",
            "settings.yaml:4:8 state has a password in its url",
        ),
        (
            LEAST + "telemetry: {otlpEndpoint: 'http://user:pw@collector:4318'}\n",
            "settings.yaml:4:27 telemetry.otlpEndpoint is not the URL of an HTTP server without "
            "credentials",
        ),
        (LEAST + "lease: {duration: 1s}\n", "settings.yaml:4:8 lease has a duration that"),
        (
            LEAST + "webhook:\n",
            "settings.yaml:4:9 webhook is empty",
        ),
    ],
)
def test_a_problem_is_named_with_its_line_and_column(
    tmp_path: Path, text: str, expected: str
) -> None:
    [found] = problems(tmp_path, text)
    assert found.startswith(expected)


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "repository: {branch: 5}\nclusters: []\nlog: {level: loud}\n")
    assert len(found) == 5


@pytest.mark.parametrize("text", ["", "- a\n", "a: 1\n---\nb: 2\n", "a: [\n", "a: &x 1\nb: *y\n"])
def test_what_is_not_one_mapping_is_a_problem_and_no_traceback(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)


def test_a_password_in_a_url_is_not_repeated(tmp_path: Path) -> None:
    text = LEAST + "state: {url: 'postgresql://fairlead:hunter2@db/fairlead'}\n"
    with pytest.raises(Misconfigured) as caught:
        loaded(tmp_path, text)
    assert "hunter2" not in str(caught.value) + repr(caught.value.problems)


def test_a_missing_file_says_how_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        load_settings(tmp_path / "none.yaml", {})
    assert "--config" in caught.value.hint


def test_a_variable_replaces_the_value_of_the_file(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        FAIRLEAD_REPOSITORY_BRANCH="release",
        FAIRLEAD_LEASE_ENABLED="false",
        FAIRLEAD_REPOSITORY_POLL="1m",
    )
    assert settings.repository.branch == "release"
    assert not settings.lease.enabled
    assert settings.repository.poll.total_seconds() == 60


def test_a_variable_can_set_what_the_file_does_not_mention(tmp_path: Path) -> None:
    settings = loaded(tmp_path, FAIRLEAD_WEBHOOK_SECRET_FILE="/run/secret")
    assert settings.webhook is not None
    assert settings.webhook.secret_file == Path("/run/secret")


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert loaded(tmp_path, FAIRLEAD_REPOSITORY_BRANCH="").repository.branch == "main"


def test_a_problem_of_a_variable_names_the_variable(tmp_path: Path) -> None:
    [found] = problems(tmp_path, LEAST, FAIRLEAD_LOG_LEVEL="loud")
    assert found.startswith("FAIRLEAD_LOG_LEVEL log.level is loud")


def test_every_single_value_has_a_variable() -> None:
    assert {
        "FAIRLEAD_DIRECTORY",
        "FAIRLEAD_REPOSITORY_CREDENTIALS_TOKEN_FILE",
        "FAIRLEAD_STATE_URL",
        "FAIRLEAD_LISTEN",
        "FAIRLEAD_TELEMETRY_OTLP_ENDPOINT",
    } <= set(variables())


def test_the_schema_in_the_repository_is_the_generated_one() -> None:
    written = (ROOT / "deploy" / "settings.schema.json").read_bytes()
    assert written == settings_schema(), (
        "run: python -m reconciler.settings_schema > deploy/settings.schema.json"
    )


def test_the_example_is_valid_by_the_classes_and_by_the_schema() -> None:
    example = ROOT / "deploy" / "settings.example.yaml"
    assert load_settings(example, {}).repository.name == "ml-platform"
    jsonschema.validate(yaml.safe_load(example.read_text()), orjson.loads(settings_schema()))


def test_everything_that_the_example_comments_out_is_valid_as_well(tmp_path: Path) -> None:
    lines = (ROOT / "deploy" / "settings.example.yaml").read_text().splitlines()
    # A comment of the example is prose, or a field: those have no space before their colon.
    fields = [
        line.replace("# ", "", 1) if ": " in line or line.endswith(":") else line for line in lines
    ]
    kept = [line for line in fields if not line.lstrip().startswith("#")]
    text = "\n".join(line for line in kept if _is_field(line))
    settings = loaded(tmp_path, text)
    assert settings.audit.anchor is not None
    assert settings.webhook is not None


def _is_field(line: str) -> bool:
    name, colon, _ = line.strip().removeprefix("- ").partition(":")
    return bool(colon) and name.isalnum() and name != "Made"


SIGNED = LEAST.replace("}", ", allowedSignersFile: signers}", 1)
AUTHORED = SIGNED.replace("kubeconfig}", "kubeconfig, applyAs: author}")
ALICE = "people: [{signer: alice@e.com, user: 'oidc:alice', groups: ['oidc:researchers']}]\n"


def test_the_authors_of_a_cluster_are_those_of_the_settings(tmp_path: Path) -> None:
    settings = loaded(tmp_path, AUTHORED + ALICE)
    assert settings.clusters[0].apply_as == "author"
    assert settings.people[0].user == "oidc:alice"


@pytest.mark.parametrize(
    "text",
    [AUTHORED, AUTHORED.replace(", allowedSignersFile: signers", "") + ALICE],
    ids=["nobody is named", "nobody's signature is known"],
)
def test_authors_of_whom_nobody_knows_who_they_are_are_refused(tmp_path: Path, text: str) -> None:
    [problem] = problems(tmp_path, text)
    assert "does not say who the authors are" in problem


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("'oidc:alice'", "'system:admin'", "the name of a user"),
        ("'oidc:researchers'", "'system:masters'", "the name of a group"),
        ("alice@e.com", "'*@e.com'", "the name of a signer"),
    ],
)
def test_nobody_is_a_part_of_the_cluster_or_everybody(
    tmp_path: Path, before: str, after: str, what: str
) -> None:
    [problem] = problems(tmp_path, AUTHORED + ALICE.replace(before, after))
    assert f"is not {what}" in problem


def test_a_secret_store_has_no_authors(tmp_path: Path) -> None:
    store = "- {name: v, vault: {address: 'https://v', tokenFile: t}, applyAs: author}\n"
    [problem] = problems(tmp_path, SIGNED + store + ALICE)
    assert "gives applyAs to a secret store" in problem


def test_one_signer_is_one_person(tmp_path: Path) -> None:
    twice = ALICE.replace("}]", "}, {signer: alice@e.com, user: 'oidc:other'}]")
    [problem] = problems(tmp_path, AUTHORED + twice)
    assert "lists alice@e.com twice" in problem
