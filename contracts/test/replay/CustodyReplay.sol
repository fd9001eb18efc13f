// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../../src/interfaces/ICertificates.sol";
import {ICustody} from "../../src/interfaces/ICustody.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {LotReplay} from "./LotReplay.sol";

/// @notice Custody as its logs tell it.
abstract contract CustodyReplay is LotReplay {
    bytes32 public constant GATE_PASSED = "gate passed";
    bytes32 public constant GATE_PASSED_BY_WAIVER = "gate passed by a waiver";
    bytes32 public constant SEVERAL_GATES_PASSED = "several gates passed";
    bytes32 public constant PACKED_LOT_MOVED = "packed lot moved";
    bytes32 public constant GATE_PASSED_PACKED = "gate passed packed";
    bytes32 public constant OFFERED_AGAIN = "offered again";
    bytes32 public constant RETURNED = "returned to its maker";
    bytes32 public constant RECLAIMED_BY_TRUSTEE = "reclaimed by a trustee";
    bytes32 public constant RECLAIMED_BY_PARTY = "reclaimed by a party";
    bytes32 public constant RECLAIMED_QUARANTINED = "quarantined lot reclaimed";

    mapping(bytes32 lot => ICustody.Offer) private _offers;

    function _applyCustody(Entry memory entry) internal returns (bool) {
        ILots.Lot storage lot = _lots[entry.subject];
        if (entry.kind == ICustody.CustodyOffered.selector || entry.kind == ICustody.ReturnOffered.selector) {
            _offer(entry, lot);
        } else if (entry.kind == ICustody.CustodyReclaimed.selector) {
            _reclaim(entry, lot);
        } else if (entry.kind == ICustody.CustodyWithdrawn.selector) {
            _actOnLot(entry, lot, uint32(lot.holder));
            _hold(Property.LotMoves, _isOffered(lot), "custody: not offered");
            _endOffer(lot);
        } else {
            return _answer(entry, lot);
        }
        return true;
    }

    function _compareLot(bytes32 subject) internal override {
        bool same = _same(abi.encode(_ledger.offerOf(subject)), abi.encode(_offers[subject]));
        _hold(Property.Rebuilt, same, "offer differs from its logs");
        super._compareLot(subject);
    }

    function _offer(Entry memory entry, ILots.Lot storage lot) private {
        (,, uint32 to,) = abi.decode(entry.data, (address, bytes32[], uint32, bytes32));
        _actOnLot(entry, lot, uint32(lot.holder));
        _hold(Property.Authority, _rolesOf(to) & HOLDER != 0, "offerCustody: to nobody who may hold");
        if (_offers[entry.subject].sequence != 0) ++count[OFFERED_AGAIN];
        _offers[entry.subject] = ICustody.Offer(entry.sequence, to);
        if (entry.kind == ICustody.ReturnOffered.selector) {
            _hold(Property.LotMoves, lot.state == ILots.LotState.Quarantined, "returnLot: not quarantined");
            _hold(Property.Quarantine, to == _makerOf[entry.subject], "returnLot: not to its maker");
            _hold(Property.Packing, _children[entry.subject].length == 0, "returnLot: with others in it");
            lot.state = ILots.LotState.Returning;
            return;
        }
        _hold(Property.LotMoves, lot.state == ILots.LotState.Held, "offerCustody: not held");
        _requireWayFree(entry.subject, to, false);
        (lot.state, lot.counterparty) = (ILots.LotState.Offered, to);
    }

    /// @dev By whom it was offered to, who names the offer.
    function _answer(Entry memory entry, ILots.Lot storage lot) private returns (bool) {
        uint40 offer;
        bool accepts = true;
        if (entry.kind == ICustody.CustodyAccepted.selector || entry.kind == ICustody.CustodyDeclined.selector) {
            accepts = entry.kind == ICustody.CustodyAccepted.selector;
            (,, offer,) = abi.decode(entry.data, (address, bytes32[], uint40, bytes32));
        } else {
            return false;
        }
        _actOnLot(entry, lot, _offers[entry.subject].to);
        _hold(Property.Offers, offer == _offers[entry.subject].sequence, "custody: another offer than the one answered");
        if (accepts) {
            _requireWayFree(entry.subject, entry.participant, false);
            if (_children[entry.subject].length != 0) ++count[PACKED_LOT_MOVED];
            if (lot.state == ILots.LotState.Returning) ++count[RETURNED];
            lot.holder = entry.participant;
        }
        _hold(Property.LotMoves, _isOffered(lot), "custody: not offered");
        _endOffer(lot);
        return true;
    }

    function _reclaim(Entry memory entry, ILots.Lot storage lot) private {
        (,, uint32 from,) = abi.decode(entry.data, (address, bytes32[], uint32, bytes32));
        _actOnLot(entry, lot, entry.participant);
        _hold(Property.Rebuilt, from == lot.holder, "reclaimCustody: event names another custodian");
        bool party = _requireReclaimable(entry, lot);
        _requireWayFree(entry.subject, entry.participant, true);
        ++count[party ? RECLAIMED_BY_PARTY : RECLAIMED_BY_TRUSTEE];
        if (_isOffered(lot)) _endOffer(lot);
        if (lot.state == ILots.LotState.Quarantined) ++count[RECLAIMED_QUARANTINED];
        _hold(Property.LotMoves, lot.state != ILots.LotState.Spent, "reclaimCustody: spent");
        lot.holder = entry.participant;
    }

    /// @dev Nothing packed in the lot is quarantined, unless it is reclaimed, and every gate to `to` is open.
    function _requireWayFree(bytes32 subject, uint32 to, bool reclaimed) private {
        IOrders.Order storage order = _orders[_orderAt[_lots[subject].order]];
        Gate[] storage gates = _gatesAt[_orderAt[_lots[subject].order]];
        for (uint256 i; order.buyer == to && i < gates.length; ++i) {
            bool open = _isGateOpen(subject, gates[i].inspector, gates[i].model);
            bool waived = !open && _isWaived(subject, gates[i].inspector);
            _hold(Property.Gate, open || waived, "custody past a closed gate");
            ++count[waived ? GATE_PASSED_BY_WAIVER : _lots[subject].packed ? GATE_PASSED_PACKED : GATE_PASSED];
            if (i != 0) ++count[SEVERAL_GATES_PASSED];
        }
        bool free = reclaimed || _lots[subject].state != ILots.LotState.Quarantined;
        _hold(Property.Quarantine, free, "quarantined lot moved");
        bytes32[] storage children = _children[subject];
        for (uint256 i; i < children.length; ++i) {
            _requireWayFree(children[i], to, reclaimed);
        }
    }
}
