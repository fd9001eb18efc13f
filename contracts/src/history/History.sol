// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {Context} from "@openzeppelin/contracts/utils/Context.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {IHistory} from "../interfaces/IHistory.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {Roles} from "../libraries/Roles.sol";

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
    uint40 public sequence;
    mapping(bytes32 subject => Head) private _heads;

    constructor(IRegistry registry_, address forwarder_, address predecessor_) ERC2771Context(forwarder_) {
        registry = registry_;
        predecessor = predecessor_;
    }

    /// @inheritdoc IHistory
    function headOf(bytes32 subject) external view returns (bytes32) {
        return _heads[subject].value;
    }

    /// @inheritdoc IHistory
    function supersede(bytes32 subject, Opening calldata opening, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.ANY);
        if (opening.participant != actor.participant) {
            revert HistoryRecordForeign(opening.sequence, opening.participant);
        }
        _requireOpening(subject, opening);
        bytes32[] memory histories = _touching(subject);
        bytes memory data = abi.encode(actor.key, histories, opening.sequence, reasonRoot);
        _record(RecordSuperseded.selector, actor, subject, histories, data);
    }

    /// @dev The only writer. `data` is the event's data; it starts with the key and `histories`, each of which becomes
    /// one link longer. The event is written raw because its data must be hashed as well: a typed `emit` would encode
    /// it a second time.
    function _record(bytes32 kind, Actor memory actor, bytes32 subject, bytes32[] memory histories, bytes memory data)
        internal
        returns (uint40 assigned)
    {
        assigned = ++sequence;
        uint32 participant = actor.participant;
        assembly ("memory-safe") {
            log4(add(data, 32), mload(data), kind, assigned, participant, subject)
        }
        if (histories.length == 0) return assigned;
        bytes32 inner = keccak256(abi.encode(assigned, participant, actor.key, keccak256(data), block.timestamp));
        for (uint256 i; i < histories.length; ++i) {
            bytes32 touched = histories[i];
            Head storage head = _heads[touched];
            bytes32 previous = head.value == 0 ? _start(touched) : head.value;
            head.value = _link(previous, kind, inner);
        }
    }

    /// @dev Reverts unless `opening` leads from `previousHead` to the head of `subject`.
    function _requireOpening(bytes32 subject, Opening calldata opening) internal view {
        bytes32 inner = keccak256(
            abi.encode(opening.sequence, opening.participant, opening.key, opening.digest, uint256(opening.timestamp))
        );
        bytes32 computed = _link(opening.previousHead, opening.kind, inner);
        for (uint256 i; i < opening.later.length; ++i) {
            computed = _link(computed, opening.later[i].kind, opening.later[i].inner);
        }
        bytes32 head = _heads[subject].value;
        if (computed != head) revert HistoryOpeningStale(subject, computed, head);
    }

    /// @dev Whether the latest link of `subject` is (`kind`, `inner`) after `previousHead`.
    function _isHead(bytes32 subject, bytes32 previousHead, bytes32 kind, bytes32 inner) internal view returns (bool) {
        return _heads[subject].value == _link(previousHead, kind, inner);
    }

    /// @dev Who acts, when it holds one of the roles `needed`.
    function _actor(uint16 needed) internal view virtual returns (Actor memory actor) {
        actor.key = _msgSender();
        (actor.participant, actor.roles) = registry.actorOf(actor.key);
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
        return keccak256(abi.encode(HEAD_TAG, block.chainid, address(this), subject));
    }

    function _link(bytes32 head, bytes32 kind, bytes32 inner) private pure returns (bytes32) {
        return keccak256(abi.encode(head, kind, inner));
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
