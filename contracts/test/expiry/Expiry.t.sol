// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract ExpiryTest is DrainTest {
    bytes32 private channelId;
    uint256 private funds; // the consumer's, with the deposit out

    function setUp() public override {
        super.setUp();
        channelId = openChannel();
        funds = usdc.balanceOf(consumer.addr);
    }

    function test_expiry_oneSecondBefore() public {
        vm.warp(EXPIRY - 1);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NotExpired.selector, EXPIRY - 1, EXPIRY));
        close(channelId);
        claim(channelId, 1_000_000);
        assertUsdc(provider.addr, 1_000_000);
    }

    function test_expiry_bothCanAgreeBefore() public {
        bytes32 other = openChannel();
        vm.warp(EXPIRY - 1);
        claimAndClose(channelId, 1_000_000);
        cooperativeClose(other, 1_000_000);
        assertUsdc(provider.addr, 2_000_000);
    }

    function test_expiry_claimThenClose() public {
        vm.warp(EXPIRY);
        claim(channelId, 1_000_000);
        close(channelId);
        assertUsdc(provider.addr, 1_000_000);
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_000_000);
    }

    function test_expiry_closeThenClaim() public {
        vm.warp(EXPIRY);
        close(channelId);
        expectChannelNotFound(channelId);
        claim(channelId, 1_000_000);
        assertUsdc(provider.addr, 0);
        assertUsdc(consumer.addr, funds + DEPOSIT);
    }

    function test_expiry_closeThenClaimAndClose() public {
        vm.warp(EXPIRY);
        close(channelId);
        expectChannelNotFound(channelId);
        claimAndClose(channelId, 1_000_000);
    }

    function test_expiry_claimAndCloseThenClose() public {
        vm.warp(EXPIRY);
        claimAndClose(channelId, 1_000_000);
        expectChannelNotFound(channelId);
        close(channelId);
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_000_000);
    }

    function test_expiry_providerCanClaimUntilClosed() public {
        vm.warp(EXPIRY + 3650 days);
        claim(channelId, 1_000_000);
        claim(channelId, 2_000_000);
        claimAndClose(channelId, 3_000_000);
        assertUsdc(provider.addr, 3_000_000);
        assertUsdc(consumer.addr, funds + DEPOSIT - 3_000_000);
    }

    function test_expiry_closedIdNeverLivesAgain() public {
        vm.warp(EXPIRY);
        close(channelId);
        for (uint256 i = 0; i < 20; i++) {
            assertNotEq(openChannel(), channelId);
            assertNoChannel(channelId);
        }
    }

    function test_expiry_oldSignaturesAreVoidOnTheNextChannel() public {
        bytes memory voucher = signVoucher(consumer, channelId, 1_000_000, 1);
        bytes memory authorization = signCloseAuthorization(provider, channelId, 0);
        vm.warp(EXPIRY);
        close(channelId);
        bytes32 next = openChannel();

        expectInvalidSignature();
        vm.prank(provider.addr);
        drain.claim(next, 1_000_000, 1, voucher);

        expectInvalidSignature();
        vm.prank(consumer.addr);
        drain.cooperativeClose(next, 0, authorization);
    }
}
