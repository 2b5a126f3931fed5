// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract TokenTest is DrainTest {
    bytes private constant BLOCKED = "Blacklistable: account is blacklisted";
    bytes private constant PAUSED = "Pausable: paused";

    bytes32 private channelId;
    uint256 private funds; // the consumer's, with the deposit out

    function setUp() public override {
        super.setUp();
        channelId = openChannel();
        funds = usdc.balanceOf(consumer.addr);
    }

    function test_token_blockedConsumerCannotOpen() public {
        blockUsdc(consumer.addr);
        vm.expectRevert(BLOCKED);
        openChannel();
    }

    function test_token_blockedConsumerDoesNotStopClaim() public {
        blockUsdc(consumer.addr);
        claim(channelId, 1_000_000);
        assertUsdc(provider.addr, 1_000_000);
    }

    function test_token_blockedConsumerCannotOpenInOtherWays() public {
        blockUsdc(consumer.addr);
        vm.expectRevert(BLOCKED);
        openWithSigner();
        IDrainChannel.Opening memory opening = relayedOpening(keccak256("salt"));
        bytes memory signature = signAuthorization(consumer, opening, 0, NOW + 10 minutes);
        vm.expectRevert(BLOCKED);
        drain.openWithAuthorization(opening, 0, NOW + 10 minutes, signature);
    }

    function claimBatch(uint256 amount) private returns (uint256) {
        IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](1);
        claims[0] = IDrainChannel.Claim(channelId, amount, 1, amount, signVoucher(consumer, channelId, amount, 1));
        vm.prank(provider.addr);
        return drain.claimBatch(claims);
    }

    function test_token_blockedConsumerDoesNotStopClaimBatch() public {
        blockUsdc(consumer.addr);
        assertEq(claimBatch(1_000_000), 1_000_000);
        assertUsdc(provider.addr, 1_000_000);
    }

    function test_token_blockedSessionKeyClaims() public {
        channelId = openWithSigner();
        blockUsdc(sessionKey.addr);
        bytes memory signature = signWithProof(sessionKey, channelId, 1_000_000, 1, proofOf(0, directOpening(1)));
        vm.prank(provider.addr);
        drain.claim(channelId, 1_000_000, 1, signature);
        assertUsdc(provider.addr, 1_000_000);
    }

    function test_token_blockedConsumersRefundWaits() public {
        blockUsdc(consumer.addr);
        vm.expectRevert(BLOCKED);
        claimAndClose(channelId, 1_000_000);
        vm.expectRevert(BLOCKED);
        cooperativeClose(channelId, 1_000_000);
        vm.warp(EXPIRY);
        vm.expectRevert(BLOCKED);
        close(channelId);
        vm.warp(EXPIRY + 1 days);
        vm.expectRevert(BLOCKED);
        drain.closeFor(channelId);
        assertClaimed(channelId, 0);

        unblockUsdc(consumer.addr);
        close(channelId);
        assertUsdc(consumer.addr, funds + DEPOSIT);
    }

    function test_token_blockedConsumerWithNothingToRefund() public {
        bytes32 second = openChannel();
        bytes32 third = openChannel();
        blockUsdc(consumer.addr);
        claimAndClose(channelId, DEPOSIT);
        cooperativeClose(second, DEPOSIT);
        claim(third, DEPOSIT);
        vm.warp(EXPIRY);
        close(third);
        assertUsdc(provider.addr, 3 * DEPOSIT);
    }

    function test_token_blockedProvidersPayoutWaits() public {
        blockUsdc(provider.addr);
        vm.expectRevert(BLOCKED);
        claim(channelId, 1_000_000);
        vm.expectRevert(BLOCKED);
        claimAndClose(channelId, 1_000_000);
        vm.expectRevert(BLOCKED);
        cooperativeClose(channelId, 1_000_000);
        vm.expectRevert(BLOCKED);
        claimBatch(1_000_000);
        assertClaimed(channelId, 0);

        unblockUsdc(provider.addr);
        claim(channelId, 1_000_000);
        assertUsdc(provider.addr, 1_000_000);
    }

    function test_token_blockedProviderDoesNotStopClose() public {
        claim(channelId, 1_000_000);
        blockUsdc(provider.addr);
        vm.warp(EXPIRY);
        close(channelId);
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_000_000);
    }

    function test_token_blockedProviderWithNothingToPay() public {
        bytes32 second = openChannel();
        claim(channelId, 1_000_000);
        blockUsdc(provider.addr);
        cooperativeClose(channelId, 1_000_000);
        vm.prank(provider.addr);
        drain.claimAndClose(second, 0, 0, 0, "");
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_000_000);
    }

    function test_token_blockedProviderCanBeOpenedTo() public {
        blockUsdc(provider.addr);
        bytes32 second = openChannel();
        vm.warp(EXPIRY);
        close(second);
        assertUsdc(consumer.addr, funds);
    }

    function test_token_blockedContractWaits() public {
        blockUsdc(address(drain));
        vm.expectRevert(BLOCKED);
        openChannel();
        vm.expectRevert(BLOCKED);
        claim(channelId, 1_000_000);
        vm.expectRevert(BLOCKED);
        cooperativeClose(channelId, 1_000_000);
        vm.warp(EXPIRY);
        vm.expectRevert(BLOCKED);
        close(channelId);

        unblockUsdc(address(drain));
        claimAndClose(channelId, 1_000_000);
        assertUsdc(provider.addr, 1_000_000);
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_000_000);
    }

    function test_token_pausedStopsEverything() public {
        pauseUsdc();
        vm.expectRevert(PAUSED);
        openChannel();
        vm.expectRevert(PAUSED);
        claim(channelId, 1_000_000);
        vm.expectRevert(PAUSED);
        claimAndClose(channelId, 1_000_000);
        vm.expectRevert(PAUSED);
        cooperativeClose(channelId, 1_000_000);
        vm.warp(EXPIRY);
        vm.expectRevert(PAUSED);
        close(channelId);
        vm.warp(EXPIRY + 1 days);
        vm.expectRevert(PAUSED);
        drain.closeFor(channelId);
        vm.expectRevert(PAUSED);
        claimBatch(1_000_000);
        assertClaimed(channelId, 0);
    }

    function test_token_unpausedGoesOn() public {
        pauseUsdc();
        vm.warp(EXPIRY + 1 days);
        unpauseUsdc();
        claim(channelId, 1_000_000);
        close(channelId);
        assertUsdc(provider.addr, 1_000_000);
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_000_000);
    }

    function test_token_donationChangesNothing() public {
        mintUsdc(address(drain), 5_000_000);
        assertEq(drain.getBalance(channelId), DEPOSIT);
        claimAndClose(channelId, 1_000_000);
        assertUsdc(address(drain), 5_000_000);
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_000_000);
    }
}
