// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {Roles} from "../libraries/Roles.sol";
import {Subjects} from "../libraries/Subjects.sol";
import {Terms} from "./Terms.sol";

/// @title Orders from their placing to their delivery
abstract contract Orders is Terms, IOrders {
    /// @inheritdoc IOrders
    function placeOrder(bytes32 identifierHash, OrderTerms memory terms) external returns (bytes32 order) {
        Actor memory actor = _actor(Roles.BUYER);
        order = Subjects.derive(Subjects.Kind.Order, actor.participant, identifierHash);
        if (_orders[order].sequence != 0) revert HistorySubjectTaken(order);
        _requireAmounts(terms);
        if (!_requireParties(terms)) revert HistoryClosed(registry.successor());
        uint8 operations = _operationsOf(terms);
        (uint32 inspector, uint40 model) = _keepGates(order, terms.gates);
        _orders[order] = Order({
            sequence: _recordTerms(OrderPlaced.selector, actor, order, terms),
            model: model,
            buyer: actor.participant,
            coordinator: terms.coordinator,
            inspector: inspector,
            quantity: terms.quantity,
            unit: terms.unit,
            operations: operations,
            open: operations,
            state: OrderState.Placed
        });
    }

    /// @inheritdoc IOrders
    function acceptOrder(bytes32 order, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.COORDINATOR);
        _asCoordinator(order, actor, OrderState.Placed).state = OrderState.Accepted;
        _recordRoot(OrderAccepted.selector, actor, order, claimsRoot);
    }

    /// @inheritdoc IOrders
    function cancelOrder(bytes32 order, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        Order storage entry = _existingOrder(order);
        if (entry.state != OrderState.Placed && entry.state != OrderState.Accepted) {
            revert OrderStateWrong(order, entry.state);
        }
        _partsOf(order, entry, 0, actor);
        entry.state = OrderState.Cancelled;
        _recordRoot(OrderCancelled.selector, actor, order, reasonRoot);
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
        uint256 delivered = _requireDelivered(order, entry, lots, actor);
        entry.state = OrderState.Delivered;
        bytes32 list = keccak256(abi.encode(lots));
        bytes memory data = abi.encode(actor.key, _touching(order), lots.length, delivered, list, claimsRoot);
        _recordOne(OrderDelivered.selector, actor, order, data);
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

    /// @dev Reverts unless the lots are the order's, free and in the actor's custody, and hold what was agreed.
    /// @return delivered What they hold in the unit agreed: below 2^40 each, and no block has gas for 2^24 of them.
    function _requireDelivered(bytes32 order, Order storage entry, bytes32[] calldata lots, Actor memory actor)
        private
        view
        returns (uint256 delivered)
    {
        (uint40 number, uint32 quantity, bytes3 unit) = (entry.sequence, entry.quantity, entry.unit);
        for (uint256 i; i < lots.length; ++i) {
            if (i != 0 && lots[i] <= lots[i - 1]) revert ILots.LotsNotAscending(lots[i]);
            ILots.Lot storage lot = _held(lots[i], actor);
            if (lot.order != number) revert ILots.LotOrderWrong(lots[i], order, lot.order);
            if (lot.unit == unit) delivered += lot.quantity;
        }
        if (delivered < quantity) revert OrderUndelivered(order, unit, quantity, delivered);
    }
}
