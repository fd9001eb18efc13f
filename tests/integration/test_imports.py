"""What an import brings with it, in a process of its own: what nobody asked for stays out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from millmark.ledger.store import open_store
from tests.support.patience import MAX_S

pytestmark = pytest.mark.integration

HEAVY = ["alembic", "eth_account", "eth_tester", "fastapi", "httpx", "numpy", "paho", "requests", "torch", "web3"]
HEAVY += ["millmark.services.gateway", "millmark.services.demo"]
FOREIGN = {"web3", "eth_tester", "sqlalchemy", "alembic", "requests", "httpx", "fastapi", "eth_abi", "numpy", "torch"}
"""What a verifier does without."""


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=MAX_S)


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import millmark.ledger", {"web3", "sqlalchemy", "eth_tester", "torch"}),
        (
            "import millmark.quality.inference, millmark.quality.evaluate, millmark.quality.network.records, "
            "millmark.quality.network.records",
            {"numpy", "torch"},
        ),
        ("from millmark.quality import Inspector, to_fixed, verify_inference", {"torch"}),
        ("import millmark.quality.__main__, millmark.quality.data, millmark.quality.card", {"torch"}),
        (
            "import millmark.quality, millmark.quality.trees.records, millmark.quality.trees.records",
            {"numpy", "torch", "lightgbm"},
        ),
        (
            "from millmark.quality import Inspector; import millmark.quality.trees.arrays",
            {"torch", "lightgbm", "scipy"},
        ),
        ("import millmark.quality.trees.tensors", {"lightgbm", "scipy"}),
        ("import millmark.quality.trees.train", {"torch"}),
        ("import millmark.services.gateway.app", {"jsonschema_rs", "webauthn"}),
        (
            "import millmark.services.acts",
            {"fastapi", "httpx", "pydantic", "sqlalchemy", "typer", "millmark.services.access"},
        ),
        (
            "import millmark.ledger.verify.__main__",
            {"millmark.ledger.bundle", "millmark.ledger.checkpoint", "millmark.ledger.verify.files"},
        ),
        (
            "import millmark.services.commands.provenance",
            {
                "eth_abi",
                "eth_utils",
                "millmark.ledger.keys",
                "millmark.ledger.submit",
                "millmark.quality.audit",
                "rich",
                "rlp",
            }
            | {
                "millmark.ledger.bundle",
                "millmark.ledger.chain.chain",
                "millmark.ledger.checkpoint",
                "millmark.ledger.footprint",
                "millmark.ledger.index.writer",
            }
            | {
                "millmark.ledger.products",
                "millmark.ledger.verify.verifier",
                "millmark.quality.model",
                "millmark.services.pictures",
            },
        ),
    ],
)
def test_importing_does_not_bring(statement: str, absent: set[str]) -> None:
    done = run(f"{statement}; import sys; print(*set(sys.modules).intersection({sorted(absent)}))")
    assert done.stdout.split() == []


def test_importing_the_verifier_brings_in_nothing_else() -> None:
    show = "print(*sorted({name.split('.')[name.startswith('millmark.')] for name in sys.modules}))"
    found = set(
        run(
            f"import sys, millmark.ledger.verify, millmark.ledger.verify.files, millmark.ledger.verify.files; {show}"
        ).stdout.split()
    )
    assert "ledger" in found
    assert not found & FOREIGN


def test_the_verify_command_brings_in_the_verifier_alone() -> None:
    show = "print(*sorted({name.split('.')[name.startswith('millmark.')] for name in sys.modules}), file=sys.stderr)"
    program = "import sys\nfrom millmark.services.entry import main\n"
    program += "sys.argv[1:] = ['verify', 'nothing', '--trust', 'nothing']\n"
    done = run(f"{program}try:\n    main()\nexcept SystemExit:\n    {show}")
    found = set(done.stderr.split())
    assert "ledger" in found
    assert not found & (FOREIGN | {"pydantic", "quality", "typer"})


def test_a_database_of_this_version_opens_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    open_store(url).close()
    found = run(
        "import sys; from millmark.ledger.store import open_store\n"
        f"open_store({url!r}); print('alembic' in sys.modules)"
    )
    assert found.stdout.strip() == "False"


def test_a_node_starts_without_what_it_does_not_use() -> None:
    code = f"""
import sys
sys.argv = ["millmark", "node", "--config", "/nonexistent"]
from millmark.services.cli import main
try:
    main()
except SystemExit as end:
    print(end.code, sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = run(code)
    assert done.stdout.strip() == "2 []"
    assert done.stderr == "millmark: /nonexistent cannot be read: No such file or directory; " + (
        "name the node's configuration file\n"
    )
