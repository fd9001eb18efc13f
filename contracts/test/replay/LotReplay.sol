// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../../src/interfaces/IAssignments.sol";
import {ICertificates} from "../../src/interfaces/ICertificates.sol";
import {ICustody} from "../../src/interfaces/ICustody.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {CertificateReplay} from "./CertificateReplay.sol";

/// @notice Lots, packing and custody as their logs tell them.
abstract contract LotReplay is CertificateReplay {
    /// @dev Of one unit, over the whole ledger.
    struct Balance {
        /// Received, commissioned, or put out by a transformation.
        uint256 made;
        /// Scrapped, or taken in by a transformation.
        uint256 used;
    }

    uint16 private constant HOLDER = Roles.HOLDER;

    // What an interesting history has in it, beside every kind of record.
    bytes32 public constant GATE_PASSED = "gate passed";
    bytes32 public constant PACKED_LOT_MOVED = "packed lot moved";
    bytes32 public constant GATE_PASSED_PACKED = "gate passed packed";
    bytes32 public constant QUARANTINED_REWORKED = "quarantined lot reworked";
    bytes32 public constant INTO_ANOTHER_ORDER = "into another order";

    mapping(bytes32 lot => bytes32[]) internal _children;
    mapping(bytes3 unit => Balance) internal _balances;
    bytes3[] internal _units;

    function _applyLot(Entry memory entry, bytes32[] memory histories) internal returns (bool) {
        bytes32 kind = entry.kind;
        if (kind == ILots.LotCommissioned.selector) _commission(entry, histories);
        else if (kind == ILots.LotReceived.selector) _receive(entry);
        else if (kind == ILots.LotsTransformed.selector) _transform(entry, histories);
        else if (kind == ILots.LotScrapped.selector) _scrap(entry);
        else if (kind == ILots.LotsPacked.selector) _pack(entry, histories);
        else if (kind == ILots.LotsUnpacked.selector) _unpack(entry, histories);
        else if (kind == ILots.LotQuarantined.selector) _quarantine(entry);
        else if (kind == ILots.LotReleased.selector) _release(entry);
        else return false;
        return true;
    }

    function _applyCustody(Entry memory entry) internal returns (bool) {
        ILots.Lot storage lot = _lots[entry.subject];
        if (entry.kind == ICustody.CustodyOffered.selector) {
            (,, uint32 to,) = abi.decode(entry.data, (address, bytes32[], uint32, bytes32));
            _actOnLot(entry, lot, uint32(lot.holder));
            _hold(Property.LotMoves, lot.state == ILots.LotState.Held, "offerCustody: not held");
            _hold(Property.Authority, _rolesOf(to) & HOLDER != 0, "offerCustody: to nobody who may hold");
            _requireWayFree(entry.subject, to);
            (lot.state, lot.counterparty) = (ILots.LotState.Offered, to);
            return true;
        }
        if (entry.kind == ICustody.CustodyAccepted.selector) {
            _actOnLot(entry, lot, lot.counterparty);
            _requireWayFree(entry.subject, entry.participant);
            if (_children[entry.subject].length != 0) ++count[PACKED_LOT_MOVED];
            (,, uint32 from,) = abi.decode(entry.data, (address, bytes32[], uint32, bytes32));
            _hold(Property.Rebuilt, from == lot.holder, "acceptCustody: event names another giver");
            lot.holder = entry.participant;
        } else if (entry.kind == ICustody.CustodyDeclined.selector) {
            _actOnLot(entry, lot, lot.counterparty);
        } else if (entry.kind == ICustody.CustodyWithdrawn.selector) {
            _actOnLot(entry, lot, uint32(lot.holder));
        } else {
            return false;
        }
        _hold(Property.LotMoves, lot.state == ILots.LotState.Offered, "custody: not offered");
        (lot.state, lot.counterparty) = (ILots.LotState.Held, 0);
        return true;
    }

    function _compareLot(bytes32 subject) internal {
        bool same = _same(abi.encode(_ledger.lotOf(subject)), abi.encode(_lots[subject]));
        _hold(Property.Rebuilt, same, "lot differs from its logs");
        _hold(
            Property.Packing, _ledger.lotOf(subject).contents == _children[subject].length, "lot: contents not counted"
        );
        _compareCertificate(subject);
    }

    /// @dev Over all lots: what each unit's logs made and used up is what the lots hold now.
    function _compareQuantities() internal {
        for (uint256 i; i < _units.length; ++i) {
            uint256 held;
            for (uint256 j; j < _allLots.length; ++j) {
                ILots.Lot memory lot = _ledger.lotOf(_allLots[j]);
                if (lot.unit == _units[i]) held += lot.quantity;
            }
            Balance storage balance = _balances[_units[i]];
            _hold(Property.Quantities, balance.made == held + balance.used, "quantities: made is not held plus used");
        }
    }

    // Making and using up

    function _commission(Entry memory entry, bytes32[] memory histories) private {
        (,, bytes32 order, uint40 number, uint40 quantity, bytes3 unit,) =
            abi.decode(entry.data, (address, bytes32[], bytes32, uint40, uint40, bytes3, bytes32));
        Place storage place = _assignmentAt[number];
        IAssignments.Assignment storage current = _assignments[place.order][place.operation];
        bool named = place.order == order && order != 0 && current.sequence == number;
        _hold(Property.Authority, named, "commissionLot: not under a current assignment of the order");
        _hold(Property.Heads, histories.length == 1, "commissionLot: touches more than its lot");
        _requireStarted(entry, current);
        _create(entry, entry.subject, _orders[order].sequence, quantity, unit, 0);
    }

    function _receive(Entry memory entry) private {
        (,, uint40 quantity, bytes3 unit,) = abi.decode(entry.data, (address, bytes32[], uint40, bytes3, bytes32));
        _act(entry, entry.participant, HOLDER);
        _create(entry, entry.subject, 0, quantity, unit, 0);
    }

    function _scrap(Entry memory entry) private {
        ILots.Lot storage lot = _lots[entry.subject];
        (,, uint40 quantity,) = abi.decode(entry.data, (address, bytes32[], uint40, bytes32));
        _actOnLot(entry, lot, uint32(lot.holder));
        bool free = lot.state == ILots.LotState.Held || lot.state == ILots.LotState.Quarantined;
        _hold(Property.LotMoves, free, "scrapLot: neither held nor quarantined");
        _use(entry.subject, quantity);
    }

    function _transform(Entry memory entry, bytes32[] memory histories) private {
        (,, ILots.Transformation memory change) = abi.decode(entry.data, (address, bytes32[], ILots.Transformation));
        bool making =
            change.kind == ILots.TransformationKind.Conversion || change.kind == ILots.TransformationKind.Rework;
        _act(entry, entry.participant, making ? Roles.MANUFACTURER : HOLDER);
        if (making && change.order != 0) {
            _requireStarted(entry, _assignments[change.order][change.operation]);
        }
        uint256 lots = change.inputs.length + change.outputs.length;
        _hold(Property.Heads, histories.length == lots, "transformLots: touches more or less than its lots");
        uint32 quarantinedBy;
        uint256 into;
        uint256 out;
        for (uint256 i; i < change.inputs.length; ++i) {
            bytes32 input = change.inputs[i].lot;
            _hold(Property.Heads, histories[i] == input, "transformLots: input is missing from the histories");
            if (_lots[input].unit == change.unit) into += change.inputs[i].quantity;
            if (_lots[input].state == ILots.LotState.Quarantined) quarantinedBy = _lots[input].counterparty;
            if (!(_lots[input].order == _orders[change.order].sequence || _lots[input].order == 0)) {
                ++count[INTO_ANOTHER_ORDER];
            }
            _takeIn(entry, change, input, change.inputs[i].quantity);
        }
        for (uint256 i; i < change.outputs.length; ++i) {
            bytes32 output = histories[change.inputs.length + i];
            out += change.outputs[i].quantity;
            _create(entry, output, _orders[change.order].sequence, change.outputs[i].quantity, change.outputUnit, i);
            if (quarantinedBy == 0) continue;
            ++count[QUARANTINED_REWORKED];
            (_lots[output].state, _lots[output].counterparty) = (ILots.LotState.Quarantined, quarantinedBy);
        }
        bool balanced = into >= change.loss && (into - change.loss) * change.yieldOut == out * change.yieldIn;
        if (change.unit == change.outputUnit) balanced = balanced && into == out + change.loss;
        _hold(Property.Quantities, balanced && out != 0, "transformLots: unbalanced");
    }

    function _takeIn(Entry memory entry, ILots.Transformation memory change, bytes32 input, uint40 quantity) private {
        ILots.Lot storage lot = _lots[input];
        bool conversion = change.kind == ILots.TransformationKind.Conversion;
        bool rework = change.kind == ILots.TransformationKind.Rework;
        _actOnLot(entry, lot, uint32(lot.holder));
        bool stays = lot.order == _orders[change.order].sequence;
        _hold(Property.Belonging, stays || (conversion && change.order != 0), "transformLots: lot left its order");
        _hold(Property.Quantities, conversion || lot.unit == change.unit, "transformLots: other unit");
        bool free = lot.state == ILots.LotState.Held || (rework && lot.state == ILots.LotState.Quarantined);
        _hold(Property.Quarantine, free, "transformLots: input is not free");
        _use(input, quantity);
    }

    function _create(Entry memory entry, bytes32 lot, uint40 order, uint40 quantity, bytes3 unit, uint256 place)
        private
    {
        _hold(Property.LotMoves, _lots[lot].number == 0, "lot made twice");
        uint40 number = abi.decode(abi.encode(uint256(entry.sequence) * 64 + place), (uint40));
        _lots[lot] = ILots.Lot(number, order, quantity, entry.participant, 0, 0, unit, false, ILots.LotState.Held);
        _allLots.push(lot);
        if (_balances[unit].made == 0) _units.push(unit);
        _balances[unit].made += quantity;
    }

    function _use(bytes32 subject, uint40 quantity) private {
        ILots.Lot storage lot = _lots[subject];
        bool enough = quantity != 0 && quantity <= lot.quantity;
        _hold(Property.Quantities, enough, "lot gives more than it holds");
        _hold(Property.Packing, _children[subject].length == 0, "lot used up with others in it");
        if (!enough) return;
        lot.quantity -= quantity;
        _balances[lot.unit].used += quantity;
        if (lot.quantity == 0) (lot.state, lot.counterparty) = (ILots.LotState.Spent, 0);
    }

    // Packing and quarantine

    function _pack(Entry memory entry, bytes32[] memory histories) private {
        bytes32 parent = histories[0];
        _requireFree(entry, parent);
        for (uint256 i = 1; i < histories.length; ++i) {
            _requireFree(entry, histories[i]);
            _hold(Property.Packing, histories[i] != parent, "packLots: into itself");
            (_lots[histories[i]].holder, _lots[histories[i]].packed) = (_lots[parent].number, true);
            _children[parent].push(histories[i]);
            ++_lots[parent].contents;
        }
    }

    function _unpack(Entry memory entry, bytes32[] memory histories) private {
        bytes32 parent = histories[0];
        _requireFree(entry, parent);
        for (uint256 i = 1; i < histories.length; ++i) {
            _hold(Property.Packing, _removeChild(parent, histories[i]), "unpackLots: was not in that parent");
            (_lots[histories[i]].holder, _lots[histories[i]].packed) = (entry.participant, false);
            --_lots[parent].contents;
        }
    }

    function _removeChild(bytes32 parent, bytes32 child) private returns (bool) {
        bytes32[] storage children = _children[parent];
        for (uint256 i; i < children.length; ++i) {
            if (children[i] != child) continue;
            children[i] = children[children.length - 1];
            children.pop();
            return true;
        }
        return false;
    }

    function _quarantine(Entry memory entry) private {
        ILots.Lot storage lot = _lots[entry.subject];
        bool inspects = lot.order != 0 && _orders[_orderAt[lot.order]].inspector == entry.participant;
        if (inspects) _act(entry, entry.participant, HOLDER);
        else _actOnLot(entry, lot, uint32(lot.holder));
        bool free = lot.state == ILots.LotState.Held || lot.state == ILots.LotState.Offered;
        _hold(Property.LotMoves, free, "quarantineLot: neither held nor offered");
        (lot.state, lot.counterparty) = (ILots.LotState.Quarantined, entry.participant);
    }

    function _release(Entry memory entry) private {
        ILots.Lot storage lot = _lots[entry.subject];
        _act(entry, lot.counterparty, HOLDER);
        _hold(Property.LotMoves, lot.state == ILots.LotState.Quarantined, "releaseLot: not quarantined");
        (lot.state, lot.counterparty) = (ILots.LotState.Held, 0);
    }

    // What must be so

    function _actOnLot(Entry memory entry, ILots.Lot storage lot, uint32 expected) private {
        _act(entry, expected, HOLDER);
        _hold(Property.Packing, !lot.packed, "packed lot moved on its own");
    }

    function _requireFree(Entry memory entry, bytes32 subject) private {
        ILots.Lot storage lot = _lots[subject];
        _actOnLot(entry, lot, uint32(lot.holder));
        _hold(Property.LotMoves, lot.state == ILots.LotState.Held, "packing: lot is not held");
    }

    function _requireStarted(Entry memory entry, IAssignments.Assignment storage current) private {
        _act(entry, current.owner, Roles.MANUFACTURER);
        bool started = current.state == IAssignments.AssignmentState.Started;
        _hold(Property.Authority, started, "lot made under an assignment that is not started");
    }

    /// @dev Nothing in the lot is quarantined, and every gate to `to` is open.
    function _requireWayFree(bytes32 subject, uint32 to) private {
        IOrders.Order storage order = _orders[_orderAt[_lots[subject].order]];
        bool toBuyer = order.sequence != 0 && order.buyer == to && order.inspector != 0;
        if (toBuyer) {
            ICertificates.Certificate storage certificate = _certificates[subject];
            bool open = _statusOf(subject) == ICertificates.CertificateStatus.Valid
                && certificate.verdict == ICertificates.Verdict.Pass && certificate.issuer == order.inspector
                && certificate.model == order.model;
            _hold(Property.Gate, open, "custody past a closed gate");
            ++count[_lots[subject].packed ? GATE_PASSED_PACKED : GATE_PASSED];
        }
        _hold(Property.Quarantine, _lots[subject].state != ILots.LotState.Quarantined, "quarantined lot moved");
        bytes32[] storage children = _children[subject];
        for (uint256 i; i < children.length; ++i) {
            _requireWayFree(children[i], to);
        }
    }
}
