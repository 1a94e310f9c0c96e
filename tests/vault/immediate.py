"""A connection for tests in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reconciler.adapters.vault_connection import VaultConnection

T = TypeVar("T")


class Immediate(VaultConnection):
    """Asks without a thread: virtual time would run ahead of one."""

    async def _ask(self, doing: str, call: Callable[[], T]) -> T:
        return self._answered(doing, call)
