"""From the demonstration to a passport and its proof: what it prints, and the transcript on its page, line by line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from playwright.sync_api import Browser

from millmark.ledger.events.certificates import CertificateIssued, StreamAnchored
from millmark.ledger.keys import open_signer
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import CertificateRow, RecordRow
from millmark.services.access.signin import session_cookie
from millmark.services.demo.home import make_link, read_finished
from millmark.services.settings import Settings, read_settings
from millmark.services.store import open_store
from tests.proofs.first_use import SIX, check_proof, sign_in_all
from tests.support.opened import Link, enter, opened, read_links
from tests.support.patience import MAX_S

pytestmark = [pytest.mark.integration, pytest.mark.browser]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SCAN = (ROOT / "services" / "portal" / "SCAN.md").read_text()
MILLMARK = Path(sys.executable).parent / "millmark"
HOME = Path("millmark-demo", "nordwind-mobility")
GOOD = "That this was recorded is proved"
NEXT = "\nnext, in a browser:"
KEY = f"{MILLMARK} keys sign-in --signer file:{HOME}/company.key --message message.txt"


@dataclass(frozen=True)
class Left:
    """What a small demonstration left and printed."""

    folder: Path
    printed: str
    environment: Mapping[str, str]

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "demo.json").read_text())
        return found

    @property
    def settings(self) -> Settings:
        """Of the buyer."""
        return read_settings(self.folder / HOME)

    @property
    def before(self) -> list[str]:
        """The commands that it prints for a company, as they are."""
        return _typed(self.printed.split("\nfrom the command line, ")[1].split(NEXT)[0])

    @property
    def commands(self) -> list[str]:
        """The lines that it prints to go on with, but for the links of the roles."""
        return _typed(self.printed.split(NEXT)[1].split("\n  5. ")[0])

    def run(self, command: str, most_s: float = MAX_S) -> subprocess.CompletedProcess[str]:
        """As somebody types it in the folder where the demonstration was run."""
        return subprocess.run(
            ["bash", "-c", command],
            capture_output=True,
            text=True,
            timeout=most_s,
            cwd=self.folder,
            env=self.environment,
        )


def _typed(onward: str) -> list[str]:
    return [line.strip() for line in onward.splitlines() if re.match(r" +(/|\.|\w+/|curl|http)", line)]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("scan")
    random = np.random.default_rng(7)
    rows = np.column_stack([np.array([-1, 1] * 20), random.normal(size=(40, 500))])
    np.savetxt(folder / "windows.tsv", rows, delimiter="\t", fmt=["%d", *["%.6f"] * 500])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    left = Left(folder, "", environment)
    # A minute's work of ten programs on an idle machine.
    done = left.run(f"{MILLMARK} demo --orders=3 --data=windows.tsv --json=demo.json", 5 * MAX_S)
    assert done.returncode == 0, done.stderr
    return Left(folder, done.stdout, environment)


@pytest.fixture(scope="module")
def links(left: Left) -> Iterator[dict[str, Link]]:
    """The links of the roles, while the demonstration is open."""
    with opened(left.folder / "millmark-demo", left.folder / "open.log") as links:
        yield links


@pytest.fixture(scope="module")
def link(left: Left, links: dict[str, Link]) -> str:
    """The passport's, at the gateway that runs."""
    return links["anybody"].url


def read(address: str, **headers: str) -> str:
    with urlopen(Request(address, headers=headers)) as answer:  # noqa: S310  # our own gateway
        text: str = answer.read().decode()
        return text


def transcript() -> list[tuple[str, str]]:
    """Commands, and what each prints; `...` stands for anything in a line."""
    text = SCAN.split("<!-- scan -->")[1].split("<!-- /scan -->")[0].strip().strip("`").strip()
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def test_the_transcript_is_what_happens(left: Left, link: str, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**left.environment, "LINK": link, "PATH": path}
    steps = transcript()
    assert len(steps) >= 7
    for command, expected in steps:
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=MAX_S, cwd=tmp_path, env=environment
        )
        pattern = ".*".join(map(re.escape, expected.strip().split("...")))
        assert re.fullmatch(pattern, done.stdout.strip()), (command, done.stdout, done.stderr)


def test_what_the_demonstration_prints_leads_to_the_proof(left: Left, link: str) -> None:
    """Every line as it stands: the demonstration is open already, the link is opened, the rest is typed."""
    start, shown, *typed = left.commands
    assert start == f"{MILLMARK} demo open --out millmark-demo"
    assert shown == link == left.report["code"]
    assert "▀" in left.printed, "the code itself is shown"
    assert GOOD in read(shown)
    outputs = [left.run(command) for command in (*typed, *left.before)]
    assert [done.returncode for done in outputs] == [0] * len(outputs), outputs
    assert [re.findall(r" (curl|verify|trace|recall) ", f" {command} ") for command in (*typed, *left.before)] == [
        ["curl"],
        ["curl"],
        ["verify"],
        ["trace"],
        ["recall"],
    ]
    assert outputs[2].stdout.startswith("VERIFIED")
    assert left.report["trace"]["lot"]["identifier"] in outputs[2].stdout
    assert left.report["trace"]["upstream"]
    assert all(one["identifier"] for one in left.report["trace"]["upstream"]), "names came with the hand-overs"


def test_it_ends_with_a_link_for_each_role(left: Left, links: dict[str, Link]) -> None:
    told = read_links(left.printed)
    assert list(told) == list(links) == [*SIX, "forecasts", "anybody"]
    assert left.printed.rstrip().endswith(told["anybody"].url)
    assert {role: one.origin for role, one in told.items()} == {role: one.origin for role, one in links.items()}
    assert all(one.url.startswith("http://localhost:") for one in told.values())


def test_a_link_that_was_printed_before_it_was_opened_lets_in(left: Left, links: dict[str, Link]) -> None:
    with closing(enter(read_links(left.printed)["forecasts"])) as planner:
        shown = planner.get("/portal/demand").text
    demand = left.report["demand"]
    assert '<svg class="fan"' in shown
    assert demand["coming"]["forecast"].removeprefix("0x") in shown
    [scored] = re.findall(rf"{demand['earlier']['forecast'].removeprefix('0x')}.*?</tr>", shown, re.DOTALL)
    assert f">{demand['earlier']['came']}<" in scored


def test_who_has_signed_in_before_gets_no_second_invitation(left: Left, links: dict[str, Link]) -> None:
    finished = read_finished(left.folder / "millmark-demo")
    place = next(one for one in finished.places if one.role == "forecasts")
    assert make_link(finished, place) == f"{links['forecasts'].origin}/portal/sign-in"


def test_a_page_needs_a_session(left: Left, links: dict[str, Link]) -> None:
    origin = links["buyer"].origin
    with pytest.raises(HTTPError, match="401"):
        read(f"{origin}/v1/machines")
    assert "Cedar Assembly" not in read(f"{origin}/portal/machines")
    cookie = f"{session_cookie(origin)}={sign_in(left, origin)}"
    assert "Cedar Assembly" in read(f"{origin}/portal/machines", Cookie=cookie)


@pytest.mark.parametrize(
    ("folder", "cause"),
    [
        ("millmark-demo", "the chain in .* runs already, or cannot be opened; stop the gateway"),
        ("nowhere", "the demonstration in nowhere is not there; run it with `millmark demo --out nowhere`"),
        ("begun", "the demonstration in begun was not finished; run it with `millmark demo --out begun`"),
        ("gone", "the home gone/nordwind-mobility is gone; run the demonstration again: `millmark demo --out gone`"),
        ("garbled", "garbled/demonstration.json cannot be read: .*; run the demonstration again"),
        ("taken", "port {port} of the gateway of Cedar Assembly is taken; stop what listens there"),
    ],
)
def test_what_cannot_be_opened_is_said_in_a_line(left: Left, links: dict[str, Link], folder: str, cause: str) -> None:
    for name in ("begun/operator", "gone", "garbled", "taken/cedar"):
        (left.folder / name).mkdir(parents=True, exist_ok=True)
    place = '{"home": "nordwind-mobility", "company": "Nordwind Mobility"}'
    (left.folder / "gone" / "demonstration.json").write_text(f'{{"code": "", "places": [{place}]}}')
    (left.folder / "garbled" / "demonstration.json").write_text("{")
    place = '{"home": "cedar", "company": "Cedar Assembly"}'
    (left.folder / "taken" / "demonstration.json").write_text(f'{{"code": "", "places": [{place}]}}')
    port, chain = links["buyer"].origin.rpartition(":")[2], left.settings.chain_url
    (left.folder / "taken" / "cedar" / "millmark.toml").write_text(f'gateway_port = {port}\nchain_url = "{chain}"\n')
    done = left.run(f"{MILLMARK} demo open --out {folder}")
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    assert re.match(f"millmark: {cause.format(port=port)}", line), line


def sign_in(left: Left, origin: str) -> str:
    """A session's token, had with the company's key, as the buyer."""
    address = open_signer(f"file:{left.folder / HOME / 'company.key'}").address
    message = json.loads(read(f"{origin}/v1/sign-in?address=0x{address.hex()}"))["message"]
    (left.folder / "message.txt").write_text(message)
    body = {"message": message, "signature": left.run(KEY).stdout.strip()}
    headers = {"Content-Type": "application/json"}
    request = Request(f"{origin}/v1/sessions", json.dumps(body).encode(), headers)  # noqa: S310  # our own gateway
    with urlopen(request) as answer:  # noqa: S310  # our own gateway
        token: str = json.load(answer)["token"]
    return token


def test_a_browser_finds_both_files_behind_the_passports_links(left: Left, link: str, tmp_path: Path) -> None:
    page, origin = read(link), link.partition("/01/")[0]
    for name in ("part.bundle", "trust.json"):
        [target] = set(re.findall(rf'href="([^"]+)" download="{name}"', page))
        (tmp_path / name).write_text(read(origin + unescape(target)))
    done = left.run(f"{MILLMARK} verify {tmp_path / 'part.bundle'} --trust {tmp_path / 'trust.json'}")
    assert done.returncode == 0, done.stderr


def test_its_gateway_takes_writes_and_trust_files(left: Left, link: str) -> None:
    origin = link.partition("/01/")[0]
    terms = {
        "operations": 1,
        "coordinator": 2,
        "gates": [{"inspector": 6, "model": left.report["trace"]["certificates"][0]["model"]["model"]}],
        "due_at": "2099-12-01T12:00:00Z",
    }
    order = {"identifier": "urn:example:first-order", "terms": terms}
    bearer = f"Bearer {sign_in(left, origin)}"
    headers = {"Idempotency-Key": "first-order-1", "Content-Type": "application/json", "Authorization": bearer}
    with urlopen(Request(f"{origin}/v1/orders", json.dumps(order).encode(), headers)) as answer:  # noqa: S310  # ours
        assert answer.status == 202
        record = answer.headers["Location"]
    end = time.monotonic() + MAX_S
    while not (fate := json.loads(read(origin + record, Authorization=bearer)))["done"]:
        assert time.monotonic() < end
    assert fate["state"] == "final", fate
    assert json.loads(read(f"{origin}/v1/trust", Authorization=bearer))["chain_id"]


def test_any_part_has_its_proof(left: Left, link: str) -> None:
    """Another part of the same home, by the code that the command makes from the book."""
    traced = left.report["trace"]["lot"]["identifier"]
    names = (traced.replace(traced[-5:], f"A000{number}") for number in (1, 2, 3))
    other = next(name for name in names if name != traced)
    done = left.run(f"{MILLMARK} --home {HOME} digital-link {other} --code --qr=code.svg")
    assert done.returncode == 0, done.stderr
    assert (left.folder / "code.svg").read_text().startswith("<svg")
    assert "Download" in read(json.loads(done.stdout)["code"])


def test_a_code_of_what_is_not_in_the_book_is_not_made(left: Left) -> None:
    name = "https://id.gs1.org/01/09506000013459/21/NONE"
    done = left.run(f"{MILLMARK} --home {HOME} digital-link {name} --code")
    assert done.returncode == 1
    assert "not in the private book" in done.stderr


def test_parts_were_inspected_by_a_node_and_certified_with_its_own_key(left: Left) -> None:
    home = left.folder / "millmark-demo" / "umbra-inspection"
    company, node = (open_signer(f"file:{home / name}").address for name in ("company.key", "node/node.key"))
    with open_store(f"sqlite:///{home / 'millmark.sqlite'}") as store, store.reading() as connection:
        rows = Rows(connection)
        keys = {row.sequence: row.key for row in rows.find(RecordRow, kind=CertificateIssued.__name__)}
        by_model = {row.sequence: row.model > 0 for row in rows.find(CertificateRow)}
        bench = {row.stream for row in rows.find(CertificateRow)}
        anchored = {row.key for row in rows.find(RecordRow, kind=StreamAnchored.__name__) if row.subject in bench}
        kept = Book(connection).inferences(by_model)
    assert {by_model[number]: key for number, key in keys.items()} == {True: node, False: company}
    assert anchored == {node}
    assert set(kept) == {number for number, modelled in by_model.items() if modelled}
    assert "windows that BENCH-1 measured went to the node of Umbra Inspection" in left.printed
    refused = left.run(f"{MILLMARK} node --config {home / 'node' / 'node.toml'} dead-letters")
    assert refused.stdout.strip() == "nothing was refused", refused.stderr


def test_neither_a_second_gateway_nor_a_new_demonstration_takes_the_chain_away(left: Left, link: str) -> None:
    for command in (f"--home {HOME} gateway", "demo --orders=3 --data=windows.tsv"):
        done = left.run(f"{MILLMARK} {command}")
        assert done.returncode == 2, command
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("millmark: ")
    assert GOOD in read(link)


def test_its_chain_is_the_one_that_the_index_was_read_from(left: Left, link: str) -> None:
    done = left.run(f"{MILLMARK} --home {HOME} status")
    assert done.returncode == 0, done.stdout
    assert "index equals chain" in done.stdout
    assert "heads equal the chain's at block" in done.stdout


def test_the_contract_objects_of_the_readme_answer(left: Left, link: str) -> None:
    """Its ten lines as they are, but for the port."""
    [lines] = [one for one in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "web3py" in one]
    assert len(lines.splitlines()) == 10
    program = lines.replace("http://127.0.0.1:8601", str(left.settings.chain_url))
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=left.folder,
        env=left.environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    issued = [line.split() for line in done.stdout.splitlines()]
    [shown] = [row for row in issued if row[1] == left.report["trace"]["lot"]["subject"]]
    assert int(shown[0]) == left.report["trace"]["certificates"][-1]["certificate"]
    assert len(issued) == sum(left.report["certificates"].values()) + 1, "and that of the sampled bearings"


def test_all_roles_are_signed_in_at_once_in_one_browser(left: Left, links: dict[str, Link], chromium: Browser) -> None:
    """By passkeys for one host, and by cookies that differ by port alone."""
    context = chromium.new_context(locale="en-GB")
    for role, _, name in sign_in_all(context, links):
        company = "operator" if role == "operator" else links[role].company
        assert name.endswith(f", {company}"), "by which it is told from the others of this host"
    page = context.new_page()
    for role in SIX:
        answer = page.goto(f"{links[role].origin}/portal/orders")
        assert answer is not None
        assert (answer.status, page.url) == (200, f"{links[role].origin}/portal/orders"), f"the {role} is signed out"
    context.close()


def test_the_proof_is_checked_on_the_device_from_the_passport(link: str, chromium: Browser) -> None:
    page = chromium.new_page(locale="en-GB")
    check_proof(page, link)
    page.close()
