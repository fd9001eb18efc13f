// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../interfaces/IAssignments.sol";
import {IAssignments} from "../interfaces/IAssignments.sol";
import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {Roles} from "../libraries/Roles.sol";
import {Subjects} from "../libraries/Subjects.sol";
import {Book} from "./Book.sol";

/// @title Orders and their revisions
abstract contract Orders is Book, IOrders {
    /// @dev Keeps an order's replay within bounds.
    uint16 private constant MOST_OPERATIONS = 64;
    /// @dev From the proposal of an end until it needs no agreement of a side that is gone.
    uint40 private constant END_DELAY = 14 days;

    // Whose agreement a proposal has. One company may be several of them.
    uint8 private constant PART_BUYER = 1;
    uint8 internal constant PART_COORDINATOR = 2;
    /// @dev The coordinator that the proposed terms name; most often the present one.
    uint8 private constant PART_SUCCESSOR = 4;

    /// @inheritdoc IOrders
    function placeOrder(bytes32 identifierHash, OrderTerms memory terms) external returns (bytes32 order) {
        Actor memory actor = _actor(Roles.BUYER);
        order = Subjects.derive(Subjects.Kind.Order, actor.participant, identifierHash);
        if (_orders[order].sequence != 0) revert HistorySubjectTaken(order);
        _requireAmounts(terms);
        _requireParties(terms);
        uint8 operations = _operationsOf(terms);
        _orders[order] = Order({
            sequence: _next(),
            model: terms.model,
            buyer: actor.participant,
            coordinator: terms.coordinator,
            inspector: terms.inspector,
            quantity: terms.quantity,
            unit: terms.unit,
            operations: operations,
            open: operations,
            state: OrderState.Placed
        });
        _recordTerms(OrderPlaced.selector, actor, order, terms);
    }

    /// @inheritdoc IOrders
    function acceptOrder(bytes32 order, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.COORDINATOR);
        _asCoordinator(order, actor, OrderState.Placed).state = OrderState.Accepted;
        _recordRoot(OrderAccepted.selector, actor, order, claimsRoot);
    }

    /// @inheritdoc IOrders
    function rejectOrder(bytes32 order, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.COORDINATOR);
        _asCoordinator(order, actor, OrderState.Placed).state = OrderState.Rejected;
        _recordRoot(OrderRejected.selector, actor, order, reasonRoot);
    }

    /// @inheritdoc IOrders
    function cancelOrder(bytes32 order, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        Order storage entry = _existingOrder(order);
        if (entry.state != OrderState.Placed && entry.state != OrderState.Accepted) {
            revert OrderStateWrong(order, entry.state);
        }
        bool byCoordinator = entry.state == OrderState.Accepted && actor.participant == entry.coordinator;
        if (actor.participant != entry.buyer && !byCoordinator) {
            revert OrderPartyWrong(order, actor.participant, entry.buyer);
        }
        _partsOf(order, entry, 0, actor);
        entry.state = OrderState.Cancelled;
        _recordRoot(OrderCancelled.selector, actor, order, reasonRoot);
    }

    /// @inheritdoc IOrders
    function proposeRevision(bytes32 order, OrderTerms memory terms) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        Order storage entry = _existingOrder(order);
        if (actor.participant != entry.buyer) _requireParty(order, actor, entry.coordinator);
        uint8 parts = _partsOf(order, entry, terms.coordinator, actor);
        _requireRevision(order, entry, terms);
        _requireHeld(terms.coordinator, registry.rolesOf(terms.coordinator), Roles.COORDINATOR);
        _keepProposal(order, RevisionProposed.selector, keccak256(abi.encode(terms)), parts);
        _recordTerms(RevisionProposed.selector, actor, order, terms);
    }

    /// @inheritdoc IOrders
    function acceptRevision(bytes32 order, OrderTerms memory terms, uint40 proposal) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        Order storage entry = _existingOrder(order);
        uint8 parts = _partsOf(order, entry, terms.coordinator, actor);
        _requireRevision(order, entry, terms);
        uint8 before = _proposed(order, RevisionProposed.selector, proposal, keccak256(abi.encode(terms)));
        uint8 consents = before | parts;
        uint32 awaited = _awaited(entry, terms.coordinator, consents);
        if (awaited == 0) {
            _revise(entry, terms);
            delete _proposals[order];
        } else {
            if (consents == before) revert OrderAgreementMissing(order, awaited);
            _proposals[order].consents = consents;
        }
        // abi.encode(key, [order], proposal, awaited, terms): the terms are eight words
        bytes memory data = abi.encode(actor.key, _arrayAfter(12), proposal, awaited, terms, ONE, order);
        _recordOne(RevisionAccepted.selector, actor, order, data);
    }

    /// @inheritdoc IOrders
    function proposeEnd(bytes32 order, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        uint8 parts = _partsOf(order, _inProduction(order), 0, actor);
        _keepProposal(order, EndProposed.selector, 0, parts);
        _recordRoot(EndProposed.selector, actor, order, reasonRoot);
    }

    /// @inheritdoc IOrders
    function endOrder(bytes32 order, uint40 proposal, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        Order storage entry = _inProduction(order);
        uint8 parts = _partsOf(order, entry, 0, actor);
        uint8 consents = parts | _proposed(order, EndProposed.selector, proposal, 0);
        if (consents != PART_BUYER | PART_COORDINATOR) _requireEndAlone(order, entry, consents);
        entry.state = OrderState.Ended;
        delete _proposals[order];
        _recordPair(OrderEnded.selector, actor, order, proposal, claimsRoot);
    }

    /// @inheritdoc IOrders
    function completeOrder(bytes32 order, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.COORDINATOR);
        Order storage entry = _asCoordinator(order, actor, OrderState.InProduction);
        if (entry.open != 0) revert OrderUnfinished(order, entry.open);
        entry.state = OrderState.Completed;
        _recordRoot(OrderCompleted.selector, actor, order, claimsRoot);
    }

    /// @inheritdoc IOrders
    /// @dev What arrived is not counted as it is accepted, which would cost each acceptance a slot, but added up here.
    function confirmDelivery(bytes32 order, bytes32[] calldata lots, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.BUYER);
        Order storage entry = _existingOrder(order);
        _requireParty(order, actor, entry.buyer);
        if (entry.state != OrderState.Completed) revert OrderStateWrong(order, entry.state);
        _requireDelivered(order, entry, lots, actor);
        entry.state = OrderState.Delivered;
        _recordOne(OrderDelivered.selector, actor, order, abi.encode(actor.key, _touching(order), lots, claimsRoot));
    }

    /// @inheritdoc IOrders
    function orderOf(bytes32 order) external view returns (Order memory) {
        return _orders[order];
    }

    /// @inheritdoc IOrders
    function proposalOf(bytes32 order) external view returns (Proposal memory) {
        return _proposals[order];
    }

    /// @dev The order, when the actor coordinates it and it is in `state`.
    function _asCoordinator(bytes32 order, Actor memory actor, OrderState state)
        internal
        view
        returns (Order storage entry)
    {
        entry = _existingOrder(order);
        _requireParty(order, actor, entry.coordinator);
        if (entry.state != state) revert OrderStateWrong(order, entry.state);
    }

    function _requireParty(bytes32 order, Actor memory actor, uint32 expected) internal pure {
        if (actor.participant != expected) revert OrderPartyWrong(order, actor.participant, expected);
    }

    /// @dev The parts that the actor has in the order, each by the role of its own; at least one of them.
    function _partsOf(bytes32 order, Order storage entry, uint32 successor, Actor memory actor)
        internal
        view
        returns (uint8 parts)
    {
        (uint32 participant, uint32 buyer, uint32 coordinator) = (actor.participant, entry.buyer, entry.coordinator);
        uint16 needed;
        if (participant == buyer) (parts, needed) = (PART_BUYER, Roles.BUYER);
        uint8 coordinating = participant == successor ? PART_SUCCESSOR : 0;
        if (participant == coordinator) coordinating |= PART_COORDINATOR;
        if (coordinating != 0) needed |= Roles.COORDINATOR;
        if (needed == 0) revert OrderPartyWrong(order, participant, coordinator);
        _requireHeld(participant, actor.roles, needed);
        if (actor.roles & Roles.BUYER == 0) parts = 0;
        if (actor.roles & Roles.COORDINATOR != 0) parts |= coordinating;
    }

    /// @dev Reverts unless the lots are the order's, free and in the actor's custody, and hold what was agreed.
    function _requireDelivered(bytes32 order, Order storage entry, bytes32[] calldata lots, Actor memory actor)
        private
        view
    {
        (uint40 number, uint32 quantity, bytes3 unit) = (entry.sequence, entry.quantity, entry.unit);
        uint256 delivered;
        for (uint256 i; i < lots.length; ++i) {
            if (i != 0 && lots[i] <= lots[i - 1]) revert ILots.LotsNotAscending(lots[i]);
            ILots.Lot storage lot = _held(lots[i], actor);
            if (lot.order != number) revert ILots.LotOrderWrong(lots[i], order, lot.order);
            if (lot.unit == unit) delivered += lot.quantity;
        }
        if (delivered < quantity) revert OrderUndelivered(order, unit, quantity, delivered);
    }

    /// @dev abi.encode(key, [order], terms): the terms are eight words.
    function _recordTerms(bytes32 kind, Actor memory actor, bytes32 order, OrderTerms memory terms) private {
        _recordOne(kind, actor, order, abi.encode(actor.key, _arrayAfter(10), terms, ONE, order));
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
    function _awaited(Order storage entry, uint32 successor, uint8 consents) private view returns (uint32) {
        if (consents & PART_BUYER == 0) return entry.buyer;
        if (consents & PART_SUCCESSOR == 0) return successor;
        if (consents & PART_COORDINATOR == 0 && !_isGone(entry.coordinator, Roles.COORDINATOR)) {
            return entry.coordinator;
        }
        return 0;
    }

    /// @dev Reverts unless the side that has not agreed is gone, and was given time to come back.
    function _requireEndAlone(bytes32 order, Order storage entry, uint8 consents) private view {
        (uint32 other, uint16 role) =
            consents & PART_BUYER == 0 ? (entry.buyer, Roles.BUYER) : (entry.coordinator, Roles.COORDINATOR);
        if (!_isGone(other, role)) revert OrderAgreementMissing(order, other);
        uint40 notBefore = _proposals[order].proposedAt + END_DELAY;
        if (block.timestamp < notBefore) revert OrderEndTooEarly(order, notBefore);
    }

    function _inProduction(bytes32 order) private view returns (Order storage entry) {
        entry = _existingOrder(order);
        OrderState state = entry.state;
        if (!_isMade(state)) revert OrderStateWrong(order, state);
    }

    function _isMade(OrderState state) private pure returns (bool) {
        return state == OrderState.InProduction || state == OrderState.Completed;
    }

    function _revise(Order storage entry, OrderTerms memory terms) private {
        uint8 operations = _operationsOf(terms);
        (uint8 before, uint8 open, OrderState state) = (entry.operations, entry.open, entry.state);
        if (operations != before && state == OrderState.Completed) entry.state = OrderState.InProduction;
        entry.coordinator = terms.coordinator;
        entry.inspector = terms.inspector;
        entry.model = terms.model;
        entry.quantity = terms.quantity;
        entry.unit = terms.unit;
        entry.operations = operations;
        entry.open = open + operations - before;
    }

    function _requireRevision(bytes32 order, Order storage entry, OrderTerms memory terms) private view {
        (uint40 model, uint32 inspector, uint8 operations, OrderState state) =
            (entry.model, entry.inspector, entry.operations, entry.state);
        if (state != OrderState.Placed && state != OrderState.Accepted && !_isMade(state)) {
            revert OrderStateWrong(order, state);
        }
        if (terms.operations < operations) revert OrderOperationsFewer(order, operations, terms.operations);
        _requireAmounts(terms);
        if (terms.inspector != inspector || terms.model != model) {
            _requireParties(terms);
        } else if (inspector != 0 && inspector == terms.coordinator) {
            // A coordinator comes with its own agreement, so its role is not looked up here.
            revert OrderGateInvalid(inspector, model);
        }
        if (_isMade(state) && terms.inspector != inspector) _requireMadeNothing(order, operations, terms.inspector);
    }

    function _requireMadeNothing(bytes32 order, uint16 operations, uint32 inspector) private view {
        bool fit = inspector != 0;
        for (uint16 operation; fit && operation < operations; ++operation) {
            IAssignments.Assignment storage current = _assignments[order][operation];
            fit = current.owner != inspector || current.state == IAssignments.AssignmentState.Declined;
        }
        if (!fit) revert OrderInspectorUnfit(order, inspector);
    }

    function _requireAmounts(OrderTerms memory terms) private pure {
        (uint16 operations, uint32 quantity, bytes3 unit) = (terms.operations, terms.quantity, terms.unit);
        if (operations == 0 || operations > MOST_OPERATIONS) {
            revert OrderOperationsInvalid(operations, MOST_OPERATIONS);
        }
        if ((quantity == 0) != (unit == 0)) revert OrderQuantityInvalid(quantity, unit);
    }

    /// @dev Of terms that _requireAmounts has let pass.
    function _operationsOf(OrderTerms memory terms) private pure returns (uint8) {
        // forge-lint: disable-next-line(unsafe-typecast) - at most MOST_OPERATIONS
        return uint8(terms.operations);
    }

    function _requireParties(OrderTerms memory terms) private view {
        (uint32 coordinator, uint32 inspector, uint40 model) = (terms.coordinator, terms.inspector, terms.model);
        (uint16 coordinatorRoles, uint16 inspectorRoles, IRegistry.ModelState state) =
            registry.standingOf(coordinator, inspector, model);
        _requireHeld(coordinator, coordinatorRoles, Roles.COORDINATOR);
        if (inspector == 0 && model == 0) return;
        if (inspector == 0 || inspector == coordinator || state != IRegistry.ModelState.Approved) {
            revert OrderGateInvalid(inspector, model);
        }
        _requireHeld(inspector, inspectorRoles, Roles.INSPECTOR);
    }
}
