// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TraceLedger} from "../src/TraceLedger.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ITraceLedger} from "../src/interfaces/ITraceLedger.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Vm} from "./Base.sol";
import {Fixture} from "./Fixture.sol";

contract HistoryTest is Fixture {
    function test_constants() public view {
        assertEq(address(ledger.registry()), address(registry));
        assertEq(ledger.predecessor(), address(0));
        assertEq(deployed.HEAD_TAG(), keccak256("millmark.history.v1"));
        assertEq(ledger.headOf(ROOT), 0);
        assertEq(ledger.sequence(), 6, "three streams, opened and anchored");
    }

    function test_predecessor() public {
        TraceLedger next = _deploy(address(0), address(ledger));
        assertEq(next.predecessor(), address(ledger));
        assertEq(next.sequence(), 0);
    }

    /// @dev The chain spelled out once, step by step: start, inner, link.
    function test_headOfTwoRecords() public check {
        bytes32 order = _place("order", _terms(1));
        bytes32 start = keccak256(_startWords(order));
        bytes memory data = abi.encode(buyer.key, _one(order), _terms(1));
        bytes32 inner = keccak256(abi.encode(uint256(7), buyer.id, buyer.key, keccak256(data), START));
        bytes32 head = keccak256(abi.encode(start, IOrders.OrderPlaced.selector, inner));
        assertEq(ledger.headOf(order), head);
        _warp(START + 60);
        _as(coordinator);
        ledger.acceptOrder(order, LEAF);
        data = abi.encode(coordinator.key, _one(order), LEAF);
        inner = keccak256(abi.encode(uint256(8), coordinator.id, coordinator.key, keccak256(data), START + 60));
        assertEq(ledger.headOf(order), keccak256(abi.encode(head, IOrders.OrderAccepted.selector, inner)));
    }

    function test_headsDependOnChainAndLedger() public check {
        bytes32 order = _place("order", _terms(1));
        bytes32 here = ledger.headOf(order);
        ITraceLedger other = ITraceLedger(address(_deploy(address(0), address(0))));
        _as(buyer);
        assertEq(other.placeOrder(_hash("order"), _terms(1)), order);
        assertNotEq(other.headOf(order), here);
    }

    function test_recordTouchesEveryHistory() public check {
        bytes32 parent = _receive(carrier, "parent", 1);
        bytes32 child = _receive(carrier, "child", 1);
        (bytes32 parentHead, bytes32 childHead) = (ledger.headOf(parent), ledger.headOf(child));
        _pack(carrier, parent, _one(child));
        assertNotEq(ledger.headOf(parent), parentHead);
        assertNotEq(ledger.headOf(child), childHead);
    }

    /// @dev However much is made for an order, its own history is what its parties agreed.
    function test_lotsTouchNoOrder() public check {
        bytes32 order = _startedOrder("order");
        bytes32 before = ledger.headOf(order);
        bytes32 lot = _commission(order, "lot", 10);
        assertNotEq(ledger.headOf(lot), 0);
        _as(maker);
        ledger.reworkLot(ILots.Rework(lot, order, 0, ROOT, new ILots.Input[](0)));
        _transform(maker, _change(ILots.TransformationKind.Split, order, _inputs(lot, 5), _outputs("a", 2, "b", 3)));
        _pass(_lotName(maker, "a"), order);
        _move(maker, _item(_lotName(maker, "a"), order), buyer);
        assertEq(ledger.headOf(order), before);
    }

    function test_streamRecordsTouchNoHistory() public view {
        assertEq(ledger.headOf(stream), 0);
    }

    // ---- who acts ----

    function test_unknownRevokedAndSuspendedKeys() public check {
        address stranger = makeAddress("stranger");
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyUnknown.selector, stranger));
        ledger.placeOrder(ROOT, _terms(1));
        _as(buyer);
        registry.proposeKey(stranger, Roles.ANY, true);
        vm.prank(stranger);
        registry.acceptKey(buyer.id);
        _as(buyer);
        registry.revokeKey(stranger, 0);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyRevoked.selector, stranger, START));
        ledger.placeOrder(ROOT, _terms(1));
        _suspend(buyer);
        _refuse(buyer, abi.encodeWithSelector(IRegistry.RegistryParticipantSuspended.selector, buyer.id));
        ledger.placeOrder(ROOT, _terms(1));
    }

    function test_anyKeyOfACompanyActsForIt() public check {
        address second = makeAddress("second");
        _as(buyer);
        registry.proposeKey(second, Roles.ANY, true);
        vm.prank(second);
        registry.acceptKey(buyer.id);
        bytes32 order = _place("order", _terms(1));
        vm.prank(second);
        ledger.cancelOrder(order, ROOT);
        _assertOrder(order, IOrders.OrderState.Cancelled);
    }

    // ---- inside ----

    function _startWords(bytes32 subject) private view returns (bytes memory) {
        return abi.encode(deployed.HEAD_TAG(), block.chainid, address(ledger), ledger.ledgerId(), subject);
    }

    /// @dev Quarantines or releases: a record of one lot and one root.
    function _toggle(bytes32 lot, bytes32 root) private {
        bool held = ledger.lotOf(lot).state == ILots.LotState.Held;
        _as(carrier);
        if (held) ledger.quarantineLot(lot, 0, root);
        else ledger.releaseLot(lot, 0, root);
    }
}
