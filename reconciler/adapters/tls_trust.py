"""Whom a connection over TLS trusts: the certificates of a file, or those of the system.

Separate because several adapters are told so by a setting. The invariant: a file that is no use is
told at the start and never replaced by the system's.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from reconciler.adapters.secret_files import unreadable
from reconciler.core.errors import Misconfigured


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Raises Misconfigured when the file cannot be read or holds no certificates."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise Misconfigured(
            f"{ca_file} holds no certificates", hint="name a file of certificates in PEM"
        ) from None
    except OSError as error:
        raise unreadable(ca_file, error) from None
