"""Kubeconfig files with everything inside them, so that they work from any directory.

Separate because a running sandbox, too, is asked for credentials of further users.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from reconciler.sandbox.certificates import Credential


def write_kubeconfig(
    path: Path, *, server: str, authority: bytes, user: str, credential: Credential
) -> None:
    """JSON is YAML, and needs no library. Readable by the owner only: the key is inside."""
    cluster = {"server": server, "certificate-authority-data": _encoded(authority)}
    identity = {
        "client-certificate-data": _encoded(credential.certificate),
        "client-key-data": _encoded(credential.key),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": user, "user": identity}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user}}],
        "current-context": "sandbox",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2) + "\n")


def _encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
