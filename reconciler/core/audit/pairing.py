"""The rule that joins an outcome to its intent.

Separate because the stores keep it when they write and verification checks it when it reads, and
both must mean the same. The invariant: an outcome names an earlier intent about the same object,
and no intent has two outcomes.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.audit.records import AuditRecord, Phase


def subject(record: AuditRecord) -> str:
    """What an intent and its outcome must agree on."""
    return f"{record.cluster or ''} {record.verb} {record.object or ''}"


def pairing_fault(record: AuditRecord, *, open_subject: str | None) -> str:
    """Why `record` may not stand where it does, in words; empty when it may.

    `open_subject` is the subject of the intent it names, None when that is not an open intent.
    """
    if record.phase is not Phase.OUTCOME:
        return "" if record.intent is None else f"it is no outcome but names intent {record.intent}"
    if record.intent is None:
        return "it is an outcome and names no intent"
    if open_subject is None:
        return f"it names record {record.intent}, which is not an intent without an outcome"
    if open_subject != subject(record):
        return f"intent {record.intent} is about {open_subject!r}, not {subject(record)!r}"
    return ""


def paired(
    records: Iterable[AuditRecord], *, start: int, opened: dict[int, str]
) -> tuple[dict[int, str], frozenset[int]]:
    """The intents that these records open and close, when the first gets the index `start`.

    `opened` maps the open intents that they name to their subjects. A record that breaks the rule
    is a bug of the caller: AssertionError.
    """
    opening: dict[int, str] = {}
    closing: set[int] = set()
    for index, record in enumerate(records, start):
        named = record.intent
        known = None
        if named is not None and named not in closing:
            known = opening.get(named, opened.get(named))
        fault = pairing_fault(record, open_subject=known)
        if fault:
            raise AssertionError(f"audit record {index} breaks the pairing of intents: {fault}")
        if record.phase is Phase.INTENT:
            opening[index] = subject(record)
        elif named is not None:
            closing.add(named)
    return {i: s for i, s in opening.items() if i not in closing}, frozenset(
        closing - opening.keys()
    )
