// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IHistory} from "../src/interfaces/IHistory.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRevisions} from "../src/interfaces/IRevisions.sol";
import {Gates} from "../src/libraries/Gates.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {Fixture} from "./Fixture.sol";

/// @notice One order, and what its tests say again and again.
abstract contract OrderFixture is Fixture {
    bytes32 internal _order;

    function setUp() public virtual override {
        super.setUp();
        _order = _subject(Subjects.Kind.Order, buyer, "order");
    }

    /// @dev Goes so many steps with an assignment, or none at all; says whether one is live then.
    function _lead(uint16 operation, uint256 draw) internal returns (bool live) {
        if (draw == 0 || draw > 6) return false;
        uint40 assignment = _propose(_order, operation);
        if (draw == 1) return true;
        vm.startPrank(maker.key);
        if (draw == 2) ledger.declineAssignment(_order, operation, assignment, ROOT);
        else ledger.acceptAssignment(_order, operation, assignment, ROOT);
        if (draw > 4) ledger.startAssignment(_order, operation, assignment, stream, ROOT);
        vm.stopPrank();
        if (draw != 4 && draw != 6) return draw != 2;
        _as(coordinator);
        ledger.cancelAssignment(_order, operation, assignment, ROOT);
        return false;
    }

    /// @dev With so many operations open.
    function _refuseCompletion(uint16 open) internal {
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderUnfinished.selector, _order, open));
        ledger.completeOrder(_order, ROOT);
    }

    function _refuseOperations(uint16 operations) internal {
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderOperationsInvalid.selector, operations, 64));
        ledger.placeOrder(_hash("order"), _ungated(operations));
    }

    function _refuseOffer(bytes32 lot) internal {
        vm.prank(maker.key);
        vm.expectPartialRevert(ICustody.GateClosed.selector);
        ledger.offerCustody(_item(lot, _order), buyer.id, ROOT);
    }

    function _proposeTerms(bool byBuyer, IOrders.OrderTerms memory terms) internal returns (uint40 proposal) {
        vm.prank(byBuyer ? buyer.key : coordinator.key);
        ledger.proposeRevision(_order, terms);
        return ledger.sequence();
    }

    /// @dev The buyer proposes, the coordinator agrees.
    function _agree(IOrders.OrderTerms memory terms) internal {
        uint40 proposal = _proposeTerms(true, terms);
        _as(coordinator);
        ledger.acceptRevision(_order, terms, proposal);
    }

    /// @dev Terms of one operation, without a gate.
    function _quantified(uint32 quantity) internal view returns (IOrders.OrderTerms memory terms) {
        terms = _ungated(1);
        (terms.quantity, terms.unit) = (quantity, PIECE);
    }

    /// @dev Both sides end the order.
    function _end() internal {
        _as(buyer);
        ledger.proposeEnd(_order, ROOT);
        uint40 proposal = ledger.sequence();
        _as(coordinator);
        ledger.endOrder(_order, proposal, ROOT);
    }

    /// @dev There is no such proposal.
    function _refuseAgreement(Party storage party, IOrders.OrderTerms memory terms, uint40 proposal) internal {
        _refuse(party, abi.encodeWithSelector(IRevisions.OrderNotProposed.selector, _order, proposal));
        ledger.acceptRevision(_order, terms, proposal);
    }

    /// @dev There is, but the agreement of `awaited` is missing.
    function _refuseMissing(Party storage party, IOrders.OrderTerms memory terms, uint40 proposal, uint32 awaited)
        internal
    {
        _refuse(party, abi.encodeWithSelector(IRevisions.OrderAgreementMissing.selector, _order, awaited));
        ledger.acceptRevision(_order, terms, proposal);
    }

    function _refuseGate(IOrders.OrderTerms memory terms) internal {
        (uint32 of_, uint40 on) = Gates.first(terms.gates);
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderGateInvalid.selector, of_, on));
        ledger.placeOrder(_hash("order"), terms);
    }

    function _unfit(uint32 id, uint16 held, uint16 needed) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IHistory.HistoryParticipantUnfit.selector, id, held, needed);
    }

    function _stateWrong(IOrders.OrderState state) internal view returns (bytes memory) {
        return abi.encodeWithSelector(IOrders.OrderStateWrong.selector, _order, state);
    }

    function _partyWrong(uint32 id, uint32 expected) internal view returns (bytes memory) {
        return abi.encodeWithSelector(IOrders.OrderPartyWrong.selector, _order, id, expected);
    }
}
