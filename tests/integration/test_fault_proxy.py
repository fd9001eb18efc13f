"""The fault proxy over real sockets: each fault reaches the client as what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from millmark.ledger.chain import EmbeddedChain, HttpTransport, Node, RpcError
from millmark.ledger.errors import ChainUnreachableError
from millmark.services.devchain import create_devchain
from tests.faults.proxy import Fault, FaultProxy, Schedule, fault_proxy
from tests.support.loopback import serving
from tests.support.patience import MAX_S

pytestmark = pytest.mark.integration
ADDRESS = b"\x11" * 20


@dataclass(frozen=True, slots=True)
class Always(Schedule):
    """The same fault, whatever is asked."""

    kind: Fault = Fault.DELAY

    def fault(self, number: int, method: str, size: int = 1) -> Fault | None:  # noqa: ARG002  # the schedule's signature
        return self.kind


@pytest.fixture(scope="module")
def line() -> Iterator[tuple[FaultProxy, Node]]:
    with serving(create_devchain(EmbeddedChain())) as upstream, fault_proxy(upstream, None) as (proxy, url):
        yield proxy, Node(HttpTransport(url, timeout_s=MAX_S))


UNREACHABLE = (
    Fault.REFUSE,
    Fault.CUT_BEFORE,
    Fault.CUT_AFTER,
    Fault.STATUS_429,
    Fault.STATUS_503,
    Fault.TRUNCATED,
    Fault.NOT_JSON,
    Fault.WRONG_ID,
)


@pytest.mark.parametrize("fault", UNREACHABLE)
def test_what_is_no_answer_is_none_and_the_line_works_again(line: tuple[FaultProxy, Node], fault: Fault) -> None:
    proxy, node = line
    before = node.balance_wei(ADDRESS)
    proxy.schedule = Always(1, 100, fault)
    with pytest.raises(ChainUnreachableError):
        node.fund(ADDRESS, before + 5)
    proxy.schedule = None
    reached = fault not in (Fault.REFUSE, Fault.CUT_BEFORE, Fault.STATUS_429, Fault.STATUS_503)
    assert node.balance_wei(ADDRESS) == before + 5 * reached
    assert proxy.faults[fault.value] == 1


def test_a_delay_and_no_fault_change_nothing(line: tuple[FaultProxy, Node]) -> None:
    proxy, node = line
    proxy.schedule = Always(1, 100, Fault.DELAY)
    delayed = node.header()
    proxy.schedule = None
    assert node.header() == delayed


def test_lies_that_can_be_seen_are_no_answers(line: tuple[FaultProxy, Node]) -> None:
    proxy, node = line
    node.fund(ADDRESS, node.balance_wei(ADDRESS) + 1)
    header = node.header()
    proxy.schedule = Always(1, 100, Fault.WRONG_BLOCK_HASH)
    with pytest.raises(ChainUnreachableError):
        node.header()
    proxy.schedule = Always(1, 100, Fault.EMPTY_LOGS)
    with pytest.raises(ChainUnreachableError):
        node.logs(header, [ADDRESS])
    proxy.schedule = None
    assert node.logs(header, [ADDRESS]) == ()


@pytest.mark.parametrize("fault", [Fault.NONCE_TOO_LOW, Fault.UNDERPRICED, Fault.ALREADY_KNOWN])
def test_a_refusal_is_the_nodes(line: tuple[FaultProxy, Node], fault: Fault) -> None:
    proxy, node = line
    proxy.schedule = Always(1, 100, fault)
    with pytest.raises(RpcError, match=fault.value):
        node._transport.request("eth_sendRawTransaction", ["0x00"])
    proxy.schedule = None
