// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {TransformationFixture} from "./TransformationFixture.sol";

/// @notice Rework after which a lot keeps its identifier.
contract ReworkTest is TransformationFixture {
    // ---- rework that keeps the identifier ----

    function test_reworkInPlaceVoidsThePass() public check {
        uint40 certificate = _pass(_lot, _order);
        bytes32 bolts = _receive(maker, "bolts", 5);
        ILots.Rework memory change = ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](1));
        change.components[0] = _component(bolts, 2);
        uint40 assignment = ledger.assignmentOf(_order, 0).sequence;
        uint40 next = _expectRecord();
        emit ILots.LotReworked(next, maker.id, _lot, maker.key, _two(_lot, bolts), change, assignment);
        _as(maker);
        ledger.reworkLot(change);
        assertEq(ledger.lotOf(bolts).quantity, 3);
        assertEq(ledger.lotOf(_lot).quantity, 10);
        assertEq(ledger.lotOf(_lot).reworks, 1);
        vm.prank(maker.key);
        vm.expectPartialRevert(ICustody.GateClosed.selector);
        ledger.offerCustody(_item(_lot, _order), buyer.id, ROOT);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _reworkAs(maker, ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)));
        _pass(_lot, _order);
        _move(maker, _item(_lot, _order), buyer);
    }

    function test_reworkInPlaceKeepsTheFailAndTheQuarantine() public check {
        _fail(_lot, _order);
        _reworkAs(maker, ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)));
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        uint40 certificate = _pass(_lot, _order);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _reworkAs(maker, ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)));
        certificate = _pass(_lot, _order);
        _as(buyer);
        ledger.demandOpening(_lot, _order, certificate);
        _reworkAs(maker, ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)));
    }

    function test_reworkInPlaceOfALooseLot() public check {
        bytes32 loose = _receive(maker, "loose", 1);
        ILots.Rework memory change = ILots.Rework(loose, 0, 0, ROOT, new ILots.Input[](1));
        change.components[0] = _component(_lot, 1);
        _refuseRework(maker, change, _bound(_lot));
        change.components = new ILots.Input[](0);
        _reworkAs(maker, change);
    }

    function test_reworkInPlaceRefused() public check {
        ILots.Rework memory change = ILots.Rework(_lot, _order, 0, ROOT, _inputs(_lot, 1));
        _refuseRework(maker2, change, abi.encodeWithSelector(ILots.LotForeign.selector, _lot, maker.id));
        bytes memory reason = abi.encodeWithSelector(ILots.LotsNotAscending.selector, _lot);
        _refuseRework(maker, change, reason);
        bytes32 bolts = _receive(maker, "bolts", 5);
        change.components[0] = _input(bolts, 1);
        reason = abi.encodeWithSelector(ILots.ReworkInputConserved.selector, bolts);
        _refuseRework(maker, change, reason);
        change.components = new ILots.Input[](2);
        (change.components[0], change.components[1]) = (_component(bolts, 1), _component(bolts, 1));
        _refuseRework(maker, change, abi.encodeWithSelector(ILots.LotsNotAscending.selector, bolts));
        change.components = new ILots.Input[](65);
        _refuseRework(maker, change, abi.encodeWithSelector(ILots.LotsTooMany.selector, 65, 64));
        change.components = new ILots.Input[](0);
        change.operation = 1;
        _refuseRework(
            maker, change, abi.encodeWithSelector(IAssignments.AssignmentNotCurrent.selector, _order, 1, 0, 0)
        );
        change.order = 0;
        _refuseRework(maker, change, _orderWrong(_lot, 0, ledger.orderOf(_order).sequence));
        _offer(maker, _item(_lot, _order), carrier);
        _refuseRework(maker, change, _lotState(_lot, ILots.LotState.Offered));
        bytes32 box = _receive(maker, "box", 1);
        _pack(maker, box, _one(bolts));
        change = ILots.Rework(box, 0, 0, ROOT, new ILots.Input[](0));
        _refuseRework(maker, change, abi.encodeWithSelector(ILots.LotNotEmpty.selector, box, 1));
    }

    /// @dev What set a component apart keeps it out of the lot.
    function test_reworkTakesNoQuarantinedComponent() public check {
        _fail(_lot, _order);
        bytes32 bolts = _receive(maker, "bolts", 5);
        _quarantine(maker, bolts, 0);
        ILots.Rework memory change = ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](1));
        change.components[0] = _component(bolts, 2);
        _refuseRework(maker, change, _lotState(bolts, ILots.LotState.Quarantined));
    }

    function test_reworkNeedsAManufacturer() public check {
        _move(maker, _item(_lot, _order), carrier);
        ILots.Rework memory change = ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0));
        _refuseRework(carrier, change, _roleMissing(carrier, Roles.CARRIER, Roles.MANUFACTURER));
    }

    // ---- inside ----

    /// @dev Reworks a lot without components.
    function _reworkAs(Party storage party, ILots.Rework memory change) internal {
        uint40 assignment = change.order == 0 ? 0 : ledger.assignmentOf(change.order, 0).sequence;
        uint40 next = _expectRecord();
        emit ILots.LotReworked(next, party.id, change.lot, party.key, _one(change.lot), change, assignment);
        _as(party);
        ledger.reworkLot(change);
    }

    function _refuseRework(Party storage party, ILots.Rework memory change, bytes memory reason) internal {
        _refuse(party, reason);
        ledger.reworkLot(change);
    }
}
