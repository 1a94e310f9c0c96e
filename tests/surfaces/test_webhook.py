"""Who may make the daemon look at its remote, and that this is all that happens."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from reconciler.surfaces.webhook import LARGEST_BODY, REMEMBERED_MARKS, Webhook

from .asgi import ask

SECRET = b"0123456789abcdef"
BODY = b'{"ref":"refs/heads/main"}'


class Endpoint:
    """The webhook, and how often it gave a hint."""

    def __init__(self) -> None:
        self.hints = 0
        webhook = Webhook(SECRET, self._hint)
        self.application = Starlette(routes=[Route("/hooks/git", webhook.answer, methods=["POST"])])

    def _hint(self) -> None:
        self.hints += 1

    async def post(self, *headers: tuple[str, str], body: bytes = BODY) -> int:
        answer = await ask(self.application, "POST", "/hooks/git", body=body, headers=headers)
        return answer.status


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


def signature(body: bytes = BODY, secret: bytes = SECRET) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def github(body: bytes = BODY, secret: bytes = SECRET) -> tuple[str, str]:
    return "X-Hub-Signature-256", f"sha256={signature(body, secret)}"


@pytest.mark.parametrize(
    "headers",
    [
        [github()],
        [("X-Gitea-Signature", signature())],
        [("X-Gitea-Signature", signature()), github()],
        [("X-Forgejo-Signature", signature()), ("X-Gitea-Signature", signature()), github()],
        [("X-Gitlab-Token", SECRET.decode())],
    ],
    ids=["GitHub", "Gitea", "Gitea with GitHub's header", "Forgejo", "GitLab"],
)
async def test_a_genuine_notification_makes_the_daemon_look(
    endpoint: Endpoint, headers: list[tuple[str, str]]
) -> None:
    assert await endpoint.post(*headers) == 202
    assert endpoint.hints == 1


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [github(secret=b"another secret..")],
        [github(body=b"another body")],
        [("X-Hub-Signature", "sha1=" + hmac.new(SECRET, BODY, hashlib.sha1).hexdigest())],
        [("X-Hub-Signature-256", "")],
        [("X-Hub-Signature-256", "sha256=")],
        [("X-Hub-Signature-256", signature().upper())],
        [("X-Hub-Signature-256", "sha256=é")],
        [github(), ("X-Hub-Signature-256", "sha256=" + "0" * 64)],
        [github(), github()],
        [github(), ("X-Gitlab-Token", "guess")],
        [("X-Gitlab-Token", "")],
        [("X-Gitlab-Token", SECRET.decode()), ("X-Gitlab-Token", SECRET.decode())],
    ],
    ids=[
        "no proof",
        "another secret",
        "another body",
        "SHA-1",
        "empty",
        "no digits",
        "capitals",
        "not ASCII",
        "two signatures",
        "the same signature twice",
        "two kinds of proof",
        "empty token",
        "token twice",
    ],
)
async def test_s4_anything_else_is_refused_without_a_look(
    endpoint: Endpoint, headers: list[tuple[str, str]]
) -> None:
    assert await endpoint.post(*headers) == 401
    assert endpoint.hints == 0


@pytest.mark.parametrize(
    "headers",
    [[github()], [github(secret=b"wrong")], [("X-Gitlab-Token", "guess")]],
    ids=["right", "wrong", "token"],
)
async def test_s4_proofs_are_compared_in_constant_time(
    endpoint: Endpoint, headers: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    await endpoint.post(*headers)
    proof = headers[0][1].removeprefix("sha256=").encode()
    expected = SECRET if "Gitlab" in headers[0][0] else signature().encode()
    assert compared == [(proof, expected)]


async def test_s5_a_delivery_that_comes_again_is_accepted_and_ignored(endpoint: Endpoint) -> None:
    for _ in range(2):
        assert await endpoint.post(github(), ("X-GitHub-Delivery", "one")) == 202
    assert endpoint.hints == 1


async def test_s5_a_replay_under_another_delivery_id_is_ignored(endpoint: Endpoint) -> None:
    await endpoint.post(github(), ("X-GitHub-Delivery", "one"))
    await endpoint.post(github(), ("X-GitHub-Delivery", "two"))
    assert endpoint.hints == 1


async def test_another_push_gives_another_hint(endpoint: Endpoint) -> None:
    for body in (b"one", b"two"):
        await endpoint.post(github(body), ("X-GitHub-Delivery", body.decode()), body=body)
    assert endpoint.hints == 2


async def test_a_refused_notification_does_not_use_up_its_delivery_id(endpoint: Endpoint) -> None:
    await endpoint.post(github(secret=b"wrong"), ("X-GitHub-Delivery", "one"))
    await endpoint.post(github(), ("X-GitHub-Delivery", "one"))
    assert endpoint.hints == 1


async def test_memory_of_deliveries_is_bounded(endpoint: Endpoint) -> None:
    for number in range(REMEMBERED_MARKS + 1):
        body = str(number).encode()
        await endpoint.post(github(body), body=body)
    await endpoint.post(github(b"0"), body=b"0")
    assert endpoint.hints == REMEMBERED_MARKS + 2


@pytest.mark.parametrize(("size", "status"), [(LARGEST_BODY, 202), (LARGEST_BODY + 1, 413)])
async def test_s5_a_body_of_up_to_one_mebibyte_is_read(
    endpoint: Endpoint, size: int, status: int
) -> None:
    body = b"x" * size
    assert await endpoint.post(github(body), body=body) == status


async def test_a_body_that_hides_its_size_is_not_read_to_the_end(endpoint: Endpoint) -> None:
    body = b"x" * (LARGEST_BODY * 3)
    assert await endpoint.post(github(body), ("Content-Length", "5"), body=body) == 413
    assert endpoint.hints == 0
