// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Leaves of evidence streams: what they are the hash of, and where in a stream they are
/// @dev The trees are those of RFC 9162, section 2.1, over SHA-256. The data of a window's leaf are
///
///     tag | kind, 1 byte | lot | commitment | sha256(salt | entry)
///
/// in which the commitment is that of ledger/evidence.py to the window's raw integers. All other kinds have other data
/// behind the tag and the kind.
library EvidenceLeaf {
    bytes private constant TAG = "millmark.evidence.v1\x00";
    bytes1 private constant WINDOW = 0x02;
    /// @dev Where the commitment begins in the data of a window's leaf, and where the data end.
    uint256 private constant COMMITMENT = 54;
    uint256 private constant WINDOW_SIZE = 118;

    function hashOf(bytes calldata data) internal pure returns (bytes32) {
        return sha256(bytes.concat(hex"00", data));
    }

    /// @dev Whether they are the data of a window of the lot.
    function isWindowOf(bytes calldata data, bytes32 lot) internal pure returns (bool) {
        return data.length == WINDOW_SIZE && keccak256(data[:COMMITMENT]) == keccak256(bytes.concat(TAG, WINDOW, lot));
    }

    /// @param data Of a window's leaf.
    function commitmentOf(bytes calldata data) internal pure returns (bytes32) {
        return bytes32(data[COMMITMENT:]);
    }

    /// @dev The root of the tree of `size` leaves in which `leaf` is at `index`, by RFC 9162, section 2.1.3.2.
    /// @return root 0 when the proof has not as many hashes as such a tree asks for.
    function rootOf(bytes32 leaf, uint256 index, uint256 size, bytes32[] calldata proof)
        internal
        pure
        returns (bytes32 root)
    {
        root = leaf;
        uint256 last = size - 1;
        for (uint256 i; i < proof.length; ++i) {
            if (last == 0) return 0;
            if (index & 1 == 1 || index == last) {
                root = sha256(bytes.concat(hex"01", proof[i], root));
                for (; index & 1 == 0 && index != 0; index >>= 1) {
                    last >>= 1;
                }
            } else {
                root = sha256(bytes.concat(hex"01", root, proof[i]));
            }
            index >>= 1;
            last >>= 1;
        }
        if (last != 0) return 0;
    }
}
