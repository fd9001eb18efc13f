"""No import may raise the recursion limit: deeply nested input would end the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.patience import MAX_S

pytestmark = pytest.mark.integration

IMPORTS = {
    "a node over HTTP": "from millmark.ledger.chain import HttpTransport; HttpTransport('http://127.0.0.1:1')",
    "the embedded chain": "from millmark.ledger.chain import EmbeddedChain",
    "a keystore": "from pathlib import Path; import tempfile; from millmark.ledger.keys import create_keystore; "
    "create_keystore(Path(tempfile.mkdtemp()) / 'k.json', 'word', scrypt_cost=2)",
}


@pytest.mark.parametrize("name", IMPORTS)
def test_the_limit_stays_pythons_own(name: str) -> None:
    program = (
        f"import sys; limit = sys.getrecursionlimit(); {IMPORTS[name]}; sys.exit(sys.getrecursionlimit() != limit)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=MAX_S).returncode == 0
