"""Business acts between two companies, as people give them: each company has a home and a gateway of its own, which is
a process; nothing but commands is used."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer.main

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import MillmarkError
from millmark.ledger.keys import LocalSigner, write_private
from millmark.ledger.signatures import to_checksum
from millmark.services.cli import COMMANDS, build_app
from millmark.services.client import Client, GatewayUnreachableError, Retries, open_gateway
from millmark.services.client.local import GATEWAY_KEY
from millmark.services.devchain.server import create_devchain
from tests.support.footprints import FACTORS
from tests.support.loopback import serving
from tests.support.patience import wait_until
from tests.support.ports import pick_port
from tests.support.processes import running_gateway

pytestmark = pytest.mark.integration

PART = "https://id.gs1.org/01/09506000134352/21/A0006R"
ROLES = "BUYER,COORDINATOR,MANUFACTURER,INSPECTOR,CARRIER"


COMMAND: Any = typer.main.get_command(
    build_app(
        [
            f"millmark.services.commands.{name}"
            for name in ("chain", "participants", "keys", "interop", "bundle", "verify")
        ]
        + [module for module in COMMANDS if module.startswith("millmark.services.commands.acts.")]
    )
)
"""Made once: with every call, it would take longer than the call."""


def call(home: Path, line: str) -> str:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        COMMAND.main(["--home", str(home), *line.split()], standalone_mode=False)
    return shown.getvalue()


def refused(home: Path, line: str) -> str:
    with pytest.raises(MillmarkError) as error:
        call(home, line)
    return str(error.value)


def _key(path: Path) -> str:
    secret = secrets.token_bytes(32)
    write_private(path, secret.hex().encode())
    return to_checksum(LocalSigner.from_bytes(secret).address)


def _found(folder: Path, url: str, names: list[str]) -> dict[str, Path]:
    """An operator, and companies with their keys and name keys; each has its home."""
    operator = folder / "operator"
    operator.mkdir()
    (operator / "millmark.toml").write_text(f'chain_url = "{url}"\n')
    _key(operator / "owner.key")
    owner = f"--signer file:{operator / 'owner.key'}"
    call(operator, f"deploy {owner}")
    homes = {}
    for number, name in enumerate(names, start=1):
        home = homes[name] = folder / name
        home.mkdir()
        address = _key(home / "own.key")
        (home / "deployment.json").write_text((operator / "deployment.json").read_text())
        (home / "millmark.toml").write_text(
            f'chain_url = "{url}"\ngateway_port = {pick_port()}\ngateway_signer = "file:own.key"\n'
            f'gateway_participant = {number}\ngateway_name_keys = ["file:names.key"]\nfollow_interval_s = 0.1\n'
        )
        call(operator, f"participants admit {name} {address} --roles {ROLES} {owner}")
        own = f"--signer file:{home / 'own.key'}"
        call(home, f"keys accept {number} {own}")
        write_private(home / "names.key", secrets.token_hex(32).encode())
        call(home, f"keys name file:{home / 'names.key'} {own}")
    return homes


def _answers(home: Path) -> bool:
    try:
        _try_once(home)
    except MillmarkError:
        return False
    return True


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    with serving(create_devchain()) as url, ExitStack() as running:
        homes = _found(tmp_path_factory.mktemp("acts"), url, ["Forge", "Wheelworks"])
        with pytest.raises(GatewayUnreachableError, match=r"no gateway answers at http://localhost:\d+; start it"):
            _try_once(homes["Forge"])
        for home in homes.values():
            running.enter_context(running_gateway(home, partial(_answers, home)))
        yield homes


def wait_for(home: Path, holds: Callable[[Client], bool]) -> None:
    """Until this company's gateway has followed what another one recorded."""
    with open_gateway(home) as gateway:
        wait_until(lambda: holds(gateway))


def _try_once(home: Path) -> None:
    with open_gateway(home) as gateway:
        gateway.retries = Retries(attempts=1)
        gateway.get_session()


def test_from_an_order_to_the_buyers_custody(homes: dict[str, Path]) -> None:
    forge: Callable[[str], str] = lambda line: call(homes["Forge"], line)  # noqa: E731 - reads as what is typed
    buyer: Callable[[str], str] = lambda line: call(homes["Wheelworks"], line)  # noqa: E731 - as above
    forge("machines register urn:example:LATHE-2")
    forge("streams open urn:example:LATHE-2:log --machine LATHE-2")
    placed = buyer("orders place urn:example:order-7 --coordinator 1 --due 2100-01-01 --quantity 1")
    order = placed.split()[1]
    wait_for(homes["Forge"], lambda gateway: any(to_hex(one.subject) == order for one in gateway.iterate_orders()))
    assert "is accepted" in forge(f"orders accept {order}")
    assert "OrderStateWrong" in (error := refused(homes["Forge"], f"orders accept {order}"))
    assert "state=accepted" in error
    proposed = forge(f"assignments propose {order} --operation 1 --machine LATHE-2")
    number = re.findall(r"as assignment (\d+)", proposed)[0]
    forge(f"assignments accept {number}")
    forge(f"assignments start {number}")
    assert "is entry 1 of stream log" in forge("streams add log --event press-118 --value force=7")
    part = forge(f"lots commission {PART} --order {order} --operation 1").split()[1]
    forge(f"assignments finish {number} --event press-118")
    forge(f"orders complete {order}")
    forge("lots receive urn:example:pallet-1")
    forge("lots pack pallet-1 A0006R")
    assert "with 1 packed in it is offered to 2" in forge("custody offer pallet-1 --to 2")
    wait_for(homes["Wheelworks"], lambda gateway: any(gateway.iterate_lots(state="offered")))
    [pallet] = json.loads(buyer("custody list --json"))["offers"]
    assert "with 1 packed in it is yours" in buyer(f"custody accept {pallet['subject']}")
    buyer(f"lots unpack {pallet['subject']} {part}")
    assert "is delivered" in buyer(f"orders confirm order-7 {part}")
    assert "delivered" in buyer("orders list --all")


def test_a_footprint_from_registers_to_the_bundle_that_proves_it(homes: dict[str, Path], tmp_path: Path) -> None:
    forge: Callable[[str], str] = lambda line: call(homes["Forge"], line)  # noqa: E731 - reads as what is typed
    (tmp_path / "factors.json").write_text(json.dumps(FACTORS.to_json()))
    by = f"--factors {tmp_path / 'factors.json'}"
    forge("machines register urn:example:MILL-3")
    forge("streams open urn:example:MILL-3:log --machine MILL-3")
    placed = "orders place urn:example:order-8 --coordinator 1 --due 2100-01-01 --quantity 1 --operations 2"
    order = forge(placed).split()[1]
    forge(f"orders accept {order}")
    numbers = []
    for operation in (1, 2):
        proposed = forge(f"assignments propose {order} --operation {operation} --machine MILL-3")
        numbers += re.findall(r"as assignment (\d+)", proposed)
        forge(f"assignments accept {numbers[-1]}")
    first, second = numbers
    assert "the register is read at the start" in forge(f"assignments start {first} --register-wh 1000")
    assert "less than the 1000 Wh" in refused(homes["Forge"], f"assignments start {second} --register-wh 1")
    forge(f"assignments start {second} --register-wh 1100")  # while the first one runs
    forge(f"assignments read {second} --register-wh 20 --register-reset 1500=0")
    forge(f"assignments read {first} --register-wh 60")  # whoever reads it need not know of the reset
    assert "has another reading" in refused(homes["Forge"], f"assignments read {first} --register-wh 61")
    forge(f"lots commission urn:example:blank --order {order} --operation 1 {by} --emission steel=300")
    forge(f"assignments finish {first}")
    forge(f"lots transform conversion --input blank=1 --output urn:example:shaft=1 --operation 2 {by}")
    forge(f"assignments finish {second}")
    proposed = forge(f"assignments propose {order} --operation 2 --machine MILL-3")
    third = re.findall(r"as assignment (\d+)", proposed)[0]
    forge(f"assignments accept {third}")
    forge(f"assignments start {third} --register-wh 70")
    forge(f"assignments read {third} --register-wh 77")
    forge(f"lots rework shaft --operation 2 {by}")
    forge(f"assignments finish {third}")
    found = json.loads(forge("footprint shaft --json"))
    # 100 alone, then 400 until the reset and 20 after it for both, 40 alone, then the rework: the 10 between are idle.
    energy = [(one["assignment"], one["wh"]) for one in found["contributions"] if one["assignment"]]
    assert energy == [(int(first), 350), (int(second), 210), (int(third), 7)]
    assert found["location_mg"] == sum(one["location_mg"] for one in found["contributions"]) == 567 * 380 + 570_000
    bundle, trust = tmp_path / "part.bundle", tmp_path / "trust.json"
    forge(f"bundle shaft -o {bundle} --disclose /passport")
    forge(f"trust -o {trust}")
    told = forge(f"verify {bundle} --trust {trust} --any-status")
    assert f"567 Wh, {found['location_mg']} mg CO2e by location" in told
    assert f"(assignments {first}, {second}, {third})" in told
    assert "the footprint of" not in told.partition("Attention:")[2].partition("Where they came from:")[0]


def test_the_key_of_the_homes_commands_is_private_and_renewed(homes: dict[str, Path]) -> None:
    path = homes["Forge"] / GATEWAY_KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    with open_gateway(homes["Forge"]) as gateway:
        caller = gateway.get_session()
    assert (caller.participant, caller.owner) == (1, True)
    assert path.read_text() == before, "it is made once"
    old = time.time() - 340 * 86_400
    os.utime(path, (old, old))
    with open_gateway(homes["Forge"]) as gateway:
        assert gateway.get_session().participant == 1
    assert path.read_text() != before
