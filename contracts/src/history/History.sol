// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {Context} from "@openzeppelin/contracts/utils/Context.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {IHistory} from "../interfaces/IHistory.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";

/// @title The one writer of records, and the heads that authenticate them
abstract contract History is IHistory, ERC2771Context, Multicall {
    /// @dev In a struct only so that a head is found once and then both read and written.
    struct Head {
        bytes32 value;
    }

    bytes32 public constant HEAD_TAG = keccak256("millmark.history.v1");

    /// @inheritdoc IHistory
    IRegistry public immutable registry;
    /// @inheritdoc IHistory
    address public immutable predecessor;
    /// @inheritdoc IHistory
    bytes32 public immutable ledgerId;

    /// @dev The address of code that belongs behind a ledger's; 0 in the ledger itself.
    address private immutable _operations;
    /// @dev Alone in its slot and as wide, so that writing it needs no reading first.
    uint256 private _sequence;
    mapping(bytes32 subject => Head) private _heads;

    constructor(IRegistry registry_, address forwarder_, address predecessor_, bytes32 ledgerId_, bool operations)
        ERC2771Context(forwarder_)
    {
        _operations = operations ? address(this) : address(0);
        registry = registry_;
        predecessor = predecessor_;
        ledgerId = ledgerId_;
    }

    /// @inheritdoc IHistory
    function sequence() external view returns (uint40) {
        // forge-lint: disable-next-line(unsafe-typecast) - it only ever holds what _next gives
        return uint40(_sequence);
    }

    /// @inheritdoc IHistory
    function headOf(bytes32 subject) external view returns (bytes32) {
        return _heads[subject].value;
    }

    /// @dev Of several histories, each of which becomes one link longer. `data` is the event's data; it starts with the
    /// key and `histories`.
    function _record(bytes32 kind, Actor memory actor, bytes32 subject, bytes32[] memory histories, bytes memory data)
        internal
        returns (uint40 assigned)
    {
        bytes32 inner;
        (assigned, inner) = _write(kind, actor, subject, data);
        for (uint256 i; i < histories.length; ++i) {
            _extend(histories[i], kind, inner);
        }
    }

    /// @dev Of the subject's own history alone. `data` starts with the key and `[subject]`.
    function _recordOne(bytes32 kind, Actor memory actor, bytes32 subject, bytes memory data)
        internal
        returns (uint40 assigned)
    {
        bytes32 inner;
        (assigned, inner) = _write(kind, actor, subject, data);
        _extend(subject, kind, inner);
    }

    /// @dev Of the subject's own history, with one root and nothing else: abi.encode(key, [subject], root).
    function _recordRoot(bytes32 kind, Actor memory actor, bytes32 subject, bytes32 root) internal {
        _recordOne(kind, actor, subject, abi.encode(actor.key, _touching(subject), root));
    }

    /// @dev The same with a number before the root: abi.encode(key, [subject], number, root).
    function _recordPair(bytes32 kind, Actor memory actor, bytes32 subject, uint256 value, bytes32 root)
        internal
        returns (uint40 assigned)
    {
        return _recordOne(kind, actor, subject, abi.encode(actor.key, _touching(subject), value, root));
    }

    /// @dev Of no history, with a number and a root: abi.encode(key, [], number, root).
    function _recordApart(bytes32 kind, Actor memory actor, bytes32 subject, uint256 value, bytes32 root) internal {
        _write(kind, actor, subject, abi.encode(actor.key, new bytes32[](0), value, root));
    }

    /// @dev The only writer, so that a call past the ledger, at the address of code behind it, records nothing. The event is written raw because its data must be hashed as well: a typed `emit` would
    /// encode it a second time.
    function _write(bytes32 kind, Actor memory actor, bytes32 subject, bytes memory data)
        private
        returns (uint40 assigned, bytes32 inner)
    {
        if (address(this) == _operations) revert HistoryNotTheLedger(_operations);
        assigned = _next();
        _sequence = assigned;
        (uint32 participant, address key) = (actor.participant, actor.key);
        assembly ("memory-safe") {
            log4(add(data, 32), mload(data), kind, assigned, participant, subject)
            let words := mload(0x40)
            mstore(words, assigned)
            mstore(add(words, 32), participant)
            mstore(add(words, 64), key)
            mstore(add(words, 96), keccak256(add(data, 32), mload(data)))
            mstore(add(words, 128), timestamp())
            inner := keccak256(words, 160)
        }
    }

    /// @dev The sequence of the record that this call makes next. Unchecked: 2^40 records would take 10^16 gas.
    function _next() internal view returns (uint40) {
        unchecked {
            // forge-lint: disable-next-line(unsafe-typecast) - as said above
            return uint40(_sequence + 1);
        }
    }

    function _extend(bytes32 touched, bytes32 kind, bytes32 inner) private {
        Head storage head = _heads[touched];
        bytes32 previous = head.value;
        if (previous == 0) previous = _start(touched);
        head.value = _link(previous, kind, inner);
    }

    /// @dev Who acts, when it holds one of the roles `needed`.
    function _actor(uint16 needed) internal view returns (Actor memory actor) {
        actor.key = _msgSender();
        (actor.participant, actor.roles) = registry.actorOf(actor.key);
        _requireRole(actor, needed);
    }

    /// @dev Who acts, and that whom it names may be given a part, in one call of the registry.
    function _actorTo(uint32 to, uint16 needed) internal view returns (Actor memory actor) {
        actor.key = _msgSender();
        uint16 rolesOfTaker;
        (actor.participant, actor.roles, rolesOfTaker) = registry.actorAndTaker(actor.key, to);
        _requireRole(actor, needed);
        _requireHeld(to, rolesOfTaker, needed);
    }

    function _requireRole(Actor memory actor, uint16 needed) internal pure {
        if (actor.roles & needed == 0) revert HistoryRoleMissing(actor.participant, actor.roles, needed);
    }

    /// @dev What a participant needs for a part that another one, or its own past, gave it.
    function _requireHeld(uint32 participant, uint16 held, uint16 needed) internal pure {
        if (held & needed == 0) revert HistoryParticipantUnfit(participant, held, needed);
    }

    function _touching(bytes32 subject) internal pure returns (bytes32[] memory histories) {
        histories = new bytes32[](1);
        histories[0] = subject;
    }

    function _start(bytes32 subject) private view returns (bytes32) {
        return keccak256(abi.encode(HEAD_TAG, block.chainid, address(this), ledgerId, subject));
    }

    /// @dev keccak256(abi.encode(head, kind, inner)).
    function _link(bytes32 head, bytes32 kind, bytes32 inner) private pure returns (bytes32 next) {
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, head)
            mstore(add(words, 32), kind)
            mstore(add(words, 64), inner)
            next := keccak256(words, 96)
        }
    }

    // The sender as the forwarder vouches for it.

    function _msgSender() internal view override(Context, ERC2771Context) returns (address) {
        return ERC2771Context._msgSender();
    }

    function _msgData() internal view override(Context, ERC2771Context) returns (bytes calldata) {
        return ERC2771Context._msgData();
    }

    function _contextSuffixLength() internal view override(Context, ERC2771Context) returns (uint256) {
        return ERC2771Context._contextSuffixLength();
    }
}
