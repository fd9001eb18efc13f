// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {IRevisions} from "../src/interfaces/IRevisions.sol";
import {Gates} from "../src/libraries/Gates.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {OrderFixture} from "./OrderFixture.sol";

contract RevisionsTest is OrderFixture {
    // ---- revisions ----

    function test_buyerProposesAndCoordinatorAgrees() public check {
        _acceptedOrder("order", _terms(1));
        IOrders.OrderTerms memory terms = _ungated(4);
        uint40 next = _expectRecord();
        emit IRevisions.RevisionProposed(next, buyer.id, _order, buyer.key, _one(_order), terms);
        _as(buyer);
        ledger.proposeRevision(_order, terms);
        assertEq(ledger.orderOf(_order).operations, 1, "a proposal changes nothing");
        _settle();
        next = _expectRecord();
        emit IRevisions.RevisionAccepted(
            next, coordinator.id, _order, coordinator.key, _one(_order), next - 1, 0, terms
        );
        _as(coordinator);
        ledger.acceptRevision(_order, terms, next - 1);
        assertEq(ledger.orderOf(_order).operations, 4);
        assertEq(uint256(ledger.orderOf(_order).inspector) + ledger.orderOf(_order).model, 0);
    }

    function test_coordinatorProposesAndBuyerAgreesLater() public check {
        _place("order", _ungated(2));
        uint40 proposal = _proposeTerms(false, _terms(2));
        _warp(START + 5 days);
        _as(buyer);
        ledger.acceptRevision(_order, _terms(2), proposal);
        assertEq(ledger.orderOf(_order).inspector, inspector.id);
        assertEq(ledger.orderOf(_order).model, model);
        _assertOrder(_order, IOrders.OrderState.Placed);
    }

    function test_nobodyAgreesWithItself() public check {
        _acceptedOrder("order", _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        _refuseMissing(buyer, _terms(2), proposal, coordinator.id);
        proposal = _proposeTerms(false, _terms(3));
        _refuseMissing(coordinator, _terms(3), proposal, buyer.id);
    }

    function test_changedTermsAreNotAgreed() public check {
        _acceptedOrder("order", _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        IOrders.OrderTerms memory terms = _terms(2);
        terms.dueAt += 1;
        _refuseAgreement(coordinator, terms, proposal);
        terms = _terms(2);
        terms.claimsRoot = LEAF;
        _refuseAgreement(coordinator, terms, proposal);
        terms = _terms(2);
        (terms.quantity, terms.unit) = (1, PIECE);
        _refuseAgreement(coordinator, terms, proposal);
        _refuseAgreement(coordinator, _terms(3), proposal);
        _refuseAgreement(coordinator, _terms(2), proposal + 1);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), proposal);
    }

    function test_proposalIsKept() public check {
        _acceptedOrder("order", _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 content = keccak256(abi.encode(_terms(2)));
        bytes32 digest = keccak256(abi.encode(IRevisions.RevisionProposed.selector, proposal, content));
        IRevisions.Proposal memory kept = ledger.proposalOf(_order);
        assertEq(kept.digest, bytes26(digest));
        assertEq(kept.proposedAt, START);
        assertEq(kept.consents, 1);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), proposal);
        kept = ledger.proposalOf(_order);
        assertEq(abi.encode(kept), new bytes(96), "cleared once agreed");
    }

    /// @dev Production goes on while the other side thinks.
    function test_M2_productionLeavesAProposalOpen() public check {
        _startedOrder("order");
        uint40 proposal = _proposeTerms(true, _terms(2));
        _finish(_order, 0);
        _propose(_order, 0);
        bytes32 lot = _receive(maker, "stock", 5);
        _as(maker);
        ledger.scrapLot(lot, 5, ILots.Disposition.Scrapped, ROOT);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), proposal);
        assertEq(ledger.orderOf(_order).operations, 2);
        assertEq(ledger.orderOf(_order).open, 2);
    }

    function test_proposalIsAgreedOnce() public check {
        _acceptedOrder("order", _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), proposal);
        _refuseAgreement(coordinator, _terms(2), proposal);
    }

    function test_revisionBounds() public check {
        _acceptedOrder("order", _terms(2));
        _refuse(buyer, abi.encodeWithSelector(IRevisions.OrderOperationsFewer.selector, _order, 2, 1));
        ledger.proposeRevision(_order, _terms(1));
        _refuse(buyer, abi.encodeWithSelector(IRevisions.OrderOperationsFewer.selector, _order, 2, 0));
        ledger.proposeRevision(_order, _terms(0));
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderOperationsInvalid.selector, 65, 64));
        ledger.proposeRevision(_order, _terms(65));
        IOrders.OrderTerms memory terms = _terms(2);
        terms.gates = Gates.one(inspector.id, 99);
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderGateInvalid.selector, inspector.id, 99));
        ledger.proposeRevision(_order, terms);
        _setRoles(carrier, Roles.BUYER);
        _refuse(carrier, _partyWrong(carrier.id, coordinator.id));
        ledger.proposeRevision(_order, _terms(2));
        _refuse(maker, _roleMissing(maker, Roles.MANUFACTURER, Roles.BUYER | Roles.COORDINATOR));
        ledger.proposeRevision(_order, _terms(2));
    }

    function test_gateStaysInProduction() public check {
        _startedOrder("order");
        _refuse(buyer, abi.encodeWithSelector(IRevisions.OrderInspectorUnfit.selector, _order, 0));
        ledger.proposeRevision(_order, _ungated(1));
        _refuse(coordinator, abi.encodeWithSelector(IRevisions.OrderInspectorUnfit.selector, _order, 0));
        ledger.acceptRevision(_order, _ungated(1), 1);
        IOrders.OrderTerms memory terms = _terms(1);
        terms.gates = Gates.one(inspector.id, model2);
        _agree(terms);
        assertEq(ledger.orderOf(_order).model, model2);
    }

    /// @dev The inspector is suspended while the order is made: both sides agree on another one, which takes over what
    /// the first one left in quarantine. It may be a manufacturer, but not one of this order.
    function test_H8_S8_anotherInspectorInProduction() public check {
        _startedOrder("order");
        bytes32 lot = _commission(_order, "lot", 5);
        _fail(lot, _order);
        _suspend(inspector);
        IOrders.OrderTerms memory terms = _terms(1);
        terms.gates = Gates.one(inspector2.id, model);
        _agree(terms);
        assertEq(ledger.orderOf(_order).inspector, inspector2.id);
        ICertificates.Statement memory statement = _statement(lot, _order, ICertificates.Verdict.Fail);
        vm.prank(owner);
        registry.reinstate(inspector.id);
        _openModel(model);
        _as(inspector2);
        ledger.issueCertificate(statement);
        statement.verdict = ICertificates.Verdict.Pass;
        _as(inspector2);
        ledger.issueCertificate(statement);
        _move(maker, _item(lot, _order), buyer);
        _assertLot(lot, ILots.LotState.Held, buyer);
    }

    /// @dev Before, no revision passed at all until the inspector was replaced.
    function test_H8_S8_revisedWhileTheInspectorIsGone() public check {
        _startedOrder("order");
        _suspend(inspector);
        IOrders.OrderTerms memory terms = _terms(2);
        terms.dueAt += 1 days;
        _agree(terms);
        assertEq(ledger.orderOf(_order).operations, 2);
    }

    function test_makerDoesNotBecomeInspector() public check {
        _setRoles(maker, Roles.MANUFACTURER | Roles.INSPECTOR);
        _acceptedOrder("order", _terms(2));
        _start(_order, 1);
        IOrders.OrderTerms memory terms = _terms(2);
        terms.gates = Gates.one(maker.id, model);
        _refuseInspector(maker, terms);
        _finish(_order, 1);
        _refuseInspector(maker, terms);
        uint40 assignment = _propose(_order, 1);
        _as(coordinator);
        ledger.cancelAssignment(_order, 1, assignment, ROOT);
        _refuseInspector(maker, terms);
    }

    function test_whoDeclinedMayInspect() public check {
        _setRoles(maker3, Roles.MANUFACTURER | Roles.INSPECTOR);
        _acceptedOrder("order", _terms(2));
        _start(_order, 0);
        uint40 other = _registerMachine(maker3, "other");
        _as(coordinator);
        uint40 assignment = ledger.proposeAssignment(_order, 1, other, ROOT);
        IOrders.OrderTerms memory terms = _terms(2);
        terms.gates = Gates.one(maker3.id, model);
        _refuseInspector(maker3, terms);
        _as(maker3);
        ledger.declineAssignment(_order, 1, assignment, ROOT);
        _agree(terms);
        assertEq(ledger.orderOf(_order).inspector, maker3.id);
    }

    function _refuseInspector(Party storage party, IOrders.OrderTerms memory terms) private {
        _refuse(buyer, abi.encodeWithSelector(IRevisions.OrderInspectorUnfit.selector, _order, party.id));
        ledger.proposeRevision(_order, terms);
    }

    /// @dev Another coordinator may not be the inspector of a gate that stays.
    function test_inspectorDoesNotCoordinate() public check {
        _startedOrder("order");
        _setRoles(inspector, Roles.INSPECTOR | Roles.COORDINATOR);
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderGateInvalid.selector, inspector.id, model));
        ledger.proposeRevision(_order, _coordinatedBy(inspector.id, _terms(1)));
    }

    function test_quantityNeedsItsUnit() public check {
        IOrders.OrderTerms memory terms = _terms(1);
        terms.quantity = 1;
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderQuantityInvalid.selector, 1, bytes3(0)));
        ledger.placeOrder(_hash("order"), terms);
        (terms.quantity, terms.unit) = (0, PIECE);
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderQuantityInvalid.selector, 0, PIECE));
        ledger.placeOrder(_hash("order"), terms);
        _place("order", _terms(1));
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderQuantityInvalid.selector, 0, PIECE));
        ledger.proposeRevision(_order, terms);
    }

    /// @dev Another gate is checked again when it is agreed to: the model may have been withdrawn since. One that stays is
    /// not checked again, so that the rest can be revised; it stays closed until both sides agree on another.
    function test_modelWithdrawnBeforeAgreement() public check {
        _acceptedOrder("order", _terms(1));
        _start(_order, 0);
        bytes32 lot = _commission(_order, "lot", 5);
        IOrders.OrderTerms memory terms = _terms(1);
        terms.gates = Gates.one(inspector.id, model2);
        uint40 proposal = _proposeTerms(true, terms);
        _withdrawModel(model2);
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderGateInvalid.selector, inspector.id, model2));
        ledger.acceptRevision(_order, terms, proposal);
        _withdrawModel(model);
        _refuse(inspector, abi.encodeWithSelector(ICertificates.CertificateModelUnfit.selector, model));
        ledger.issueCertificate(_statement(lot, _order, ICertificates.Verdict.Pass));
        _agree(_terms(2));
        assertEq(ledger.orderOf(_order).operations, 2);
        _refuseOffer(lot);
    }

    /// @dev As above, with an inspector that may inspect no more.
    function test_inspectorSuspendedBeforeAgreement() public check {
        _acceptedOrder("order", _ungated(1));
        uint40 proposal = _proposeTerms(true, _terms(1));
        _suspend(inspector);
        _refuse(coordinator, _unfit(inspector.id, 0, Roles.INSPECTOR));
        ledger.acceptRevision(_order, _terms(1), proposal);
        assertEq(ledger.orderOf(_order).inspector, 0);
    }

    /// @dev What was checked against the order when it was proposed is checked again when it is agreed to.
    function test_startBetweenProposalAndAgreement() public check {
        _acceptedOrder("order", _terms(1));
        uint40 assignment = _proposeAndAccept(_order, 0);
        uint40 proposal = _proposeTerms(true, _ungated(1));
        _as(maker);
        ledger.startAssignment(_order, 0, assignment, stream, ROOT);
        _refuse(coordinator, abi.encodeWithSelector(IRevisions.OrderInspectorUnfit.selector, _order, 0));
        ledger.acceptRevision(_order, _ungated(1), proposal);
    }

    function test_otherRevisionMakesAProposalStale() public check {
        _acceptedOrder("order", _terms(1));
        uint40 first = _proposeTerms(true, _terms(2));
        uint40 second = _proposeTerms(true, _terms(3));
        _refuseAgreement(coordinator, _terms(2), first);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(3), second);
        assertEq(ledger.orderOf(_order).operations, 3);
    }

    /// @dev Parts made meanwhile are no matter of the order's own history.
    function test_lotsLeaveAProposalOpen() public check {
        _startedOrder("order");
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 lot = _commission(_order, "lot", 5);
        _as(maker);
        ledger.reworkLot(ILots.Rework(lot, _order, 0, ROOT, new ILots.Input[](0)));
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), proposal);
        assertEq(ledger.orderOf(_order).operations, 2);
    }

    /// @dev Nothing new is agreed with a coordinator that may not coordinate.
    function test_revisionNeedsAFitCoordinator() public check {
        _acceptedOrder("order", _terms(1));
        _suspend(coordinator);
        _refuse(buyer, _unfit(coordinator.id, 0, Roles.COORDINATOR));
        ledger.proposeRevision(_order, _terms(2));
    }

    function test_H5_completedIsRevised() public check {
        _startedOrder("order");
        _finish(_order, 0);
        _complete(_order);
        _withdrawModel(model);
        IOrders.OrderTerms memory terms = _terms(1);
        terms.gates = Gates.one(inspector.id, model2);
        _agree(terms);
        assertEq(ledger.orderOf(_order).model, model2);
        _assertOrder(_order, IOrders.OrderState.Completed);
        terms.operations = 2;
        _agree(terms);
        _assertOrder(_order, IOrders.OrderState.InProduction);
        _refuseCompletion(1);
    }

    function test_overIsNotRevised() public check {
        _startedOrder("order");
        _finish(_order, 0);
        _complete(_order);
        uint40 proposal = _proposeTerms(true, _terms(1));
        _as(buyer);
        ledger.confirmDelivery(_order, _none(), ROOT);
        _refuse(coordinator, _stateWrong(IOrders.OrderState.Delivered));
        ledger.acceptRevision(_order, _terms(1), proposal);
        _refuse(buyer, _stateWrong(IOrders.OrderState.Delivered));
        ledger.proposeRevision(_order, _terms(1));
    }

    function test_companyThatIsBothSidesAgreesWithItself() public check {
        _setRoles(buyer, Roles.BUYER | Roles.COORDINATOR);
        _as(buyer);
        ledger.placeOrder(_hash("order"), _coordinatedBy(buyer.id, _terms(1)));
        uint40 proposal = _proposeTerms(true, _coordinatedBy(buyer.id, _terms(2)));
        _as(buyer);
        ledger.acceptRevision(_order, _coordinatedBy(buyer.id, _terms(2)), proposal);
        assertEq(ledger.orderOf(_order).operations, 2);
    }
}
