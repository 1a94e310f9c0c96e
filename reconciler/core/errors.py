"""What the world can do to us, as exceptions.

    FairleadError
    ├── Transient            try again later, by itself
    │   ├── Unavailable      nobody answered, or answered 5xx
    │   ├── Throttled        429; carries the wait the server asked for
    │   ├── Outdated         409; somebody else wrote the object meanwhile
    │   ├── Expired          410; the watch or page token is too old, list again
    │   └── LeadershipLost   another daemon writes to this cluster now
    └── Terminal             the same call will fail the same way
        ├── Refused          the API server said no; carries its causes
        │   ├── Conflict     409 on apply; names the managers and fields
        │   ├── Forbidden    403
        │   ├── Invalid      422, and admission policies
        │   └── Immutable    422 with "field is immutable"
        ├── Missing          404; also a kind that the server does not serve
        ├── HistoryRewritten the branch no longer contains the applied commit
        ├── Untrusted        a signature is missing or not by an allowed signer
        ├── Corrupt          stored state contradicts itself
        └── Misconfigured    settings; carries the problems

One decision per level: Transient or Terminal decides about retrying, the class below it about
what to tell people. Bad input is not here: it is a Problem (problems.py). A bug is an
AssertionError.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.problems import Problem


class FairleadError(Exception):
    """Base of all. `code` is stable and part of the interface of the command line."""

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Transient(FairleadError):
    """May succeed when repeated unchanged."""

    code = "transient"


class Unavailable(Transient):
    code = "unavailable"


class Throttled(Transient):
    code = "throttled"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds."""


class Outdated(Transient):
    code = "outdated"


class Expired(Transient):
    code = "expired"


class LeadershipLost(Transient):
    code = "leadership-lost"


class Terminal(FairleadError):
    """Will fail again until somebody changes something."""

    code = "terminal"


@dataclass(frozen=True, slots=True, order=True)
class Cause:
    """One reason the API server gave. `field` is a path such as `.spec.replicas`."""

    field: str
    message: str
    manager: str = ""


class Refused(Terminal):
    """The API server understood the request and said no."""

    code = "refused"

    def __init__(self, message: str, *, causes: tuple[Cause, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.causes = causes


class Conflict(Refused):
    """Another field manager owns a field that we want to set otherwise."""

    code = "conflict"


class Forbidden(Refused):
    code = "forbidden"


class Invalid(Refused):
    code = "invalid"


class Immutable(Invalid):
    code = "immutable"


class Missing(Terminal):
    code = "missing"


class HistoryRewritten(Terminal):
    code = "history-rewritten"


class Untrusted(Terminal):
    code = "untrusted"


class Corrupt(Terminal):
    code = "corrupt"


class Misconfigured(Terminal):
    code = "misconfigured"
    exit_code = 2

    def __init__(self, message: str, *, problems: tuple[Problem, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = problems
