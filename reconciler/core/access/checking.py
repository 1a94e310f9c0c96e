"""Everything that can be wrong with roles and agent scopes besides their own fields.

Separate from the single checks. The invariant: a commit without a problem here can be carried out
as it says, in every cluster.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.access.bypasses import role_problems
from reconciler.core.access.claims import claim_problems
from reconciler.core.access.policy import AccessPolicy
from reconciler.core.access.resources import resource_problems
from reconciler.core.access.subjects import agent_namespace
from reconciler.core.admission.findings import Pointer
from reconciler.core.declarations import Declarations
from reconciler.core.documents import Document
from reconciler.core.kinds import AgentScope, BreakGlass
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.policy import Policy
from reconciler.core.problems import Problem


def access_problems(
    declarations: Declarations, access: AccessPolicy, policy: Policy
) -> Iterator[Problem]:
    yield from claim_problems(declarations, access)
    yield from resource_problems(declarations)
    authorizer = policy.own.authorizer
    if authorizer is not None and authorizer.admit is not None:
        yield from role_problems(declarations)
    # Whoever adds the rule may not be the one who needs it: that in force counts as well.
    if not all(map(_asks_two, (policy.in_force, policy.own))):
        yield from map(_alone, declarations.of(BreakGlass).values())
    at: Pointer = ("metadata", "name")
    for document, scope in declarations.all(AgentScope):
        found = policy.namespace_objection(agent_namespace(scope.name), at)
        if found is not None:
            where = document.span_at(found.pointer)
            yield Problem(document.path, where, found.code, found.message, found.hint)


def _asks_two(rules: RepositorySpec) -> bool:
    """Whether a commit with a BreakGlass waits for somebody else, whatever it has besides."""
    return rules.signatures.required and rules.approvals.wider_access is not None


def _alone(document: Document) -> Problem:
    """One person could break the glass: without signatures nobody is known, or nobody is asked."""
    return Problem(
        document.path,
        document.span_at(("metadata", "name")),
        "break-glass-alone",
        f"BreakGlass {document.name} needs two people, and the policy asks for no second one",
        "set signatures.required and approvals.widerAccess in fairlead.yaml, in an earlier commit",
    )
