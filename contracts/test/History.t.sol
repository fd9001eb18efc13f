// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TraceLedger} from "../src/TraceLedger.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ICorrections} from "../src/interfaces/ICorrections.sol";
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
        _transform(maker, _change(ILots.TransformationKind.Rework, order, _inputs(lot, 5), _outputs("reworked", 5)));
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

    // ---- superseding ----

    function test_supersedeTheLatestRecord() public check {
        bytes32 order = _place("order", _terms(1));
        IHistory.Opening memory opening = _openPlaced(order, 7);
        uint40 next = _expectRecord();
        emit ICorrections.RecordSuperseded(next, buyer.id, order, buyer.key, _one(order), 7, ROOT);
        _as(buyer);
        ledger.supersede(order, opening, ROOT);
        _assertOrder(order, IOrders.OrderState.Placed);
    }

    function test_supersedeWithLaterLinks() public check {
        bytes32 order = _place("order", _terms(1));
        IHistory.Opening memory opening = _openPlaced(order, 7);
        opening.later = new IHistory.Link[](2);
        opening.later[0] = _link(coordinator, 8, START, IOrders.OrderAccepted.selector, _rootData(coordinator, order));
        _as(coordinator);
        ledger.acceptOrder(order, ROOT);
        _warp(START + 7);
        opening.later[1] = _link(buyer, 9, START + 7, IOrders.OrderCancelled.selector, _rootData(buyer, order));
        _as(buyer);
        ledger.cancelOrder(order, ROOT);
        _as(buyer);
        ledger.supersede(order, opening, ROOT);
        _assertOrder(order, IOrders.OrderState.Cancelled);
    }

    /// @dev A superseding record is a record and can be superseded as well.
    function test_supersedeASupersedingRecord() public check {
        bytes32 order = _place("order", _terms(1));
        IHistory.Opening memory opening = _openPlaced(order, 7);
        _as(buyer);
        ledger.supersede(order, opening, ROOT);
        _settle();
        opening.previousHead = replay.previousHeadOf(order);
        opening.kind = ICorrections.RecordSuperseded.selector;
        opening.sequence = 8;
        opening.digest = keccak256(abi.encode(buyer.key, _one(order), uint40(7), ROOT));
        _as(buyer);
        ledger.supersede(order, opening, LEAF);
    }

    function test_supersedeInALotsHistory() public check {
        bytes32 lot = _receive(carrier, "lot", 5);
        _settle();
        IHistory.Opening memory opening = IHistory.Opening({
            previousHead: replay.previousHeadOf(lot),
            kind: ILots.LotReceived.selector,
            sequence: 7,
            participant: carrier.id,
            key: carrier.key,
            digest: keccak256(abi.encode(carrier.key, _one(lot), uint40(5), PIECE, ROOT)),
            timestamp: uint40(START),
            later: new IHistory.Link[](0)
        });
        _as(carrier);
        ledger.supersede(lot, opening, ROOT);
    }

    function test_supersedeForeignRecord() public check {
        bytes32 order = _place("order", _terms(1));
        IHistory.Opening memory opening = _openPlaced(order, 7);
        _refuse(coordinator, abi.encodeWithSelector(ICorrections.HistoryRecordForeign.selector, 7, buyer.id));
        ledger.supersede(order, opening, ROOT);
        opening.participant = coordinator.id;
        _refuseOpening(coordinator, order, opening);
    }

    function test_supersedeWithAWrongOpening() public check {
        bytes32 order = _place("order", _terms(1));
        IHistory.Opening memory opening = _openPlaced(order, 7);
        opening.sequence = 6;
        _refuseOpening(buyer, order, opening);
        opening = _openPlaced(order, 7);
        opening.kind = IOrders.OrderAccepted.selector;
        _refuseOpening(buyer, order, opening);
        opening = _openPlaced(order, 7);
        opening.key = maker.key;
        _refuseOpening(buyer, order, opening);
        opening = _openPlaced(order, 7);
        opening.digest = ROOT;
        _refuseOpening(buyer, order, opening);
        opening = _openPlaced(order, 7);
        opening.timestamp += 1;
        _refuseOpening(buyer, order, opening);
        opening = _openPlaced(order, 7);
        opening.previousHead = ROOT;
        _refuseOpening(buyer, order, opening);
        opening = _openPlaced(order, 7);
        opening.later = new IHistory.Link[](1);
        _refuseOpening(buyer, order, opening);
        _refuseOpening(buyer, ROOT, _openPlaced(order, 7));
    }

    function test_newerRecordMakesAnOpeningStale() public check {
        bytes32 order = _place("order", _terms(1));
        IHistory.Opening memory opening = _openPlaced(order, 7);
        _as(coordinator);
        ledger.acceptOrder(order, ROOT);
        _refuseOpening(buyer, order, opening);
    }

    // ---- arithmetic of heads and openings ----

    /// @dev Whatever number of records comes after it, a record opens with exactly the links after it.
    function testFuzz_openingOfAnyRecord(uint8 before, uint8 later, bytes32 salt) public check {
        before = uint8(bound(before, 0, 6));
        later = uint8(bound(later, 0, 12));
        bytes32 lot = _receive(carrier, "lot", 5);
        for (uint256 i; i < before; ++i) {
            _toggle(lot, keccak256(abi.encode(salt, i)));
        }
        _settle();
        IHistory.Opening memory opening;
        opening.previousHead = ledger.headOf(lot);
        (opening.kind, opening.participant, opening.key) = (_nextKind(lot), carrier.id, carrier.key);
        (opening.sequence, opening.timestamp) = (ledger.sequence() + 1, uint40(START));
        opening.digest = keccak256(abi.encode(carrier.key, _one(lot), salt));
        _toggle(lot, salt);
        opening.later = new IHistory.Link[](later);
        for (uint256 i; i < later; ++i) {
            bytes32 root = keccak256(abi.encode(i, salt));
            bytes memory data = abi.encode(carrier.key, _one(lot), root);
            opening.later[i] = _link(carrier, ledger.sequence() + 1, START, _nextKind(lot), data);
            _toggle(lot, root);
        }
        _as(carrier);
        ledger.supersede(lot, opening, ROOT);
    }

    /// @dev Changing any part of an opening makes it lead elsewhere.
    function testFuzz_changedOpeningIsRefused(uint8 field, uint256 flip) public check {
        vm.assume(flip != 0);
        bytes32 order = _place("order", _terms(1));
        IHistory.Opening memory opening = _openPlaced(order, 7);
        field = uint8(bound(field, 0, 5));
        uint40 small = uint40(bound(flip, 1, type(uint40).max));
        if (field == 0) opening.previousHead ^= bytes32(flip);
        if (field == 1) opening.kind ^= bytes32(flip);
        if (field == 2) opening.sequence ^= small;
        if (field == 3) opening.key = address(uint160(opening.key) ^ small);
        if (field == 4) opening.digest ^= bytes32(flip);
        if (field == 5) opening.timestamp ^= small;
        _refuseOpening(buyer, order, opening);
    }

    // ---- inside ----

    function _startWords(bytes32 subject) private view returns (bytes memory) {
        return abi.encode(deployed.HEAD_TAG(), block.chainid, address(ledger), ledger.ledgerId(), subject);
    }

    /// @dev The opening of the placing record, as if it were the latest.
    function _openPlaced(bytes32 order, uint40 number) private view returns (IHistory.Opening memory) {
        return IHistory.Opening({
            previousHead: keccak256(_startWords(order)),
            kind: IOrders.OrderPlaced.selector,
            sequence: number,
            participant: buyer.id,
            key: buyer.key,
            digest: keccak256(abi.encode(buyer.key, _one(order), _terms(1))),
            timestamp: uint40(START),
            later: new IHistory.Link[](0)
        });
    }

    function _rootData(Party storage party, bytes32 subject) private view returns (bytes memory) {
        return abi.encode(party.key, _one(subject), ROOT);
    }

    function _link(Party storage party, uint40 number, uint256 time, bytes32 kind, bytes memory data)
        private
        view
        returns (IHistory.Link memory)
    {
        return IHistory.Link(kind, keccak256(abi.encode(number, party.id, party.key, keccak256(data), time)));
    }

    function _refuseOpening(Party storage party, bytes32 subject, IHistory.Opening memory opening) private {
        bytes32 inner = keccak256(
            abi.encode(opening.sequence, opening.participant, opening.key, opening.digest, uint256(opening.timestamp))
        );
        bytes32 computed = keccak256(abi.encode(opening.previousHead, opening.kind, inner));
        for (uint256 i; i < opening.later.length; ++i) {
            computed = keccak256(abi.encode(computed, opening.later[i].kind, opening.later[i].inner));
        }
        bytes32 head = ledger.headOf(subject);
        _refuse(party, abi.encodeWithSelector(IHistory.HistoryOpeningStale.selector, subject, computed, head));
        ledger.supersede(subject, opening, ROOT);
    }

    function _nextKind(bytes32 lot) private view returns (bytes32) {
        bool held = ledger.lotOf(lot).state == ILots.LotState.Held;
        return held ? ILots.LotQuarantined.selector : ILots.LotReleased.selector;
    }

    /// @dev Quarantines or releases: a record of one lot and one root.
    function _toggle(bytes32 lot, bytes32 root) private {
        bool held = ledger.lotOf(lot).state == ILots.LotState.Held;
        _as(carrier);
        if (held) ledger.quarantineLot(lot, 0, root);
        else ledger.releaseLot(lot, 0, root);
    }
}
