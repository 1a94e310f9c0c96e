"""Drawing: templates and facts to HTML.

Separate from the pages, which only name a template. The invariants: every value is escaped, and
shown with its control and bidirectional characters written out; a name that a template misspells is
an error and never an empty place; a link that a person wrote leads to https or nowhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from reconciler.core.audit.records import AuditRecord
from reconciler.core.presenting.lines import all_of, plural
from reconciler.core.presenting.markdown import Inline, Span
from reconciler.core.presenting.page_marks import ACTIONS, move_mark
from reconciler.core.presenting.page_plan import MOST_FIELDS
from reconciler.core.presenting.page_rollout import exposure_words
from reconciler.core.problems import printable
from reconciler.ports import Clock
from reconciler.surfaces.page.static_files import StaticFiles

TEMPLATES: Final = Path(__file__).parent / "templates"
SHORT_NAME = 17
"""Letters that fit into the column of names in the narrowest window."""
LONGEST_TEXT = 4000
LIVE = "live_"
"""Blocks whose names begin so are sent anew when they change."""

_PERCENT = re.compile(r"(\d) %")
_UNSAFE_IN_URL = re.compile(r"[\s\"'<>\\^`{|}]")


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a page that may change while somebody looks. `digest` is of its HTML."""

    digest: str
    html: str


class Drawing:
    """Draws templates. `now` is the time that ages are counted to."""

    def __init__(self, clock: Clock, static: StaticFiles) -> None:
        self._clock = clock
        self._now = clock.now()
        self._environment = self._made(static)

    def _made(self, static: StaticFiles) -> Environment:
        made = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            finalize=shown,
        )
        made.filters.update(
            ago=self.ago,
            time=exact,
            iso=iso,
            text=text_block,
            https=https,
            count=plural,
            all_of=all_of,
            thousands=lambda value: f"{value:,}",
            slug=slug,
            span=span,
            inline=inline,
            said=said,
            foldable=foldable,
        )
        made.globals.update(
            asset=static.url,
            region=region,
            move_mark=move_mark,
            subject_of=subject_of,
            exposure_words=exposure_words,
            action_marks=ACTIONS,
            most_fields=MOST_FIELDS,
        )
        made.globals["ui"] = made.get_template("parts.html").module
        return made

    def page(self, template: str, facts: Mapping[str, object]) -> str:
        self._now = self._clock.now()
        return self._environment.get_template(template).render(self._with_regions(template, facts))

    def regions(self, template: str, facts: Mapping[str, object]) -> dict[str, Region]:
        """The parts that may change, by name."""
        self._now = self._clock.now()
        return self._regions(self._environment.get_template(template), facts)

    def _with_regions(self, template: str, facts: Mapping[str, object]) -> dict[str, object]:
        """Drawn before the page, which has them and their digests in it."""
        drawn = self._regions(self._environment.get_template(template), facts)
        return {**facts, "regions": drawn}

    def _regions(self, template: Template, facts: Mapping[str, object]) -> dict[str, Region]:
        found = {}
        for name, block in template.blocks.items():
            if name.startswith(LIVE):
                context = template.new_context(dict(facts))
                html = "".join(block(context)).strip()
                digest = hashlib.sha256(html.encode()).hexdigest()[:12]
                found[name.removeprefix(LIVE)] = Region(digest, html)
        return found

    def ago(self, moment: datetime | str) -> str:
        """How long ago something was, in words that stay true for a while."""
        seconds = (self._now - instant(moment)).total_seconds()
        if seconds < 60:
            return "a moment ago"
        for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
            if seconds >= length:
                return f"{seconds // length:.0f} {unit} ago"
        raise AssertionError("the last unit divides every minute")


@pass_context
def region(context: Context, name: str) -> Markup:
    """The part of the page that a block draws, so marked that the script can put in another."""
    drawn = context["regions"][name]
    start = Markup('<div data-region="{}" data-digest="{}">').format(name, drawn.digest)
    # Made by a template of ours, which has escaped what it was given.
    return start + Markup(drawn.html) + Markup("</div>")  # noqa: S704


def inline(line: Inline) -> Markup:
    """A line of the comment, as the page has it: the same words, and links to https or to us."""
    return Markup("").join(_span(found) for found in line)


def _span(found: Span) -> Markup:
    text = escape(printable(found.content, limit=LONGEST_TEXT))
    if found.look == "code":
        text = Markup("<code>{}</code>").format(text)
    if found.strong:
        text = Markup("<b>{}</b>").format(text)
    target = https(found.url)
    return Markup('<a href="{}">{}</a>').format(target, text) if target else text


def said(text: str) -> Markup:
    """A sentence of ours: what stands between two backticks is to be typed as it is."""
    pieces = _PERCENT.sub("\\1\N{NO-BREAK SPACE}%", printable(text, limit=LONGEST_TEXT)).split("`")
    if len(pieces) % 2 == 0:
        return escape("`".join(pieces))
    typed = Markup("<code>{}</code>")
    drawn = (typed.format(piece) if at % 2 else escape(piece) for at, piece in enumerate(pieces))
    return Markup("").join(drawn)


def foldable(name: object) -> Markup:
    """The name of a unit or an object. A long one may go on in the next line after a slash."""
    text = printable(str(name), limit=LONGEST_TEXT)
    return Markup("/<wbr>").join(text.split("/")) if len(text) > SHORT_NAME else escape(text)


def subject_of(record: AuditRecord) -> str:
    """What a record is about, in few words."""
    return str(record.object or record.unit or record.detail.get("rollout") or "")


def instant(moment: datetime | str) -> datetime:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def exact(moment: datetime | str) -> str:
    return f"{instant(moment).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(length: timedelta) -> str:
    """A length of time as documents write it."""
    seconds = int(length.total_seconds())
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def iso(moment: datetime | str) -> str:
    return instant(moment).astimezone(UTC).isoformat(timespec="seconds")


def shown(value: object) -> object:
    """What stands in a page for a value: markup of ours, or text that cannot hide anything."""
    if isinstance(value, Markup | StrictUndefined):
        return value
    if isinstance(value, str):
        return printable(value, limit=LONGEST_TEXT)
    return "" if value is None else value


def text_block(value: str) -> Markup:
    """Text of several lines, as it is: lines stay lines."""
    lines = value.expandtabs(4).splitlines()
    return Markup("\n").join(escape(printable(line, limit=LONGEST_TEXT)) for line in lines)


def https(url: str) -> str:
    """The URL if it surely leads to an https host and nowhere else; else nothing."""
    if not url.startswith("https://") or _UNSAFE_IN_URL.search(url) or printable(url) != url:
        return ""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return ""
    return url if usable else ""


def slug(text: str) -> str:
    """An id for an element: letters, digits and dashes, and different for different texts."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
