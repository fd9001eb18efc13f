// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "./IAssignments.sol";
import {ICertificates} from "./ICertificates.sol";
import {ICustody} from "./ICustody.sol";
import {IEvidence} from "./IEvidence.sol";
import {IHistory} from "./IHistory.sol";
import {ILots} from "./ILots.sol";
import {IOrders} from "./IOrders.sol";

/// @title What happened: one address, one log
interface ITraceLedger is IHistory, IOrders, IEvidence, IAssignments, ILots, ICustody, ICertificates {}
