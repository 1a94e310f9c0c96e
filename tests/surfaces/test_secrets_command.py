"""What AWS has to allow is printed from the repository alone."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from reconciler.surfaces.secrets_commands import secrets_group
from tests.desired.secrets import clusters, model, with_secrets

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
    assert "no secret of AWS is delivered" in str(ask(tmp_path, "hf-token").exception)
