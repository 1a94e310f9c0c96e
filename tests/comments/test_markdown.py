"""S10: nothing that anybody wrote changes what the document is made of."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest

from reconciler.core.presenting.markdown import (
    Symbol,
    bullets,
    code,
    codes,
    document,
    fence,
    fold,
    heading,
    is_linkable,
    joined,
    line,
    link,
    paragraph,
    shortened,
    strong,
    symbol,
    table,
    text,
)
from reconciler.core.problems import printable

from .hostile import hostile_texts
from .trees import Tree

CASES = 20_000
PER_PAGE = 8
LINKED = re.compile(
    r"@\w|#\d|\bGH-\d|\b[A-Z]{2,}-\d|https?:|www\.|:\w+:|\b[0-9a-f]{7,}\b|[!~%$]\w", re.IGNORECASE
)


def page(*texts: str, url: str = "https://fairlead.example.com/pr/7") -> str:
    """A document with a text in every place that takes one."""
    draw = itertools.cycle(texts)

    def told() -> str:
        return next(draw)

    return document(
        [
            heading(3, symbol(Symbol.BAD), text(told())),
            paragraph(strong("Of "), strong(told()), " ", code(told()), ": ", told()),
            bullets([text(told()), line(code(told()), code(told())), link(told(), url)]),
            bullets([codes([told()] * 3), strong(told())]),
            table(
                ["Name", told()],
                [[code(told()), text(told())], [strong(told()), link(told(), url)]],
            ),
            fold(
                line(strong(told()), " ", code(told()), " ", text(told())),
                [fence([told(), f"+ {told()}", *told().split("\n")], language="diff")],
            ),
            paragraph("end"),
        ]
    )


PLAIN = Tree(page("x")).shape


def pages(count: int, *, seed: int) -> Iterator[tuple[str, list[str]]]:
    texts = hostile_texts(count, seed=seed)
    for start in range(0, count, PER_PAGE):
        yield page(*texts[start : start + PER_PAGE]), texts[start : start + PER_PAGE]


def test_s10_no_text_changes_the_tree() -> None:
    for source, texts in pages(CASES, seed=10):
        tree = Tree(source)
        assert tree.shape == PLAIN, ascii(texts)
        assert tree.balanced, ascii(texts)


def test_s10_no_text_is_read_as_a_mention_a_reference_or_an_address() -> None:
    for source, texts in pages(CASES, seed=11):
        tree = Tree(source)
        assert not LINKED.search(tree.loose), ascii(texts)
        assert set(tree.links) <= {"https://fairlead.example.com/pr/7"}


def test_s10_what_hides_or_reorders_characters_is_written_out() -> None:
    for source, texts in pages(CASES, seed=12):
        hidden = re.search("[\x00-\x09\x0b-\x1f\x7f\u200b\u202e\u2028\ud800]", source)
        assert not hidden, ascii(texts)


def test_s10_only_we_draw_signs() -> None:
    tree = Tree(page("✅ approved"))
    assert "✅" not in tree.loose


@pytest.mark.parametrize("told", ["a|b", "`a`", "``", "a\\", "<b>", " a", "a ", "| --- |", "**a**"])
def test_code_shows_exactly_what_it_is_given(told: str) -> None:
    assert Tree(document([paragraph(code(told))])).text.strip("\n") == printable(told)


def test_prose_reads_as_it_was_written() -> None:
    told = 'production-1 goes from v2 to v3 (5% of the requests), it\'s fine: "ok"; 1,200 items.'
    assert document([paragraph(told)]) == f"{told}\n"


def test_words_that_forges_would_link_are_code() -> None:
    source = document([paragraph("see @org/team, and (#1) now.")])
    assert source == "see `@org/team`, and (`#1`) now.\n"


@pytest.mark.parametrize(
    "url",
    [
        "http://fairlead.example.com",
        "javascript:alert(1)",
        "https://user:password@e.example/",
        "https://e.example/)[x](https://evil.example",
        "https://e.example/ x",
        "https://e.example/<b>",
        "https://e.example/\n",
        "//e.example",
        "",
    ],
)
def test_s14_only_plain_https_addresses_become_links(url: str) -> None:
    assert not is_linkable(url)
    assert Tree(document([paragraph(link("page", url))])).links == []


def test_marks_that_touch_are_kept_apart() -> None:
    assert Tree(document([paragraph(code("a"), code("b"))])).text == "a b\n"


@pytest.mark.parametrize("most", range(60, 400, 9))
def test_a_shortened_line_has_the_size_and_one_paragraph(most: int) -> None:
    for told in ("word " * 200, "`" * 300, "\U0001f600" * 300, *hostile_texts(20, seed=most)):
        for made in (text, code, strong):
            spans = shortened(line(made(told), " ", made(told)), most=most)
            source = document([paragraph(spans)])
            assert len(source.encode()) <= most + 1
            assert Tree(source).balanced


def test_names_beyond_the_most_are_counted() -> None:
    assert document([paragraph(codes("abcde", most=2))]) == "`a`, `b` and 3 more\n"


def test_nothing_joined_is_nothing() -> None:
    assert joined([]) == ()


def test_a_sentence_with_a_credential_shows_its_digest() -> None:
    shown = document([paragraph('refused: Invalid value: "ghp_' + "aB3" * 12 + '"')])
    assert "ghp_" not in shown
    assert "sha256:" in shown
