"""Amounts are read exactly, and written as they were read."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.quantities import Percent, Quantity, duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", "1"),
        ("0.5", "0.5"),
        ("500m", "0.5"),
        ("200k", "200000"),
        ("1.5Gi", "1610612736"),
        ("2M", "2000000"),
        ("1Ki", "1024"),
        ("3E", "3e18"),
    ],
)
def test_a_quantity_is_its_amount(text: str, amount: str) -> None:
    assert Quantity.parse(text).amount == Decimal(amount)


def test_quantities_are_compared_by_amount_and_written_as_given() -> None:
    assert Quantity.parse("1000m") == Quantity.parse("1")
    assert Quantity.parse("1Gi") < Quantity.parse("1.1Gi")
    assert str(Quantity.parse("1000m")) == "1000m"


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1 Gi", "Gi", ".5", "1K", "1GiB", "1\n", "٣"])
def test_other_text_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        Quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("250ms", timedelta(milliseconds=250)),
        ("1h1ms", timedelta(hours=1, milliseconds=1)),
        ("90m", timedelta(minutes=90)),
        ("0s", timedelta(0)),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "5", "1d", "1m1h", "-1h", "1.5h", "1h ", "1h1h", "9" * 20 + "h"]
)
def test_other_text_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration|longer than"):
        parse_duration(text)


@given(st.integers(0, 10**10).map(lambda count: timedelta(milliseconds=count)))
def test_a_duration_written_and_read_is_the_same(duration: timedelta) -> None:
    assert parse_duration(duration_text(duration)) == duration


@pytest.mark.parametrize(("text", "share"), [("0%", "0"), ("5%", "0.05"), ("99.9%", "0.999")])
def test_a_percentage_is_a_share(text: str, share: str) -> None:
    assert Percent.parse(text).share == Decimal(share)
    assert str(Percent.parse(text)) == text


@pytest.mark.parametrize("text", ["", "5", "101%", "-1%", "100.1%", "5 %", "5%%", "1e1%", "5%\n"])
def test_other_text_is_no_percentage(text: str) -> None:
    with pytest.raises(ValueError, match="not a percentage"):
        Percent.parse(text)


def test_a_hundred_percent_is_written_without_exponent() -> None:
    assert str(Percent.parse("100.0%")) == "100%"
