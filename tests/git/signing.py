"""Keys that sign as `ssh-keygen -Y sign` does: real ones, and security keys without a token."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

APPLICATION = b"ssh:"


class Key(Protocol):
    @property
    def public(self) -> str: ...

    def sign(self, message: bytes, *, namespace: str) -> bytes: ...


@dataclass(frozen=True)
class SshKey:
    """A key that ssh-keygen made and signs with."""

    file: Path

    @classmethod
    def generate(cls, file: Path, *, kind: str, bits: str) -> SshKey:
        size = ["-b", bits] if bits else []
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", "", "-f", str(file)],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return cls(file)

    @property
    def public(self) -> str:
        return self.file.with_suffix(".pub").read_text().strip()

    def sign(self, message: bytes, *, namespace: str) -> bytes:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(self.file)]
        done = subprocess.run(command, input=message, capture_output=True, check=True)
        return done.stdout


@dataclass(frozen=True)
class SecurityKey:
    """Signs in this process, as a FIDO token does; `flags` None makes an ordinary Ed25519 key."""

    kind: bytes
    private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    flags: int | None = 1

    @classmethod
    def ed25519(cls, *, flags: int = 1) -> SecurityKey:
        return cls(b"sk-ssh-ed25519@openssh.com", ed25519.Ed25519PrivateKey.generate(), flags)

    @classmethod
    def ecdsa(cls) -> SecurityKey:
        private = ec.generate_private_key(ec.SECP256R1())
        return cls(b"sk-ecdsa-sha2-nistp256@openssh.com", private)

    @classmethod
    def plain(cls) -> SecurityKey:
        return cls(b"ssh-ed25519", ed25519.Ed25519PrivateKey.generate(), None)

    @property
    def blob(self) -> bytes:
        public = self.private.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            fields = [public.public_bytes_raw()]
        else:
            point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            fields = [b"nistp256", point]
        application = [] if self.flags is None else [APPLICATION]
        return strings(self.kind, *fields, *application)

    @property
    def public(self) -> str:
        return f"{self.kind.decode()} {base64.b64encode(self.blob).decode()}"

    def sign(self, message: bytes, *, namespace: str) -> bytes:
        digest = hashlib.sha512(message).digest()
        signed = b"SSHSIG" + strings(namespace.encode(), b"", b"sha512", digest)
        tail = b"" if self.flags is None else bytes([self.flags]) + (7).to_bytes(4, "big")
        if self.flags is not None:
            application = hashlib.sha256(APPLICATION).digest()
            signed = application + tail + hashlib.sha256(signed).digest()
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            value = self.private.sign(signed)
        else:
            pair = decode_dss_signature(self.private.sign(signed, ec.ECDSA(hashes.SHA256())))
            value = strings(*(n.to_bytes(n.bit_length() // 8 + 1, "big") for n in pair))
        signature = strings(self.kind, value) + tail
        parts = strings(self.blob, namespace.encode(), b"", b"sha512", signature)
        return armored(b"SSHSIG" + (1).to_bytes(4, "big") + parts)


def strings(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def armored(blob: bytes) -> bytes:
    lines = "\n".join(textwrap.wrap(base64.b64encode(blob).decode(), 70))
    return f"-----BEGIN SSH SIGNATURE-----\n{lines}\n-----END SSH SIGNATURE-----\n".encode()


def signed_blob(signature: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """An armored signature with its bytes changed."""
    encoded = b"".join(signature.strip().split(b"\n")[1:-1])
    return armored(change(base64.b64decode(encoded)))
