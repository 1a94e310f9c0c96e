"""Signing commits with an SSH key, as `git commit -S` does with gpg.format=ssh.

Separate from the checking of signatures (git_sshsig.py), which holds no secret. The invariants:
the key is read from its file at every use and kept nowhere, and no message has anything of it.
Nothing is started for it, so that a container needs no OpenSSH.
"""

from __future__ import annotations

import base64
import hashlib
import textwrap
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

from reconciler.adapters.git_sshsig import BEGIN, END, MAGIC, NAMESPACE, wire_string
from reconciler.core.errors import Misconfigured

_HASH = "sha512"
_VERSION = (1).to_bytes(4, "big")
_LINE = 70

_PrivateKey: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def sign_commit(content: bytes, key_file: Path) -> str:
    """The armored signature of a commit object. Raises Misconfigured when the key is no use."""
    key = load_signing_key(key_file)
    digest = hashlib.new(_HASH, content).digest()
    head = (NAMESPACE.encode(), b"", _HASH.encode())
    signed = MAGIC + _wire(*head, digest)
    blob = MAGIC + _VERSION + _wire(_public(key), *head, _signature(key, signed))
    lines = textwrap.wrap(base64.b64encode(blob).decode(), _LINE)
    return "\n".join([BEGIN.decode(), *lines, END.decode()])


def load_signing_key(file: Path) -> _PrivateKey:
    """The key in a file that `ssh-keygen` made without a passphrase."""
    try:
        key = load_ssh_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise Misconfigured(
            f"cannot read {file}: {type(error).__name__}",
            hint="give the daemon's user the right to read it",
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _useless(file) from None
    if not isinstance(key, _PrivateKey):
        raise _useless(file)
    return key


def _useless(file: Path) -> Misconfigured:
    return Misconfigured(
        f"{file} is not an SSH key to sign with: Ed25519, ECDSA or RSA, without a passphrase",
        hint="make one: ssh-keygen -t ed25519 -N '' -f FILE",
    )


def _public(key: _PrivateKey) -> bytes:
    text = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return base64.b64decode(text.split()[1])


def _signature(key: _PrivateKey, signed: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return _wire(b"ssh-ed25519", key.sign(signed))
    if isinstance(key, rsa.RSAPrivateKey):
        return _wire(b"rsa-sha2-512", key.sign(signed, padding.PKCS1v15(), hashes.SHA512()))
    size = key.curve.key_size
    algorithm = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[size]
    pair = decode_dss_signature(key.sign(signed, ec.ECDSA(algorithm)))
    value = _wire(*(number.to_bytes(number.bit_length() // 8 + 1, "big") for number in pair))
    return _wire(f"ecdsa-sha2-nistp{size}".encode(), value)


def _wire(*parts: bytes) -> bytes:
    return b"".join(map(wire_string, parts))
