"""What works with which packages: the base install, the verifier's three, and one line where an extra is missing."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from millmark.services.cli import COMMANDS
from tests.support.bundle_vector import DATA, TRUST, vector_bytes
from tests.support.installs import link_distributions, run_millmark, run_python
from tests.support.requirements import build_environment, close

pytestmark = pytest.mark.integration

HERE = build_environment(f"{sys.version_info.major}.{sys.version_info.minor}", sys.platform)
VERIFIER = ("coincurve", "rfc8785", "safe-pysha3")
VERIFY = ("--trust", str(TRUST), "--max-age", "1000000")
GATEWAY = """
from fastapi.testclient import TestClient
from millmark.ledger.store import open_store
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
with open_store("sqlite://") as store:
    policy = build_policy("loopback-open", url="http://127.0.0.1:8600", owner=1)
    with TestClient(create_gateway(GatewayParts(store, policy)), base_url="http://127.0.0.1:8600") as client:
        print(client.get("/health").status_code)
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = close("dev", HERE, extras=()).found
    return link_distributions(tmp_path_factory.mktemp("base"), names)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return link_distributions(tmp_path_factory.mktemp("alone"), VERIFIER)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What scripts/demo installs."""
    return link_distributions(tmp_path_factory.mktemp("whole"), close("demo", HERE).found)


def test_the_base_install_has_no_extra(base: Path) -> None:
    names = ["web3", "eth_tester", "eth", "trie", "eth_account", "numpy", "torch"]
    code = f"from importlib.util import find_spec; print([name for name in {names} if find_spec(name)])"
    assert run_python(base, "-c", code).stdout.strip() == "[]"


def test_all_help_is_there_with_the_base_install(base: Path) -> None:
    done = run_millmark(base, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert {name for names in COMMANDS.values() for name in names} <= set(re.findall(r"│ ([\w-]+)", done.stdout))
    for command in ("trace", "demo"):
        done = run_millmark(base, command, "--help")
        assert (done.returncode, done.stderr) == (0, ""), command


def test_the_gateway_starts_with_the_base_install(base: Path) -> None:
    done = run_python(base, "-c", GATEWAY)
    assert (done.returncode, done.stdout.strip()) == (0, "200"), done.stderr


def test_the_base_install_verifies(base: Path) -> None:
    done = run_millmark(base, "verify", str(DATA), *VERIFY)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("VERIFIED\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("devchain", "--port", "0"), "the embedded chain needs eth-tester; pip install 'millmark[devchain]'"),
        (("demo",), "the embedded chain needs eth-tester; pip install 'millmark[devchain]'"),
        (("quality", "monitor"), "this command needs numpy; pip install 'millmark[quality]'"),
    ],
)
def test_a_command_that_needs_an_extra_names_it_in_one_line(base: Path, arguments: tuple[str, ...], line: str) -> None:
    done = run_millmark(base, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"millmark: {line}\n")


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        (
            "from millmark.ledger import EmbeddedChain",
            "the embedded chain needs eth-tester; pip install 'millmark[devchain]'",
        ),
        (
            "from millmark.ledger.chain.web3py import open_contract",
            "millmark.ledger.chain.web3py needs web3; pip install 'millmark[web3]'",
        ),
    ],
)
def test_an_import_that_needs_an_extra_names_it(base: Path, statement: str, line: str) -> None:
    done = run_python(base, "-c", statement)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"millmark.ledger.errors.NotInstalledError: {line}"


def without_age(text: str) -> str:
    """The clock may strike between two runs."""
    return re.sub(r"\(\d+ (hours?|days?) [^)]*\)|\"seconds\": \d+", "", text)


@pytest.mark.parametrize("form", [(), ("--json",)])
@pytest.mark.parametrize("case", ["good", "changed", "not a bundle", "missing"])
def test_verify_says_the_same_with_three_packages(
    alone: Path, whole: Path, tmp_path: Path, case: str, form: tuple[str, ...]
) -> None:
    bundle, code = tmp_path / "part.bundle", {"good": 0, "changed": 1}.get(case, 2)
    data = vector_bytes()
    contents = {"good": data, "changed": data.replace(b'"value":"', b'"value":"x', 1), "not a bundle": b"hello"}
    if case in contents:
        bundle.write_bytes(contents[case])
    few, many = (run_millmark(site, "verify", str(bundle), *VERIFY, *form) for site in (alone, whole))
    assert (few.returncode, many.returncode) == (code, code), few.stderr
    assert without_age(few.stdout) == without_age(many.stdout)
    assert few.stderr == many.stderr
    assert "Traceback" not in few.stderr


def test_verify_takes_a_home_and_refuses_a_wrong_call_in_one_line(alone: Path) -> None:
    done = run_millmark(alone, "--home", "elsewhere", "verify", str(DATA), *VERIFY)
    assert (done.returncode, done.stdout[:9]) == (0, "VERIFIED\n")
    done = run_millmark(alone, "verify", str(DATA))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "millmark: the following arguments are required: --trust; see millmark verify --help\n"
    )  # what argparse says


@pytest.mark.parametrize("arguments", [("trace", "urn:x:1"), ("--help",), ()])
def test_other_commands_say_what_they_need_in_one_line(alone: Path, arguments: tuple[str, ...]) -> None:
    done = run_millmark(alone, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "millmark: only `verify` works with the packages installed here; pip install millmark\n"
