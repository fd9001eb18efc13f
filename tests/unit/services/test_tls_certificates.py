"""Certificates that a home makes for its gateway: what they are for, who believes them, and what the status says."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from millmark.ledger.errors import InputError, MillmarkError
from millmark.services.access.people.people import People, accepts_passkeys
from millmark.services.access.rules import PersonRole
from millmark.services.commands.home import choose_place, parse_place
from millmark.services.home import Layout, find_missing, find_missing_files, parse_consortium, set_setting, set_tls
from millmark.services.home.authority import (
    SERVER_LIFE,
    certify,
    find_missing_of_tls,
    show_certificate,
    verify_hostname,
)
from millmark.services.serving.protocol import TlsFiles, build_tls
from millmark.services.settings import Settings, read_settings
from tests.support.authority import LOOPBACK, Authority
from tests.support.command_line import Runner
from tests.support.stores import new_store
from tests.unit.services.test_homes import CONSORTIUM

NAME = "ledger.mill.example"
NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(tmp_path, monkeypatch, capsys)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    certify(Layout(tmp_path), NAME, datetime.now(UTC))
    return Layout(tmp_path)


def shake_hands(server: ssl.SSLContext, authority: Path, name: str, *, strict: bool = True) -> None:
    """A handshake without a socket. Raises ssl.SSLError if the client does not believe the server. `strict`: as by
    default from Python 3.13 on."""
    client = ssl.create_default_context(cafile=authority)
    client.verify_flags &= ~ssl.VERIFY_X509_STRICT
    client.verify_flags |= ssl.VERIFY_X509_STRICT if strict else 0
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [server.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up, server_hostname=name)]
    waiting = list(ends)
    for _ in range(10):
        for end in reversed(list(waiting)):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
        if not waiting:
            return
    raise AssertionError("the handshake does not end")


def served(layout: Layout) -> ssl.SSLContext:
    return build_tls(TlsFiles(layout.tls_certificate, layout.tls_key))


def test_whoever_trusts_the_authority_believes_the_gateway_under_its_name_alone(layout: Layout) -> None:
    shake_hands(served(layout), layout.authority, NAME)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(served(layout), layout.authority, "other.example")


@pytest.mark.parametrize("name", ["bank.example", "127.0.0.1", "mill.example"])
def test_a_stolen_authority_can_vouch_for_nothing_else(layout: Layout, tmp_path: Path, name: str) -> None:
    thief = Authority(tmp_path, "thief")
    stolen = load_pem_private_key(layout.authority_key.read_bytes(), None)
    assert isinstance(stolen, ec.EllipticCurvePrivateKey)
    thief.key, thief.certificate = stolen, x509.load_pem_x509_certificate(layout.authority.read_bytes())
    names = [one for one in LOOPBACK if name == "127.0.0.1"] or [x509.DNSName(name)]
    certificate, key = thief.issue("forged", names, server=True)
    with pytest.raises(ssl.SSLCertVerificationError, match="subtree"):
        shake_hands(build_tls(TlsFiles(certificate, key)), layout.authority, name, strict=False)


def test_what_is_issued_is_what_devices_ask_for(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    fingerprint = certify(layout, NAME, NOW)
    for path in (layout.authority_key, layout.tls_key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server = x509.load_pem_x509_certificate(layout.tls_certificate.read_bytes())
    issuer = x509.load_pem_x509_certificate(layout.authority.read_bytes())
    assert fingerprint.replace(":", "").lower() == issuer.fingerprint(hashes.SHA256()).hex()
    assert show_certificate(layout.tls_certificate).names == (NAME,)
    assert server.not_valid_after_utc - server.not_valid_before_utc == SERVER_LIFE == timedelta(days=397)
    assert server.not_valid_before_utc < NOW  # devices whose clock is behind
    assert isinstance(server.public_key(), ec.EllipticCurvePublicKey)
    assert server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value == x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.SERVER_AUTH]
    )
    constraints = issuer.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [x509.DNSName(NAME)]
    basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)


def test_a_renewed_certificate_keeps_authority_and_key(layout: Layout) -> None:
    kept = [path.read_bytes() for path in (layout.authority, layout.authority_key, layout.tls_key)]
    before = show_certificate(layout.tls_certificate).ends
    certify(layout, NAME, datetime.now(UTC) + timedelta(days=390))
    assert kept == [path.read_bytes() for path in (layout.authority, layout.authority_key, layout.tls_key)]
    assert show_certificate(layout.tls_certificate).ends - before >= timedelta(days=390)
    build_tls(TlsFiles(layout.tls_certificate, layout.tls_key))


def test_no_certificate_outlives_its_authority(layout: Layout) -> None:
    last = show_certificate(layout.authority).ends
    certify(layout, NAME, last - timedelta(days=1))
    assert show_certificate(layout.tls_certificate).ends == last
    with pytest.raises(MillmarkError, match="has expired"):
        certify(layout, NAME, last)


def _other_key(layout: Layout) -> None:
    layout.authority_key.write_bytes(layout.tls_key.read_bytes())


@pytest.mark.parametrize(
    ("damage", "name", "why"),
    [
        (lambda _: None, "other.mill.example", f"is for {NAME} alone"),
        (lambda layout: layout.authority_key.unlink(), NAME, "cannot be opened"),
        (lambda layout: layout.authority_key.chmod(0o640), NAME, "open to other users"),
        (lambda layout: layout.authority_key.write_bytes(b"x"), NAME, "not a key that Millmark made"),
        (_other_key, NAME, "is not the key of"),
        (lambda layout: layout.authority.write_bytes(b"x"), NAME, "not a certificate in PEM"),
        (lambda layout: layout.authority.write_bytes(layout.tls_certificate.read_bytes()), NAME, "not an authority"),
    ],
)
def test_an_authority_that_does_not_fit_issues_nothing(layout: Layout, damage: object, name: str, why: str) -> None:
    assert callable(damage)
    damage(layout)
    before = layout.tls_certificate.read_bytes()
    with pytest.raises(MillmarkError, match=why):
        certify(layout, name, datetime.now(UTC))
    assert layout.tls_certificate.read_bytes() == before


@pytest.mark.parametrize("name", ["ledger", "a-b.example", "xn--gieerei-ohb.example", "x" * 63 + ".local", "1.2.3.x4"])
def test_host_names_are_taken(name: str) -> None:
    verify_hostname(name)


@pytest.mark.parametrize(
    "name",
    ["", "10.0.0.1", "::1", "Ledger.example", "a_b", "-a", "a-", "a..b", "a.", "*.a", "x" * 64, "a." * 126 + "ab",
     "https://a", "a/b", "a b", "a\n", "é.example", "1"],
)  # fmt: skip
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not a host name"):
        verify_hostname(name)


def test_one_answer_says_port_and_name() -> None:
    assert parse_place("8600", None) == (None, 8600)
    assert parse_place(f"{NAME}:8600", None) == parse_place("8600", NAME) == (NAME, 8600)
    for answer, given in (
        (NAME, None),
        (f"{NAME}:", None),
        (f"{NAME}:0", None),
        (f"{NAME}:1", "x.example"),
        ("a:1:2", None),
    ):
        with pytest.raises(InputError):
            parse_place(answer, given)
    assert choose_place("443", NAME, None).url == f"https://{NAME}"
    assert choose_place("8600", None, "https://x").url == "https://x"
    with pytest.raises(InputError, match="is both"):
        choose_place(f"{NAME}:8600", None, "https://x.example")


def test_settings_are_set_in_their_place(layout: Layout) -> None:
    text = '# gateway_host = "127.0.0.1"\n# gateway_url = "https://gateway.example"\ngateway_port = 1\n'
    layout.settings.write_text(set_tls(text, layout, f"https://{NAME}:1"))
    found = read_settings(layout.home)
    assert (found.gateway_host, found.origin) == ("0.0.0.0", f"https://{NAME}:1")  # noqa: S104
    assert found.from_home(found.gateway_tls_certificate) == layout.tls_certificate
    assert layout.settings.read_text().count("gateway_url") == 1
    assert 'gateway_host="10.1.2.3"' in set_tls('gateway_host="10.1.2.3"\n', layout, "https://x")
    assert set_setting('# a = "x"\na="y"\n', "a", "\\1") == '# a = "x"\na = "\\\\1"\n'


def test_a_home_gets_its_certificate_and_settings(run: Runner) -> None:
    layout = Layout(run.home)
    run.settings("gateway_port = 8600\n")
    layout.consortium.write_bytes(CONSORTIUM.to_bytes())
    code, out, err = run("tls", "new", NAME)
    assert (code, err) == (0, "")
    assert f"the gateway's address is https://{NAME}:8600" in out
    assert "companies that have joined set directory_url to it" in out
    assert parse_consortium(layout.consortium.read_bytes()).gateway == read_settings(run.home).origin
    authority = layout.authority.read_bytes()
    code, out, err = run("tls", "renew")
    assert (code, err) == (0, "")
    assert "start the gateway again to use it" in out
    assert layout.authority.read_bytes() == authority
    assert run("tls", "new", NAME)[0] == 0  # can be repeated
    assert not read_settings(
        run.home
    ).audit_path.exists()  # with one, a home without a database yet is taken for damaged
    assert layout.authority.read_bytes() == authority


@pytest.mark.parametrize(
    ("settings", "arguments", "why"),
    [
        (None, ("new", NAME), "is not a home yet"),
        ("", ("new", "10.0.0.1"), "is not a host name"),
        ("", ("renew",), "has no authority of its own"),
        ('gateway_tls_certificate = "company.pem"\n', ("new", NAME), "which this command did not make"),
        ('gateway_tls_key = "/etc/company.key"\n', ("new", NAME), "which this command did not make"),
    ],
)
def test_a_home_that_does_not_fit_is_left_alone(
    run: Runner, settings: str | None, arguments: Sequence[str], why: str
) -> None:
    if settings is not None:
        run.settings(settings)
    _, err = run.refused("tls", *arguments)
    assert why in err
    assert not list(run.home.glob("*.pem"))


# What the status says


def told(layout: Layout, now: datetime, **more: object) -> list[str]:
    settings = Settings(home=layout.home, gateway_url=f"https://{NAME}", **more)  # type: ignore[arg-type]
    return [f"{one.what}; {one.hint}" for one in find_missing_of_tls(settings, layout.tls_certificate, now)]


def test_a_certificate_is_renewed_in_time(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    certify(layout, NAME, NOW)
    ends, renew = show_certificate(layout.tls_certificate).ends, f"; run `millmark --home {tmp_path} tls renew`"
    assert told(layout, NOW) == told(layout, ends - timedelta(days=30, seconds=1)) == []
    [soon] = told(layout, ends - timedelta(days=30))
    assert soon.startswith(f"the certificate {layout.tls_certificate} expires on 2032-06-06{renew}")
    [over] = told(layout, ends)
    assert over.startswith(
        f"the certificate {layout.tls_certificate} expired on 2032-06-06, so nobody can connect{renew}"
    )
    [early] = told(layout, NOW - timedelta(hours=2))
    assert "is valid from" in early


def test_a_certificate_of_the_company_s_authority_is_renewed_there(tmp_path: Path) -> None:
    layout, company = Layout(tmp_path), Authority(tmp_path, "company")
    for names, lacks in (
        ([x509.DNSName("*.mill.example")], 1),
        ([x509.DNSName("*.example")], 2),
        ([x509.DNSName("Ledger.Mill.Example")], 1),
        ([], 2),
    ):
        certificate, _ = company.issue("gateway", names, server=True)
        layout.tls_certificate.write_bytes(certificate.read_bytes())
        found = told(layout, datetime.now(UTC))
        assert len(found) == lacks
        assert found[0].endswith("have its authority renew it, and start the gateway again")
    assert f"is for no name, not for {NAME}" in found[1]


def test_a_name_that_the_certificate_lacks_is_named(layout: Layout) -> None:
    settings = Settings(home=layout.home, gateway_url="https://other.example")
    [found] = find_missing_of_tls(settings, layout.tls_certificate, datetime.now(UTC))
    assert f"is for {NAME}, not for other.example" in found.what
    assert found.hint.endswith(f"`millmark --home {layout.home} tls new other.example`")


def test_files_of_the_certificate_are_looked_at(layout: Layout) -> None:
    layout.settings.touch()
    layout.authority_key.chmod(0o644)
    layout.tls_certificate.write_text("x")
    settings = Settings(
        home=layout.home,
        gateway_tls_certificate=Path("tls.pem"),
        gateway_tls_key=Path("gone.pem"),
        gateway_url="https://x",
    )
    found = " ".join(one.what for one in find_missing_files(settings))
    assert "gone.pem does not exist, which gateway_tls_key names" in found
    assert f"{layout.authority_key} is open to other users" in found
    assert "tls.pem is not a certificate in PEM format" in found


@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        ("https://ledger.mill.example:8600", True),
        ("https://ledger", True),
        ("http://localhost:8600", True),
        ("http://ledger.mill.example", False),
        ("https://127.0.0.1:8600", False),
        ("https://[::1]:8600", False),
        ("https://192.168.1.9", False),
    ],
)
def test_passkeys_work_where_browsers_offer_them(tmp_path: Path, origin: str, accepted: bool) -> None:
    assert accepts_passkeys(origin) is accepted
    store = new_store(tmp_path)
    settings = Settings(home=tmp_path, gateway_url=origin)

    def missing(settings: Settings) -> list[str]:
        with store.reading() as connection:
            return [f"{one.what}; {one.hint}" for one in find_missing(connection, settings)]

    assert missing(settings) == []  # nobody is to sign in
    People(store, 1).invite("Ada", PersonRole.READER, now_s=int(datetime.now(UTC).timestamp()))
    found = missing(settings)
    assert [one.partition(":")[0] for one in found] == (
        [] if accepted else ["passkeys cannot work at " + origin.split(":")[0]]
    )
    assert all(f"`millmark --home {tmp_path} tls new NAME`" in one for one in found)
    assert missing(settings.model_copy(update={"openid_issuer": "https://login.example"})) == []
