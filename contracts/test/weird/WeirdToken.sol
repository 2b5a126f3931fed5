// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice An ERC-20 without EIP-3009 that can be told how to behave, for everybody or for one recipient.
contract WeirdToken is ERC20 {
    enum Manner {
        Good,
        ReturnsNothing, // moves the tokens, like USDT
        ReturnsFalse, // moves nothing, like old EURS or ZRX
        ReturnsTwo, // moves nothing, and answers 2, which isn't true
        ReturnsFalseAndMore, // moves nothing, and answers 64 bytes
        RevertsWithReason,
        RevertsWithNothing,
        RevertsWithALot, // 100 kB, for the caller to copy
        BurnsAllGas,
        Asserts,
        TakesAShare // moves 1 % less than asked and answers true: unsupported
    }

    Manner public manner;
    mapping(address to => Manner) public mannerTo;

    constructor() ERC20("Weird", "WEIRD") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function behave(Manner manner_) external {
        manner = manner_;
    }

    function behaveTo(address to, Manner manner_) external {
        mannerTo[to] = manner_;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        amount = _before(to, amount);
        super.transfer(to, amount);
        return _after(to);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        amount = _before(to, amount);
        super.transferFrom(from, to, amount);
        return _after(to);
    }

    function _mannerTo(address to) private view returns (Manner) {
        return mannerTo[to] == Manner.Good ? manner : mannerTo[to];
    }

    /// @dev Ends the call here in a manner that moves nothing.
    function _before(address to, uint256 amount) private view returns (uint256) {
        Manner how = _mannerTo(to);
        if (how == Manner.ReturnsFalse) _return(0, 32);
        if (how == Manner.ReturnsTwo) _return(2, 32);
        if (how == Manner.ReturnsFalseAndMore) _return(0, 64);
        require(how != Manner.RevertsWithReason, "weird");
        if (how == Manner.RevertsWithNothing) _revert(0);
        if (how == Manner.RevertsWithALot) _revert(100_000);
        if (how == Manner.BurnsAllGas) {
            assembly ("memory-safe") {
                invalid()
            }
        }
        assert(how != Manner.Asserts);
        return how == Manner.TakesAShare ? amount - amount / 100 : amount;
    }

    function _after(address to) private view returns (bool) {
        if (_mannerTo(to) == Manner.ReturnsNothing) _return(0, 0);
        return true;
    }

    function _return(uint256 word, uint256 length) private pure {
        assembly ("memory-safe") {
            mstore(0, word)
            mstore(0x20, 0)
            return(0, length)
        }
    }

    function _revert(uint256 length) private pure {
        assembly ("memory-safe") {
            revert(0, length)
        }
    }
}

/// @notice A token that calls its recipients, like ERC-777.
contract CallingToken is ERC20 {
    constructor() ERC20("Calling", "CALL") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != address(0) && to.code.length > 0) {
            (bool success, bytes memory returned) = to.call(abi.encodeWithSignature("tokensReceived()"));
            (success, returned); // as the recipient likes
        }
    }
}

/// @notice A party that, paid by the token, makes the calls it was given, whatever comes of them.
contract Reentrant {
    address private _target;
    bytes[] private _calls;
    uint256 public made;
    uint256 public succeeded;

    function prepare(address target, bytes memory call) external {
        _target = target;
        _calls.push(call);
    }

    function tokensReceived() external {
        for (uint256 i = 0; i < _calls.length; i++) {
            made++;
            (bool success,) = _target.call(_calls[i]);
            if (success) succeeded++;
        }
    }

    function execute(address target, bytes memory call) external {
        (bool success, bytes memory returned) = target.call(call);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(returned, 0x20), mload(returned))
            }
        }
    }
}
