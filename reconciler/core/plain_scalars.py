"""What a plain YAML scalar means, and which ones nobody should have to know.

Separate because it is a table: YAML 1.1, YAML 1.2 and the parsers of Kubernetes and Python read
`no`, `0777` or `1:30` differently. The invariant: a scalar gets a type only where they all agree;
everything else is refused or is text.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

import orjson

PlainValue: TypeAlias = "str | int | float | bool | None"


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A plain scalar that parsers disagree about."""

    reason: str
    hint: str


_CONSTANTS: dict[str, bool | None] = {
    "": None,
    **dict.fromkeys(("~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WORDS = {
    spelling: value
    for value, words in (("true", ("yes", "on", "y")), ("false", ("no", "off", "n")))
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
}
_SUSPECT_STARTS = frozenset("0123456789+-.~nNtTfFyYoO=")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)?\.[0-9]+|[-+]?(?:0|[1-9][0-9]*)\.", re.ASCII)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+(?:\.[0-9_]*)?", re.ASCII)
_OTHER_BASE = re.compile(r"[-+]?0(?:o[0-7_]+|x[0-9a-fA-F_]+|b[01_]+)", re.ASCII)
_UNDERSCORED = re.compile(r"[-+]?[0-9]+_[0-9_]*(?:\.[0-9_]*)?", re.ASCII)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", re.ASCII)
_EXPONENT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)
# A date without a time stays text with every parser that Kubernetes uses, so it is text here.
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}.*", re.ASCII
)
_LARGEST = 2**63


def read_plain(text: str) -> PlainValue | Ambiguous:
    """The value of a scalar written without quotes."""
    if text and text[0] not in _SUSPECT_STARTS:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text in _WORDS:
        return Ambiguous(
            f"is {_WORDS[text]} to some parsers and text to others",
            f'write {_WORDS[text]}, or quote it: "{text}"',
        )
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return _ambiguity(text) or text


def read_json(text: str) -> PlainValue | Ambiguous:
    """The value of a scalar of a JSON file that is not a string."""
    value: int | float | bool | None = orjson.loads(text)
    beyond = isinstance(value, int) and not -_LARGEST <= value < _LARGEST
    rounded = isinstance(value, float) and text.lstrip("-").isdigit()
    if beyond or rounded or (isinstance(value, float) and not math.isfinite(value)):
        return Ambiguous("is a number beyond 64 bits", "quote it if it is a name")
    return value


def _integer(text: str) -> int | Ambiguous:
    # The length is checked first: int() of a long text costs the square of its length.
    if len(text) > 20 or not -_LARGEST <= int(text) < _LARGEST:
        return Ambiguous("is a number beyond 64 bits", "quote it if it is a name")
    return int(text)


def _ambiguity(text: str) -> Ambiguous | None:
    quoted = f'quote it if it is text: "{text}"'
    if _LEADING_ZERO.fullmatch(text) or _OTHER_BASE.fullmatch(text):
        return Ambiguous(
            "is an octal, a decimal or text, depending on the parser",
            f"write the decimal number without zeros in front, or {quoted}",
        )
    if _UNDERSCORED.fullmatch(text):
        return Ambiguous(
            "is a number or text, depending on the parser", f"leave out '_', or {quoted}"
        )
    if _SEXAGESIMAL.fullmatch(text):
        return Ambiguous("is a number in base 60 to some parsers", quoted)
    if _EXPONENT.fullmatch(text):
        return Ambiguous(
            "is a number to some parsers and text to others", f"write it out, or {quoted}"
        )
    if _NOT_FINITE.fullmatch(text):
        return Ambiguous("is not a finite number", quoted)
    if _TIMESTAMP.fullmatch(text):
        return Ambiguous("is a time to some parsers and text to others", quoted)
    return Ambiguous("is a value of its own to some parsers", quoted) if text == "=" else None
