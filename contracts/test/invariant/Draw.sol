// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Gates} from "../../src/libraries/Gates.sol";
import {Inspection} from "../Inspection.sol";

/// @notice A random stream out of one seed, the consortium's members, and calls that may fail.
abstract contract Draw is Inspection {
    Party[] internal _parties;
    /// @dev Keys that sign for nobody, or did once.
    address[] internal _strangers;
    bytes32[] internal _orders;
    bytes32[] internal _lots;

    /// @dev The time of the chain, which forge sets back between calls.
    uint256 internal _clock = START;
    uint256 private _state;

    /// @dev Everything that an action draws comes from its seed.
    modifier act(uint256 seed) {
        _state = seed;
        vm.warp(_clock);
        _;
    }

    function _next() internal returns (uint256) {
        _state = uint256(keccak256(abi.encode(_state)));
        return _state;
    }

    /// @dev 0 .. count - 1.
    function _below(uint256 count) internal returns (uint256) {
        return _next() % count;
    }

    function _chance(uint256 percent) internal returns (bool) {
        return _next() % 100 < percent;
    }

    function _name() internal returns (bytes32) {
        return bytes32(_next());
    }

    function _small(uint256 low, uint256 high) internal returns (uint40) {
        return uint40(low + _next() % (high - low + 1));
    }

    /// @dev The participant's key, seldom anybody else's.
    function _keyOf(uint32 id) internal returns (address) {
        if (id == 0 || id > _parties.length || _chance(8)) return _anyKey();
        return _parties[id - 1].key;
    }

    /// @dev Often the company that holds most roles and has a part in little.
    function _anyKey() internal returns (address) {
        if (_chance(40)) return _parties[maker2.id - 1].key;
        uint256 i = _below(_parties.length + _strangers.length);
        return i < _parties.length ? _parties[i].key : _strangers[i - _parties.length];
    }

    function _anyOrder() internal returns (bytes32) {
        return _orders.length == 0 ? bytes32(0) : _orders[_below(_orders.length)];
    }

    /// @dev One of the order's gates; zeros when it has none.
    function _anyGate(bytes32 order) internal returns (uint32 of_, uint40 on) {
        uint256 gates = ledger.gatesOf(order);
        if (Gates.rest(gates) != 0 && _chance(50)) gates = Gates.rest(gates);
        return Gates.first(gates);
    }

    function _anyLot() internal returns (bytes32) {
        return _lots.length == 0 ? bytes32(0) : _lots[_below(_lots.length)];
    }

    /// @dev Calls as `sender`; what was logged goes into the replay, which judges it.
    function _try(address sender, address target, bytes memory data) internal returns (bool ok) {
        vm.prank(sender);
        (ok,) = target.call(data);
        if (ok) replay.take();
        else vm.getRecordedLogs(); // forge keeps the logs of a call that failed
    }

    function _record(address sender, bytes memory data) internal returns (bool ok) {
        return _try(sender, address(ledger), data);
    }
}
