"""Denial: why a request does not go on, as a value and as an exception of the parser.

Separate because every step may deny, and the record, the answer and the counters all use the same
code. The invariant: no message repeats a body, a token or a header that a caller chose.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Denial:
    """`code` is stable; `status` is what the caller gets."""

    code: str
    message: str
    status: int = 403


class Denied(Exception):
    """Ends the reading of a request at its first fault."""

    def __init__(self, code: str, message: str, *, status: int = 403) -> None:
        super().__init__(message)
        self.denial = Denial(code, message, status)
