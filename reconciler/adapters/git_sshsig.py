"""SSH signatures (OpenSSH's PROTOCOL.sshsig) and the allowed-signers file, checked natively.

Separate because it is pure: bytes in, a verdict out. A thousand `ssh-keygen -Y verify` take two
processes each and some ten seconds; this takes 0.2 s, starts nothing and writes no file. The tests
hold it against ssh-keygen. The invariant: what is not understood in full does not verify.

Certificates (`cert-authority`) are not supported, and refused where the file is read. A date
without `Z` is UTC, where ssh-keygen uses the time zone of the machine: two daemons must agree.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from reconciler.core.identifiers import DocumentPath
from reconciler.core.problems import Problem, Span

NAMESPACE = "git"
BEGIN, END = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"
MAGIC = b"SSHSIG"
_RSA_BITS = 2048
_USER_PRESENT = 0x01

_CURVES: dict[bytes, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    b"nistp256": (ec.SECP256R1(), hashes.SHA256()),
    b"nistp384": (ec.SECP384R1(), hashes.SHA384()),
    b"nistp521": (ec.SECP521R1(), hashes.SHA512()),
}


class Unverified(Exception):
    """Why a signature does not count, in words that complete "its signature …"."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A parsed SSHSIG. `key` is the public key as OpenSSH writes it, undecoded."""

    key: bytes
    namespace: bytes
    reserved: bytes
    hash_name: str
    signature: bytes

    @classmethod
    def parse(cls, armored: bytes) -> Signature:
        lines = armored.strip().split(b"\n")
        if lines[0] != BEGIN or lines[-1] != END:
            raise Unverified("is not an SSH signature")
        try:
            fields = _Fields(base64.b64decode(b"".join(lines[1:-1]), validate=True))
        except binascii.Error:
            raise Unverified("is not valid base64") from None
        if fields.take(6) != MAGIC or fields.number() != 1:
            raise Unverified("has a version that is not known")
        key, namespace, reserved = fields.string(), fields.string(), fields.string()
        hash_name = fields.string().decode("ascii", "replace")
        signature = fields.string()
        fields.require_end()
        if hash_name not in ("sha256", "sha512"):
            raise Unverified("uses a hash that is not allowed")
        return cls(key, namespace, reserved, hash_name, signature)

    def verify(self, message: bytes, *, namespace: str = NAMESPACE) -> None:
        """Raise Unverified unless `key` signed exactly `message` for this purpose."""
        if self.namespace != namespace.encode():
            raise Unverified("was made for another purpose")
        digest = hashlib.new(self.hash_name, message).digest()
        signed = MAGIC + b"".join(
            wire_string(part)
            for part in (self.namespace, self.reserved, self.hash_name.encode(), digest)
        )
        kind = _Fields(self.key).string()
        verify = _VERIFIERS.get(kind)
        if verify is None:
            raise Unverified(f"is by a key of type {kind.decode('ascii', 'replace')!r}")
        try:
            verify(self.key, self.signature, signed)
        except (InvalidSignature, ValueError):
            raise Unverified("does not match what was signed") from None


def _verify_ed25519(key: bytes, signature: bytes, signed: bytes) -> None:
    fields, blob = _Fields(key), _Fields(signature)
    kind, point = fields.string(), fields.string()
    fields.require_end()
    blob.require(kind)
    value = blob.string()
    blob.require_end()
    ed25519.Ed25519PublicKey.from_public_bytes(point).verify(value, signed)


def _verify_rsa(key: bytes, signature: bytes, signed: bytes) -> None:
    fields, blob = _Fields(key), _Fields(signature)
    fields.require(b"ssh-rsa")
    exponent, modulus = fields.integer(), fields.integer()
    fields.require_end()
    algorithms = {b"rsa-sha2-256": hashes.SHA256(), b"rsa-sha2-512": hashes.SHA512()}
    algorithm = algorithms.get(blob.string())
    value = blob.string()
    blob.require_end()
    if algorithm is None or modulus.bit_length() < _RSA_BITS:
        raise Unverified(f"is RSA with SHA-1 or with less than {_RSA_BITS} bits")
    public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    length = (modulus.bit_length() + 7) // 8
    public.verify(value.rjust(length, b"\0"), signed, padding.PKCS1v15(), algorithm)


def _verify_ecdsa(key: bytes, signature: bytes, signed: bytes) -> None:
    fields, blob = _Fields(key), _Fields(signature)
    kind, curve_name, point = fields.string(), fields.string(), fields.string()
    fields.require_end()
    if kind != b"ecdsa-sha2-" + curve_name or curve_name not in _CURVES:
        raise Unverified("is by a malformed key")
    blob.require(kind)
    value = _dss(blob.string())
    blob.require_end()
    curve, algorithm = _CURVES[curve_name]
    public = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    public.verify(value, signed, ec.ECDSA(algorithm))


def _verify_security_key(key: bytes, signature: bytes, signed: bytes) -> None:
    """Keys on FIDO tokens (PROTOCOL.u2f); the user must have touched the token."""
    fields, blob = _Fields(key), _Fields(signature)
    kind = fields.string()
    is_ecdsa = kind.startswith(b"sk-ecdsa")
    if is_ecdsa:
        fields.require(b"nistp256")
    point, application = fields.string(), fields.string()
    fields.require_end()
    blob.require(kind)
    value, flags, counter = blob.string(), blob.take(1), blob.take(4)
    blob.require_end()
    if not flags[0] & _USER_PRESENT:
        raise Unverified("was made without a touch of the security key")
    sha256 = hashlib.sha256
    attested = sha256(application).digest() + flags + counter + sha256(signed).digest()
    if is_ecdsa:
        curve = ec.SECP256R1()
        public = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
        public.verify(_dss(value), attested, ec.ECDSA(hashes.SHA256()))
    else:
        ed25519.Ed25519PublicKey.from_public_bytes(point).verify(value, attested)


_VERIFIERS: dict[bytes, Callable[[bytes, bytes, bytes], None]] = {
    b"ssh-ed25519": _verify_ed25519,
    b"ssh-rsa": _verify_rsa,
    b"ecdsa-sha2-nistp256": _verify_ecdsa,
    b"ecdsa-sha2-nistp384": _verify_ecdsa,
    b"ecdsa-sha2-nistp521": _verify_ecdsa,
    b"sk-ssh-ed25519@openssh.com": _verify_security_key,
    b"sk-ecdsa-sha2-nistp256@openssh.com": _verify_security_key,
}


class _Fields:
    """The wire format of RFC 4251, section 5, read to its very end."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def take(self, length: int) -> bytes:
        end = self._position + length
        if end > len(self._content):
            raise Unverified("is cut short")
        taken = self._content[self._position : end]
        self._position = end
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def integer(self) -> int:
        return int.from_bytes(self.string(), "big", signed=True)

    def require(self, expected: bytes) -> None:
        if self.string() != expected:
            raise Unverified("is by a malformed key")

    def require_end(self) -> None:
        if self._position != len(self._content):
            raise Unverified("has bytes after its end")


def wire_string(content: bytes) -> bytes:
    """A string of RFC 4251: its length before it."""
    return len(content).to_bytes(4, "big") + content


def _dss(blob: bytes) -> bytes:
    fields = _Fields(blob)
    value = encode_dss_signature(fields.integer(), fields.integer())
    fields.require_end()
    return value


@dataclass(frozen=True, slots=True)
class AllowedSigner:
    """One line of the file: who may sign with which key, when, and for which purposes."""

    principals: tuple[str, ...]
    key: bytes
    valid_after: datetime | None = None
    valid_before: datetime | None = None
    namespaces: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The principals that are no patterns."""
        return tuple(name for name in self.principals if not set(name) & set("*?!"))

    def signs(self, namespace: str) -> bool:
        return self.namespaces is None or matches(namespace, self.namespaces)

    def covers(self, moment: datetime) -> bool:
        return (self.valid_after is None or self.valid_after <= moment) and (
            self.valid_before is None or moment <= self.valid_before
        )

    def principal(self, email: str) -> str | None:
        """Who signed. Patterns name nobody, so there the committer's address must match."""
        if matches(email, self.principals):
            return email
        return next(iter(self.names), None)


_TOKEN = re.compile(r'(?:"[^"]*"|[^\s"])+')
_OPTION = re.compile(r'([\w-]+)(?:="([^"]*)")?(?:,|$)')
_DATE_LENGTHS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


def read_allowed_signers(
    text: str, *, path: DocumentPath
) -> tuple[tuple[AllowedSigner, ...], tuple[Problem, ...]]:
    """The lines of the file, and what is wrong with the others (ssh-keygen(1))."""
    signers: list[AllowedSigner] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            signers.append(_signer(line))
        except ValueError as error:
            problems.append(
                Problem(
                    path,
                    Span(number, 1),
                    "allowed-signers",
                    f"this line cannot be used: {error}",
                    "write: PRINCIPALS [namespaces=…,valid-after=…,valid-before=…] TYPE KEY",
                )
            )
    return tuple(signers), tuple(problems)


def _signer(line: str) -> AllowedSigner:
    """Raises ValueError with the reason."""
    tokens = _TOKEN.findall(line)
    has_options = len(tokens) > 1 and tokens[1].encode() not in _VERIFIERS
    options = _options(tokens[1]) if has_options else {}
    kind, encoded = [*tokens[2 if has_options else 1 :], "", ""][:2]
    if kind.encode() not in _VERIFIERS:
        raise ValueError(f"the key type {kind!r} is not supported")
    key = base64.b64decode(encoded, validate=True)
    if not key.startswith(wire_string(kind.encode())):
        raise ValueError("the key is of another type than the line says")
    namespaces = options.get("namespaces")
    return AllowedSigner(
        tuple(tokens[0].strip('"').split(",")),
        key,
        _date(options.get("valid-after")),
        _date(options.get("valid-before")),
        None if namespaces is None else tuple(namespaces.split(",")),
    )


def _options(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    position = 0
    while position < len(text):
        found = _OPTION.match(text, position)
        name = found[1].lower() if found else ""
        if name == "cert-authority":
            raise ValueError("certificates are not supported; list the keys themselves")
        if found is None or name not in ("namespaces", "valid-after", "valid-before"):
            raise ValueError(f"the option {text[position:]!r} is not known")
        if name in options or found[2] is None:
            raise ValueError(f"the option {name} needs one value, once")
        options[name] = found[2]
        position = found.end()
    return options


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    digits = text.removesuffix("Z")
    layout = _DATE_LENGTHS.get(len(digits), "")
    return datetime.strptime(digits, layout).replace(tzinfo=UTC)


def fingerprint(key: bytes) -> str:
    """As `ssh-keygen -l` shows it."""
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


def matches(text: str, patterns: tuple[str, ...]) -> bool:
    """PATTERNS of ssh_config(5): `*` and `?`, and `!` in front of one that excludes."""
    found = False
    for pattern in patterns:
        excludes = pattern.startswith("!")
        expression = re.escape(pattern.removeprefix("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(expression, text, re.DOTALL):
            if excludes:
                return False
            found = True
    return found
