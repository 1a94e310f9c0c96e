"""What is wrong with the HTML of a page, by the rules that a browser and a screen reader need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import html5lib

_CONTROLS = ("input", "select", "textarea")
_REFERENCES = ("aria-labelledby", "aria-describedby", "for")


def faults(html: str) -> list[str]:
    """Empty when nothing is wrong."""
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    tree = parser.parse(html)
    elements = list(tree.iter())
    return [
        *(f"{place}: {code} {said}" for place, code, said in parser.errors),
        *_ids(elements),
        *_headings(elements),
        *_controls(tree, elements),
        *_foreign(elements),
        *_names(elements),
    ]


def _ids(elements: list[Any]) -> Iterator[str]:
    ids = Counter(e.get("id") for e in elements if e.get("id"))
    yield from (f"id {name} is there {count} times" for name, count in ids.items() if count > 1)
    for element in elements:
        for name in _REFERENCES:
            for target in (element.get(name) or "").split():
                if target not in ids:
                    yield f"{name} leads to {target}, which is not there"
        href = element.get("href") or ""
        if element.tag == "{http://www.w3.org/2000/svg}use" and href[1:] not in ids:
            yield f"the icon {href} is not there"


def _headings(elements: list[Any]) -> Iterator[str]:
    levels = [int(e.tag[1]) for e in elements if e.tag in ("h1", "h2", "h3", "h4", "h5", "h6")]
    if levels.count(1) != 1 or levels[0] != 1:
        yield f"not one h1 before all other headings: {levels}"
    for before, after in pairwise(levels):
        if after > before + 1:
            yield f"h{after} follows h{before}"


def _controls(tree: Any, elements: list[Any]) -> Iterator[str]:
    labelled = {e.get("for") for e in elements if e.tag == "label"}
    for element in elements:
        if element.tag in _CONTROLS and element.get("id") not in labelled:
            yield f"{element.tag} {element.get('name')} has no label"
    for tag in ("main", "title"):
        if len(list(tree.iter(tag))) != 1:
            yield f"not one {tag}"
    if tree.get("lang") is None:
        yield "no language is named"


def _foreign(elements: list[Any]) -> Iterator[str]:
    """Anything that the policy of the page would stop, or that leads to a strange place."""
    for element in elements:
        if not isinstance(element.tag, str):
            continue
        if element.tag == "style" or element.get("style") is not None:
            yield f"{element.tag} has a style of its own"
        if element.tag == "script" and (element.text or not element.get("src")):
            yield "a script stands in the page"
        yield from (f"{element.tag} has {n}" for n in element.attrib if str(n).startswith("on"))
        for name in ("src", "action"):
            if (place := element.get(name)) and not place.startswith("/"):
                yield f"{element.tag} {name} leads to {place}"
        href = element.get("href") or "/"
        if not href.startswith(("/", "#")) and urlsplit(href).scheme != "https":
            yield f"{element.tag} leads to {href}"


def _names(elements: list[Any]) -> Iterator[str]:
    """What can be used must say what it is."""
    for element in elements:
        if element.tag in ("a", "button", "summary"):
            said = "".join(element.itertext()).strip() or element.get("aria-label")
            if not said:
                yield f"{element.tag} {element.get('href')} says nothing"
        if element.tag == "table" and not list(element.iter("th")):
            yield "a table has no headings"
