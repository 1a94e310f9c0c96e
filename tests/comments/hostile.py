"""Texts that people have broken other tools with, put together at random but repeatably."""

from __future__ import annotations

import random

PIECES = (
    "```", "~~~", "   ```", "````diff", "`", "``", "\\", "\\`", "|", "||", "\n", "\n\n", "\r\n",
    "\t",
    "# h", "## ", "- ", "* ", "+ ", "1. ", "1) ", "> ", "---", "===", "***", "___", "[x]", "[x](y)",
    "![x](https://e.example/t.png)", "<img src=x>", "<details>", "</details>", "</summary>",
    "<!-- ", " -->", "<script>", "</code>", "<b>", "&lt;", "&#64;", "&", "@org/team", "@admin",
    "#1", "GH-1", "gh-2", "fixes #3", "closes https://e.example/1", "org/repo#4", "ABC-12", "!5",
    "~label", "%7", "$8", ":tada:", ":white_check_mark:", "✅ approved", "\u202e", "\u200b",
    "\u2028", "\x00", "\x1b[2J", "\ud800", "https://e.example", "http://e.example", "www.e.example",
    "a@b.example", "mailto:a@b.example", "xmpp:a@b.example", "deadbeef", "0123456789abcdef0123",
    "**", "*x*", "_x_", "__x__", "~~x~~", "^", "{", "}", "[^1]", "[^1]: x", "$$", "  ", "x", "v2",
    "</details>\n\n# Merged\n", "| a | b |\n| --- | --- |\n", "- [x] done", "\u2800", "ﬁ",
    "e\u0301",
)  # fmt: skip


def hostile_texts(count: int, *, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choice(PIECES) for _ in range(draw.randint(1, 8))) for _ in range(count)]
