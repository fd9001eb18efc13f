// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICorrections} from "../interfaces/ICorrections.sol";
import {Roles} from "../libraries/Roles.sol";
import {Book} from "./Book.sol";

/// @title Records marked as superseded
abstract contract Corrections is Book, ICorrections {
    /// @inheritdoc ICorrections
    function supersede(bytes32 subject, Opening calldata opening, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.ANY);
        if (opening.participant != actor.participant) {
            revert HistoryRecordForeign(opening.sequence, opening.participant);
        }
        _requireOpening(subject, opening);
        _recordPair(RecordSuperseded.selector, actor, subject, opening.sequence, reasonRoot);
    }
}
