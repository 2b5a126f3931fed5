// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract CloseTest is DrainTest {
    bytes32 private channelId;
    uint256 private funds; // the consumer's, with the deposit out

    function setUp() public override {
        super.setUp();
        channelId = openChannel();
        funds = usdc.balanceOf(consumer.addr);
    }

    function test_close_revertsWhenChannelIsUnknown() public {
        bytes32 unknown = keccak256("unknown");
        expectChannelNotFound(unknown);
        close(unknown);

        // Where simulations without a sender come from, and what an unknown channel's consumer reads as.
        expectChannelNotFound(unknown);
        vm.prank(address(0));
        drain.close(unknown);
    }

    function test_close_revertsWhenChannelWasClosed() public {
        vm.warp(EXPIRY);
        close(channelId);
        expectChannelNotFound(channelId);
        close(channelId);
    }

    function test_close_revertsWhenCallerIsNotConsumer() public {
        vm.warp(EXPIRY);
        expectNotConsumer(provider.addr);
        vm.prank(provider.addr);
        drain.close(channelId);

        expectNotConsumer(stranger.addr);
        vm.prank(stranger.addr);
        drain.close(channelId);
    }

    function test_close_revertsBeforeExpiry() public {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NotExpired.selector, NOW, EXPIRY));
        close(channelId);

        vm.warp(EXPIRY - 1);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NotExpired.selector, EXPIRY - 1, EXPIRY));
        close(channelId);
    }

    function test_close_revertsWhenTokenReturnsFalse() public {
        vm.warp(EXPIRY);
        vm.mockCall(address(usdc), abi.encodeCall(IERC20.transfer, (consumer.addr, DEPOSIT)), abi.encode(false));
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(usdc)));
        close(channelId);
        assertClaimed(channelId, 0);
    }

    function test_close_refundsTheDeposit() public {
        vm.warp(EXPIRY);
        close(channelId);
        assertUsdc(consumer.addr, funds + DEPOSIT);
        assertUsdc(address(drain), 0);
    }

    function test_close_refundsTheRest() public {
        claim(channelId, 1_000_000);
        vm.warp(EXPIRY + 100 days);
        close(channelId);
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_000_000);
        assertUsdc(provider.addr, 1_000_000);
        assertUsdc(address(drain), 0);
    }

    function test_close_makesNoTransferWhenAllWasClaimed() public {
        claim(channelId, DEPOSIT);
        vm.warp(EXPIRY);
        vm.recordLogs();
        close(channelId);
        assertEq(countLogs(address(usdc), IERC20.Transfer.selector), 0);
        assertNoChannel(channelId);
    }

    function test_close_deletesTheChannel() public {
        claim(channelId, 1_000_000);
        vm.warp(EXPIRY);
        close(channelId);
        assertNoChannel(channelId);
    }

    function test_close_emitsChannelClosed() public {
        claim(channelId, 1_000_000);
        vm.warp(EXPIRY);
        expectClosed(channelId, DEPOSIT - 1_000_000);
        close(channelId);
    }

    function test_close_touchesNoOtherChannel() public {
        bytes32 other = openChannel();
        vm.warp(EXPIRY);
        close(channelId);
        assertClaimed(other, 0);
        assertUsdc(address(drain), DEPOSIT);
    }
}
