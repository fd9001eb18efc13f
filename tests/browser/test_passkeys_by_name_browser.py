"""Passkeys at a gateway that `millmark init --hostname` set up: its own process, its own authority, a real Chromium."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from millmark.ledger.chain import EmbeddedChain
from millmark.services.devchain import create_devchain
from millmark.services.home import Layout
from tests.browser.test_people_browser import phone
from tests.support.loopback import serving
from tests.support.patience import MAX_S
from tests.support.ports import pick_port

pytestmark = pytest.mark.browser
NAME = "ledger.mill.example"
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


@dataclass(frozen=True)
class Site:
    """A gateway that runs in a process of its own."""

    home: Path
    port: int

    @property
    def origin(self) -> str:
        return f"https://{NAME}:{self.port}"

    def run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "millmark.services.entry", "--home", str(self.home), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=MAX_S).stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("by-name")
    site = Site(folder / "operator", pick_port())
    with serving(create_devchain(EmbeddedChain())) as chain:
        site.run(
            "init",
            "--name=Nordic",
            f"--chain-url={chain}",
            f"--port={site.port}",
            f"--hostname={NAME}",
            f"--passphrase-file={folder / 'passphrase'}",
        )
        with _gateway(site):
            yield site


@contextmanager
def _gateway(site: Site) -> Iterator[None]:
    command = [sys.executable, "-m", "millmark.services.entry", "--home", str(site.home), "gateway"]
    with (site.home / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait(site, process)
            yield
        finally:
            process.terminate()
            process.wait(MAX_S)


def _wait(site: Site, process: subprocess.Popen[bytes]) -> None:
    """Until the gateway answers those who trust the authority under its name, and nobody else's."""
    trusting = ssl.create_default_context(cafile=Layout(site.home).authority)
    end = time.monotonic() + MAX_S
    with httpx.Client(verify=trusting, trust_env=False, timeout=MAX_S) as client:
        while process.poll() is None and time.monotonic() < end:
            request = client.build_request(
                "GET",
                f"https://127.0.0.1:{site.port}/health",
                headers={"Host": f"{NAME}:{site.port}"},
                extensions={"sni_hostname": NAME},
            )
            try:
                assert client.send(request).status_code == 200
            except httpx.ConnectError:
                time.sleep(0.1)
                continue
            return
    raise AssertionError((site.home / "log").read_text()[-2000:])


@contextmanager
def launched(home: Path) -> Iterator[Browser]:
    """A Chromium that finds the gateway's name, as the network's DNS would have it, and trusts what `home` says."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    expect.set_options(timeout=MAX_S * 1000)
    with sync_playwright() as playwright:
        rule = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"
        browser = playwright.chromium.launch(
            executable_path=path, args=[*_FLAGS, rule], env={**os.environ, "HOME": str(home)}, timeout=MAX_S * 1000
        )
        yield browser
        browser.close()


def test_a_passkey_is_made_and_used_at_the_name_by_whoever_trusts_the_authority(site: Site, tmp_path: Path) -> None:
    link = site.run("people", "invite", "Ada Lovelace", "--role", "administrator").splitlines()[0]
    assert link.startswith(f"{site.origin}/portal/invitation#")
    refused = pytest.raises(PlaywrightError, match="ERR_CERT_AUTHORITY_INVALID")
    with launched(tmp_path / "strange") as strange, phone(strange) as page, refused:
        page.goto(link)
    trust = [sys.executable, "-m", "tests.support.nss", str(tmp_path), str(Layout(site.home).authority)]
    subprocess.run(trust, check=True, timeout=MAX_S)
    with launched(tmp_path) as browser, phone(browser) as page:
        page.goto(link)
        assert page.evaluate("isSecureContext")
        page.get_by_role("button", name="Create a passkey").click()
        expect(page).to_have_url(f"{site.origin}/portal")
        page.locator("li form[action='/portal/sign-out'] button").click()
        page.goto(f"{site.origin}/portal/sign-in")
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page).to_have_url(f"{site.origin}/portal")
        expect(page.get_by_role("link", name="Ada Lovelace")).to_be_visible()
