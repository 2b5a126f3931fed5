// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC3009} from "../src/interfaces/IERC3009.sol";

bytes32 constant TYPEHASH = 0xd099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de8;

/// @notice A token without EIP-3009: what it doesn't know reverts.
contract PlainToken is ERC20 {
    constructor() ERC20("Plain", "P") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice As WETH9: what it doesn't know is a deposit of nothing, which succeeds, writes, and returns nothing.
contract Weth9 is PlainToken {
    event Deposit(address indexed to, uint256 amount);

    mapping(address => uint256) private deposits;

    fallback() external payable {
        deposits[msg.sender] += msg.value;
        emit Deposit(msg.sender, msg.value);
    }
}

/// @notice Says that it has EIP-3009, and accepts any call without doing anything.
contract SilentToken is PlainToken {
    event Called();

    function RECEIVE_WITH_AUTHORIZATION_TYPEHASH() external pure returns (bytes32) {
        return TYPEHASH;
    }

    fallback() external payable {
        emit Called(); // refused in a static call, as any write
    }
}

/// @notice Answers the question for its type hash with these bytes, and refuses every authorization.
contract AnsweringToken is PlainToken {
    bytes private answer;

    constructor(bytes memory answer_) {
        answer = answer_;
    }

    fallback(bytes calldata call) external returns (bytes memory) {
        require(bytes4(call) == IERC3009.RECEIVE_WITH_AUTHORIZATION_TYPEHASH.selector);
        return answer;
    }
}

/// @notice Burns all gas of what it doesn't know.
contract BurningToken is PlainToken {
    fallback() external {
        assembly ("memory-safe") {
            invalid()
        }
    }
}

/// @notice Says that it has EIP-3009, and accepts any call, but only with more gas than a probe gives.
contract SlowToken is PlainToken {
    function RECEIVE_WITH_AUTHORIZATION_TYPEHASH() external pure returns (bytes32) {
        return TYPEHASH;
    }

    fallback() external {
        uint256 start = gasleft();
        while (start - gasleft() < 120_000) {}
    }
}
