"""The tests that roles and agent scopes bring along: does the policy do what they claim?

Separate from deciding, which they ask. The invariant: a commit comes out the same on every day, so
that one that was good can be gone back to. A scope's claims are therefore about the days on which
it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from reconciler.core.access.deciding import decide, split
from reconciler.core.access.policy import AccessPolicy
from reconciler.core.access.subjects import agent_subject
from reconciler.core.declarations import Declarations
from reconciler.core.documents import Document
from reconciler.core.kinds import AgentScope, Role
from reconciler.core.kinds.access_rules import AccessTest
from reconciler.core.problems import Problem, Severity

_ANY_DAY = date.min
"""A Role holds on all of them."""


def claim_problems(declarations: Declarations, policy: AccessPolicy) -> Iterator[Problem]:
    """Claims that are false, and documents that claim too little to be proven."""
    for document, role in declarations.all(Role):
        on_models = any(rule.models for rule in role.spec.allow)
        yield from _failures(document, role.spec.tests, policy, role.name, _ANY_DAY)
        yield from _gaps(document, role.spec.tests, allowed=on_models)
    for document, scope in declarations.all(AgentScope):
        subject, last = agent_subject(scope.name), scope.spec.expires
        yield from _failures(document, scope.spec.tests, policy, subject, last)
        yield from _gaps(document, scope.spec.tests, allowed=bool(scope.spec.models))


def _failures(
    document: Document, tests: Sequence[AccessTest], policy: AccessPolicy, subject: str, day: date
) -> Iterator[Problem]:
    for index, test in enumerate(tests):
        model, version = split(test.model)
        if model not in policy.models:
            continue  # Said of the reference; or the Model itself is wrong.
        decision = decide(policy, subject, test.can, model, version, today=day)
        if decision.allowed == (test.expect == "allowed"):
            continue
        other = "denied" if test.expect == "allowed" else "allowed"
        advice = decision.hint or "take away what allows it"
        yield Problem(
            document.path,
            document.span_at(("spec", "tests", index)),
            "access-test-failed",
            f"the test expects {test.can} on {test.model} to be {test.expect}, but "
            f"{decision.reason}",
            f"{advice}; or expect {other}, if that is meant",
        )


def _gaps(document: Document, tests: Sequence[AccessTest], *, allowed: bool) -> Iterator[Problem]:
    """What no test claims. `allowed` says whether anything on models could be."""
    given = {test.expect for test in tests}
    wanted = ("allowed", "denied") if allowed else ("denied",)
    if missing := [expected for expected in wanted if expected not in given]:
        words = " and none ".join(missing)
        yield Problem(
            document.path,
            document.span_at(("spec", "tests")),
            "access-tests-missing",
            f"{document.type.kind} {document.name} has no test that expects {words}",
            "add one under tests, such as {can: infer, model: MODEL@VERSION, "
            f"expect: {missing[0]}}}",
            Severity.WARNING,
        )
