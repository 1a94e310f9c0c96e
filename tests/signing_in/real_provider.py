"""A real OpenID provider, oidc-provider, as a process on the loopback.

Separate from the tests. The invariant: what runs is what the lock file beside the script names, by
the digests in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import trustme

HERE = Path(__file__).parent / "provider"
INSTALL_SECONDS = 110.0
CALLBACK = "http://localhost:9460/sign-in/callback"

PEOPLE: Mapping[str, Mapping[str, object]] = {
    "alice": {
        "email": "alice@example.com",
        "email_verified": True,
        "name": "Alice",
        "groups": ["platform-engineers"],
    },
    "rita": {"email": "rita@example.com", "email_verified": True, "groups": ["ml-researchers"]},
    "zoe": {"email": "zoe@example.com", "email_verified": False, "groups": []},
}


class NoProvider(Exception):
    """It cannot be had here."""


@dataclass(frozen=True, slots=True)
class RealProvider:
    issuer: str
    ca_file: Path

    async def sign_in(self, url: str, login: str) -> str:
        """Do what a person does at the provider; returns the address that they are sent back to."""
        trusted = ssl.create_default_context(cafile=self.ca_file)
        jar = aiohttp.CookieJar(unsafe=True)
        connector = aiohttp.TCPConnector(ssl=trusted)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=jar, trust_env=False
        ) as browser:
            answers = [{"prompt": "login", "login": login, "password": "x"}, {"prompt": "consent"}]
            while not url.startswith(CALLBACK):
                async with browser.get(url, allow_redirects=False) as page:
                    body = await page.text()
                    if page.status in (302, 303):
                        url = urljoin(url, page.headers["Location"])
                        continue
                action = re.search(r'action="([^"]+)"', body)
                assert action is not None, body
                assert answers, body
                target = urljoin(url, action[1])
                form = answers.pop(0)
                async with browser.post(target, data=form, allow_redirects=False) as page:
                    assert page.status in (302, 303), await page.text()
                    url = urljoin(target, page.headers["Location"])
        return url


def registered(client: str) -> Mapping[str, object]:
    """A confidential client, as the provider is told of it."""
    return {
        "client_id": client,
        "client_secret": "a-secret-of-tests-with+signs/and=more",
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": ["http://localhost:9460/signed-out"],
    }


@contextmanager
def running(directory: Path, **said: object) -> Iterator[RealProvider]:
    """Start one with PEOPLE and one confidential client `fairlead`, unless told otherwise.

    Raises NoProvider.
    """
    modules = _installed()
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    key, cert, ca = directory / "key.pem", directory / "cert.pem", directory / "ca.pem"
    certificate.private_key_pem.write_to_path(key)
    certificate.cert_chain_pems[0].write_to_path(cert)
    authority.cert_pem.write_to_path(ca)
    given = {
        "key": str(key),
        "cert": str(cert),
        "people": PEOPLE,
        "clients": [registered("fairlead")],
        **said,
    }
    process = subprocess.Popen(
        ["node", str(modules / "provider.js"), json.dumps(given)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        issuer = next((found.strip() for found in lines if found.startswith("https://")), "")
        assert issuer, "the provider ended before it was ready"
        yield RealProvider(issuer, ca)
    finally:
        process.terminate()
        process.wait(10)


def _installed() -> Path:
    """The script beside its packages, in the cache."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NoProvider("there is no Node.js to run a provider with")
    files = [HERE / name for name in ("package.json", "package-lock.json", "provider.js")]
    name = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = base / "fairlead" / "npm" / f"openid-provider-{name}"
    if target.is_dir():
        return target
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for file in files:
        shutil.copy(file, partial)
    try:
        answer = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
            cwd=partial,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoProvider(f"npm did not get the provider in {INSTALL_SECONDS:.0f} s") from None
    if answer.returncode != 0:
        raise NoProvider(f"npm cannot get the provider: {answer.stderr.strip()[-300:]}")
    partial.rename(target)
    return target
