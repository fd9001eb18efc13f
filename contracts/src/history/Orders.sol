// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../interfaces/IAssignments.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {Roles} from "../libraries/Roles.sol";
import {Subjects} from "../libraries/Subjects.sol";
import {Book} from "./Book.sol";

/// @title Orders and their revisions
abstract contract Orders is Book, IOrders {
    /// @dev Keeps an order's replay within bounds.
    uint16 private constant MOST_OPERATIONS = 64;

    /// @inheritdoc IOrders
    function placeOrder(bytes32 identifierHash, uint32 coordinator, OrderTerms calldata terms)
        external
        returns (bytes32 order)
    {
        Actor memory actor = _actor(Roles.BUYER);
        order = Subjects.derive(Subjects.Kind.Order, actor.participant, identifierHash);
        if (_orders[order].sequence != 0) revert HistorySubjectTaken(order);
        if (!_requireTerms(terms, coordinator)) revert HistoryClosed(registry.successor());
        _orders[order] = Order({
            sequence: _next(),
            model: terms.model,
            buyer: actor.participant,
            coordinator: coordinator,
            inspector: terms.inspector,
            operations: terms.operations,
            open: terms.operations,
            state: OrderState.Placed
        });
        bytes memory data = abi.encode(actor.key, _touching(order), coordinator, terms);
        _recordOne(OrderPlaced.selector, actor, order, data);
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
        _requirePart(entry, actor);
        entry.state = OrderState.Cancelled;
        _recordRoot(OrderCancelled.selector, actor, order, reasonRoot);
    }

    /// @inheritdoc IOrders
    function proposeRevision(bytes32 order, OrderTerms calldata terms) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        Order storage entry = _revisable(order, actor);
        _requireRevision(order, entry, terms);
        bytes memory data = abi.encode(actor.key, _touching(order), terms);
        _recordOne(RevisionProposed.selector, actor, order, data);
    }

    /// @inheritdoc IOrders
    /// @dev The proposal is not stored: it is shown to be the latest link of the order's history. So both sides agree
    /// about the same state of the order, for which the terms were checked, and no slot is spent on it.
    function acceptRevision(
        bytes32 order,
        OrderTerms calldata terms,
        bytes32 previousHead,
        uint40 proposal,
        address proposer,
        uint40 proposedAt
    ) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        Order storage entry = _revisable(order, actor);
        bytes32[] memory histories = _touching(order);
        uint32 other = actor.participant == entry.buyer ? entry.coordinator : entry.buyer;
        bytes32 digest = keccak256(abi.encode(proposer, histories, terms));
        bytes32 inner = keccak256(abi.encode(proposal, other, proposer, digest, uint256(proposedAt)));
        if (!_isHead(order, previousHead, RevisionProposed.selector, inner)) revert OrderRevisionNotProposed(order);
        entry.open += terms.operations - entry.operations;
        (entry.operations, entry.inspector, entry.model) = (terms.operations, terms.inspector, terms.model);
        bytes memory data = abi.encode(actor.key, histories, proposal, terms);
        _recordOne(RevisionAccepted.selector, actor, order, data);
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
    function confirmDelivery(bytes32 order, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.BUYER);
        Order storage entry = _existingOrder(order);
        _requireParty(order, actor, entry.buyer);
        if (entry.state != OrderState.Completed) revert OrderStateWrong(order, entry.state);
        entry.state = OrderState.Delivered;
        _recordRoot(OrderDelivered.selector, actor, order, claimsRoot);
    }

    /// @inheritdoc IOrders
    function orderOf(bytes32 order) external view returns (Order memory) {
        return _orders[order];
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

    /// @dev Buyer or coordinator of an order, each by the role of its own part.
    function _requirePart(Order storage entry, Actor memory actor) private view {
        uint16 needed = actor.participant == entry.buyer ? Roles.BUYER : 0;
        if (actor.participant == entry.coordinator) needed |= Roles.COORDINATOR;
        _requireHeld(actor.participant, actor.roles, needed);
    }

    function _revisable(bytes32 order, Actor memory actor) private view returns (Order storage entry) {
        entry = _existingOrder(order);
        if (actor.participant != entry.buyer) _requireParty(order, actor, entry.coordinator);
        _requirePart(entry, actor);
        OrderState state = entry.state;
        if (state != OrderState.Placed && state != OrderState.Accepted && state != OrderState.InProduction) {
            revert OrderStateWrong(order, state);
        }
    }

    function _requireRevision(bytes32 order, Order storage entry, OrderTerms calldata terms) private view {
        if (terms.operations < entry.operations) {
            revert OrderOperationsFewer(order, entry.operations, terms.operations);
        }
        _requireTerms(terms, entry.coordinator);
        uint32 inspector = terms.inspector;
        if (entry.state != OrderState.InProduction || inspector == entry.inspector) return;
        // Whoever is no manufacturer is given no operation. One who was, and is not any more, both parties know.
        if (inspector == 0 || registry.rolesOf(inspector) & Roles.MANUFACTURER != 0) {
            revert OrderInspectorUnfit(order, inspector);
        }
    }

    /// @return open Whether new orders are taken.
    function _requireTerms(OrderTerms calldata terms, uint32 coordinator) private view returns (bool open) {
        uint16 operations = terms.operations;
        (uint32 inspector, uint40 model) = (terms.inspector, terms.model);
        if (operations == 0 || operations > MOST_OPERATIONS) {
            revert OrderOperationsInvalid(operations, MOST_OPERATIONS);
        }
        (uint16 coordinatorRoles, uint16 inspectorRoles, IRegistry.ModelState state) = (0, 0, IRegistry.ModelState.None);
        (coordinatorRoles, inspectorRoles, state, open) = registry.standingOf(coordinator, inspector, model);
        _requireHeld(coordinator, coordinatorRoles, Roles.COORDINATOR);
        if (inspector == 0 && model == 0) return open;
        if (inspector == 0 || inspector == coordinator || state != IRegistry.ModelState.Approved) {
            revert OrderGateInvalid(inspector, model);
        }
        _requireHeld(inspector, inspectorRoles, Roles.INSPECTOR);
    }
}
