"""What of a change may be shown: values that can hold a secret become a short digest.

Separate because it is the last thing before any surface, and is chosen by schema path first and by
the look of a value only after that. The invariant: a redacted change shows whether a value came,
went or moved, and no secret that people put where Kubernetes lets them.

The digest has no key, so that everybody who has the value can check it; that is why it is cut to
32 bits, which tells two values apart and confirms no guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reconciler.core.fields import Absent, FieldChange
from reconciler.core.identifiers import DocumentPath
from reconciler.core.manifests import JsonValue, canonical_json, digest_of
from reconciler.core.problems import Problem
from reconciler.core.secrecy import entropy, known_format, replace_known_formats

SHOWN_LENGTH: Final = 16_384
"""Characters of a value that a plan shows; a longer one is told apart by its digest."""

_STEP: Final = re.compile(
    r"\.([A-Za-z0-9_-]+)"
    r'|\[("(?:[^"\\]|\\.)*")\]'
    r'|\[(?:"(?:[^"\\]|\\.)*"|[^\]"])*\]'
)
"""A step of a path: a field, a quoted field, or a list item, whose name says nothing here."""

_PRIVATE: Final = frozenset({"annotations", "args", "command", "binaryData", "stringData"})
_PRIVATE_PAIRS: Final = frozenset({("env", "value"), ("httpHeaders", "value")})

_OWN_VERSIONS: Final = "fairlead.dev/secrets"
_VERSION: Final = r"[a-z0-9-]{1,63}@(?:[1-9][0-9]{0,8}|[0-9a-f-]{32,64})"
_VERSIONS: Final = re.compile(f"{_VERSION}(?: {_VERSION})*")
"""The one annotation that is shown: which version of a secret a pod gets, and nothing of it."""

_NAME: Final = re.compile(
    r"(passw(or)?d|passphrase|secret|credentials?|(api|access|private)[-_.]?key|token)(?![a-z])",
    re.IGNORECASE,
)
"""Not `tokenizer`, `maxTokens` or `secretName`: the word ends there."""
_NAME_OF_REFERENCE: Final = re.compile(
    r"(name|ref|path|file|seconds|ttl|audience|policy|class|type|url|expression)s?$",
    re.IGNORECASE,
)
_GIVEN: Final = re.compile(
    r"\b[Bb]earer\s+[\w.~+/-]{12,}"
    r"|(?i:passw(or)?d|passphrase|secret|api[-_.]?key|access[-_.]?key|token)"
    r"[\"']?\s*[:=]\s*[\"']?[^\s\"'$]{6,}"
)
"""A credential inside a text, such as a configuration file: named, then given."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9+_=-]{32,}")
_TOKEN_BITS: Final = 4.2
"""Bits a character from which a long word is no word: English identifiers have about 3.9."""


def redacted(change: FieldChange) -> FieldChange:
    """The change as it may be shown."""
    steps = tuple(_steps(change.path))
    before, after = (_shown(value, steps) for value in (change.before, change.after))
    return replace(change, before=before, after=after)


def masked(text: str) -> str:
    """A sentence, such as an API server's, with what in it may be a credential as a digest."""
    shown = replace_known_formats(text, _short_digest)
    shown = _GIVEN.sub(lambda match: _short_digest(match[0]), shown)
    return _TOKEN.sub(lambda m: _short_digest(m[0]) if _is_random(m[0]) else m[0], shown)


def unquoted(problem: Problem) -> Problem:
    """The problem without the credentials of a known format that it quotes.

    Problems are recorded for good, and names of fields and files hold a credential as values do.
    """
    told = (problem.path, problem.message, problem.hint)
    path, message, hint = (replace_known_formats(text, _short_digest) for text in told)
    if (path, message, hint) == told:
        return problem
    return replace(problem, path=DocumentPath(path), message=message, hint=hint)


def _steps(path: str) -> Iterator[str]:
    """Names of the fields along a path, list items left out."""
    for match in _STEP.finditer(path):
        field, quoted = match.groups()
        if field or quoted:
            yield field or json.loads(quoted)


def _shown(value: JsonValue | Absent, steps: tuple[str, ...]) -> JsonValue | Absent:
    if isinstance(value, Absent):
        return value
    return _shown_value(value, steps)


def _shown_value(value: JsonValue, steps: tuple[str, ...]) -> JsonValue:
    if steps[-1:] == (_OWN_VERSIONS,) and isinstance(value, str) and _VERSIONS.fullmatch(value):
        return value
    if _is_private(steps):
        return _short_digest(value)
    if isinstance(value, dict):
        return {name: _shown_value(part, (*steps, name)) for name, part in value.items()}
    if isinstance(value, list):
        return [_shown_value(item, steps) for item in value]
    if isinstance(value, str) and (len(value) > SHOWN_LENGTH or _is_credential(value, steps)):
        return _short_digest(value)
    return value


def _is_private(steps: tuple[str, ...]) -> bool:
    # The keys of a ConfigMap are its author's: one called `command` means nothing.
    if steps[:1] == ("data",):
        return False
    return not _PRIVATE.isdisjoint(steps) or steps[-2:] in _PRIVATE_PAIRS


def _is_credential(value: str, steps: tuple[str, ...]) -> bool:
    name = steps[-1] if steps else ""
    if len(value) > 3 and _NAME.search(name) and not _NAME_OF_REFERENCE.search(name):
        return True
    if known_format(value) or _GIVEN.search(value):
        return True
    return any(map(_is_random, _TOKEN.findall(value)))


def _is_random(word: str) -> bool:
    """Letters of both cases and digits, as evenly spread as no identifier is."""
    kinds = (any(map(kind, word)) for kind in (str.islower, str.isupper, str.isdigit))
    return all(kinds) and entropy(word) >= _TOKEN_BITS


def _short_digest(value: JsonValue) -> str:
    # Text is digested as it is, so that `printf %s "$VALUE" | sha256sum` gives the same.
    content = value.encode() if isinstance(value, str) else canonical_json(value)
    return f"{digest_of(content)[:15]}…"
