"""What the audit log says of a decision on the request path, and the trace that it belongs to.

Separate from the decision, which needs neither log nor trace. The invariant: a record names the
caller and the id of the credential, never the credential; of a body there is only a commitment,
which nobody can test without the log's key.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from reconciler.core.audit.records import AuditRecord, Phase, Reason, Verb
from reconciler.core.authorizing.deciding import Caller, Question
from reconciler.core.authorizing.refusals import Denial
from reconciler.core.authorizing.requests import Call, ToolCall
from reconciler.core.identifiers import ClusterName, CommitSha
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.problems import printable

_TRACEPARENT = re.compile(
    r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?", re.ASCII
)
_LONGEST_TEXT = 256
_MOST_GROUPS = 32


@dataclass(slots=True)
class Findings:
    """What is known of a request by the time it is decided; a denial may come before the rest."""

    trace: str
    host: str = ""
    call: Call | None = None
    caller: Caller | None = None
    agent: str = ""
    questions: tuple[Question, ...] = ()
    run: JsonObject | None = None
    commitment: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What all records of one process have in common."""

    repository: str
    commit: CommitSha
    cluster: ClusterName


def trace_of(header: str | None) -> str | None:
    """The trace that the caller is in, if it says so as W3C wants it (Trace Context, level 1)."""
    found = _TRACEPARENT.fullmatch(header or "")
    if found is None or (header or "").startswith("ff") or not int(found[1], 16):
        return None
    return found[1] if int(found[2], 16) else None


def traceparent(trace: str, span: str) -> str:
    return f"00-{trace}-{span}-01"


def commitment_to(body: bytes, *, key: bytes, salt: bytes) -> JsonObject:
    """Binds to the body and tells nothing of it; erasing key or salt erases the bond."""
    return {"salt": salt.hex(), "hmac": hmac.digest(key, salt + body, "sha256").hex()}


def record_of(
    findings: Findings, denial: Denial | None, origin: Origin, time: datetime
) -> AuditRecord:
    caller = findings.caller
    detail: JsonObject = {
        "host": _plain(findings.host),
        **_call_detail(findings.call),
        "versions": cast("list[JsonValue]", [question.name for question in findings.questions]),
        "credential": _plain(caller.credential) if caller else "",
        "groups": [_plain(group) for group in caller.groups[:_MOST_GROUPS]] if caller else [],
    }
    optional: JsonObject = {
        "agent": findings.agent,
        "run": _plain_run(findings.run or {}),
        "body": findings.commitment or {},
        "why": denial.message if denial else "",
    }
    detail.update({name: value for name, value in optional.items() if value})
    return AuditRecord(
        time=time,
        repository=origin.repository,
        commit=origin.commit,
        actor=_plain(caller.username) if caller else "unknown",
        verb=Verb.AUTHORIZE,
        phase=Phase.DECISION,
        reason=Reason.OPERATION,
        cluster=origin.cluster,
        result=denial.code if denial else "allowed",
        trace=findings.trace,
        detail=detail,
    )


def life_record(verb: Verb, origin: Origin, time: datetime) -> AuditRecord:
    """That the authorizer starts or stops: while none is there, a gateway lets nothing pass."""
    return AuditRecord(
        time=time,
        repository=origin.repository,
        commit=origin.commit,
        actor="fairlead",
        verb=verb,
        phase=Phase.DECISION,
        reason=Reason.OPERATION,
        cluster=origin.cluster,
        result="ok",
    )


def _call_detail(call: Call | None) -> JsonObject:
    if call is None:
        return {}
    if isinstance(call, ToolCall):
        return {"server": call.server, "tool": _plain(call.tool)}
    return {"action": call.action, "model": call.model, "asked": call.version or ""}


def _plain_run(run: JsonObject) -> JsonObject:
    return {
        _plain(name): _plain(value) if isinstance(value, str) else value
        for name, value in run.items()
    }


def _plain(text: str) -> str:
    return printable(text, limit=_LONGEST_TEXT)
