// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Canonical bytes of networks of dense layers, drawn from a seed.
library Models {
    uint256 internal constant HEADER = 20;
    uint256 internal constant SCALE = 10;

    struct Plan {
        /// Width, outputs of each hidden layer, number of logits.
        uint256[] sizes;
        uint32 rejects;
        int32 threshold;
        /// 1, or the width.
        uint256 scales;
        uint256 seed;
    }

    function plan(uint256[] memory sizes, uint256 seed) internal pure returns (Plan memory) {
        return Plan({sizes: sizes, rejects: 1, threshold: 0, scales: 1, seed: seed});
    }

    function sizesOf(uint256 width, uint256 outputs) internal pure returns (uint256[] memory sizes) {
        sizes = new uint256[](2);
        (sizes[0], sizes[1]) = (width, outputs);
    }

    function sizesOf(uint256 width, uint256 hidden, uint256 hidden2, uint256 outputs)
        internal
        pure
        returns (uint256[] memory sizes)
    {
        sizes = new uint256[](4);
        (sizes[0], sizes[1], sizes[2], sizes[3]) = (width, hidden, hidden2, outputs);
    }

    function build(Plan memory drawn) internal pure returns (bytes memory model) {
        model = head(drawn);
        uint256 layers = drawn.sizes.length - 1;
        for (uint256 i; i < layers; ++i) {
            model = bytes.concat(model, _layer(drawn.sizes[i], drawn.sizes[i + 1], i + 1 == layers, drawn.seed + i));
        }
    }

    /// @dev Everything up to and including the number of layers.
    function head(Plan memory drawn) internal pure returns (bytes memory model) {
        uint256[] memory sizes = drawn.sizes;
        model = abi.encodePacked(
            "MMQN",
            uint16(1),
            uint8(6),
            uint8(sizes[sizes.length - 1]),
            drawn.rejects,
            drawn.threshold,
            uint16(sizes[0]),
            uint16(drawn.scales)
        );
        for (uint256 i; i < drawn.scales; ++i) {
            model = bytes.concat(model, _scale(drawn.seed, i));
        }
        model = abi.encodePacked(model, uint8(sizes.length - 1));
    }

    /// @dev Seed 0 leaves integers as they are.
    function _scale(uint256 seed, uint256 column) private pure returns (bytes memory) {
        if (seed == 0) return abi.encodePacked(int64(0), uint8(1), uint8(0));
        uint256 draw = _draw(seed, column + 5000);
        int64 zero = int64(int256(draw % 2 ** 53) - 2 ** 52) >> uint8(draw >> 64) % 54;
        return abi.encodePacked(zero, uint8(1 + (draw >> 128) % 255), uint8((draw >> 192) % 63));
    }

    /// @dev The multiplier spreads what the layer writes over 0..127 for drawn weights and inputs.
    function _layer(uint256 inputs, uint256 outputs, bool last, uint256 seed) private pure returns (bytes memory) {
        uint256 spread = 1;
        while (spread * spread < inputs) ++spread;
        uint256 multiplier = last ? 0 : 2 ** 24 * 40 / (5000 * spread);
        bytes memory biases = new bytes(4 * outputs);
        for (uint256 i; i < outputs; ++i) {
            int256 bias = int256(_draw(seed, i) % 20_001) - 10_000;
            for (uint256 j; j < 4; ++j) {
                biases[4 * i + j] = bytes1(uint8(uint256(bias) >> (24 - 8 * j)));
            }
        }
        return abi.encodePacked(
            uint8(1),
            uint32(inputs),
            uint16(outputs),
            uint32(0),
            uint32(multiplier),
            biases,
            values(inputs * outputs, seed + 1000)
        );
    }

    /// @dev Bytes of int8 that are never -128: weights, or an input.
    function values(uint256 count, uint256 seed) internal pure returns (bytes memory drawn) {
        drawn = new bytes(count);
        bytes32 word;
        for (uint256 i; i < count; ++i) {
            if (i % 32 == 0) word = bytes32(_draw(seed, i));
            bytes1 value = word[i % 32];
            drawn[i] = value == 0x80 ? bytes1(0x7f) : value;
        }
    }

    /// @dev A window of raw integers: for a model of seed 0, `words` as they are.
    function raw(bytes memory words) internal pure returns (bytes memory window) {
        window = new bytes(8 * words.length);
        for (uint256 i; i < words.length; ++i) {
            for (uint256 j; j < 7 && words[i] >= 0x80; ++j) {
                window[8 * i + j] = 0xff;
            }
            window[8 * i + 7] = words[i];
        }
    }

    /// @dev A window of raw integers of any size up to 2^53.
    function integers(uint256 count, uint256 seed) internal pure returns (bytes memory drawn) {
        for (uint256 i; i < count; ++i) {
            uint256 draw = _draw(seed, i);
            int64 value = int64(uint64(draw)) >> uint8(11 + (draw >> 64) % 53);
            drawn = abi.encodePacked(drawn, value == -2 ** 53 ? value + 1 : value);
        }
    }

    function fill(uint256 count, int8 value) internal pure returns (bytes memory filled) {
        filled = new bytes(count);
        for (uint256 i; i < count; ++i) {
            filled[i] = bytes1(uint8(value));
        }
    }

    /// @dev One dense layer of equal weights and biases, and nothing else.
    function uniform(uint256 width, uint256 outputs, int32 bias, int8 weight)
        internal
        pure
        returns (bytes memory model)
    {
        model = head(plan(sizesOf(width, outputs), 0));
        model = abi.encodePacked(model, uint8(1), uint32(width), uint16(outputs), uint32(0), uint32(0));
        for (uint256 i; i < outputs; ++i) {
            model = abi.encodePacked(model, bias);
        }
        return bytes.concat(model, fill(width * outputs, weight));
    }

    function _draw(uint256 seed, uint256 i) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, i)));
    }
}
