"""Authorities that a Chromium on Linux trusts: the ones in the NSS database of the user's home.

    python -m tests.support.nss HOME AUTHORITY.pem

What `certutil -A -t C,,` does, by the library that Chromium itself loads. In a process of its own: NSS keeps global
state. Chromium is started with `HOME` set to that home.
"""

from __future__ import annotations

import ctypes
import ssl
import sys
from pathlib import Path

__all__ = ["trust"]

LIBRARY, UTILITIES = "libnss3.so", "libnssutil3.so"
_TRUSTED_CA, _VALID_CA = 1 << 4, 1 << 3
"""CERTDB_TRUSTED_CA and CERTDB_VALID_CA of certdb.h."""


class _Trust(ctypes.Structure):
    """CERTCertTrust of certt.h."""

    _fields_ = (("ssl", ctypes.c_uint), ("email", ctypes.c_uint), ("signing", ctypes.c_uint))


class _Item(ctypes.Structure):
    """SECItem of seccomon.h."""

    _fields_ = (("type", ctypes.c_uint), ("data", ctypes.c_char_p), ("len", ctypes.c_uint))


def trust(home: Path, authority: Path) -> None:
    """Adds a certificate in PEM format to what Chromium trusts for servers. Raises OSError."""
    folder = home / ".pki" / "nssdb"
    folder.mkdir(mode=0o700, parents=True)
    nss = ctypes.CDLL(LIBRARY)
    for name in ("CERT_NewTempCertificate", "PK11_GetInternalKeySlot", "CERT_GetDefaultCertDB"):
        getattr(nss, name).restype = ctypes.c_void_p
    _check(nss, nss.NSS_InitReadWrite(f"sql:{folder}".encode()) == 0)
    slot = ctypes.c_void_p(nss.PK11_GetInternalKeySlot())
    _check(nss, nss.PK11_InitPin(slot, None, None) == 0)
    data = ssl.PEM_cert_to_DER_cert(authority.read_text())
    item = _Item(0, data, len(data))
    database = ctypes.c_void_p(nss.CERT_GetDefaultCertDB())
    certificate = ctypes.c_void_p(nss.CERT_NewTempCertificate(database, ctypes.byref(item), None, 0, 1))
    _check(nss, certificate.value is not None)
    _check(nss, nss.PK11_ImportCert(slot, certificate, ctypes.c_ulong(0), b"authority", 0) == 0)
    wanted = _Trust(_TRUSTED_CA | _VALID_CA, 0, 0)
    _check(nss, nss.CERT_ChangeCertTrust(database, certificate, ctypes.byref(wanted)) == 0)
    nss.CERT_DestroyCertificate(certificate)
    nss.PK11_FreeSlot(slot)
    _check(nss, nss.NSS_Shutdown() == 0)


def _check(nss: ctypes.CDLL, succeeded: bool) -> None:
    if not succeeded:
        raise OSError(f"NSS error {ctypes.CDLL(UTILITIES).PORT_GetError()}")


if __name__ == "__main__":
    trust(Path(sys.argv[1]), Path(sys.argv[2]))
