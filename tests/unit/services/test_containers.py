"""The Dockerfile and the compose file, judged without a Docker daemon: as text, and with the programs' own readers."""

from __future__ import annotations

import http.server
import itertools
import re
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml  # type: ignore[import-untyped]  # it has no stubs
from typer.main import get_command

from millmark.ledger.store.database import build_engine
from millmark.services.cli import app
from millmark.services.gateway import build_policy
from millmark.services.home.layout import company_settings, operator_settings
from millmark.services.node.config import read_config
from millmark.services.serving.check_health import check_health
from millmark.services.settings import SETTINGS_FILE, Settings, read_settings
from tests.support.requirements import PROJECT, build_environment, read_lock

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "services" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("millmark:")}
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
PAGE = (FOLDER / "CONTAINERS.md").read_text()
DIRECTORY = "https://operator.example:8500"
SECRET = re.compile(r"/run/secrets/([\w.-]+)")


def _instructions() -> list[tuple[str, str]]:
    text = re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def _runs(arguments: list[str]) -> None:
    """Fails unless `millmark` has the command and each option that is given to it."""
    command: Any = get_command(app)
    rest = list(arguments)
    while rest and not rest[0].startswith("-") and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert command is not get_command(app), arguments
    assert {one for one in rest if one.startswith("--")} <= known, arguments
    assert not getattr(command, "commands", {}) or getattr(command, "invoke_without_command", False), arguments


# Dockerfile


def test_the_image_runs_as_a_user_and_holds_no_secret() -> None:
    last = DOCKERFILE.rindex("\nFROM ")
    assert re.search(r"^USER 10001:10001$", DOCKERFILE[last:], re.MULTILINE)
    for name, rest in _instructions():
        assert name in ("ARG", "FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD")
        assert not re.search(r"(?i)passphrase|password|token|secret", rest), rest


def test_the_base_image_is_named_by_its_whole_version() -> None:
    values = [rest for name, rest in _instructions() if name == "ARG"]
    assert [re.fullmatch(r"PYTHON=python:3\.\d+\.\d+-slim-\w+", value) is not None for value in values] == [True]
    assert {rest.split()[0] for name, rest in _instructions() if name == "FROM"} == {"${PYTHON}"}


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = {
        part for name, rest in _instructions() if name == "COPY" and "--from" not in rest for part in rest.split()[:-1]
    }
    assert copied == sent
    assert all((ROOT / part).exists() for part in sent)
    assert {"ledger", "services", "quality", PROJECT["readme"], *PROJECT["license-files"]} <= copied


def test_packages_come_from_the_lock_by_hash() -> None:
    installs = [
        part for name, rest in _instructions() if name == "RUN" for part in rest.split("&&") if "pip install" in part
    ]
    assert len(installs) == 2
    for install in installs:
        assert "--no-deps" in install
        assert ("--require-hashes" in install and "--only-binary :all:" in install) or "--no-index" in install
    locked = read_lock("image", build_environment("3.13", "linux"))
    assert {"psycopg-binary", "asyncua", "eth-tester", "setuptools"} <= locked.keys()
    assert not {"torch", "pytest", "mypy"} & locked.keys()


# Compose file


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"]["core"] == 0
    assert service["pids_limit"]
    assert service["mem_limit"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "env_file"} & service.keys()
    assert not re.search(r":latest$|^[^:]+$", service["image"])
    for volume in service["volumes"]:
        assert volume.split(":")[0] in COMPOSE["volumes"], "a folder of the host"
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:")


def test_secrets_are_files_outside_of_the_checkout_and_are_nowhere_else() -> None:
    declared = COMPOSE["secrets"]
    assert all(
        one == {"file": f"${{SECRETS:?set it to the folder of keys, passphrases and tokens}}/{name}"}
        for name, one in declared.items()
    )
    assert {secret for service in SERVICES.values() for secret in service.get("secrets", ())} == set(declared)
    for service in SERVICES.values():
        given = service.get("environment", {})
        assert all("PASSWORD" not in name or name.endswith("_FILE") for name in given)
        named = SECRET.findall(" ".join([*service.get("command", ()), *given.values()]))
        named += [one for config in service.get("configs", ()) for one in SECRET.findall(_config(config).read_text())]
        assert set(named) <= set(service.get("secrets", ()))


def _config(used: dict[str, str]) -> Path:
    return FOLDER / str(COMPOSE["configs"][used["source"]]["file"])


def test_every_service_that_stays_is_asked_whether_it_is_healthy() -> None:
    for name, service in SERVICES.items():
        check = service["healthcheck"]
        if name in OURS:
            *module, url = check["test"]
            assert module == ["CMD", "python", "-m", "millmark.services.serving.check_health"]
            assert re.fullmatch(r"https?://[\w.-]+:\d+/(health|ready)", url)
        else:
            assert check["test"][:2] == ["CMD", "pg_isready"]


@pytest.mark.parametrize("name", OURS)
def test_the_commands_exist(name: str) -> None:
    _runs(OURS[name]["command"])
    assert OURS[name]["networks"]
    for used in OURS[name].get("configs", ()):
        assert _config(used).exists()


def _called() -> Iterator[tuple[str, list[str]]]:
    """Service and arguments of each `millmark` that the page runs in a container."""
    page = PAGE.replace("\\\n", " ")
    variables = dict(re.findall(r'^    (\w+)="([^"]+)"$', page, re.MULTILINE))
    for line in re.findall(r"docker compose run --rm (.+)", page):
        words = shlex.split(re.sub(r"\$(\w+)", lambda match: str(variables.get(match[1], match[1])), line))
        options = []
        while words[0].startswith("-"):
            options.append(words.pop(0))
            if options[-1] != "-T":
                words.pop(0)
        if "--entrypoint" not in options:
            yield words[0], words[1:]


def test_the_commands_of_the_page_exist() -> None:
    called = list(_called())
    assert [arguments[0] for _, arguments in called] == ["init", "join", "join", "participants", "status", "backup"]
    for service, arguments in called:
        assert service in OURS
        _runs(arguments)
    [keys] = re.findall(r"\$image (keys new .+); }", PAGE)
    _runs(shlex.split(keys))
    assert set(re.findall(r"^    keys (\S+\.json)", PAGE, re.MULTILINE)) == {
        name for name in COMPOSE["secrets"] if name.endswith(".json")
    }
    assert f"millmark:{PROJECT['version']}" == OURS["chain"]["image"] == re.search(r"millmark:[\d.]+\d", PAGE)[0]  # type: ignore[index]  # found


def _settings(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that the page's command writes, under the variables of the compose file."""
    [arguments] = [given for service, given in _called() if service == name and given[0] in ("init", "join")]
    given = dict(itertools.pairwise(arguments))
    common = (given["--name"], "http://chain:8545", "embedded", int(given["--port"]), given["--gateway-url"])
    secret = given["--passphrase-file"]
    text = operator_settings(*common, secret) if name == "operator" else company_settings(*common, secret, DIRECTORY)
    (home / SETTINGS_FILE).write_text(text)
    for variable, value in OURS[name]["environment"].items():
        monkeypatch.setenv(variable, value)
    return read_settings(home)


@pytest.mark.parametrize("name", ["operator", "alder-gateway", "birch-gateway"])
def test_a_gateway_accepts_its_settings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(name, tmp_path, monkeypatch)
    policy = build_policy(
        settings.gateway_auth,
        host=settings.gateway_host,
        port=settings.gateway_port,
        url=settings.gateway_url,
        owner=settings.gateway_participant,
        tls=settings.gateway_tls_certificate is not None,
        signs=settings.gateway_signer is not None,
    )
    assert policy.needs_credential
    assert OURS[name]["healthcheck"]["test"][-1] == f"{settings.gateway_url}/health"
    assert OURS[name]["ports"] == [f"127.0.0.1:{settings.gateway_port}:{settings.gateway_port}"]
    [alias] = OURS[name]["networks"]["companies"]["aliases"]
    assert urlsplit(settings.gateway_url).hostname == alias, "so the other gateways find it under its public name"
    named = (settings.gateway_passphrase_file, settings.operator_passphrase_file, settings.partner_ca)
    assert {path.name for path in named if path is not None} <= set(OURS[name]["secrets"])
    if name == "alder-gateway":
        url = build_engine(settings.database).url
        assert (url.drivername, url.host, url.password) == ("postgresql+psycopg", "alder-database", None)
        assert url.database == SERVICES["alder-database"]["environment"]["POSTGRES_DB"]
    else:
        assert settings.database.startswith("sqlite:///")


def test_the_node_accepts_its_configuration() -> None:
    [used] = OURS["alder-node"]["configs"]
    assert OURS["alder-node"]["command"][-1] == used["target"]
    config = read_config(_config(used))
    assert config.http.token_file is not None
    assert OURS["alder-node"]["healthcheck"]["test"][-1] == f"http://localhost:{config.http.port}/health"


# Health check


class _Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.headers["Host"].startswith("alder.example:") and self.path == "/health"
        self.send_response(200 if known else 421)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_container_asks_itself_by_its_public_name(port: int) -> None:
    assert check_health(f"http://alder.example:{port}/health") is None
    assert check_health(f"http://localhost:{port}/health") == f"http://localhost:{port}/health: 421"


def test_a_server_that_is_not_there_is_not_healthy() -> None:
    assert "refused" in str(check_health("http://alder.example:1/health"))
    assert check_health("https://alder.example:1/health") is not None
