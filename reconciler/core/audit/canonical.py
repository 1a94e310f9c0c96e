"""RFC 8785 canonical JSON for values that may hold floats and any text.

Separate from manifests.canonical_json, which is only canonical for values without floats: verdict
numbers have them, and other tools must be able to recompute the bytes of a record. The invariant:
equal values give equal bytes, and the result is always valid UTF-8.
"""

from __future__ import annotations

import math
from contextlib import suppress
from decimal import Decimal

import orjson

from reconciler.core.manifests import JsonValue

_EXACT = 2**53 - 1
"""Within ± this, every integer is a double. RFC 8785 appendix D: others are written as text."""


def canonical(value: JsonValue) -> bytes:
    """The canonical form of `value`.

    Raises:
        ValueError: a number is infinite or not a number, which JSON cannot say.
    """
    if _is_plain(value):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return _written(value).encode()


def parsed(content: bytes) -> JsonValue:
    """The value that canonical JSON says, with every number as the double that it stands for.

    Raises:
        ValueError: `content` is not JSON.
    """
    value: JsonValue = orjson.loads(content)
    return _in_doubles(value)


def _in_doubles(value: JsonValue) -> JsonValue:
    """A double beyond 2**53 is written without its last digits, so they mean nothing here."""
    match value:
        case bool():
            return value
        case int():
            return value if -_EXACT <= value <= _EXACT else float(value)
        case list():
            return [_in_doubles(item) for item in value]
        case dict():
            return {key: _in_doubles(item) for key, item in value.items()}
        case _:
            return value


def _is_plain(value: JsonValue) -> bool:
    """Whether orjson's output is canonical: no floats, no odd text, no large numbers."""
    match value:
        case str():
            return value.isascii()
        case bool() | None:
            return True
        case int():
            return -_EXACT <= value <= _EXACT
        case float():
            return False
        case list():
            return all(map(_is_plain, value))
        case dict():
            return all(key.isascii() and _is_plain(item) for key, item in value.items())


def _written(value: JsonValue) -> str:
    match value:
        case str():
            return _quoted(value)
        case bool() | None:
            return orjson.dumps(value).decode()
        case int():
            return _integer(value)
        case float():
            return _number(value)
        case list():
            return f"[{','.join(map(_written, value))}]"
        case dict():
            # Names sort by UTF-16 code units, which is not the order of code points.
            items = sorted(value.items(), key=lambda item: _scrubbed(item[0]).encode("utf-16-be"))
            return f"{{{','.join(f'{_quoted(key)}:{_written(item)}' for key, item in items)}}}"


def _quoted(text: str) -> str:
    return orjson.dumps(_scrubbed(text)).decode()


def _scrubbed(text: str) -> str:
    """`text` with lone surrogates replaced: they have no UTF-8, and hostile input has them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _integer(value: int) -> str:
    """Digits where whoever reads them as a double writes the same digits, else text."""
    digits = str(value)
    if -_EXACT <= value <= _EXACT:
        return digits
    with suppress(OverflowError):
        if _number(float(value)) == digits:
            return digits
    return _quoted(digits)


def _number(value: float) -> str:
    """`value` as ECMAScript writes it: section 6.1.6.1.20 of ECMA-262, which RFC 8785 names."""
    if not math.isfinite(value):
        raise ValueError(f"{value} has no JSON form")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    decimal = Decimal(repr(abs(value))).normalize().as_tuple()
    digits = "".join(map(str, decimal.digits))
    exponent = decimal.exponent
    assert isinstance(exponent, int), "a finite number has an integer exponent"
    point = len(digits) + exponent
    if len(digits) <= point <= 21:
        return f"{sign}{digits}{'0' * exponent}"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"
