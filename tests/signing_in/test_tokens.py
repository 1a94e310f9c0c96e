"""Claims come out only of a token that the issuer signed, for this client and this attempt."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from reconciler.adapters.clocks import VirtualClock
from reconciler.adapters.openid_tokens import REFETCH_SECONDS, KeyRing, verified_claims
from reconciler.core.errors import Unavailable, Untrusted

pytestmark = pytest.mark.looptime

ISSUER, CLIENT, NONCE = "https://issuer.example.com", "fairlead", "nonce-of-this-attempt"
NOW = 1_800_000_000.0
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"})
CURVE = ECKey.generate_key("P-256", {"kid": "curve", "use": "sig"})


class Keys:
    """What the issuer publishes, and how often it was asked."""

    def __init__(self, *keys: RSAKey | ECKey) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.clock = VirtualClock()
        self.ring = KeyRing(self.fetch, self.clock)

    async def fetch(self) -> Mapping[str, Any]:
        self.asked += 1
        return {"keys": [key.as_dict(private=False) for key in self.keys]}


def claims(**changed: Any) -> dict[str, Any]:
    found = {
        "iss": ISSUER,
        "sub": "alice",
        "aud": CLIENT,
        "exp": NOW + 300,
        "iat": NOW - 5,
        "nonce": NONCE,
        **changed,
    }
    return {name: value for name, value in found.items() if value is not None}


def signed(
    said: Mapping[str, Any], key: Any = KEY, algorithm: str = "RS256", kid: str = "one"
) -> str:
    return jwt.encode({"alg": algorithm, "kid": kid}, dict(said), key, algorithms=[algorithm])


def encoded(said: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(said)).rstrip(b"=").decode()


async def verify(token: str, keys: Keys | None = None, *, access_token: str = "") -> dict[str, Any]:
    return await verified_claims(
        token,
        (keys or Keys(KEY, CURVE)).ring,
        issuer=ISSUER,
        client_id=CLIENT,
        nonce=NONCE,
        now=NOW,
        access_token=access_token,
    )


async def test_a_genuine_token_gives_its_claims() -> None:
    assert (await verify(signed(claims())))["sub"] == "alice"


async def test_keys_on_curves_are_as_good() -> None:
    token = signed(claims(), CURVE, "ES256", "curve")
    assert (await verify(token))["sub"] == "alice"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"aud": "another"}, "another client"),
        ({"aud": [CLIENT, "another"]}, "names none"),
        ({"azp": "another"}, "another client"),
        ({"exp": NOW - 61}, "expired"),
        ({"exp": None}, "expired"),
        ({"exp": True}, "expired"),
        ({"iat": NOW + 61}, "future"),
        ({"iat": None}, "future"),
        ({"nbf": NOW + 61}, "not valid yet"),
        ({"nonce": "another"}, "another attempt"),
        ({"nonce": None}, "another attempt"),
        ({"sub": ""}, "no subject"),
        ({"sub": None}, "no subject"),
        ({"sub": 7}, "no subject"),
    ],
)
async def test_a_claim_that_does_not_fit_refuses_the_token(
    changed: dict[str, Any], why: str
) -> None:
    with pytest.raises(Untrusted, match=why):
        await verify(signed(claims(**changed)))


async def test_a_token_of_several_clients_is_good_when_it_was_given_to_us() -> None:
    assert await verify(signed(claims(aud=[CLIENT, "another"], azp=CLIENT)))


async def test_a_token_without_signature_is_refused() -> None:
    bare = f"{encoded({'alg': 'none'})}.{encoded(claims())}."
    for token in (bare, "a.b.c", "", "x" * 100_000):
        with pytest.raises(Untrusted):
            await verify(token)


async def test_a_public_key_is_no_shared_secret() -> None:
    head = encoded({"alg": "HS256", "kid": "one"})
    signing = f"{head}.{encoded(claims())}".encode()
    mark = hmac.new(KEY.as_pem(private=False), signing, hashlib.sha256).digest()
    forged = base64.urlsafe_b64encode(mark).rstrip(b"=").decode()
    with pytest.raises(Untrusted, match="signature"):
        await verify(f"{signing.decode()}.{forged}")


async def test_a_token_of_somebody_elses_key_is_refused() -> None:
    with pytest.raises(Untrusted, match="signature"):
        await verify(signed(claims(), OTHER, kid="one"))


async def test_a_changed_token_is_refused() -> None:
    head, _, mark = signed(claims()).split(".")
    with pytest.raises(Untrusted, match="signature"):
        await verify(f"{head}.{encoded(claims(sub='admin'))}.{mark}")


async def test_a_new_key_is_fetched_once_and_not_for_every_stranger() -> None:
    keys = Keys(KEY)
    await verify(signed(claims()), keys)
    keys.keys = [OTHER]
    token = signed(claims(), OTHER, kid="two")
    with pytest.raises(Untrusted):
        await verify(token, keys)
    await keys.clock.sleep(REFETCH_SECONDS)
    assert (await verify(token, keys))["sub"] == "alice"
    for _ in range(5):
        with pytest.raises(Untrusted):
            await verify(signed(claims(), KEY, kid="three"), keys)
    assert keys.asked == 2


async def test_an_access_token_must_be_the_one_that_came_along() -> None:
    digest = hashlib.sha256(b"mine").digest()[:16]
    half = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    token = signed(claims(at_hash=half))
    assert await verify(token, access_token="mine")
    with pytest.raises(Untrusted, match="access token"):
        await verify(token, access_token="another")


async def test_keys_that_cannot_be_read_are_no_reason_to_let_anybody_in() -> None:
    keys = Keys()
    with pytest.raises(Unavailable):
        await verify(signed(claims()), keys)
