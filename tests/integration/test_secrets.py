"""Secrets stay where they belong: whatever commands, gateway and node print, log, store, are called with, or leave
behind when they crash, is searched for every one that they were given."""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from millmark.ledger.chain import write_deployment
from millmark.ledger.keys import LocalSigner, create_keystore
from millmark.ledger.signatures import to_checksum
from tests.support import softhsm
from tests.support.authority import LOOPBACK, Authority
from tests.support.patience import MAX_S, wait_until
from tests.support.ports import pick_port
from tests.support.processes import PASSPHRASE, TOKEN, NodeSite, build_site, running_devchain, running_node
from tests.support.sign_in import sign
from tests.support.stores import new_store

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="/proc tells what processes were called with"),
]
WRONG = "canary-of-another-passphrase"
ENVIRONMENT = "canary-in-the-environment"


@dataclass
class Scene:
    """What was run, and the secrets that it was given."""

    folder: Path
    site: NodeSite
    secrets: dict[str, bytes] = field(default_factory=dict)
    """By name: the bytes themselves, or the text."""
    places: dict[str, Path] = field(default_factory=dict)
    """The files that each secret was put into, where it may be."""
    outputs: dict[str, bytes] = field(default_factory=dict)
    """What commands printed, by their arguments."""
    limits: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def plant(self, name: str, secret: bytes, path: Path, content: str | None = None) -> Path:
        """Notes a secret that lies in a private file, which is written when `content` is given."""
        if content is not None:
            path.touch(mode=0o600)
            path.write_text(content)
        self.secrets[name], self.places[name] = secret, path
        return path

    def run(self, *arguments: str, code: int = 0, environment: Mapping[str, str] | None = None) -> str:
        command = [sys.executable, "-m", "millmark.services.cli", "--home", str(self.home), *arguments]
        done = subprocess.run(command, capture_output=True, timeout=MAX_S, env={**os.environ, **(environment or {})})
        assert done.returncode == code, done.stderr.decode()
        self.outputs[" ".join(arguments)] = done.stdout + done.stderr
        return done.stdout.decode()

    def look_at(self, process: int) -> None:
        """What anybody on the machine sees of all processes; and whether this one would leave its memory behind."""
        shown = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _is_readable(path)]
        self.outputs[f"ps beside {process}"] = b"\n".join(shown)
        limits = Path(f"/proc/{process}/limits").read_text().splitlines()
        self.limits += [line.split()[4] for line in limits if line.startswith("Max core file size")]


def _is_readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def forms(secret: bytes) -> set[bytes]:
    """As it is, and as it may be written."""
    found = {secret}
    if len(secret) == 32:
        found |= {secret.hex().encode(), secret.hex().upper().encode()}
    return found | {base64.b64encode(secret).rstrip(b"="), base64.urlsafe_b64encode(secret).rstrip(b"=")}


def holds(content: bytes, secret: bytes) -> bool:
    return any(form in content for form in forms(secret))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("secrets")
    with running_devchain() as url, new_store(folder) as store:
        scene = Scene(folder, build_site(folder, url, store, 0))
        scene.home.mkdir()
        write_deployment(scene.home / "deployment.json", scene.site.consortium.chain.deployment)
        (scene.home / "millmark.toml").write_text(f'chain_url = "{url}"\n')
        _plant(scene)
        _run_commands(scene)
        _run_node(scene)
        _run_gateway(scene)
    return scene


def _plant(scene: Scene) -> None:
    home, site = scene.home, scene.site
    owner, inspector = site.consortium.owner.signer, site.consortium.inspector.signer
    scene.plant("passphrase", PASSPHRASE.encode(), site.folder / "secret")
    scene.plant("node's token", TOKEN.encode(), site.folder / "token")
    scene.secrets["node's key"] = inspector.unsafe_secret()
    scene.plant("owner's key", owner.unsafe_secret(), home / "owner.key", owner.unsafe_secret().hex() + "\n")
    scene.plant("wrong passphrase", WRONG.encode(), home / "wrong.pass", WRONG + "\n")
    scene.plant("PIN", softhsm.PIN.encode(), home / "pin", softhsm.PIN + "\n")
    broken = LocalSigner.generate().unsafe_secret()
    scene.plant("key in a broken file", broken, home / "broken.key", broken.hex() + " and more\n")
    relay = LocalSigner.generate()
    create_keystore(home / "relay.json", PASSPHRASE, signer=relay, scrypt_cost=2)
    scene.secrets["relay's key"] = relay.unsafe_secret()
    scene.secrets["in the environment"] = ENVIRONMENT.encode()


def _run_commands(scene: Scene) -> None:
    home, secret = scene.home, f"--passphrase-file={scene.site.folder / 'secret'}"
    owner, keystore = f"--signer=file:{home / 'owner.key'}", f"--signer=keystore:{scene.site.folder / 'key.json'}"
    scene.run("keys", "new", str(home / "new.json"), secret)
    scene.run("participants", "admit", "Late", to_checksum(b"\x07" * 20), "--roles=CARRIER", owner)
    taken = to_checksum(scene.site.consortium.inspector.signer.address)
    scene.run("participants", "admit", "Late", taken, "--roles=CARRIER", owner, code=1)
    scene.run("outbox", "adopt", taken)  # the site recorded with this key, from another outbox
    scene.run("keys", "propose", to_checksum(b"\x08" * 20), "--roles=CARRIER", keystore, secret)
    scene.run("keys", "show", keystore, f"--passphrase-file={home / 'wrong.pass'}", code=1)
    scene.run("keys", "show", f"--signer=file:{home / 'broken.key'}", code=1)
    scene.run("status", code=2, environment={"MILLMARK_PASSPHRASE": ENVIRONMENT})
    token = "--signer=pkcs11:token=plant;object=none"
    scene.run("keys", "show", token, f"--passphrase-file={home / 'pin'}", code=1, environment=_hsm())
    scene.run("documents", "keys", "new", str(home / "recipient.json"))
    scene.run("documents", "keys", "sign", str(home / "recipient.json"), keystore, secret)
    scene.plant("HPKE key", _recipient_secret(home / "recipient.json"), home / "recipient.json")
    made = json.loads(scene.run("apikeys", "new", "1", "--label=canary", "--scopes=status,relay", "--json"))
    # The secret may contain the character that separates it.
    scene.secrets["API key"] = str(made["key"]).split("_", 2)[2].encode()
    scene.outputs = {name: text for name, text in scene.outputs.items() if not name.startswith("apikeys")}


def _hsm() -> Mapping[str, str]:
    """A real token's module, where there is one."""
    if softhsm.describe_missing() is not None:
        return {}
    return {"MILLMARK_PKCS11_MODULE": str(softhsm.prepare_hsm().module)}


def _recipient_secret(path: Path) -> bytes:
    """The only 32 bytes in the file."""
    found = [
        base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_") for text in _texts(json.loads(path.read_text()))
    ]
    found += [bytes.fromhex(text.removeprefix("0x")) for text in _texts(json.loads(path.read_text())) if _is_hex(text)]
    return next(one for one in reversed(found) if len(one) == 32)


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    return [value] if isinstance(value, str) and len(value) >= 40 else []


def _is_hex(text: str) -> bool:
    return set(text.removeprefix("0x")) <= set("0123456789abcdef") and len(text) % 2 == 0


def _run_node(scene: Scene) -> None:
    scene.site.write_config()
    with running_node(scene.site.config) as node:
        node.send([{"id": "e1", "data": {"force": 1}}])
        scene.look_at(node.process.pid)
        assert node.client.post("/v1/events", json=[], headers={"Authorization": f"Bearer {WRONG}"}).status_code == 401
        wait_until(node.is_settled)
        node.process.send_signal(signal.SIGABRT)
        assert node.process.wait(MAX_S) == -signal.SIGABRT


def _run_gateway(scene: Scene) -> None:
    authority = Authority(scene.home, "authority")
    certificate, key = authority.issue("gateway", LOOPBACK, server=True)
    body = "".join(key.read_text().splitlines()[1:-1])
    scene.plant("TLS key", body[40:80].encode(), key)
    port = pick_port()
    with (scene.home / "millmark.toml").open("a") as settings:
        settings.write(
            f'gateway_port = {port}\ngateway_auth = "required"\ngateway_participant = 1\n'
            f'gateway_tls_certificate = "{certificate.name}"\ngateway_tls_key = "{key.name}"\n'
        )
    with (
        _gateway(scene) as process,
        httpx.Client(
            base_url=f"https://localhost:{port}",
            verify=ssl.create_default_context(cafile=authority.path),
            timeout=MAX_S,
            trust_env=False,
        ) as site,
    ):
        wait_until(lambda: process.poll() is not None or _answers(site), 120)
        scene.look_at(process.pid)
        signer = scene.site.consortium.inspector.signer
        offer = site.get("/v1/sign-in", params={"address": "0x" + signer.address.hex()}).json()
        opened = site.post(
            "/v1/sessions", json={"message": offer["message"], "signature": sign(offer["message"], signer)}
        )
        assert opened.status_code == 201, opened.text
        token = opened.json()["token"]
        scene.secrets["session token"] = token.split("_", 2)[2].encode()
        bearer = {"Authorization": f"Bearer {token}"}
        assert site.get("/v1/session", headers=bearer).status_code == 200
        assert site.get("/v1/trace/urn:x:y", params={"token": token}, headers=bearer).status_code in (400, 404, 422)
        assert site.post("/v1/relay", headers=bearer, content=token.encode()).status_code in (400, 422)
        assert site.get("/v1/session", headers={"Authorization": f"Bearer {token[:-1]}"}).status_code == 401
        process.send_signal(signal.SIGABRT)
        assert process.wait(MAX_S) == -signal.SIGABRT


@contextmanager
def _gateway(scene: Scene) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "millmark.services.cli", "--home", str(scene.home), "gateway"]
    command += [f"--relay-signer=keystore:{scene.home / 'relay.json'}"]
    command += [f"--passphrase-file={scene.site.folder / 'secret'}"]
    log = (scene.home / "gateway.log").open("wb")
    with log, subprocess.Popen(command, stdout=log, stderr=log, cwd=scene.home, env=_here()) as process:
        try:
            yield process
        finally:
            process.kill()


def _here() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def _answers(site: httpx.Client) -> bool:
    """Whether it takes credentials: until it has looked at its chain once, it does not."""
    try:
        told = site.get("/ready").text
        return "index-stale" not in told and "starting" not in told
    except httpx.TransportError:
        return False


def test_the_search_finds_what_is_there(scene: Scene) -> None:
    """In the files where they belong."""
    for name, path in scene.places.items():
        assert holds(
            path.read_bytes().replace(b"\n", b"") if name == "TLS key" else path.read_bytes(), scene.secrets[name]
        )
    assert len(scene.secrets) == 13


def test_nothing_printed_or_shown_holds_a_secret(scene: Scene) -> None:
    assert len(scene.outputs) >= 11
    leaks = [
        (where, name)
        for where, text in scene.outputs.items()
        for name, one in scene.secrets.items()
        if holds(text, one)
    ]
    assert leaks == []


def test_no_file_but_its_own_holds_a_secret(scene: Scene) -> None:
    """Databases, logs of node and gateway, what a crash left."""
    files = [path for path in scene.folder.rglob("*") if path.is_file()]
    assert {"ledger.db", "millmark.sqlite", "gateway.log", "node.log"} <= {path.name for path in files}
    leaks = []
    for path in files:
        content = path.read_bytes()
        joined = content.replace(b"\n", b"")
        for name, secret in scene.secrets.items():
            if scene.places.get(name) != path and (holds(content, secret) or holds(joined, secret)):
                leaks.append((path.name, name))
    assert leaks == []


def test_a_crash_leaves_no_memory_behind(scene: Scene) -> None:
    assert scene.limits == ["0", "0"]
    assert [path for path in scene.folder.rglob("core*") if path.is_file()] == []
