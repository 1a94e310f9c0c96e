"""Sessions over HTTP that take nothing from the environment and keep nothing.

Separate because several adapters ask servers that settings or clusters name. The invariants: no
proxy and no credential comes from the environment, no cookie is kept, and no body is compressed, so
that a limit of bytes is one of memory.
"""

from __future__ import annotations

import ssl

import aiohttp

from reconciler import __version__


def plain_session(trust: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """A session, which trusts the certificates of `trust` or those of the system."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust if trust is not None else True),
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"fairlead/{__version__}", "Accept-Encoding": "identity"},
    )
