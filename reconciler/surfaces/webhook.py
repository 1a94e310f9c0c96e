"""POST /hooks/git: a Git server says that a branch moved.

Separate from the other endpoints because it is the one that strangers may reach. The invariant:
nothing in the notification is believed. A genuine one makes the daemon look at the remote that
its settings name, once, and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from reconciler.surfaces.forge_hints import Hint, hint_of

LARGEST_BODY = 1024 * 1024
REMEMBERED_MARKS = 2000

_SIGNATURES = ("x-hub-signature-256", "x-gitea-signature", "x-forgejo-signature")
_DELIVERIES = ("x-github-delivery", "x-gitea-delivery", "x-gitlab-event-uuid", "webhook-id")
_EVENTS = ("x-github-event", "x-gitea-event", "x-forgejo-event")
_GITLAB_TOKEN = "x-gitlab-token"  # noqa: S105  The name of a header.


class Webhook:
    """Answers GitHub, Gitea and Forgejo, which sign the body, and GitLab, which sends the secret.

    `hint` is called for each genuine delivery, the first time it comes; `hint_at` with what it is
    about, where that is a change request or something that may concern one.
    """

    def __init__(self, secret: bytes, hint: Callable[[], None]) -> None:
        self._secret = secret
        self._hint = hint
        self.hint_at: Callable[[Hint], None] | None = None
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def answer(self, request: Request) -> Response:
        body = await _bounded_body(request)
        if body is None:
            return PlainTextResponse("too large\n", status_code=413)
        if not self._is_genuine(request, body):
            return PlainTextResponse("not signed with the secret of this endpoint\n", 401)
        if self._is_new(request, body):
            self._hint()
            self._tell(request, body)
        return PlainTextResponse("looking\n", status_code=202)

    def _tell(self, request: Request, body: bytes) -> None:
        if self.hint_at is None:
            return
        events = [request.headers[name] for name in _EVENTS if name in request.headers]
        if found := hint_of(events[0] if events else "push", body):
            self.hint_at(found)

    def _is_genuine(self, request: Request, body: bytes) -> bool:
        """Exactly one proof counts: with two, others could check the one and we the other."""
        if any(len(request.headers.getlist(name)) > 1 for name in _SIGNATURES):
            return False
        signatures = [request.headers[name] for name in _SIGNATURES if name in request.headers]
        tokens = request.headers.getlist(_GITLAB_TOKEN)
        # Gitea signs for the readers of GitHub's header as well, with the same value.
        proofs = {signature.removeprefix("sha256=") for signature in signatures}
        if len(proofs) + len(tokens) != 1:
            return False
        if tokens:
            return hmac.compare_digest(tokens[0].encode("latin-1"), self._secret)
        expected = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(proofs.pop().encode("latin-1"), expected.encode())

    def _is_new(self, request: Request, body: bytes) -> bool:
        """Neither id nor body came before: the id is not signed, so a replay may have another."""
        marks = [hashlib.sha256(body).hexdigest()]
        marks += [request.headers[name] for name in _DELIVERIES if name in request.headers]
        known = any(mark in self._seen for mark in marks)
        for mark in marks:
            self._seen[mark] = None
        while len(self._seen) > REMEMBERED_MARKS:
            self._seen.popitem(last=False)
        return not known


async def _bounded_body(request: Request) -> bytes | None:
    """The raw body, or None as soon as it is too large, whatever its length claims to be."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_BODY:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)
