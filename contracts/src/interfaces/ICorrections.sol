// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IHistory} from "./IHistory.sol";

/// @title Corrections: nothing is changed, an earlier record is marked
interface ICorrections {
    /// @notice `superseded` is to be read together with the document behind `reasonRoot`; nothing else changes.
    event RecordSuperseded(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 superseded,
        bytes32 reasonRoot
    );

    /// @notice Only who made a record may supersede it.
    error HistoryRecordForeign(uint40 sequence, uint32 participant);

    /// @notice Marks an earlier record of the caller's own participant as superseded. Any role.
    /// @param subject An order or lot in whose history the record is.
    function supersede(bytes32 subject, IHistory.Opening calldata opening, bytes32 reasonRoot) external;
}
