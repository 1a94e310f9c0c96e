"""A document as GitHub's own parser reads it: the tree of elements, and the texts in it."""

from __future__ import annotations

from html.parser import HTMLParser

import cmarkgfm
from cmarkgfm.cmark import Options

VOID = frozenset({"br", "hr", "img", "input"})
QUOTED = frozenset({"code", "pre"})


class Tree(HTMLParser):
    """`shape` has each element, opened and closed; words that are set as code count as text.

    `loose` is the text that forges search for mentions, references and addresses.
    """

    def __init__(self, markdown: str) -> None:
        super().__init__(convert_charrefs=True)
        self.shape: list[str] = []
        self.balanced = True
        self.loose = ""
        self.text = ""
        self.links: list[str] = []
        self._open: list[str] = []
        html = cmarkgfm.github_flavored_markdown_to_html(markdown, Options.CMARK_OPT_UNSAFE)
        self.feed(html)
        self.close()
        self.balanced = self.balanced and not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "code" and "pre" not in self._open:
            self._open.append(tag)
            return
        self.shape.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.balanced = self.balanced and bool(self._open) and self._open.pop() == tag
        if tag != "code":
            self.shape.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.text += data
        if not QUOTED & set(self._open):
            self.loose += data

    def handle_comment(self, data: str) -> None:
        self.shape.append("comment")
