// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What libraries/Network.sol computes, as quality/FORMAT.md says it: one product after the other, no assembly.
/// `model` is the canonical bytes of a network of dense layers.
library NetworkReference {
    /// @param window Raw integers, 8 bytes each.
    /// @return valid Whether the window has the model's width, and no integer above 2^53 - 1 in magnitude.
    /// @return logits Empty when it does not.
    /// @return fails Whether the verdict is FAIL.
    function evaluate(bytes memory model, bytes memory window)
        internal
        pure
        returns (bool valid, int256[] memory logits, bool fails)
    {
        if (window.length != 8 * read(model, 16, 2)) return (false, logits, false);
        int256[] memory values = new int256[](window.length / 8);
        valid = true;
        for (uint256 i; i < values.length; ++i) {
            int256 value = int64(uint64(read(window, 8 * i, 8)));
            valid = valid && value >= -(2 ** 53 - 1) && value <= 2 ** 53 - 1;
            values[i] = _quantise(model, i, value);
        }
        if (!valid) return (false, logits, false);
        uint256 place = 20 + 10 * read(model, 18, 2);
        uint256 layers = read(model, place, 1);
        ++place;
        for (uint256 i; i < layers; ++i) {
            (values, place) = _layer(model, place, values, i + 1 == layers);
        }
        return (true, values, _fails(model, values));
    }

    function _quantise(bytes memory model, uint256 column, int256 value) private pure returns (int256 word) {
        uint256 scale = 20 + (read(model, 18, 2) == 1 ? 0 : 10 * column);
        int256 zero = int64(uint64(read(model, scale, 8)));
        int256 multiplier = int256(read(model, scale + 8, 1));
        uint256 shift = read(model, scale + 9, 1);
        word = ((value - zero) * multiplier + int256(2 ** shift / 2)) >> shift;
        if (word < -127) word = -127;
        if (word > 127) word = 127;
    }

    function _layer(bytes memory model, uint256 place, int256[] memory values, bool last)
        private
        pure
        returns (int256[] memory written, uint256 next)
    {
        require(read(model, place, 1) == 1 && read(model, place + 1, 4) == values.length, "not the expected layer");
        uint256 outputs = read(model, place + 5, 2);
        int256 multiplier = int256(read(model, place + 11, 4));
        uint256 biases = place + 15;
        next = biases + 4 * outputs;
        written = new int256[](outputs);
        for (uint256 i; i < outputs; ++i) {
            int256 sum = int32(uint32(read(model, biases + 4 * i, 4)));
            unchecked {
                // far from 2^255; checked, ten thousand runs take twice as long
                for (uint256 j; j < values.length; ++j) {
                    sum += int256(int8(uint8(model[next + j]))) * values[j];
                }
            }
            next += values.length;
            written[i] = last ? sum : _requantise(sum, multiplier);
        }
    }

    function _requantise(int256 sum, int256 multiplier) private pure returns (int256 value) {
        value = (sum * multiplier + 2 ** 23) >> 24;
        if (value < 0) value = 0;
        if (value > 127) value = 127;
    }

    function _fails(bytes memory model, int256[] memory logits) private pure returns (bool) {
        uint256 rejects = read(model, 8, 4);
        int256 threshold = int32(uint32(read(model, 12, 4)));
        if (logits.length == 1) return logits[0] >= threshold;
        int256 rejected = type(int256).min;
        int256 accepted = type(int256).min;
        for (uint256 i; i < logits.length; ++i) {
            if (rejects & 2 ** i != 0) {
                if (logits[i] > rejected) rejected = logits[i];
            } else if (logits[i] > accepted) {
                accepted = logits[i];
            }
        }
        if (accepted == type(int256).min) return true;
        return rejected - accepted >= threshold;
    }

    function read(bytes memory model, uint256 place, uint256 size) internal pure returns (uint256 value) {
        for (uint256 i; i < size; ++i) {
            value = value << 8 | uint8(model[place + i]);
        }
    }
}
