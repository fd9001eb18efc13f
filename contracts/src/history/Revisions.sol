// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../interfaces/IAssignments.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {IRevisions} from "../interfaces/IRevisions.sol";
import {Gates} from "../libraries/Gates.sol";
import {Roles} from "../libraries/Roles.sol";
import {Terms} from "./Terms.sol";

/// @title What both sides change in an order: its terms, or that it goes on
abstract contract Revisions is Terms, IRevisions {
    /// @dev From the proposal of an end until it needs no agreement of a side that is gone.
    uint40 private constant END_DELAY = 14 days;

    /// @inheritdoc IRevisions
    function proposeRevision(bytes32 order, IOrders.OrderTerms memory terms) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        IOrders.Order storage entry = _existingOrder(order);
        if (actor.participant != entry.buyer) _requireParty(order, actor, entry.coordinator);
        uint8 parts = _partsOf(order, entry, terms.coordinator, actor);
        _requireRevision(order, entry, terms);
        _requireHeld(terms.coordinator, registry.rolesOf(terms.coordinator), Roles.COORDINATOR);
        _keepProposal(order, RevisionProposed.selector, keccak256(abi.encode(terms)), parts);
        _recordTerms(RevisionProposed.selector, actor, order, terms);
    }

    /// @inheritdoc IRevisions
    function acceptRevision(bytes32 order, IOrders.OrderTerms memory terms, uint40 proposal) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        IOrders.Order storage entry = _existingOrder(order);
        uint8 parts = _partsOf(order, entry, terms.coordinator, actor);
        _requireRevision(order, entry, terms);
        uint8 before = _proposed(order, RevisionProposed.selector, proposal, keccak256(abi.encode(terms)));
        uint8 consents = before | parts;
        uint32 awaited = _awaited(entry, terms.coordinator, consents);
        if (awaited == 0) {
            _revise(order, entry, terms);
            delete _proposals[order];
        } else {
            if (consents == before) revert OrderAgreementMissing(order, awaited);
            _proposals[order].consents = consents;
        }
        bytes memory data = abi.encode(actor.key, _touching(order), proposal, awaited, terms);
        _recordOne(RevisionAccepted.selector, actor, order, data);
    }

    /// @inheritdoc IRevisions
    function proposeEnd(bytes32 order, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        uint8 parts = _partsOf(order, _inProduction(order), 0, actor);
        _keepProposal(order, EndProposed.selector, 0, parts);
        _recordRoot(EndProposed.selector, actor, order, reasonRoot);
    }

    /// @inheritdoc IRevisions
    function endOrder(bytes32 order, uint40 proposal, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        if (proposal == 0) _requireAbandoned(order, actor);
        else _requireAgreed(order, proposal, actor);
        _orders[order].state = IOrders.OrderState.Ended;
        delete _proposals[order];
        _recordPair(OrderEnded.selector, actor, order, proposal, claimsRoot);
    }

    /// @inheritdoc IRevisions
    function proposalOf(bytes32 order) external view returns (Proposal memory) {
        return _proposals[order];
    }

    function _keepProposal(bytes32 order, bytes32 kind, bytes32 content, uint8 parts) private {
        bytes26 digest = _digestOf(kind, _next(), content);
        _proposals[order] = Proposal({digest: digest, proposedAt: uint40(block.timestamp), consents: parts});
    }

    /// @dev Who agreed to the order's latest proposal, when it is that one.
    function _proposed(bytes32 order, bytes32 kind, uint40 proposal, bytes32 content)
        private
        view
        returns (uint8 consents)
    {
        Proposal storage kept = _proposals[order];
        bytes26 digest;
        (digest, consents) = (kept.digest, kept.consents);
        if (digest != _digestOf(kind, proposal, content)) revert OrderNotProposed(order, proposal);
    }

    function _digestOf(bytes32 kind, uint40 proposal, bytes32 content) private pure returns (bytes26) {
        return bytes26(keccak256(abi.encode(kind, proposal, content)));
    }

    /// @dev Whose agreement is missing, one of them; 0 when nobody's is. A coordinator that is gone need not agree to its
    /// successor.
    function _awaited(IOrders.Order storage entry, uint32 successor, uint8 consents) private view returns (uint32) {
        if (consents & PART_BUYER == 0) return entry.buyer;
        if (consents & PART_SUCCESSOR == 0) return successor;
        if (consents & PART_COORDINATOR == 0 && !_isGone(entry.coordinator, Roles.COORDINATOR)) {
            return entry.coordinator;
        }
        return 0;
    }

    function _requireAgreed(bytes32 order, uint40 proposal, Actor memory actor) private view {
        IOrders.Order storage entry = _inProduction(order);
        uint8 parts = _partsOf(order, entry, 0, actor);
        uint8 consents = parts | _proposed(order, EndProposed.selector, proposal, 0);
        if (consents != PART_BUYER | PART_COORDINATOR) _requireEndAlone(order, entry, consents);
    }

    /// @dev Reverts unless both sides are gone, the buyer for long, and the actor is who it is entrusted to.
    function _requireAbandoned(bytes32 order, Actor memory actor) private view {
        IOrders.Order storage entry = _existingOrder(order);
        (uint32 buyer, uint32 coordinator, IOrders.OrderState state) = (entry.buyer, entry.coordinator, entry.state);
        if (!_isOpen(state)) revert IOrders.OrderStateWrong(order, state);
        if (!_isGone(coordinator, Roles.COORDINATOR)) revert OrderAgreementMissing(order, coordinator);
        (uint40 since, uint32 trustee) = registry.absenceOf(buyer);
        if (since == 0) revert OrderAgreementMissing(order, buyer);
        if (trustee != actor.participant) revert IOrders.OrderPartyWrong(order, actor.participant, trustee);
        uint40 notBefore = since + END_DELAY;
        if (block.timestamp < notBefore) revert OrderEndTooEarly(order, notBefore);
    }

    /// @dev Reverts unless the side that has not agreed is gone, and was given time to come back.
    function _requireEndAlone(bytes32 order, IOrders.Order storage entry, uint8 consents) private view {
        (uint32 other, uint16 role) =
            consents & PART_BUYER == 0 ? (entry.buyer, Roles.BUYER) : (entry.coordinator, Roles.COORDINATOR);
        if (!_isGone(other, role)) revert OrderAgreementMissing(order, other);
        uint40 notBefore = _proposals[order].proposedAt + END_DELAY;
        if (block.timestamp < notBefore) revert OrderEndTooEarly(order, notBefore);
    }

    function _inProduction(bytes32 order) private view returns (IOrders.Order storage entry) {
        entry = _existingOrder(order);
        IOrders.OrderState state = entry.state;
        if (!_isMade(state)) revert IOrders.OrderStateWrong(order, state);
    }

    function _isOpen(IOrders.OrderState state) private pure returns (bool) {
        return state == IOrders.OrderState.Placed || state == IOrders.OrderState.Accepted || _isMade(state);
    }

    function _isMade(IOrders.OrderState state) private pure returns (bool) {
        return state == IOrders.OrderState.InProduction || state == IOrders.OrderState.Completed;
    }

    function _revise(bytes32 order, IOrders.Order storage entry, IOrders.OrderTerms memory terms) private {
        uint8 operations = _operationsOf(terms);
        (uint8 before, uint8 open, IOrders.OrderState state) = (entry.operations, entry.open, entry.state);
        if (operations != before && state == IOrders.OrderState.Completed) {
            entry.state = IOrders.OrderState.InProduction;
        }
        if (entry.inspector == SEVERAL) delete _gates[order];
        entry.coordinator = terms.coordinator;
        (entry.inspector, entry.model) = _keepGates(order, terms.gates);
        entry.quantity = terms.quantity;
        entry.unit = terms.unit;
        entry.operations = operations;
        entry.open = open + operations - before;
    }

    function _requireRevision(bytes32 order, IOrders.Order storage entry, IOrders.OrderTerms memory terms)
        private
        view
    {
        (uint40 model, uint32 inspector, uint8 operations, IOrders.OrderState state) =
            (entry.model, entry.inspector, entry.operations, entry.state);
        if (!_isOpen(state)) revert IOrders.OrderStateWrong(order, state);
        if (terms.operations < operations) revert OrderOperationsFewer(order, operations, terms.operations);
        _requireAmounts(terms);
        uint256 gates = _gatesOf(order, inspector, model);
        if (terms.gates != gates) {
            _requireParties(terms);
            if (_isMade(state)) _requireMadeNothing(order, operations, gates, terms.gates);
            return;
        }
        // A coordinator comes with its own agreement, so its role is not looked up here.
        (bool named, uint40 of_) = Gates.find(gates, terms.coordinator);
        if (named) revert IOrders.OrderGateInvalid(terms.coordinator, of_);
    }

    /// @dev Reverts when none is left of the gates, or an inspector that joins them has an assignment.
    function _requireMadeNothing(bytes32 order, uint16 operations, uint256 before, uint256 gates) private view {
        if (gates == 0) revert OrderInspectorUnfit(order, 0);
        for (; gates != 0; gates = Gates.rest(gates)) {
            (uint32 inspector,) = Gates.first(gates);
            (bool fit,) = Gates.find(before, inspector);
            if (!fit && _isMaker(order, operations, inspector)) revert OrderInspectorUnfit(order, inspector);
        }
    }

    /// @dev Whether a participant has an assignment of the order; a declined one does not count.
    function _isMaker(bytes32 order, uint16 operations, uint32 participant) private view returns (bool makes) {
        for (uint16 operation; !makes && operation < operations; ++operation) {
            IAssignments.Assignment storage current = _assignments[order][operation];
            makes = current.owner == participant && current.state != IAssignments.AssignmentState.Declined;
        }
    }
}
