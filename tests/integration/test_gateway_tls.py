"""Mutual TLS on real sockets: who is let in, who is not, and with which credential."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from millmark.ledger.errors import SettingsError
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.serving.protocol import TlsFiles, build_tls, choose_tls
from millmark.services.serving.server import build_server, listen
from millmark.services.settings import Auth
from tests.support.authority import LOOPBACK, Authority, participant
from tests.support.command_line import Runner
from tests.support.loopback import running
from tests.support.patience import MAX_S
from tests.support.shared_world import OTHER, OWNER, SharedWorld, build_shared_world
from tests.support.sign_in import NOW_S, open_session
from tests.support.stores import new_store

pytestmark = pytest.mark.integration
REFUSED = (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)
"""With TLS 1.3 a client learns of the refusal when it first reads."""


@dataclass
class Site:
    """A running gateway, and what its authorities issued."""

    address: str
    folder: Path
    server_ca: Authority
    client_ca: Authority
    shared: SharedWorld
    certificates: dict[str, tuple[Path, Path]]

    def client(self, who: str | None, version: ssl.TLSVersion | None = None) -> httpx.Client:
        context = ssl.create_default_context(cafile=self.server_ca.path)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if who is not None:
            context.load_cert_chain(*self.certificates[who])
        return httpx.Client(base_url=self.address, verify=context, trust_env=False, timeout=MAX_S)

    def token(self, number: int) -> dict[str, str]:
        return {"Authorization": f"Bearer {open_session(self.shared.store, number)}"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("tls")
    server_ca, client_ca, foreign = (Authority(folder, name) for name in ("server-ca", "client-ca", "foreign-ca"))
    certificates = {
        "partner": client_ca.issue("partner", [participant(OTHER)]),
        "nameless": client_ca.issue("nameless"),
        "revoked": client_ca.issue("revoked", [participant(OTHER)]),
        "expired": client_ca.issue("expired", [participant(OTHER)], days=-1),
        "foreign": foreign.issue("foreign", [participant(OTHER)]),
        "server's own": server_ca.issue("server", LOOPBACK, server=True),
    }
    crl = client_ca.revoke(certificates["revoked"][0])
    files = TlsFiles(*certificates["server's own"], client_ca.path, crl)
    with new_store(folder) as store:
        shared = build_shared_world(store, folder)
        with serving(shared, build_tls(files)) as address:
            yield Site(address, folder, server_ca, client_ca, shared, certificates)


@contextmanager
def serving(shared: SharedWorld, tls: ssl.SSLContext) -> Iterator[str]:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        policy = build_policy(Auth.REQUIRED, port=port, owner=OWNER, tls=True)
        app = create_gateway(GatewayParts(shared.store, policy, keys=shared.ring, clock=lambda: NOW_S))
        with running(build_server(app, "127.0.0.1", port, tls), listening):
            yield policy.origin


def test_the_right_certificate_is_let_in_with_the_right_credential(site: Site) -> None:
    assert site.address.startswith("https://")
    with site.client("partner") as client:
        assert client.get("/health").status_code == 200
        assert client.get("/v1/session").status_code == 401, "a certificate is no credential"
        answer = client.get("/v1/session", headers=site.token(OTHER))
        assert (answer.status_code, answer.json()["participant"]) == (200, OTHER)
        stolen = client.get("/v1/session", headers=site.token(OWNER))
        unknown = client.get("/v1/session", headers={"Authorization": "Bearer mms_0123456789ab_" + "A" * 43})
        assert (stolen.status_code, stolen.json()["detail"]) == (401, unknown.json()["detail"])
    with site.client("nameless") as client:
        assert client.get("/v1/session", headers=site.token(OWNER)).json()["participant"] == OWNER


@pytest.mark.parametrize("who", [None, "foreign", "expired", "revoked", "server's own"])
def test_others_are_not_let_in(site: Site, who: str | None) -> None:
    with site.client(who) as client, pytest.raises(REFUSED):
        client.get("/health")


def test_client_certificates_take_tls_1_3(site: Site) -> None:
    with site.client("partner", ssl.TLSVersion.TLSv1_2) as client, pytest.raises(REFUSED):
        client.get("/health")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_without_client_certificates_tls_1_2_is_enough(site: Site, version: ssl.TLSVersion) -> None:
    tls = build_tls(TlsFiles(*site.certificates["server's own"]))
    with serving(site.shared, tls) as address, replace(site, address=address).client(None, version) as client:
        assert client.get("/v1/session", headers=site.token(OTHER)).json()["participant"] == OTHER


def test_plain_http_and_old_tls_are_not_spoken(site: Site) -> None:
    with (
        httpx.Client(base_url=site.address.replace("https", "http"), trust_env=False, timeout=MAX_S) as client,
        pytest.raises(REFUSED),
    ):
        client.get("/health")
    context = ssl.create_default_context(cafile=site.server_ca.path)
    context.load_cert_chain(*site.certificates["partner"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with (
        httpx.Client(base_url=site.address, verify=context, trust_env=False, timeout=MAX_S) as client,
        pytest.raises(REFUSED),
    ):
        client.get("/health")


def test_no_session_is_resumed(site: Site) -> None:
    """A resumed session would not have its certificate judged again."""
    context = ssl.create_default_context(cafile=site.server_ca.path)
    context.load_cert_chain(*site.certificates["partner"])
    port, session, reused = int(site.address.rpartition(":")[2]), None, []
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=MAX_S) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as connection,
        ):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
            while connection.recv(4096):
                pass
            reused.append(connection.session_reused)
            session = connection.session
    assert reused == [False, False]


def test_a_certificate_that_is_revoked_meanwhile_is_refused_at_the_next_connection(site: Site) -> None:
    site.certificates["leaver"] = site.client_ca.issue("leaver", [participant(OTHER)])
    with site.client("leaver") as client:
        assert client.get("/health").status_code == 200
    revoked = [site.certificates[name][0] for name in ("revoked", "leaver")]
    touched = site.client_ca.revoke(*revoked)
    os.utime(touched, (time.time() + 5, time.time() + 5))  # a file system with coarse times would hide the change
    with site.client("leaver") as client, pytest.raises(REFUSED):
        client.get("/health")
    with site.client("partner") as client:
        assert client.get("/health").status_code == 200


def test_a_list_that_is_gone_or_expired_lets_nobody_in(site: Site) -> None:
    path, kept = site.folder / "client-ca.crl", site.folder / "kept.crl"
    shutil.copy2(path, kept)
    try:
        path.unlink()
        with site.client("partner") as client, pytest.raises(REFUSED):
            client.get("/health")
        path.write_bytes(b"nonsense")
        with site.client("partner") as client, pytest.raises(REFUSED):
            client.get("/health")
        site.client_ca.revoke(days=-1)
        with site.client("partner") as client, pytest.raises(REFUSED):
            client.get("/health")
    finally:
        shutil.copy2(kept, path)
        os.utime(path, (time.time() + 9, time.time() + 9))
    with site.client("partner") as client:
        assert client.get("/health").status_code == 200


def test_a_key_that_others_may_read_is_refused(site: Site) -> None:
    certificate, key = site.certificates["server's own"]
    key.chmod(0o640)
    try:
        with pytest.raises(SettingsError, match="open to other users; chmod 600"):
            build_tls(TlsFiles(certificate, key))
    finally:
        key.chmod(0o600)
    assert build_tls(TlsFiles(certificate, key)).verify_mode is ssl.CERT_NONE


def test_files_that_are_none_are_named(site: Site) -> None:
    certificate, key = site.certificates["server's own"]
    none, other = site.folder / "none", site.certificates["partner"][1]
    for files, setting in (
        (TlsFiles(none, key), "gateway_tls_certificate"),
        (TlsFiles(certificate, none), "gateway_tls_key"),
        (TlsFiles(certificate, other), "gateway_tls_certificate"),
        (TlsFiles(certificate, key, none), "gateway_tls_client_ca"),
        (TlsFiles(certificate, key, key), "gateway_tls_client_ca"),
        (TlsFiles(certificate, key, site.client_ca.path, none), "gateway_tls_crl"),
    ):
        with pytest.raises(SettingsError, match=setting):
            build_tls(files)


def test_half_a_choice_is_refused(tmp_path: Path) -> None:
    assert choose_tls(None, None, None, None) is None
    for half in (
        (tmp_path, None, None, None),
        (None, tmp_path, None, None),
        (None, None, tmp_path, None),
        (tmp_path, tmp_path, None, tmp_path),
    ):
        with pytest.raises(SettingsError):
            choose_tls(*half)


def test_the_command_refuses_to_start_with_a_key_that_others_may_read(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Runner(tmp_path, monkeypatch, capsys)
    certificate, key = (Path(shutil.copy2(one, tmp_path)) for one in site.certificates["server's own"])
    key.chmod(0o644)
    run.settings(f'gateway_tls_certificate = "{certificate.name}"\ngateway_tls_key = "{key.name}"\n')
    code, err = run.refused("gateway")
    assert (code, "gateway_tls_key" in err, "chmod 600" in err) == (2, True, True)
