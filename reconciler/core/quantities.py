"""Amounts as people write them: Kubernetes quantities, Go durations, percentages.

Separate because validation, rendering, budgets and gates must read the same text as the same
amount. The invariant: an amount is exact (integers and decimals, never binary floats), and
`str` of what was parsed parses to the same amount again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
"""The part of the Kubernetes grammar that has one reading: no sign, no exponent.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

DURATION_PATTERN = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
"""Go's form in falling units, each once and whole: `1h30m`, `45s`, `250ms`."""

PERCENT_PATTERN = r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)%$"

_FACTORS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}
_QUANTITY = re.compile(QUANTITY_PATTERN.replace("$", r"\Z"), re.ASCII)
_DURATION = re.compile(DURATION_PATTERN.replace("$", r"\Z"), re.ASCII)
_PERCENT = re.compile(PERCENT_PATTERN.replace("$", r"\Z"), re.ASCII)
_LONGEST = 32


@dataclass(frozen=True, slots=True)
class Quantity:
    """A Kubernetes quantity. Equal amounts compare equal however they are written."""

    text: str
    amount: Decimal

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.amount == other.amount

    def __hash__(self) -> int:
        return hash(self.amount)

    def __lt__(self, other: Quantity) -> bool:
        return self.amount < other.amount

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Raises ValueError on anything that QUANTITY_PATTERN does not match."""
        match = _QUANTITY.match(text)
        if match is None or len(text) > _LONGEST:
            raise ValueError(f"not a quantity: {text!r}")
        unit = match[2] or ""
        return cls(text, Decimal(text.removesuffix(unit)) * _FACTORS[unit])


@dataclass(frozen=True, slots=True, order=True)
class Percent:
    """A share between 0 % and 100 %, in at most four decimals."""

    percent: Decimal

    def __str__(self) -> str:
        return f"{self.percent.normalize():f}%"

    @property
    def share(self) -> Decimal:
        """The same as a fraction of one."""
        return self.percent / 100

    @classmethod
    def parse(cls, text: str) -> Percent:
        """Raises ValueError on anything that PERCENT_PATTERN does not match."""
        if not _PERCENT.match(text):
            raise ValueError(f"not a percentage: {text!r}")
        return cls(Decimal(text[:-1]))


def parse_duration(text: str) -> timedelta:
    """Raises ValueError on anything that DURATION_PATTERN does not match, and on nothing."""
    match = _DURATION.match(text)
    if not text or match is None or len(text) > _LONGEST:
        raise ValueError(f"not a duration: {text!r}")
    hours, minutes, seconds, milliseconds = (
        int(group.rstrip("hms")) if group else 0 for group in match.groups()
    )
    try:
        return timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
    except OverflowError as error:
        raise ValueError(f"longer than can be counted: {text!r}") from error


def duration_text(duration: timedelta) -> str:
    """Inverse of `parse_duration`, for whole milliseconds."""
    rest = duration // timedelta(milliseconds=1)
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
