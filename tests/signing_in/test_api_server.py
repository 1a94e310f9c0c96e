"""People of a certified OpenID provider at a real API server, by the file that we print for it."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.openid import OpenIdProvider
from reconciler.core.access.authentication import authentication_file, file_digest
from reconciler.core.kinds.authentication import GOOGLE, Authentication
from reconciler.core.manifests import JsonObject
from reconciler.sandbox import ControlPlane
from reconciler.sandbox.bootstrap import ApiClient
from tests.sandbox.starting import bare_plane
from tests.signing_in.real_provider import CALLBACK, NoProvider, RealProvider, registered, running

pytestmark = pytest.mark.cluster

SECRET = "a-secret-of-tests-with+signs/and=more"
HOUR = 3600
RELOAD_SECONDS = 60.0
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"


def person(email: str, *groups: str, **claims: object) -> Mapping[str, object]:
    return {
        "email": email,
        "email_verified": True,
        "groups": groups,
        "https://example.com/groups": [f"{group}-of-an-action" for group in groups],
        "hd": "example.com",
        **claims,
    }


PEOPLE = {
    "alice": person("alice@example.com", "platform-engineers"),
    "rita": person("rita@example.com", "ml-researchers"),
    "zoe": person("zoe@example.com", "platform-engineers", email_verified=False),
    "silent": {"email": "silent@example.com", "groups": ["platform-engineers"]},
    "mallory": person("mallory@example.com", "platform-engineers", "system:masters"),
    "system": person("system:admin", "platform-engineers"),
    "guest": person("guest@example.net", hd="example.net"),
}
CLIENTS = {"kube-test": HOUR, "kube-long": HOUR + 1, "page": 60}


@dataclass(frozen=True, slots=True)
class Place:
    """A provider, and an API server that takes its tokens."""

    provider: RealProvider
    plane: ControlPlane
    secret: Path

    async def token(self, login: str, *, client: str = "kube-test") -> str:
        """The ID token that a person gets who signs in by the code flow."""
        provider = OpenIdProvider(
            self.provider.issuer,
            client,
            SystemClock(),
            secret_file=self.secret,
            scopes=("openid", "email", "profile", "groups"),
            ca_file=self.provider.ca_file,
        )
        attempt = await provider.begin(CALLBACK)
        back = await self.provider.sign_in(attempt.url, login)
        proof = (await provider.finish(attempt, parse_qs(urlsplit(back).query)["code"][0])).proof
        await provider.close()
        return proof

    async def ask(
        self, token: str, path: str, body: JsonObject | None = None
    ) -> tuple[int, JsonObject]:
        """What kubectl would be answered."""
        trusted = ssl.create_default_context(cafile=self.plane.certificate_authority)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trusted), trust_env=False
            ) as caller,
            caller.request(
                "POST" if body else "GET", f"{self.plane.server}{path}", json=body, headers=headers
            ) as answer,
        ):
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else {}

    async def who(self, token: str) -> tuple[str, list[str]] | int:
        """Whom the API server sees; the status where it sees nobody."""
        review: JsonObject = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "SelfSubjectReview",
        }
        status, answer = await self.ask(token, WHOAMI, review)
        if status != 201:
            return status
        seen = answer["status"]["userInfo"]
        return seen["username"], seen.get("groups", [])

    def log(self) -> str:
        return (self.plane.directory / "logs" / "kube-apiserver.log").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProvider]:
    clients = [registered(name) for name in CLIENTS]
    try:
        with running(
            tmp_path_factory.mktemp("openid"), people=PEOPLE, clients=clients, lifetimes=CLIENTS
        ) as found:
            yield found
    except NoProvider as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def place(provider: RealProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with served(provider, declared(provider), tmp_path_factory.mktemp("plane")) as found:
        yield found


@contextmanager
def served(provider: RealProvider, found: Authentication, directory: Path) -> Iterator[Place]:
    """An API server of one's own that has the file of `found`."""
    secret = directory / "secret"
    secret.write_text(SECRET, encoding="utf-8")
    file = authentication_file("test", found)
    with bare_plane(directory / "planes", authentication=file) as plane:
        yield Place(provider, plane, secret)


def declared(provider: RealProvider, /, **said: object) -> Authentication:
    """As a Cluster document would say it. `said` is what only a provider on the net could be."""
    given = {
        "provider": "generic",
        "issuer": provider.issuer,
        "audiences": ["kube-test", "kube-long"],
    }
    authority = provider.ca_file.read_text(encoding="utf-8")
    return Authentication.model_validate({**given, "certificateAuthority": authority, **said})


def brought_home(found: Authentication, provider: RealProvider) -> Authentication:
    """The same with the issuer of the tests', which no rule of another provider allows."""
    own = declared(provider)
    return found.model_copy(
        update={"issuer": own.issuer, "certificate_authority": own.certificate_authority}
    )


def known(name: str, *groups: str) -> tuple[str, list[str]]:
    return f"oidc:{name}", [*(f"oidc:{group}" for group in groups), "system:authenticated"]


def administrator(plane: ControlPlane) -> ApiClient:
    port = int(plane.server.rpartition(":")[2])
    return ApiClient(port, pki=plane.directory / "pki", user="admin")


def bind(plane: ControlPlane, group: str) -> None:
    """Let a group list the ConfigMaps of a namespace, as Roles are compiled."""
    admin = administrator(plane)
    api = "rbac.authorization.k8s.io"
    role: JsonObject = {
        "metadata": {"name": "readers"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}],
    }
    binding: JsonObject = {
        "metadata": {"name": "readers"},
        "roleRef": {"apiGroup": api, "kind": "Role", "name": "readers"},
        "subjects": [{"apiGroup": api, "kind": "Group", "name": group}],
    }
    admin.create(f"{RBAC}/roles", json.dumps(role).encode())
    admin.create(f"{RBAC}/rolebindings", json.dumps(binding).encode())


async def test_a_person_is_known_by_prefixed_name_and_groups(place: Place) -> None:
    assert await place.who(await place.token("alice")) == known(
        "alice@example.com", "platform-engineers"
    )


async def test_access_of_a_group_is_for_its_members_and_nobody_else(place: Place) -> None:
    bind(place.plane, "oidc:platform-engineers")
    path = "/api/v1/namespaces/default/configmaps"
    alice, rita = await place.token("alice"), await place.token("rita")
    assert (await place.ask(alice, path))[0] == 200
    assert (await place.ask(rita, path))[0] == 403
    assert (await place.ask(alice, "/api/v1/namespaces/default/secrets"))[0] == 403


@pytest.mark.parametrize(
    ("login", "client", "reason"),
    [
        ("zoe", "kube-test", "email not verified"),
        ("silent", "kube-test", "the provider did not verify the e-mail address"),
        ("mallory", "kube-test", "a group is one of the system's"),
        ("system", "kube-test", "the name is one of the system's"),
        ("alice", "kube-long", "the token is good for more than 3600 seconds"),
        ("alice", "page", "expected audience in"),
    ],
)
async def test_a_token_is_refused_for_its_reason(
    place: Place, login: str, client: str, reason: str
) -> None:
    before = len(place.log())
    assert await place.who(await place.token(login, client=client)) == 401
    assert reason in place.log()[before:]


async def test_a_token_that_was_changed_is_refused(place: Place) -> None:
    head, body, signature = (await place.token("alice")).split(".")
    _, other, _ = (await place.token("rita")).split(".")
    assert await place.who(f"{head}.{other}.{signature}") == 401
    assert await place.who(f"{head}.{body}.") == 401


def test_the_server_tells_the_digest_of_its_file(place: Place, provider: RealProvider) -> None:
    _, metrics = administrator(place.plane).get("/metrics")
    assert f'hash="{file_digest("test", declared(provider))}"' in metrics.decode()


async def test_without_a_token_one_learns_whether_the_server_lives_and_no_more(
    place: Place,
) -> None:
    assert (await place.ask("", "/livez"))[0] == 200
    assert (await place.ask("", "/version"))[0] == 401
    assert (await place.ask("", "/api/v1/namespaces/kube-public/configmaps"))[0] == 401


async def test_another_file_is_taken_up_while_the_server_runs(
    provider: RealProvider, tmp_path: Path
) -> None:
    with served(provider, declared(provider), tmp_path) as place:
        token = await place.token("alice")
        assert await place.who(token) == known("alice@example.com", "platform-engineers")
        place.plane.authenticate(authentication_file("test", declared(provider, prefix="corp:")))
        after = ("corp:alice@example.com", ["corp:platform-engineers", "system:authenticated"])
        began = time.monotonic()
        while await place.who(token) != after:
            assert time.monotonic() - began < RELOAD_SECONDS, place.log()[-2000:]
            await asyncio.sleep(0.1)


async def test_the_groups_of_auth0_come_from_the_claim_of_an_action(
    provider: RealProvider, tmp_path: Path
) -> None:
    claim = "https://example.com/groups"
    said = {"provider": "auth0", "issuer": f"{provider.issuer}/", "groupsClaim": claim}
    with served(provider, brought_home(declared(provider, **said), provider), tmp_path) as place:
        assert await place.who(await place.token("alice")) == known(
            "alice@example.com", "platform-engineers-of-an-action"
        )


async def test_people_of_one_workspace_sign_in_without_groups(
    provider: RealProvider, tmp_path: Path
) -> None:
    said = {"provider": "google", "issuer": GOOGLE, "hostedDomain": "example.com"}
    with served(provider, brought_home(declared(provider, **said), provider), tmp_path) as place:
        assert await place.who(await place.token("alice")) == known("alice@example.com")
        assert await place.who(await place.token("guest")) == 401
        assert "the account is not of example.com" in place.log()
