// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {INotes} from "../src/interfaces/INotes.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRevisions} from "../src/interfaces/IRevisions.sol";
import {Gates} from "../src/libraries/Gates.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {GateFixture} from "./GateFixture.sol";

/// @notice Orders with several gates.
contract GatesTest is GateFixture {
    uint256 private constant NEXT = 72;

    // ---- what terms say ----

    function test_R1_anOrderHasUpToThreeGates() public check {
        _setRoles(carrier, Roles.INSPECTOR);
        uint256 gates = _both(inspector.id, model, inspector2.id, model2) | Gates.one(carrier.id, 0) << 2 * NEXT;
        bytes32 order = _place("three", _gatedBy(1, gates));
        assertEq(ledger.gatesOf(order), gates);
        assertEq(ledger.orderOf(order).inspector, type(uint32).max);
        assertEq(ledger.orderOf(order).model, 0);
        assertEq(ledger.gatesOf(_place("one", _terms(1))), Gates.one(inspector.id, model));
        assertEq(ledger.gatesOf(_place("none", _ungated(1))), 0);
        assertEq(ledger.gatesOf(ROOT), 0);
    }

    function test_gatesThatAreNone() public check {
        _setRoles(carrier, Roles.INSPECTOR);
        uint256 three = _both(inspector.id, model, inspector2.id, 0) | Gates.one(carrier.id, 0) << 2 * NEXT;
        _refuseGates(three | uint256(9) << 3 * NEXT, 9, 0); // a fourth
        _refuseGates(three | uint256(1) << 255, 0, 128); // above the third
        _refuseGates(_both(inspector2.id, 0, inspector.id, model), inspector.id, model); // descending
        _refuseGates(_both(inspector.id, model, inspector.id, 0), inspector.id, 0); // twice the same
        _refuseGates(_both(0, 0, inspector.id, model), 0, 0); // nothing before it
        _refuseGates(_both(inspector.id, model, 0, model), 0, model); // nobody's
        _refuseGates(_both(inspector.id, model, inspector2.id, 99), inspector2.id, 99);
        _refuseGates(_both(coordinator.id, 0, inspector2.id, 0), coordinator.id, 0);
        _refuse(buyer, _unfit(maker3.id, Roles.MANUFACTURER, Roles.INSPECTOR));
        ledger.placeOrder(_hash("new"), _gatedBy(1, _both(maker3.id, 0, inspector2.id, 0)));
        _refuse(buyer, _unfit(type(uint32).max, 0, Roles.INSPECTOR));
        ledger.placeOrder(_hash("new"), _gatedBy(1, Gates.one(type(uint32).max, 0)));
    }

    // ---- passing ----

    function test_R1_everyGateIsPassed() public check {
        _refuseDelivery(_lot, _closed(_lot, inspector.id, model, 0, 0, false));
        uint40 certificate = _pass(_lot, _order);
        _refuseDelivery(_lot, _closed(_lot, inspector2.id, 0, 0, 0, false));
        uint40 failed = _proceed(_lot, ICertificates.Verdict.Fail);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        _proceed(_lot, ICertificates.Verdict.Pass);
        _offer(maker, _item(_lot, _order), buyer);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        uint40 offer = ledger.offerOf(_lot).sequence;
        _refuse(buyer, _closed(_lot, inspector.id, model, certificate, 0, true));
        ledger.acceptCustody(_item(_lot, _order), offer, ROOT);
        _pass(_lot, _order);
        _accept(buyer, _item(_lot, _order));
        assertGt(failed, certificate);
    }

    function test_everyGateOfEveryPackedLot() public check {
        bytes32 pallet = _receive(maker, "pallet", 1);
        bytes32[] memory lots = _sorted(_lot, _commission(_order, "other", 1));
        _pack(maker, pallet, lots);
        for (uint256 i; i < 2; ++i) {
            _pass(lots[i], _order);
        }
        _proceed(lots[0], ICertificates.Verdict.Pass);
        ICustody.Item[] memory consignment = _items(pallet, lots, _order);
        _refuse(maker, _closed(lots[1], inspector2.id, 0, 0, 0, false));
        ledger.offerCustody(consignment, buyer.id, ROOT);
        _proceed(lots[1], ICertificates.Verdict.Pass);
        _move(maker, consignment, buyer);
    }

    function test_M3_aSplitHandsOnWhatEachInspectorCertified() public check {
        _pass(_lot, _order);
        _proceed(_lot, ICertificates.Verdict.Pass);
        ILots.TransformationKind kind = ILots.TransformationKind.Split;
        _transform(maker, _change(kind, _order, _inputs(_lot, 10), _outputs("a", 4, "b", 6)));
        _move(maker, _item(_lotName(maker, "a"), _order), buyer);
        _move(maker, _item(_lotName(maker, "b"), _order), buyer);
    }

    // ---- what an inspector may ----

    function test_K7_eachGatesInspectorMovesTheLot() public check {
        _proceed(_lot, ICertificates.Verdict.Fail);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        assertEq(ledger.lotOf(_lot).counterparty, inspector2.id);
        _pass(_lot, _order);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        _proceed(_lot, ICertificates.Verdict.Pass);
        _assertLot(_lot, ILots.LotState.Held, maker);
        _quarantine(inspector2, _lot, _order);
        _release(inspector2, _lot, _order);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotForeign.selector, _lot, maker.id));
        ledger.quarantineLot(_lot, _order, ROOT);
    }

    function test_N1_eachGatesInspectorSpeaks() public check {
        _as(inspector2);
        ledger.note(_one(_lot), _one(_order), 1, 0, ROOT);
        _as(inspector);
        ledger.note(_one(_order), _one(0), 1, 0, ROOT);
        _refuse(carrier, abi.encodeWithSelector(INotes.NoteStandingMissing.selector, _order, carrier.id, bytes32(0)));
        ledger.note(_one(_order), _one(0), 1, 0, ROOT);
    }

    function test_M10_lotOfSeveralGatesIsBoundToItsOrder() public check {
        _refuse(coordinator, abi.encodeWithSelector(ILots.LotBoundToOrder.selector, _lot, _order, buyer.id));
        ledger.deallocateLot(_lot, _order, ROOT);
        bytes32 other = _startedOrder("other");
        ILots.TransformationKind kind = ILots.TransformationKind.Conversion;

        ILots.Transformation memory change = _change(kind, other, _inputs(_lot, 10), _outputs("new", 10));
        _refuse(maker, abi.encodeWithSelector(ILots.LotBoundToOrder.selector, _lot, _order, buyer.id));
        ledger.transformLots(change);
    }

    // ---- who makes ----

    function test_K7_noInspectorMakes() public check {
        uint40 own = _registerMachine(inspector2, "own");
        bytes32 order = _acceptedOrder("made", _twice(1));
        bytes memory reason =
            abi.encodeWithSelector(IAssignments.AssignmentOwnerInspects.selector, order, inspector2.id);
        _refuse(coordinator, reason);
        ledger.proposeAssignment(order, 0, own, ROOT);
        order = _acceptedOrder("order 2", _terms(1));
        _as(coordinator);
        uint40 assignment = ledger.proposeAssignment(order, 0, own, ROOT);
        _as(inspector2);
        ledger.acceptAssignment(order, 0, assignment, ROOT);
        _reviseOf(order, _twice(1));
        reason = abi.encodeWithSelector(IAssignments.AssignmentOwnerInspects.selector, order, inspector2.id);
        _refuse(inspector2, reason);
        ledger.startAssignment(order, 0, assignment, stream, ROOT);
    }

    // ---- revisions ----

    function test_gatesAreRevised() public check {
        _agree(_terms(1));
        assertEq(ledger.orderOf(_order).inspector, inspector.id);
        assertEq(ledger.orderOf(_order).model, model);
        assertEq(ledger.gatesOf(_order), Gates.one(inspector.id, model));
        uint256 gates = _both(inspector.id, 0, inspector2.id, model);
        _agree(_gatedBy(1, gates));
        assertEq(ledger.gatesOf(_order), gates);
        _agree(_gatedBy(2, gates));
        _agree(_gatedBy(2, Gates.one(inspector2.id, 0)));
        assertEq(ledger.gatesOf(_order), Gates.one(inspector2.id, 0));
        _refuse(buyer, abi.encodeWithSelector(IRevisions.OrderInspectorUnfit.selector, _order, 0));
        ledger.proposeRevision(_order, _ungated(2));
    }

    function test_H8_aMakerDoesNotJoinTheInspectors() public check {
        _setRoles(maker, Roles.MANUFACTURER | Roles.INSPECTOR);
        _refuse(buyer, abi.encodeWithSelector(IRevisions.OrderInspectorUnfit.selector, _order, maker.id));
        ledger.proposeRevision(_order, _gatedBy(1, _both(maker.id, 0, inspector.id, model)));
    }

    function test_noInspectorBecomesCoordinator() public check {
        _setRoles(inspector2, Roles.INSPECTOR | Roles.COORDINATOR);
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderGateInvalid.selector, inspector2.id, 0));
        ledger.proposeRevision(_order, _coordinatedBy(inspector2.id, _twice(1)));
        _setRoles(inspector, Roles.INSPECTOR | Roles.COORDINATOR);
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderGateInvalid.selector, inspector.id, model));
        ledger.proposeRevision(_order, _coordinatedBy(inspector.id, _twice(1)));
    }

    // ---- inside ----

    function _reviseOf(bytes32 order, IOrders.OrderTerms memory terms) private {
        _as(buyer);
        ledger.proposeRevision(order, terms);
        uint40 proposal = ledger.sequence();
        _as(coordinator);
        ledger.acceptRevision(order, terms, proposal);
    }

    function _refuseGates(uint256 gates, uint32 of_, uint40 on) private {
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderGateInvalid.selector, of_, on));
        ledger.placeOrder(_hash("new"), _gatedBy(1, gates));
    }
}
