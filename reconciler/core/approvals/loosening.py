"""Loosening: what a policy lets through that the one before it did not.

Separate from the differences of access, which are about people and agents: the policy says who may
change those. The invariant: where the direction of a change cannot be told, it loosens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.core.kinds.repository import ApprovalRule, Approvals, RepositorySpec


def loosened(before: RepositorySpec, after: RepositorySpec) -> tuple[str, ...]:
    """In sentences, sorted. Budgets and defaults give nobody access."""
    return tuple(sorted(_loosened(before, after)))


def _loosened(before: RepositorySpec, after: RepositorySpec) -> Iterator[str]:
    if before.signatures.required and not after.signatures.required:
        yield "commits need no signature any more"
    yield from _of_approvals(before.approvals, after.approvals)
    if before.owners != after.owners:
        yield "others answer for paths of the repository"
    if before.ignore != after.ignore:
        yield "other fields are left to whoever writes them in a cluster"
    if before.authorizer is not None and before.authorizer != after.authorizer:
        yield "the rules of the request path are no longer where they were"
    yield from _more("namespace", before.allow.namespaces, after.allow.namespaces)
    yield from _more("kind", before.allow.kinds, after.allow.kinds)
    known, listed = set(before.allow.secrets), set(after.allow.secrets)
    if known and not (listed and listed <= known):
        yield "the policy allows other secrets"
    if before.defaults.secret_delivery != after.defaults.secret_delivery:
        yield "secrets come to clusters another way"
    yield from _more("cluster", before.clusters.names, after.clusters.names)
    if before.clusters.labels != after.clusters.labels and after.clusters.labels:
        yield "the policy allows clusters by other labels"


def _more(what: str, before: Iterable[str], after: Iterable[str]) -> Iterator[str]:
    known = set(before)
    yield from (f"the policy allows {what} {name}" for name in after if name not in known)


def _of_approvals(before: Approvals, after: Approvals) -> Iterator[str]:
    if before.wider_access is not None and _is_weaker(before.wider_access, after.wider_access):
        yield "wider access needs other approvals"
    was, now = (rules.break_glass or rules.wider_access for rules in (before, after))
    if was is not None and _is_weaker(was, now):
        yield "a BreakGlass needs other approvals"
    for role, logins in after.people.items():
        known = {name.casefold() for name in before.people.get(role, ())}
        yield from (
            f"{name} may approve as {role}" for name in logins if name.casefold() not in known
        )


def _is_weaker(before: ApprovalRule, after: ApprovalRule | None) -> bool:
    return after is None or after.count < before.count or not set(after.by) <= set(before.by)
