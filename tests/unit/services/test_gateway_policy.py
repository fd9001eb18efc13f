"""Settings of a gateway that would expose data or tokens to the network are refused."""

from __future__ import annotations

import pytest

from millmark.ledger.errors import SettingsError
from millmark.services.gateway import build_policy
from millmark.services.settings import Auth
from tests.support.sign_in import ORIGIN

HOST = "gateway.example"


@pytest.mark.parametrize(
    "unsafe",
    [
        {"host": "0.0.0.0"},  # noqa: S104  # what is refused
        {"host": "192.168.1.7"},
        {"host": "::"},
        {"url": "http://gateway.example"},
        {"auth": Auth.REQUIRED, "url": "http://gateway.example"},
        {"auth": Auth.REQUIRED, "host": "0.0.0.0"},  # noqa: S104  # what is refused
        {"auth": Auth.LOOPBACK_OPEN, "host": "0.0.0.0", "url": "http://localhost:8600"},  # noqa: S104  # as above
        {"auth": Auth.REQUIRED, "url": "gateway.example"},
        {"auth": Auth.REQUIRED, "url": "https://"},
        {"auth": Auth.REQUIRED, "url": "https://gateway.example/"},
        {"auth": Auth.REQUIRED, "url": "https://gateway.example/v1?x#y"},
        {"auth": Auth.REQUIRED, "url": "https://user:secret@gateway.example"},
        {"auth": Auth.REQUIRED, "url": "https://GATEWAY.example"},
        {"auth": Auth.REQUIRED, "url": "https://gateway.example:99999"},
        {"auth": Auth.REQUIRED, "url": "ftp://gateway.example"},
        {"auth": Auth.REQUIRED, "url": "https://[::1"},
    ],
)
def test_unsafe_settings_are_refused(unsafe: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        build_policy(**unsafe)  # type: ignore[arg-type]  # of the parameters' types


def test_safe_settings_are_not() -> None:
    assert build_policy().origin == "http://localhost:8600"
    assert build_policy(host="::1", port=1).origin == "http://localhost:1", "browsers offer passkeys at names alone"
    assert build_policy(host="127.0.0.2", port=1, tls=True).origin == "https://127.0.0.2:1", "where no name leads"
    assert build_policy(tls=True).origin == "https://localhost:8600"
    behind = build_policy(Auth.REQUIRED, url=ORIGIN)
    assert (behind.origin, HOST in behind.hosts) == (ORIGIN, True)
    far = build_policy(Auth.REQUIRED, host="0.0.0.0", url=ORIGIN)  # noqa: S104  # behind TLS
    assert far.hosts == {HOST}
