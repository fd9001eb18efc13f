// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {OrderFixture} from "./OrderFixture.sol";

contract RevisionsTest is OrderFixture {
    // ---- revisions ----

    function test_buyerProposesAndCoordinatorAgrees() public check {
        _acceptedOrder("order", _terms(1));
        IOrders.OrderTerms memory terms = _ungated(4);
        uint40 next = _expectRecord();
        emit IOrders.RevisionProposed(next, buyer.id, _order, buyer.key, _one(_order), terms);
        _as(buyer);
        ledger.proposeRevision(_order, terms);
        assertEq(ledger.orderOf(_order).operations, 1, "a proposal changes nothing");
        _settle();
        bytes32 previous = replay.previousHeadOf(_order);
        next = _expectRecord();
        emit IOrders.RevisionAccepted(next, coordinator.id, _order, coordinator.key, _one(_order), next - 1, terms);
        _as(coordinator);
        ledger.acceptRevision(_order, terms, previous, next - 1, buyer.key, uint40(block.timestamp));
        assertEq(ledger.orderOf(_order).operations, 4);
        assertEq(uint256(ledger.orderOf(_order).inspector) + ledger.orderOf(_order).model, 0);
    }

    function test_coordinatorProposesAndBuyerAgreesLater() public check {
        _place("order", _ungated(2));
        uint40 proposal = _proposeTerms(false, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        uint40 proposedAt = uint40(block.timestamp);
        _warp(START + 5 days);
        _as(buyer);
        ledger.acceptRevision(_order, _terms(2), previous, proposal, coordinator.key, proposedAt);
        assertEq(ledger.orderOf(_order).inspector, inspector.id);
        assertEq(ledger.orderOf(_order).model, model);
        _assertOrder(_order, IOrders.OrderState.Placed);
    }

    function test_nobodyAgreesWithItself() public check {
        _acceptedOrder("order", _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        _refuseAgreement(buyer, _terms(2), replay.previousHeadOf(_order), proposal, buyer.key, START);
        proposal = _proposeTerms(false, _terms(3));
        _refuseAgreement(coordinator, _terms(3), replay.previousHeadOf(_order), proposal, coordinator.key, START);
    }

    function test_changedTermsAreNotAgreed() public check {
        _acceptedOrder("order", _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        IOrders.OrderTerms memory terms = _terms(2);
        terms.dueAt += 1;
        _refuseAgreement(coordinator, terms, previous, proposal, buyer.key, START);
        terms = _terms(2);
        terms.claimsRoot = LEAF;
        _refuseAgreement(coordinator, terms, previous, proposal, buyer.key, START);
        _refuseAgreement(coordinator, _terms(3), previous, proposal, buyer.key, START);
        _refuseAgreement(coordinator, _terms(2), ROOT, proposal, buyer.key, START);
        _refuseAgreement(coordinator, _terms(2), previous, proposal + 1, buyer.key, START);
        _refuseAgreement(coordinator, _terms(2), previous, proposal, maker.key, START);
        _refuseAgreement(coordinator, _terms(2), previous, proposal, buyer.key, START + 1);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), previous, proposal, buyer.key, uint40(START));
    }

    function test_laterRecordMakesAProposalStale() public check {
        _acceptedOrder("order", _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        _propose(_order, 0);
        _refuseAgreement(coordinator, _terms(2), previous, proposal, buyer.key, START);
    }

    function test_proposalIsAgreedOnce() public check {
        _acceptedOrder("order", _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), previous, proposal, buyer.key, uint40(START));
        _refuseAgreement(coordinator, _terms(2), previous, proposal, buyer.key, START);
    }

    function test_revisionBounds() public check {
        _acceptedOrder("order", _terms(2));
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderOperationsFewer.selector, _order, 2, 1));
        ledger.proposeRevision(_order, _terms(1));
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderOperationsFewer.selector, _order, 2, 0));
        ledger.proposeRevision(_order, _terms(0));
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderOperationsInvalid.selector, 65, 64));
        ledger.proposeRevision(_order, _terms(65));
        IOrders.OrderTerms memory terms = _terms(2);
        terms.model = 99;
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
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderInspectorUnfit.selector, _order, 0));
        ledger.proposeRevision(_order, _ungated(1));
        _refuseAgreement(coordinator, _ungated(1), ROOT, 1, buyer.key, START);
        IOrders.OrderTerms memory terms = _terms(1);
        terms.model = model2;
        _agree(terms);
        assertEq(ledger.orderOf(_order).model, model2);
    }

    /// @dev The inspector is suspended while the order is made: both sides agree on another one, which takes over what
    /// the first one left in quarantine. No manufacturer: it might own a machine that was chosen for the order.
    function test_anotherInspectorInProduction() public check {
        _startedOrder("order");
        bytes32 lot = _commission(_order, "lot", 5);
        _fail(lot, _order);
        _suspend(inspector);
        IOrders.OrderTerms memory terms = _terms(1);
        terms.inspector = inspector2.id;
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderInspectorUnfit.selector, _order, inspector2.id));
        ledger.proposeRevision(_order, terms);
        _setRoles(inspector2, Roles.INSPECTOR);
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

    /// @dev The buyer proposes, the coordinator agrees.
    function _agree(IOrders.OrderTerms memory terms) private {
        uint40 proposal = _proposeTerms(true, terms);
        bytes32 previous = replay.previousHeadOf(_order);
        _as(coordinator);
        ledger.acceptRevision(_order, terms, previous, proposal, buyer.key, uint40(START));
    }

    /// @dev The terms were checked when they were proposed. A model withdrawn since then is agreed to all the same, and
    /// the gate stays closed: it neither lets through what was certified before nor can anything be certified.
    function test_modelWithdrawnBeforeAgreement() public check {
        _acceptedOrder("order", _terms(1));
        _start(_order, 0);
        bytes32 lot = _commission(_order, "lot", 5);
        ICertificates.Statement memory statement = _statement(lot, _order, ICertificates.Verdict.Pass);
        statement.model = model2;
        _as(inspector);
        ledger.issueCertificate(statement);
        IOrders.OrderTerms memory terms = _terms(1);
        terms.model = model2;
        uint40 proposal = _proposeTerms(true, terms);
        bytes32 previous = replay.previousHeadOf(_order);
        _withdrawModel(model2);
        _settle();
        _as(coordinator);
        ledger.acceptRevision(_order, terms, previous, proposal, buyer.key, uint40(START));
        assertEq(ledger.orderOf(_order).model, model2);
        _assertStatus(lot, ICertificates.CertificateStatus.Fallen);
        _refuseOffer(lot);
        _refuse(inspector, abi.encodeWithSelector(ICertificates.CertificateModelUnfit.selector, model2));
        ledger.issueCertificate(statement);
        _pass(lot, _order);
        _refuseOffer(lot);
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderGateInvalid.selector, inspector.id, model2));
        ledger.proposeRevision(_order, terms);
        proposal = _proposeTerms(true, _terms(1));
        previous = replay.previousHeadOf(_order);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(1), previous, proposal, buyer.key, uint40(START));
        _move(maker, _item(lot, _order), buyer);
        _assertLot(lot, ILots.LotState.Held, buyer);
    }

    /// @dev As above, with an inspector that may inspect no more.
    function test_inspectorSuspendedBeforeAgreement() public check {
        _acceptedOrder("order", _ungated(1));
        uint40 proposal = _proposeTerms(true, _terms(1));
        bytes32 previous = replay.previousHeadOf(_order);
        _suspend(inspector);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(1), previous, proposal, buyer.key, uint40(START));
        assertEq(ledger.orderOf(_order).inspector, inspector.id);
        _start(_order, 0);
        bytes32 lot = _commission(_order, "lot", 5);
        _refuse(inspector, abi.encodeWithSelector(IRegistry.RegistryParticipantSuspended.selector, inspector.id));
        ledger.issueCertificate(_statement(lot, _order, ICertificates.Verdict.Pass));
        _refuseOffer(lot);
    }

    /// @dev What was checked against the order itself stays so: whatever changes an order makes the proposal stale.
    function test_startMakesAProposalStale() public check {
        _acceptedOrder("order", _terms(1));
        uint40 assignment = _proposeAndAccept(_order, 0);
        uint40 proposal = _proposeTerms(true, _ungated(1));
        bytes32 previous = replay.previousHeadOf(_order);
        _as(maker);
        ledger.startAssignment(_order, 0, assignment, stream, ROOT);
        _refuseAgreement(coordinator, _ungated(1), previous, proposal, buyer.key, START);
    }

    function test_otherRevisionMakesAProposalStale() public check {
        _acceptedOrder("order", _terms(1));
        uint40 first = _proposeTerms(true, _terms(2));
        bytes32 firstPrevious = replay.previousHeadOf(_order);
        uint40 second = _proposeTerms(true, _terms(3));
        bytes32 previous = replay.previousHeadOf(_order);
        _refuseAgreement(coordinator, _terms(2), firstPrevious, first, buyer.key, START);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(3), previous, second, buyer.key, uint40(START));
        assertEq(ledger.orderOf(_order).operations, 3);
    }

    /// @dev Parts made meanwhile are no matter of the order's own history.
    function test_lotsLeaveAProposalOpen() public check {
        _startedOrder("order");
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        bytes32 lot = _commission(_order, "lot", 5);
        _transform(maker, _change(ILots.TransformationKind.Rework, _order, _inputs(lot, 5), _outputs("reworked", 5)));
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), previous, proposal, buyer.key, uint40(START));
        assertEq(ledger.orderOf(_order).operations, 2);
    }

    /// @dev Nothing new is agreed with a coordinator that may not coordinate.
    function test_revisionNeedsAFitCoordinator() public check {
        _acceptedOrder("order", _terms(1));
        _suspend(coordinator);
        _refuse(buyer, _unfit(coordinator.id, 0, Roles.COORDINATOR));
        ledger.proposeRevision(_order, _terms(2));
    }

    function test_overIsNotRevised() public check {
        _startedOrder("order");
        _finish(_order, 0);
        uint40 proposal = _proposeTerms(true, _terms(1));
        bytes32 previous = replay.previousHeadOf(_order);
        _complete(_order);
        _refuse(coordinator, _stateWrong(IOrders.OrderState.Completed));
        ledger.acceptRevision(_order, _terms(1), previous, proposal, buyer.key, uint40(START));
        _refuse(buyer, _stateWrong(IOrders.OrderState.Completed));
        ledger.proposeRevision(_order, _terms(1));
        _refuse(coordinator, _stateWrong(IOrders.OrderState.Completed));
        ledger.acceptRevision(_order, _terms(1), ROOT, 1, buyer.key, uint40(START));
    }

    function test_companyThatIsBothSidesAgreesWithItself() public check {
        _setRoles(buyer, Roles.BUYER | Roles.COORDINATOR);
        _as(buyer);
        ledger.placeOrder(_hash("order"), buyer.id, _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        _as(buyer);
        ledger.acceptRevision(_order, _terms(2), previous, proposal, buyer.key, uint40(START));
        assertEq(ledger.orderOf(_order).operations, 2);
    }
}
