"""A certificate authority for one control plane, and what it issues.

Separate from the programs that use the files. Every control plane has an authority of its own,
valid for a year and removed with it. Elliptic keys throughout: they cost a millisecond each,
where RSA takes a good part of a second.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=365)
CLOCK_SKEW = datetime.timedelta(minutes=5)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes

    def write(self, directory: Path, name: str) -> None:
        """As `name`.crt and `name`.key."""
        (directory / f"{name}.crt").write_bytes(self.certificate)
        (directory / f"{name}.key").touch(mode=0o600)
        (directory / f"{name}.key").write_bytes(self.key)


@dataclass(frozen=True, slots=True)
class Authority:
    """Issues certificates that the API server trusts."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        certificate = (
            _builder(subject, issuer=subject, key=key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def read(cls, directory: Path, name: str) -> Authority:
        """What `credential.write(directory, name)` wrote."""
        certificate = x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())
        pem = (directory / f"{name}.key").read_bytes()
        key = serialization.load_pem_private_key(pem, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(certificate, key)

    @property
    def credential(self) -> Credential:
        return _credential(self.certificate, self.key)

    def issue_server(self, *, names: Iterable[str], addresses: Iterable[Address]) -> Credential:
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(address) for address in addresses]
        return self._issue(
            _name("kube-apiserver"),
            purpose=ExtendedKeyUsageOID.SERVER_AUTH,
            alternatives=alternatives,
        )

    def issue_client(self, user: str, groups: Iterable[str] = ()) -> Credential:
        """Kubernetes reads the user from the common name and groups from the organizations."""
        return self._issue(_name(user, groups), purpose=ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issue(
        self,
        subject: x509.Name,
        *,
        purpose: x509.ObjectIdentifier,
        alternatives: Iterable[x509.GeneralName] = (),
    ) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            _builder(subject, issuer=self.certificate.subject, key=key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(authority, critical=False)
        )
        if names := list(alternatives):
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _credential(builder.sign(self.key, hashes.SHA256()), key)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Signs and verifies the tokens of service accounts, PEM."""

    private: bytes
    public: bytes

    @classmethod
    def create(cls) -> SigningKey:
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return cls(_pem(key), public)

    def write(self, directory: Path, name: str) -> None:
        """As `name`.key and `name`.pub."""
        (directory / f"{name}.pub").write_bytes(self.public)
        (directory / f"{name}.key").touch(mode=0o600)
        (directory / f"{name}.key").write_bytes(self.private)


def _builder(
    subject: x509.Name, *, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common: str, organizations: Iterable[str] = ()) -> x509.Name:
    attributes = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)
        for organization in organizations
    ]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _credential(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Credential:
    return Credential(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
