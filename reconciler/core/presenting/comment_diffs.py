"""The difference of one object as lines of a code block in the language `diff`.

Separate from the comment around it, because it is made only for the objects that find room. The
invariant: a line that begins with `+` or `-` is a difference, and a value is shown whole or its
length is said.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Final

import orjson
import yaml

from reconciler.core.manifests import JsonValue
from reconciler.core.plans import Action
from reconciler.core.presenting.lines import plural
from reconciler.core.presenting.plan_view import ChangeView, FieldView

_LONGEST_VALUE: Final = 600
_LONGEST_TEXT: Final = 400
"""Lines of a text that is compared line by line: it takes time by their square."""


def diff_lines(change: ChangeView) -> Iterator[str]:
    """What becomes of the object."""
    if change.action is Action.DELETE:
        yield "- deleted, whole"
        return
    if change.action is Action.REPLACE:
        yield "! deleted, then made anew"
    if (whole := change.whole) is not None:
        yield from (f"+ {found}" for found in _yaml(whole))
        return
    for field in change.fields:
        yield from _field(field)
    if change.hidden:
        yield f"  {plural(change.hidden, 'field')} hidden: defaults and fields of others"


def _yaml(value: JsonValue) -> list[str]:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)
    return text.splitlines()


def _field(field: FieldView) -> Iterator[str]:
    texts = [_text(field.before), _text(field.after)]
    if all(text is not None and "\n" in text for text in texts):
        old, new = ((text or "").split("\n") for text in texts)
        if max(len(old), len(new)) <= _LONGEST_TEXT:
            yield f"  {field.path}:"
            compared = difflib.unified_diff(old, new, n=1, lineterm="")
            yield from (f"{found[:1]}   {found[1:]}" for found in list(compared)[2:])
            return
    if field.before is not None:
        yield f"- {field.path}: {_value(field.before)}"
    if field.after is not None:
        yield f"+ {field.path}: {_value(field.after)}"


def _text(value: str | None) -> str | None:
    """The text that a JSON value is, if it is one."""
    if value is None or not value.startswith('"'):
        return None
    found = orjson.loads(value)
    return found if isinstance(found, str) else None


def _value(value: str) -> str:
    if len(value) <= _LONGEST_VALUE:
        return value
    return f"{value[:_LONGEST_VALUE]}… ({len(value):,} characters)"
