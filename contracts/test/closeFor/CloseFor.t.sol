// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract CloseForTest is DrainTest {
    uint256 private constant CLOSABLE = EXPIRY + 1 days;

    bytes32 private channelId;
    uint256 private funds; // the consumer's, with the deposit out

    function setUp() public override {
        super.setUp();
        channelId = openChannel();
        funds = usdc.balanceOf(consumer.addr);
    }

    function closeFor() private {
        vm.prank(stranger.addr);
        drain.closeFor(channelId);
    }

    function expectNotExpired() private {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NotExpired.selector, block.timestamp, CLOSABLE));
    }

    function test_closeFor_revertsWhenChannelIsUnknown() public {
        vm.warp(CLOSABLE);
        channelId = keccak256("unknown");
        expectChannelNotFound(channelId);
        closeFor();
    }

    function test_closeFor_revertsWhenChannelWasClosed() public {
        vm.warp(CLOSABLE);
        closeFor();
        expectChannelNotFound(channelId);
        closeFor();
        assertUsdc(consumer.addr, funds + DEPOSIT);
    }

    function test_closeFor_revertsBeforeADayAfterExpiry() public {
        expectNotExpired();
        closeFor();
        vm.warp(EXPIRY);
        expectNotExpired();
        closeFor();
        vm.warp(CLOSABLE - 1);
        expectNotExpired();
        closeFor();
        expectNotExpired(); // also for the parties
        vm.prank(consumer.addr);
        drain.closeFor(channelId);
        expectNotExpired();
        vm.prank(provider.addr);
        drain.closeFor(channelId);
        assertClaimed(channelId, 0);
    }

    function test_closeFor_worksFromADayAfterExpiry() public {
        vm.warp(CLOSABLE);
        closeFor();
        assertNoChannel(channelId);
    }

    /// @dev The delay is added outside of the field's 32 bits.
    function test_closeFor_worksAtTheEndOfTime() public {
        vm.warp(type(uint32).max - DURATION);
        channelId = openChannel();
        vm.warp(type(uint32).max);
        vm.expectRevert(
            abi.encodeWithSelector(
                IDrainChannel.NotExpired.selector, type(uint32).max, uint256(type(uint32).max) + 1 days
            )
        );
        closeFor();
        vm.warp(uint256(type(uint32).max) + 1 days);
        closeFor();
        assertNoChannel(channelId);
    }

    function test_closeFor_refundsTheConsumerOnly() public {
        claim(channelId, 4_000_000);
        vm.warp(CLOSABLE);
        closeFor();
        assertUsdc(consumer.addr, funds + DEPOSIT - 4_000_000);
        assertUsdc(provider.addr, 4_000_000);
        assertUsdc(stranger.addr, 0);
        assertUsdc(address(drain), 0);
    }

    function test_closeFor_emitsChannelClosed() public {
        claim(channelId, 4_000_000);
        vm.warp(CLOSABLE);
        expectClosed(channelId, DEPOSIT - 4_000_000);
        closeFor();
    }

    function test_closeFor_paysTheProviderNothing() public {
        vm.warp(CLOSABLE);
        vm.recordLogs();
        closeFor();
        assertEq(vm.getRecordedLogs().length, 2); // the transfer and ChannelClosed
        assertUsdc(provider.addr, 0);
    }

    function test_closeFor_withNothingToRefund() public {
        claim(channelId, DEPOSIT);
        blockUsdc(consumer.addr); // there is no transfer that it could fail
        vm.warp(CLOSABLE);
        expectClosed(channelId, 0);
        closeFor();
        assertNoChannel(channelId);
    }

    function test_closeFor_leavesOtherChannels() public {
        bytes32 other = openChannel();
        vm.warp(CLOSABLE);
        closeFor();
        assertClaimed(other, 0);
        assertUsdc(address(drain), DEPOSIT);
    }

    function test_closeFor_waitsForABlockedConsumer() public {
        vm.warp(CLOSABLE);
        blockUsdc(consumer.addr);
        vm.expectRevert("Blacklistable: account is blacklisted");
        closeFor();
        claim(channelId, 1_000_000); // still open to the provider

        unblockUsdc(consumer.addr);
        closeFor();
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_000_000);
    }

    function test_closeFor_worksWithOthersBlocked() public {
        blockUsdc(provider.addr);
        blockUsdc(stranger.addr);
        vm.warp(CLOSABLE);
        closeFor();
        assertUsdc(consumer.addr, funds + DEPOSIT);
    }

    function test_closeFor_racesTheLastClaim() public {
        vm.warp(CLOSABLE);
        uint256 snapshot = vm.snapshotState();
        claim(channelId, 1_000_000);
        closeFor();
        assertUsdc(provider.addr, 1_000_000);

        vm.revertToState(snapshot);
        closeFor();
        expectChannelNotFound(channelId);
        claim(channelId, 1_000_000);
    }
}
