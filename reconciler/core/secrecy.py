"""Tell a secret value from an ordinary one.

Separate because everything that people may paste a credential into is checked by the same rules.
The invariant: nothing here keeps or tells a value, only a description of why it looks like a
secret, so that refusing a secret does not spread it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

ENTROPY_BITS = 4.5
"""Per character. English prose has about 4.1, hexadecimal 4.0, base64 of random bytes 5 to 6."""

ENTROPY_LENGTH = 20

_FORMATS: tuple[tuple[str, str], ...] = (
    ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    ("a private key in base64", r"LS0tLS1CRUdJTi(?:BQUklWQVRF|BSU0EgUFJJVkFURS|BFQyBQUklWQVRF)"),
    ("an AWS access key", r"(?<![A-Z0-9])A(?:KI|SI)A[0-9A-Z]{16}(?![A-Z0-9])"),
    (
        "a GitHub token",
        r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
    ),
    ("a GitLab token", r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,}"),
    ("a Hugging Face token", r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,}"),
    ("an API key", r"(?<![A-Za-z0-9])sk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_]{20,}"),
    ("a Google API key", r"(?<![A-Za-z0-9])AIza[0-9A-Za-z_-]{35}"),
    ("a Slack token", r"(?<![A-Za-z0-9])xox[abprs]-[A-Za-z0-9-]{10,}"),
    ("a Vault token", r"(?<![A-Za-z0-9])hv[sbr]\.[A-Za-z0-9_-]{20,}"),
    ("an npm token", r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}"),
    ("a PyPI token", r"(?<![A-Za-z0-9])pypi-AgE[A-Za-z0-9_-]{30,}"),
    ("a Stripe key", r"(?<![A-Za-z0-9])[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("a JSON Web Token", r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    ("a URL with a password", r"://[^/\s:@\"$]+:[^/\s@\"$]{3,}@"),
)
# One alternation: a document without any is scanned once.
_ANY_FORMAT = re.compile("|".join(f"({pattern})" for _, pattern in _FORMATS))

# Every format has one of these in it. Looking for plain text first takes a fiftieth of the time,
# and nearly all text has none.
_HINTS = (
    "PRIVATE KEY", "LS0tLS1", "AKIA", "ASIA", "gh", "github_pat_", "glpat-", "hf_", "sk-", "AIza",
    "xox", "hvs.", "hvb.", "hvr.", "npm_", "pypi-AgE", "k_live_", "k_test_", "eyJ", "://",
)  # fmt: skip

_SECRET_NAME = re.compile(r"token|secret|passw|passphrase|credential|api_?key|_key$|^key$", re.I)
_PASSWORD_NAME = re.compile(r"(?:password|passwd|passphrase)$", re.I)


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why a value looks like a secret. `description` completes "looks like …"."""

    description: str


def suspect(name: str, value: str) -> Suspicion | None:
    """Judge `value`, which is stored under `name` (a variable or a key)."""
    if known := known_format(value):
        return known
    plain = name.replace("-", "_").replace(".", "_")
    if "$(" in value or not value:
        return None
    if _PASSWORD_NAME.search(plain):
        return Suspicion("a password")
    if _SECRET_NAME.search(plain) and is_random(value):
        return Suspicion("a random credential")
    return None


def known_format(text: str) -> Suspicion | None:
    """Judge by the formats that issuers give their credentials, wherever they stand in `text`."""
    if not any(hint in text for hint in _HINTS):
        return None
    match = _ANY_FORMAT.search(text)
    if match is None or match.lastindex is None:
        return None
    return Suspicion(_FORMATS[match.lastindex - 1][0])


def replace_known_formats(text: str, replacement: Callable[[str], str]) -> str:
    """`text` with every credential of a known format put through `replacement`."""
    if not any(hint in text for hint in _HINTS):
        return text
    return _ANY_FORMAT.sub(lambda match: replacement(match[0]), text)


def is_random(value: str) -> bool:
    """Long enough, and as disordered as only generated values are."""
    return len(value) >= ENTROPY_LENGTH and entropy(value) >= ENTROPY_BITS


def entropy(value: str) -> float:
    """Shannon entropy in bits per character."""
    total = len(value)
    counts = Counter(value).values()
    return -sum(count / total * math.log2(count / total) for count in counts)
