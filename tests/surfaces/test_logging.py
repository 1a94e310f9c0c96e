"""What leaves the process in log lines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from reconciler.settings import LogSettings
from reconciler.telemetry import set_up_logging

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root, level = logging.getLogger(), logging.getLogger().level
    handlers = list(root.handlers)
    set_up_logging(LogSettings(format="json", level="info"), stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def only_line(stream: io.StringIO) -> dict[str, object]:
    [line] = stream.getvalue().splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def test_a_line_is_json_with_time_and_level(written: io.StringIO) -> None:
    structlog.get_logger().info("commit.seen", commit="c" * 40)
    line = only_line(written)
    assert (line["event"], line["level"], line["commit"]) == ("commit.seen", "info", "c" * 40)
    assert "timestamp" in line


@pytest.mark.parametrize(
    "event",
    [
        {"reason": f"cannot fetch with {TOKEN}"},
        {"reason": f"https://user:{TOKEN}@git.example.com"},
        {"password": "correct horse"},
        {"nested": {"items": [f"Bearer {TOKEN}"]}},
        {"reason": ValueError(TOKEN)},
    ],
    ids=["in a text", "in a URL", "by its name", "deep inside", "in an object"],
)
def test_what_looks_like_a_credential_is_replaced(
    written: io.StringIO, event: dict[str, object]
) -> None:
    structlog.get_logger().warning("trouble", **event)
    assert "trouble" in written.getvalue()
    assert TOKEN not in written.getvalue()
    assert "correct horse" not in written.getvalue()


def test_an_exception_does_not_carry_a_credential_out(written: io.StringIO) -> None:
    error = ValueError(f"refused {TOKEN}")
    structlog.get_logger().error("bug", exc_info=error)
    assert "ValueError" in written.getvalue()
    assert TOKEN not in written.getvalue()


def test_libraries_are_scrubbed_as_well(written: io.StringIO) -> None:
    logging.getLogger("some.library").warning("token %s refused", TOKEN)
    event = str(only_line(written)["event"])
    assert event.startswith("token sha256:")
    assert event.endswith("… refused")


def test_attack_24_foreign_text_adds_no_line_and_moves_no_cursor(written: io.StringIO) -> None:
    structlog.get_logger().info("fetch.failed", reason="no\x1b[2J\r\n{}")
    assert "\x1b" not in written.getvalue()
    assert len(written.getvalue().splitlines()) == 1


def test_lines_below_the_level_are_left_out(written: io.StringIO) -> None:
    structlog.get_logger().debug("detail")
    assert written.getvalue() == ""
