// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The roles of a participant, as bits of one mask
library Roles {
    uint16 internal constant BUYER = 1;
    uint16 internal constant COORDINATOR = 2;
    uint16 internal constant MANUFACTURER = 4;
    uint16 internal constant INSPECTOR = 8;
    uint16 internal constant CARRIER = 16;
    uint16 internal constant AUDITOR = 32;

    /// @dev Who may hold a lot: everyone but a mere auditor.
    uint16 internal constant HOLDER = BUYER | COORDINATOR | MANUFACTURER | INSPECTOR | CARRIER;
    uint16 internal constant ANY = HOLDER | AUDITOR;
}
