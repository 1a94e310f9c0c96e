"""What the audit commands print: records, proofs and verdicts, for people and as JSON.

Separate from the commands, which decide what to look up. The invariant: every text that comes out
of a record is shown with its control and bidirectional characters written out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from reconciler.core.audit.encoding import encode
from reconciler.core.audit.verification import Verification
from reconciler.core.identifiers import short
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.problems import printable
from reconciler.ports import Logged

_COLUMNS = ("INDEX", "TIME", "COMMIT", "CLUSTER", "VERB", "PHASE", "RESULT", "OBJECT")


def json_text(value: JsonValue) -> str:
    """JSON in ASCII, so that nothing in it can act on a terminal."""
    return json.dumps(value, indent=2, ensure_ascii=True)


def record_json(logged: Logged) -> JsonObject:
    body: JsonObject = json.loads(encode(logged.record))
    return {"index": logged.index, **body}


def records_table(records: Sequence[Logged]) -> Iterable[str]:
    """One line a record, in columns as wide as they need to be."""
    rows = [_COLUMNS, *(_row(logged) for logged in records)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _row(logged: Logged) -> tuple[str, ...]:
    record = logged.record
    cells = (
        str(logged.index),
        record.time.strftime("%Y-%m-%d %H:%M:%S"),
        short(record.commit),
        record.cluster or "",
        record.verb,
        record.phase,
        record.result,
        str(record.object or record.unit or ""),
    )
    return tuple(printable(cell) for cell in cells)


def record_text(logged: Logged) -> Iterable[str]:
    """One field a line, `detail` as JSON below."""
    body = record_json(logged)
    detail = body.pop("detail", None)
    width = max(map(len, body))
    for name, value in body.items():
        yield f"{name.ljust(width)}  {printable(str(value))}"
    if detail is not None:
        yield "detail"
        yield from (f"  {line}" for line in json_text(detail).splitlines())


def verification_json(verification: Verification) -> JsonObject:
    return {
        "passed": verification.passed,
        "size": verification.size,
        "root": verification.root.hex(),
        "covered": verification.covered,
        "checkpoints": verification.checkpoints,
        "openIntents": list(verification.open_intents),
        "findings": [
            {"code": finding.code, "message": finding.message, "index": finding.index}
            for finding in verification.findings
        ],
    }


def verification_text(verification: Verification) -> Iterable[str]:
    for finding in verification.findings:
        yield f"{finding.code}: {printable(finding.message)}"
    unsigned = verification.size - verification.covered
    yield (
        f"{verification.size} records, {verification.covered} of them under a signed checkpoint; "
        f"root {verification.root.hex()}"
    )
    if unsigned > 0:
        yield f"{unsigned} newest records are not signed yet"
    if verification.open_intents:
        named = ", ".join(map(str, verification.open_intents[:20]))
        yield f"{len(verification.open_intents)} intents have no outcome yet: {named}"
    yield "verified" if verification.passed else "NOT verified"
