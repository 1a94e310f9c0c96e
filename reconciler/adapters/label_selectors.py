"""Label selectors, as an API server reads them.

Separate because clusters that no API server stands behind evaluate them here: the one in memory,
and a secret store. It knows the whole grammar: `a=b`, `a==b`, `a!=b`, `a`, `!a`,
`a in (b,c)`, `a notin (b,c)`, joined by commas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TERM = re.compile(
    r"""\s*(?:
        (?P<set>[\w./-]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^)]*)\)
      | (?P<absent>!)?\s*(?P<key>[\w./-]+)\s*(?:(?P<equality>==|=|!=)\s*(?P<value>[\w.-]*))?
    )\s*(?:,|$)""",
    re.VERBOSE,
)


def selects(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether an object with these labels is selected; an empty selector selects everything.

    Raises:
        ValueError: `selector` is not one.
    """
    position = 0
    while position < len(selector):
        term = _TERM.match(selector, position)
        if term is None:
            raise ValueError(f"not a label selector: {selector!r}")
        if not _holds(term, labels):
            return False
        position = term.end()
    return True


def _holds(term: re.Match[str], labels: Mapping[str, str]) -> bool:
    if term["set"]:
        values = {value.strip() for value in term["values"].split(",")}
        return (labels.get(term["set"]) in values) == (term["operator"] == "in")
    value = labels.get(term["key"])
    if term["equality"] is None:
        return (value is None) == bool(term["absent"])
    return (value == term["value"]) == (term["equality"] != "!=")
