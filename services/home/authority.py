"""A TLS certificate for the gateway of a home, and the authority that issues it, for networks without an authority.

The authority can vouch for one name: its certificate is constrained to it (RFC 5280, 4.2.1.10), so that devices and
partners who trust it trust it for nothing else, even if its key is stolen. TLS.md says who has to trust it, and how.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from millmark.ledger.errors import InputError, SettingsError, SigningError
from millmark.ledger.keys import read_private
from millmark.services.files import read_bounded, write_private_whole, write_whole
from millmark.services.home.layout import Layout, Missing
from millmark.services.settings import Settings

SERVER_LIFE = timedelta(days=397)
"""Browsers accept no more than 398 days from public authorities, and Apple's no more than 825 from others."""
_AUTHORITY_LIFE = timedelta(days=3650)
_CLOCKS_DIFFER = timedelta(hours=1)
"""How far a device's clock may be behind this one's."""
_MAX_PEM_BYTES = 1 << 20
_MAX_COMMON_NAME = 64
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?!\d+\Z){_LABEL}")
_EVERY_ADDRESS = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a server's certificate says of itself."""

    names: tuple[str, ...]
    """Host names, also with a leading `*.`, and IP addresses."""
    begins: datetime
    ends: datetime

    def covers(self, host: str) -> bool:
        """Whether it is for this name or address; `*` stands for one label (RFC 9525, 6.3)."""
        return host in self.names or f"*.{host.partition('.')[2]}" in self.names


def verify_hostname(name: str) -> None:
    """Raises InputError unless it is a host name in lower case (RFC 1123, 2.1), and no address."""
    if not _HOSTNAME.fullmatch(name):
        raise InputError(
            f"{name[:80]!a} is not a host name", hint="give one in lower case, such as ledger.mill.example"
        )


def certify(layout: Layout, name: str, now: datetime) -> str:
    """Issues a certificate for the gateway under `name`. What exists is kept: the authority, and the gateway's key.
    Returns the SHA-256 of the authority's certificate, as devices show it. Raises InputError for a name that cannot be
    one, SettingsError if the authority is for another name, has expired or is not whole, SigningError if a key cannot
    be read."""
    verify_hostname(name)
    if not layout.authority.exists():
        key = _new_key(layout.authority_key)
        write_whole(layout.authority, _authority(name, key, now).public_bytes(Encoding.PEM))
    issuer = _load(layout.authority)
    if read_authority_name(layout) != name:
        raise SettingsError(
            f"the authority in {layout.authority} is for {read_authority_name(layout)} alone",
            hint=f"move it and {layout.authority_key} away to make another one, which all devices have to trust anew",
        )
    if now >= issuer.not_valid_after_utc:
        raise SettingsError(
            f"the authority in {layout.authority} has expired",
            hint=f"move it and {layout.authority_key} away to make another one, which all devices have to trust anew",
        )
    signer = _load_key(layout.authority_key)
    if signer.public_key() != issuer.public_key():
        raise SettingsError(
            f"{layout.authority_key} is not the key of {layout.authority}", hint="restore both from one backup"
        )
    key = _load_key(layout.tls_key) if layout.tls_key.exists() else _new_key(layout.tls_key)
    write_whole(layout.tls_certificate, _server(name, key, issuer, signer, now).public_bytes(Encoding.PEM))
    return issuer.fingerprint(SHA256()).hex(":").upper()


def read_authority_name(layout: Layout) -> str:
    """The name for which the home's authority vouches. Raises InputError or SettingsError."""
    try:
        found = _load(layout.authority).extensions.get_extension_for_class(x509.NameConstraints).value
        [name] = [one.value for one in found.permitted_subtrees or () if isinstance(one, x509.DNSName)]
    except (x509.ExtensionNotFound, ValueError):
        raise SettingsError(
            f"{layout.authority} is not an authority that Millmark made",
            hint="move it away; a certificate of your company's authority needs no command of Millmark",
        ) from None
    return name


def show_certificate(path: Path) -> Shown:
    """The first certificate in a PEM file, which is the server's. Raises InputError or SettingsError."""
    found = _load(path)
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        listed: tuple[str, ...] = ()  # browsers ignore the common name
    else:
        hosts = [one.lower() for one in names.get_values_for_type(x509.DNSName)]
        listed = (*hosts, *map(str, names.get_values_for_type(x509.IPAddress)))
    return Shown(listed, found.not_valid_before_utc, found.not_valid_after_utc)


def is_own(layout: Layout, path: Path) -> bool:
    """Whether the home's own authority issued the certificate."""
    if not layout.authority.exists():
        return False
    try:
        _load(path).verify_directly_issued_by(_load(layout.authority))
    except (InputError, SettingsError, ValueError, TypeError, InvalidSignature):
        return False
    return True


def _authority(name: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    subject = _name(f"Millmark authority of {name}")
    addresses = [x509.IPAddress(ipaddress.ip_network(one)) for one in _EVERY_ADDRESS]
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _begin(subject, subject, key.public_key(), now, now + _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        # A constraint on names says nothing of addresses: they are excluded by one of their own.
        .add_extension(x509.NameConstraints([x509.DNSName(name)], addresses), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, SHA256())
    )


def _server(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate,
    signer: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    ends = min(now - _CLOCKS_DIFFER + SERVER_LIFE, issuer.not_valid_after_utc)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        _begin(_name(name), issuer.subject, key.public_key(), now, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(signer, SHA256())
    )


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _CLOCKS_DIFFER).not_valid_after(ends)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:_MAX_COMMON_NAME])])


def _new_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    write_private_whole(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(read_private(path), None)
    except (ValueError, TypeError):  # malformed, or encrypted
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SigningError(f"{path} is not a key that Millmark made", hint="restore it from a backup")
    return key


def _load(path: Path) -> x509.Certificate:
    data = read_bounded(path, _MAX_PEM_BYTES)
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError:
        raise SettingsError(f"{path} is not a certificate in PEM format", hint="restore it from a backup") from None


_SOON = timedelta(days=30)


def find_missing_of_tls(settings: Settings, path: Path, now: datetime) -> Iterator[Missing]:
    """Whether the certificate in `path` is valid, stays so for 30 days, and is for the name of `settings.origin`."""
    layout = Layout(settings.home)
    try:
        found = show_certificate(path)
    except (InputError, SettingsError) as error:
        yield Missing(f"gateway_tls_certificate: {error.cause}", "restore it from a backup, or correct the setting")
        return
    own, host = is_own(layout, path), urlsplit(settings.origin).hostname or ""
    again = f"run `millmark --home {layout.home} tls renew`" if own else "have its authority renew it"
    renew = f"{again}, and start the gateway again"
    if now >= found.ends:
        yield Missing(f"the certificate {path} expired on {found.ends:%Y-%m-%d}, so nobody can connect", renew)
    elif now + _SOON >= found.ends:
        yield Missing(f"the certificate {path} expires on {found.ends:%Y-%m-%d}", renew)
    elif now < found.begins:
        yield Missing(f"the certificate {path} is valid from {found.begins:%Y-%m-%d} only", "compare the clock")
    # Whoever comes through a proxy sees the proxy's certificate; whether there is one, this machine cannot know.
    if not found.covers(host):
        names = ", ".join(found.names) or "no name"
        yield Missing(
            f"the certificate {path} is for {names}, not for {host}, which gateway_url names",
            f"set gateway_url to its name, or have one made for {host}"
            + (f": move {layout.authority} away, then `millmark --home {layout.home} tls new {host}`" if own else ""),
        )
