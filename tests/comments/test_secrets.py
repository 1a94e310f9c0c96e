"""S8: a credential that somebody put into an object reaches neither comment nor check."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Iterator
from dataclasses import replace

from reconciler.core.errors import Cause
from reconciler.core.fields import ABSENT, FieldChange
from reconciler.core.identifiers import DocumentPath, ObjectKey
from reconciler.core.plans import Action, ClusterPlan, Refusal, Waiting, WaitReason
from reconciler.core.presenting.check_output import check_output, unplanned_output
from reconciler.core.presenting.comment_notes import unplanned_comment
from reconciler.core.problems import Problem
from tests.presenting.builders import STAGING, TEAM, change, manifest

from .builders import REQUEST, Case, planned

PLANTED = 600
MODEL = ".spec.template.spec.containers[name=model]"


def credentials(count: int, *, seed: int) -> Iterator[str]:
    """Of the formats that issuers give theirs."""
    draw = random.Random(seed)

    def some(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
        return "".join(draw.choice(alphabet) for _ in range(length))

    upper = string.ascii_uppercase + string.digits
    kinds = (
        lambda: f"ghp_{some(36)}",
        lambda: f"github_pat_{some(40)}",
        lambda: f"glpat-{some(20)}",
        lambda: f"hf_{some(34)}",
        lambda: f"sk-proj-{some(40)}",
        lambda: f"AKIA{some(16, upper)}",
        lambda: f"AIza{some(35)}",
        lambda: f"xoxb-{some(24)}",
        lambda: f"hvs.{some(24)}",
        lambda: f"eyJ{some(20)}.eyJ{some(30)}.{some(30)}",
        lambda: f"postgres://fraud:{some(12)}@db.example.com/fraud",
    )
    for number in range(count):
        yield kinds[number % len(kinds)]()


def with_secret(secret: str) -> Case:
    """A plan that has it wherever people, and API servers, put such a thing."""
    found = manifest("ConfigMap", "settings")
    encoded = base64.b64encode(secret.encode()).decode()
    updated = change(
        Action.UPDATE,
        before=found,
        after=found,
        fields=(
            FieldChange(f"{MODEL}.env[name=A].value", ABSENT, secret),
            FieldChange(f"{MODEL}.args", ["serve"], ["serve", f"--key={secret}"]),
            FieldChange('.metadata.annotations["note"]', secret, ABSENT),
            FieldChange(".binaryData.key", ABSENT, encoded),
            FieldChange(".data.settings", "a\nb", f"a\nb\nkey {secret}\n"),
            FieldChange(".spec.podSpec", ABSENT, {"env": [{"name": "A", "value": secret}]}),
        ),
        explanation=f"the server said: {secret}",
    )
    created = change(Action.CREATE, after=manifest("ConfigMap", "new", settings=secret))
    refusal = Refusal(
        TEAM,
        ObjectKey("", "ConfigMap", "team-risk", "x"),
        "invalid",
        f'Invalid value: "{secret}"',
        (Cause(".data", f'Invalid value: "{secret}"'),),
    )
    waiting = Waiting(TEAM, WaitReason.REFUSED_BEFORE, f"refused: {secret}")
    cluster = ClusterPlan(STAGING, (updated, created), (updated,), (refusal,), waiting=(waiting,))
    return planned(cluster, request=replace(REQUEST, answers=(f"no command: {secret}",)))


def leaked(secret: str, shown: str) -> bool:
    password = secret.split(":", 2)[-1].split("@", maxsplit=1)[0] if "://" in secret else secret
    return password in shown or base64.b64encode(secret.encode()).decode() in shown


def test_s8_no_planted_credential_is_in_a_comment_or_a_check() -> None:
    for secret in credentials(PLANTED, seed=8):
        case = with_secret(secret)
        output = check_output(case.view, case.impact, title=f"x {secret}", request=case.request)
        for shown in (case.comment(), output.title, output.summary, output.text):
            assert not leaked(secret, shown), secret


def test_s8_no_planted_credential_is_in_what_is_said_without_a_plan() -> None:
    for secret in credentials(PLANTED, seed=9):
        message = f'spec.value "{secret}" is not allowed'
        found = Problem(DocumentPath("a.yaml"), None, "invalid", message, hint=f"drop {secret}")
        comment = unplanned_comment(message, hint=message, problems=(), request=REQUEST)
        output = unplanned_output("", title="", hint="", problems=(found,), request=REQUEST)
        told = [annotation.message for annotation in output.annotations]
        for shown in (comment, output.summary, *told):
            assert not leaked(secret, shown), secret
