"""What AWS has to allow is printed from the repository alone."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from reconciler.surfaces.secrets_commands import secrets_group
from tests.desired.secrets import AGENT, clusters, model, with_secrets

ROLE = "arn:aws:iam::123456789012:role/acme.rollout.fraud-detector"


def ask(directory: Path, *names: str, rollout: str = "fraud-detector", **files: str) -> Result:
    for path, content in with_secrets(*names, aws="csi", **files).items():
        (directory / path).write_text(str(content))
    return CliRunner().invoke(secrets_group, ["policy", rollout, str(directory)])


def test_the_policy_is_for_reading_exactly_what_is_delivered(tmp_path: Path) -> None:
    told = json.loads(ask(tmp_path, "hf-token", "search").output)
    assert told == {
        ROLE: {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
                    "Resource": [
                        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
                        "prod/search/reranker-??????"
                    ],
                }
            ],
        }
    }


def test_a_secret_that_is_named_in_full_and_another_cloud_are_taken_as_they_are(
    tmp_path: Path,
) -> None:
    name = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:prod/reranker-AbCdEf"
    wanted = model("search").replace("aws:prod/search/reranker", f"aws:{name}")
    there = clusters(aws="csi").replace("eu-west-1", "cn-north-1")
    (role, policy), *others = json.loads(
        ask(tmp_path, models=wanted, clusters=there).output
    ).items()
    assert not others
    assert role == ROLE.replace("arn:aws:", "arn:aws-cn:")
    assert policy["Statement"][0]["Resource"] == [name]


def test_whoever_reads_nothing_from_aws_is_told_so(tmp_path: Path) -> None:
    for result in (ask(tmp_path, "hf-token"), ask(tmp_path, "search", rollout="other")):
        assert result.exit_code == 1
    assert "reads no secret of AWS" in str(ask(tmp_path, "hf-token").exception)


def test_an_agent_reads_what_its_scope_lists_until_its_last_day_is_over(tmp_path: Path) -> None:
    listed = AGENT.replace('"vault:kv/risk/judge"', '"aws:prod/eval/*", "aws:prod/judge"')
    told = json.loads(ask(tmp_path, rollout="agent/eval-bot", access=listed).output)
    ((role, policy),) = told.items()
    assert role == "arn:aws:iam::123456789012:role/acme.agent.eval-bot"
    (statement,) = policy["Statement"]
    start = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod"
    assert statement["Resource"] == [f"{start}/eval/*", f"{start}/judge-??????"]
    assert statement["Condition"] == {"DateLessThan": {"aws:CurrentTime": "2027-07-01T00:00:00Z"}}


def test_an_agent_that_nobody_declares_is_named(tmp_path: Path) -> None:
    result = ask(tmp_path, rollout="agent/eval", access=AGENT)
    assert "declares no AgentScope eval" in str(result.exception)
