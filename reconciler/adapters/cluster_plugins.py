"""Programs that print credentials, which a kubeconfig may name as `exec`.

Separate because the kubernetes package, which runs them, costs a process 10 MiB and is loaded by
nothing else. The invariant: a program runs only when what it printed last is about to end.
"""

# The kubernetes package says that it is typed, but these parts have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import ssl
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.exec_provider import ExecProvider
from kubernetes.aio.config.kube_config import ConfigNode

from reconciler.adapters.cluster_credentials import TOKEN_LIFETIME, Unusable
from reconciler.core.errors import Unavailable
from reconciler.core.problems import printable
from reconciler.ports import Clock

RENEWED_BEFORE = timedelta(minutes=5)
"""How long before its end a token is asked for anew."""


class PluginToken:
    """What a program printed: a token, or a certificate that `trust` shows from then on."""

    def __init__(self, program: dict[str, Any], trust: ssl.SSLContext, clock: Clock) -> None:
        self._program = program
        self._trust = trust
        self._clock = clock
        self._token: str | None = None
        self._end: datetime | None = None
        self._asked_at = clock.monotonic()

    @classmethod
    async def first(
        cls, program: dict[str, Any], trust: ssl.SSLContext, clock: Clock
    ) -> PluginToken:
        """Run the program for the first time. Raises Unusable."""
        token = cls(program, trust, clock)
        await token._ask()
        return token

    async def __call__(self) -> str | None:
        if self._ends():
            try:
                await self._ask()
            except (Unusable, OSError) as error:
                raise Unavailable(
                    f"no new credentials: {printable(str(error))}",
                    hint="run the program that the kubeconfig names by hand",
                ) from error
        return f"Bearer {self._token}".strip() if self._token else None

    def _ends(self) -> bool:
        if self._clock.monotonic() - self._asked_at < TOKEN_LIFETIME:
            return False
        return self._end is None or self._end - RENEWED_BEFORE <= self._clock.now()

    async def _ask(self) -> None:
        try:
            status = await ExecProvider(ConfigNode("exec", self._program)).run()
        except ConfigException as error:
            raise Unusable(str(error)) from error
        if certificate := status.get("clientCertificateData"):
            self._show(certificate, status.get("clientKeyData"))
        elif not status.get("token"):
            raise Unusable("exec: the program printed neither a token nor a certificate")
        end = status.get("expirationTimestamp")
        self._end = _moment(end) if end else None
        self._token, self._asked_at = status.get("token"), self._clock.monotonic()

    def _show(self, certificate: str, key: str | None) -> None:
        if not key:
            raise Unusable("exec: the program printed a certificate without its key")
        with tempfile.TemporaryDirectory(prefix="fairlead-") as temporary:
            files = Path(temporary) / "certificate", Path(temporary) / "key"
            for file, content in zip(files, (certificate, key), strict=True):
                file.write_text(content)
            self._trust.load_cert_chain(*files)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Unusable("exec: expirationTimestamp is not a moment") from error
    if moment.tzinfo is None:
        raise Unusable("exec: expirationTimestamp has no time zone")
    return moment
