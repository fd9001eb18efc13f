"""Help imports nothing of what commands work with: it is to be there at once."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "cryptography",
    "eth_abi",
    "fastapi",
    "httpx",
    "millmark.ledger.chain",
    "millmark.ledger.store",
    "pydantic",
    "rich",
    "millmark.services.cli",
    "sqlalchemy",
    "typer",
}


def test_no_help_imports_what_a_command_works_with() -> None:
    """Each command's help in one fresh process: time is not measured, what is imported is."""
    script = (
        "import sys\n"
        "from millmark.services.help import FOLDER\n"
        "from millmark.services.entry import main\n"
        "titles = [line[9:] for path in FOLDER.glob('*.txt') for line in path.open() if line.startswith('======== ')]\n"
        "for title in titles:\n"
        "    sys.argv = ['millmark', *title.split(), '--help']\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as ended:\n"
        "        assert ended.code == 0\n"
        "print(len(titles), file=sys.stderr)\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
        "print(len(sys.modules), file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    count, heavy, modules = ran.stderr.splitlines()
    assert int(count) > 130
    assert heavy == ""
    assert int(modules) < 200
    assert "Usage: millmark orders place" in ran.stdout
