// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILots} from "../interfaces/ILots.sol";
import {Roles} from "../libraries/Roles.sol";
import {Certificates} from "./Certificates.sol";

/// @title Custody: offered, accepted, declined, withdrawn
abstract contract Custody is Certificates {
    /// @dev Deepest packing that moves; real ones (piece, case, pallet, container) need four.
    uint256 private constant MOST_DEPTH = 8;

    /// @inheritdoc ILots
    function offerCustody(Item[] calldata consignment, uint32 to, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        if (consignment.length == 0) revert LotsMissing();
        bytes32 lot = consignment[0].lot;
        Lot storage entry = _held(lot, actor);
        if (to == actor.participant) revert CustodyToSelf(lot);
        _requireHeld(to, registry.rolesOf(to), Roles.HOLDER);
        _requireConsignment(consignment, to);
        entry.state = LotState.Offered;
        entry.counterparty = to;
        bytes32[] memory histories = _touching(lot);
        bytes memory data = abi.encode(actor.key, histories, to, claimsRoot);
        _record(CustodyOffered.selector, actor, lot, histories, data);
    }

    /// @inheritdoc ILots
    function acceptCustody(Item[] calldata consignment, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        if (consignment.length == 0) revert LotsMissing();
        bytes32 lot = consignment[0].lot;
        Lot storage entry = _offered(lot);
        if (entry.counterparty != actor.participant) revert CustodyNotOffered(lot, entry.counterparty);
        _requireConsignment(consignment, actor.participant);
        uint32 from = entry.custodian;
        entry.state = LotState.Held;
        (entry.custodian, entry.counterparty) = (actor.participant, 0);
        bytes32[] memory histories = _touching(lot);
        bytes memory data = abi.encode(actor.key, histories, from, claimsRoot);
        _record(CustodyAccepted.selector, actor, lot, histories, data);
    }

    /// @inheritdoc ILots
    function declineCustody(bytes32 lot, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        Lot storage entry = _offered(lot);
        if (entry.counterparty != actor.participant) revert CustodyNotOffered(lot, entry.counterparty);
        _backToHeld(entry);
        _recordLot(CustodyDeclined.selector, actor, lot, reasonRoot);
    }

    /// @inheritdoc ILots
    function withdrawCustody(bytes32 lot, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        Lot storage entry = _offered(lot);
        _mine(lot, actor);
        _backToHeld(entry);
        _recordLot(CustodyWithdrawn.selector, actor, lot, reasonRoot);
    }

    function _offered(bytes32 lot) private view returns (Lot storage entry) {
        entry = _existingLot(lot);
        if (entry.state != LotState.Offered) revert LotStateWrong(lot, entry.state);
    }

    function _backToHeld(Lot storage entry) private {
        entry.state = LotState.Held;
        entry.counterparty = 0;
    }

    /// @dev Reverts unless the consignment names the first lot and all that is packed in it, nothing of it is
    /// quarantined, and every gate is open for `to`. Contents are counted in storage, not listed: the caller lists them.
    function _requireConsignment(Item[] calldata consignment, uint32 to) private view {
        uint256 used = _requireItem(consignment, 0, to, 0);
        if (used != consignment.length) revert ConsignmentExcess(consignment.length, used);
    }

    /// @return next Index after the item at `index` and everything packed in it.
    function _requireItem(Item[] calldata consignment, uint256 index, uint32 to, uint256 depth)
        private
        view
        returns (uint256 next)
    {
        Item calldata item = consignment[index];
        if (depth > MOST_DEPTH) revert ConsignmentTooDeep(item.lot);
        Lot storage entry = _existingLot(item.lot);
        _requireOrder(item.lot, entry, item.order);
        _requireGate(item.lot, item.order, to);
        next = index + 1;
        bytes32 last;
        for (uint256 left = _contents[item.lot]; left != 0; --left) {
            if (next >= consignment.length) revert ConsignmentIncomplete(item.lot, left);
            bytes32 child = consignment[next].lot;
            if (child <= last) revert LotsNotAscending(child);
            _requireMovable(child, entry.number);
            last = child;
            next = _requireItem(consignment, next, to, depth + 1);
        }
    }

    function _requireMovable(bytes32 lot, uint40 parent) private view {
        Lot storage entry = _existingLot(lot);
        if (entry.parent != parent) revert LotNotInParent(lot, entry.parent, parent);
        if (entry.state != LotState.Held) revert LotStateWrong(lot, entry.state);
    }
}
