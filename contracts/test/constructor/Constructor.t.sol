// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {DrainChannel} from "../../src/DrainChannel.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract ConstructorTest is DrainTest {
    function test_constructor_revertsWhenTokenIsZero() public {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidToken.selector, address(0)));
        new DrainChannel(IERC20(address(0)), address(0), 0);
    }

    function test_constructor_revertsWhenTokenHasNoCode() public {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidToken.selector, stranger.addr));
        new DrainChannel(IERC20(stranger.addr), address(0), 0);
    }

    function test_constructor_revertsWhenFeeIsTooHigh() public {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.FeeTooHigh.selector, 1001, 1000));
        deployDrain(feeRecipient, 1001);

        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.FeeTooHigh.selector, type(uint16).max, 1000));
        deployDrain(feeRecipient, type(uint16).max);
    }

    function test_constructor_revertsWhenNobodyReceivesTheFee() public {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.FeeWithoutRecipient.selector, 1));
        deployDrain(address(0), 1);
    }

    function test_constructor_keepsItsArguments() public {
        drain = deployDrain(feeRecipient, 1000);
        assertEq(address(drain.token()), address(usdc));
        assertEq(drain.feeRecipient(), feeRecipient);
        assertEq(drain.feeBps(), 1000);
    }

    function test_constructor_needsNoRecipientWithoutFee() public view {
        assertEq(drain.feeRecipient(), address(0));
        assertEq(drain.feeBps(), 0);
    }

    function test_constructor_acceptsRecipientWithoutFee() public {
        drain = deployDrain(feeRecipient, 0);
        assertEq(drain.feeRecipient(), feeRecipient);
        assertEq(drain.feeBps(), 0);
    }
}
