"""What is signed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.approvals.statements import Statement, read_statement
from reconciler.core.identifiers import CommitSha, TreeId

END = datetime(2026, 11, 25, 12, tzinfo=UTC)
STATEMENT = Statement("acme", TreeId("7" * 40), CommitSha("b" * 40), END)
_hex = st.text("0123456789abcdef", min_size=40, max_size=40)


@given(
    st.builds(
        Statement,
        st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True),
        _hex.map(TreeId),
        _hex.map(CommitSha),
        st.datetimes(datetime(2026, 1, 1), datetime(2099, 1, 1)).map(
            lambda time: time.replace(microsecond=0, tzinfo=UTC)
        ),
    )
)
def test_a_statement_is_read_as_it_was_written(statement: Statement) -> None:
    assert read_statement(statement.text) == statement


@pytest.mark.parametrize(
    "text",
    [
        "",
        STATEMENT.text + "\n",
        STATEMENT.text.replace("approval 1", "approval 2"),
        STATEMENT.text.replace("7" * 40, "7" * 39),
        STATEMENT.text.replace("Z", "+02:00"),
        STATEMENT.text.replace("2026-11-25", "2026-11-31"),
        STATEMENT.text.replace("2026-11-25", "2026-11-5"),
        STATEMENT.text.replace("\n", "\r\n"),
        STATEMENT.text.replace("until", "tree " + "8" * 40 + "\nuntil"),
    ],
)
def test_no_other_text_is_a_statement(text: str) -> None:
    assert read_statement(text) is None
