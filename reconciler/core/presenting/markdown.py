r"""Markdown that no text can break: documents made of values, written out once.

Separate from what is said, so that escaping is decided in one place. The invariants: whatever a
text holds, it adds no element to the document (no heading, list, link, image, HTML, mention or
reference); no character that hides or reorders others leaves here, and nothing that reads as a
credential.

A backslash stops Markdown, but not what forges look for in the finished text: `@team`, `#1`,
`GH-1`, `:emoji:`, addresses and commits. They leave code alone, so every word of a text that is
not plain is set as code. https://github.github.com/gfm/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from html import escape
from itertools import groupby
from typing import Final, TypeAlias

from reconciler.core.problems import printable
from reconciler.core.redaction import masked

LONGEST_TEXT: Final = 2_000
"""Characters of one text or name."""

LONGEST_LINE: Final = 1_000
"""Characters of a line in a code block."""

_LONGEST_URL: Final = 2_000


class Symbol(StrEnum):
    """Signs that only we draw: a text that holds one shows it inside code."""

    GOOD = "✅"
    BAD = "⛔"
    WARNING = "⚠️"
    RUNNING = "⏳"
    WAITING = "✋"
    BACK = "↩️"


class _Look(StrEnum):
    TEXT = "text"
    CODE = "code"
    SYMBOL = "symbol"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line. Made by the functions below."""

    content: str
    look: _Look = _Look.TEXT
    strong: bool = False
    url: str = ""


Inline: TypeAlias = tuple[Span, ...]
"""What stands in one line, one cell or one item."""

_PLAIN: Final = re.compile(r"""["'(]*[^\W_]+(?:[.,:'’/+-][^\W_]+)*%?[)"'.,;:?]*""")
_AROUND: Final = re.compile(r"""(["'(]*)(.+?)([)"'.,;:?]*)""", re.DOTALL)
_PUNCTUATION: Final = frozenset(":;,.·→–—…%=±×≤≥")
# What forges make links or pictures of: commits, tickets with a prefix, addresses, emoji.
_LINKED: Final = re.compile(
    r"[0-9a-fA-F]{7,}|[gG][hH]-[0-9]|[A-Z]{2,}-[0-9]|[wW]{3}\.|:/|:[\w+-]+:", re.ASCII
)
_MARKS: Final = ("`", "*")
_ORDINAL: Final = re.compile(r"([0-9]{1,9})([.)])")


def text(words: str) -> Inline:
    """Words that anybody may have written, as one line. What is no plain word is set as code."""
    return _words(words) or code(words)


def _words(words: str) -> Inline:
    spans: list[Span] = []
    for word in filter(None, _shown(words).split(" ")):
        space = " " if spans else ""
        for look, content in _pieces(word):
            if spans and spans[-1].look is look:
                spans[-1] = Span(f"{spans[-1].content}{space}{content}", look)
            elif space and look is _Look.TEXT:
                spans.append(Span(f"{space}{content}", look))
            else:
                spans += [Span(space), Span(content, look)] if space else [Span(content, look)]
            space = ""
    return tuple(spans)


def _pieces(word: str) -> Iterator[tuple[_Look, str]]:
    """A plain word; or the quotes and stops around one that is not, as text, and it as code."""
    if _is_plain(word):
        yield _Look.TEXT, word
        return
    found = _AROUND.fullmatch(word)
    assert found is not None, "the expression takes any word"
    looks = (_Look.TEXT, _Look.CODE, _Look.TEXT)
    yield from ((look, part) for look, part in zip(looks, found.groups(), strict=True) if part)


def _shown(words: str) -> str:
    # A little more than is shown is looked at, so that no credential hides by being cut.
    return printable(masked(words[: 2 * LONGEST_TEXT]), limit=LONGEST_TEXT)


def _is_plain(word: str) -> bool:
    return word in _PUNCTUATION or (
        _PLAIN.fullmatch(word) is not None and _LINKED.search(word) is None
    )


def code(name: str) -> Inline:
    """A name or value, shown exactly, with what is invisible in it written out."""
    shown = _shown(name)
    return (Span(shown if shown.strip() else repr(shown), _Look.CODE),)


def strong(words: str) -> Inline:
    return tuple(replace(span, strong=True) for span in text(words))


def symbol(sign: Symbol) -> Inline:
    return (Span(sign.value, _Look.SYMBOL), Span(" "))


def link(label: str, url: str) -> Inline:
    """A link to an https address; the label alone where `url` is none."""
    spans = text(label)
    if not is_linkable(url):
        return spans
    content = "".join(span.content for span in spans)
    look = _Look.TEXT if all(span.look is _Look.TEXT for span in spans) else _Look.CODE
    return (Span(content, look, url=url),)


_URL: Final = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]+)?(?:[/?#][A-Za-z0-9./?#=&%_~:@+,;-]*)?")


def is_linkable(url: str) -> bool:
    """Whether `url` is an https address without credentials, and without what ends a link."""
    return len(url) <= _LONGEST_URL and _URL.fullmatch(url) is not None


def line(*parts: Inline | str) -> Inline:
    """Parts one after the other; a `str` is `text`, with the spaces that it begins or ends with."""
    spans: list[Span] = []
    for part in parts:
        if not isinstance(part, str):
            spans += part
            continue
        if part[:1] == " " and part.strip():
            spans.append(Span(" "))
        spans += _words(part)
        if part[-1:] == " ":
            spans.append(Span(" "))
    return tuple(spans)


def joined(parts: Iterable[Inline], separator: str = ", ") -> Inline:
    """Parts with a separator of ours between them."""
    spans: list[Span] = []
    for part in parts:
        spans += [Span(separator), *part] if spans else part
    return tuple(spans)


def shortened(spans: Inline, *, most: int) -> Inline:
    """The line in at most so many bytes of Markdown, with `…` where something was cut."""
    if _bytes(spans) <= most:
        return spans
    kept: list[Span] = []
    for span in spans:
        if _bytes((*kept, span)) > most - 3 * _ELLIPSIS_SIZE:
            if room := (most - _bytes(tuple(kept))) // _LARGEST_CHARACTER - 2 * _ELLIPSIS_SIZE:
                kept.append(replace(span, content=span.content[: max(0, room)].rstrip()))
            break
        kept.append(span)
    return (*(span for span in kept if span.content), Span("…"))


_ELLIPSIS_SIZE: Final = len("…".encode())
_LARGEST_CHARACTER: Final = 4


def _bytes(spans: Inline) -> int:
    return len(_markdown(spans).encode())


def codes(names: Iterable[str], *, most: int = 12) -> Inline:
    """Names as code, with commas between; those beyond `most` are counted."""
    listed = list(names)
    shown = joined(code(name) for name in listed[:most])
    more = len(listed) - most
    return (*shown, Span(f" and {more:,} more")) if more > 0 else shown


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list, table, code block or fold: whole, as Markdown. Made below."""

    source: str

    @property
    def size(self) -> int:
        """Bytes that it adds to a document."""
        return len(self.source.encode()) + len(_BETWEEN)


_BETWEEN: Final = "\n\n"


def document(blocks: Iterable[Block]) -> str:
    return _BETWEEN.join(block.source for block in blocks) + "\n"


def paragraph(*parts: Inline | str) -> Block:
    return Block(_markdown(line(*parts)))


def heading(level: int, *parts: Inline | str) -> Block:
    return Block(f"{'#' * level} {_markdown(line(*parts))}")


def bullets(items: Iterable[Inline]) -> Block:
    """One item a line."""
    return Block("\n".join(f"- {_markdown(item)}" for item in items))


def table(header: Sequence[str], rows: Iterable[Sequence[Inline]]) -> Block:
    """A table; `header` names the columns."""
    lines = [[_cell(text(name)) for name in header], ["---"] * len(header)]
    lines += [[_cell(cell) for cell in row] for row in rows]
    return Block("\n".join(f"| {' | '.join(cells)} |" for cells in lines))


def fence(content: Sequence[str], *, language: str = "") -> Block:
    """Lines of code. The fence is longer than any run of backticks, wherever it stands."""
    shown = [printable(found, limit=LONGEST_LINE) for found in content]
    marks = "`" * max(3, _longest_run(shown) + 1)
    return Block("\n".join([f"{marks}{language}", *shown, marks]))


def fold(summary: Inline, blocks: Sequence[Block]) -> Block:
    """Blocks that are shown when somebody opens them."""
    opening = f"<details><summary>{_html(summary)}</summary>"
    return Block(_BETWEEN.join([opening, *(block.source for block in blocks), "</details>"]))


def _longest_run(lines: Iterable[str]) -> int:
    return max((len(run) for found in lines for run in re.findall("`+", found)), default=0)


def _markdown(spans: Inline) -> str:
    source = ""
    for is_strong, group in groupby(spans, key=lambda span: span.strong):
        shown = ""
        for span in group:
            shown = _beside(shown, _markdown_span(span))
        source = _beside(source, f"**{shown}**" if is_strong else shown)
    source = source.strip(" ")
    # At the beginning of a block, such a number would begin a list.
    return _ORDINAL.sub(r"\1\\\2", source, count=1) if _ORDINAL.match(source) else source


def _beside(before: str, after: str) -> str:
    """Marks that touch would be read as one, and bold ends only at the end of a word."""
    last, first = before[-1:], after[:1]
    touching = (last in _MARKS and first in _MARKS) or (
        "*" in (last, first) and (last.isalnum() or first.isalnum())
    )
    return f"{before} {after}" if before and after and touching else before + after


def _markdown_span(span: Span) -> str:
    shown = _code_span(span.content) if span.look is _Look.CODE else span.content
    return f"[{shown}]({span.url})" if span.url else shown


def _code_span(content: str) -> str:
    marks = "`" * (_longest_run([content]) + 1)
    # One space at both ends is not part of a code span.
    padded = content.startswith(("`", " ")) or content.endswith(("`", " "))
    return f"{marks} {content} {marks}" if padded else f"{marks}{content}{marks}"


def _cell(spans: Inline) -> str:
    # A bar ends the cell even inside code, unless an odd number of backslashes stands before it.
    return re.sub(r"(\\*)\|", r"\1\1\\|", _markdown(spans))


def _html(spans: Inline) -> str:
    """The line inside an HTML element, where Markdown means nothing."""
    source = ""
    for is_strong, group in groupby(spans, key=lambda span: span.strong):
        shown = "".join(map(_html_span, group))
        source += f"<b>{shown}</b>" if is_strong else shown
    return source.strip(" ")


def _html_span(span: Span) -> str:
    shown = escape(span.content)
    if span.look is _Look.CODE:
        shown = f"<code>{shown}</code>"
    return f'<a href="{escape(span.url)}">{shown}</a>' if span.url else shown
