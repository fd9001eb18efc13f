// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IGates} from "../../src/interfaces/IGates.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {CertificateReplay} from "./CertificateReplay.sol";

/// @notice What buyers take without a gate, as the logs tell it.
abstract contract WaiverReplay is CertificateReplay {
    bytes32 private constant WAIVED_UNCERTIFIED = "waived without a certificate";
    bytes32 private constant WAIVED_AGAIN = "waived again";

    mapping(bytes32 lot => mapping(uint32 inspector => IGates.Waiver)) private _waivers;
    mapping(bytes32 lot => mapping(uint32 inspector => uint40 sequence)) private _waivedAt;
    mapping(bytes32 lot => uint32[]) private _waivedOf;

    function _applyWaiver(Entry memory entry) internal returns (bool) {
        if (entry.kind != IGates.GateWaived.selector) return false;
        (,, uint32 inspector, uint40 certificate,) =
            abi.decode(entry.data, (address, bytes32[], uint32, uint40, bytes32));
        ILots.Lot storage lot = _lots[entry.subject];
        bytes32 order = _orderAt[lot.order];
        _act(entry, _orders[order].buyer, Roles.BUYER);
        _hold(Property.Gate, lot.order != 0 && _inspects(order, inspector), "waiveGate: of no gate of the lot's order");
        _hold(Property.LotMoves, lot.state != ILots.LotState.Spent, "waiveGate: of a lot that is spent");
        bool latest = certificate == _standings[entry.subject][inspector].latest;
        _hold(Property.Rebuilt, latest, "waiveGate: another certificate than the latest");
        if (certificate == 0) ++count[WAIVED_UNCERTIFIED];
        if (_waivedAt[entry.subject][inspector] != 0) ++count[WAIVED_AGAIN];
        _waivers[entry.subject][inspector] = IGates.Waiver(lot.order, certificate, lot.reworks);
        _waivedAt[entry.subject][inspector] = entry.sequence;
        _waivedOf[entry.subject].push(inspector);
        return true;
    }

    /// @dev The buyer that gave it is the present one, and knew all that the inspector said of the lot as it is.
    function _isWaived(bytes32 lot, uint32 inspector) internal view returns (bool) {
        IGates.Waiver storage waiver = _waivers[lot][inspector];
        uint40 waived = _waivedAt[lot][inspector];
        return waived > _reworks[lot] && waiver.certificate == _standings[lot][inspector].latest
            && waiver.order == _lots[lot].order;
    }

    function _compareWaivers(bytes32 lot) internal {
        for (uint256 i; i < _waivedOf[lot].length; ++i) {
            uint32 inspector = _waivedOf[lot][i];
            bool same = _same(abi.encode(_ledger.waiverOf(lot, inspector)), abi.encode(_waivers[lot][inspector]));
            _hold(Property.Rebuilt, same, "waiver differs from its logs");
        }
    }
}
