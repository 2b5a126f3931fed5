// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract ReplayTest is DrainTest {
    bytes32 private channelId;

    function setUp() public override {
        super.setUp();
        channelId = openChannel();
    }

    /// @dev The same channel id on a second contract cannot arise, so both the id and the domain differ there; signing the
    /// second id under the first domain shows that the domain alone is enough.
    function otherContract() private returns (IDrainChannel other, bytes32 otherId) {
        other = deployDrain(address(0), 0);
        vm.startPrank(consumer.addr);
        usdc.approve(address(other), type(uint256).max);
        otherId = other.open(provider.addr, DEPOSIT, DURATION);
        vm.stopPrank();
    }

    function test_replay_voucherOnTheSameChannel() public {
        claim(channelId, 1_000_000);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NothingToClaim.selector, 1_000_000, 1_000_000));
        claim(channelId, 1_000_000);
        assertUsdc(provider.addr, 1_000_000);
    }

    function test_replay_voucherOnAnotherChannel() public {
        bytes memory signature = signVoucher(consumer, channelId, 1_000_000, 1);
        bytes32 other = openChannel();
        expectInvalidSignature();
        vm.prank(provider.addr);
        drain.claim(other, 1_000_000, 1, signature);
    }

    function test_replay_voucherOnAnotherContract() public {
        (IDrainChannel other, bytes32 otherId) = otherContract();
        bytes memory signature = signVoucher(consumer, otherId, 1_000_000, 1);
        expectInvalidSignature();
        vm.prank(provider.addr);
        other.claim(otherId, 1_000_000, 1, signature);
    }

    function test_replay_voucherOnAnotherChain() public {
        bytes memory signature = signVoucher(consumer, channelId, 1_000_000, 1);
        vm.chainId(80_002);
        expectInvalidSignature();
        vm.prank(provider.addr);
        drain.claim(channelId, 1_000_000, 1, signature);

        claim(channelId, 1_000_000); // signed for the new chain id
        assertClaimed(channelId, 1_000_000);
    }

    function test_replay_authorizationOnAnotherChannel() public {
        bytes memory signature = signCloseAuthorization(provider, channelId, 0);
        bytes32 other = openChannel();
        expectInvalidSignature();
        vm.prank(consumer.addr);
        drain.cooperativeClose(other, 0, signature);
    }

    function test_replay_authorizationOnAnotherContract() public {
        (IDrainChannel other, bytes32 otherId) = otherContract();
        bytes memory signature = signCloseAuthorization(provider, otherId, 0);
        expectInvalidSignature();
        vm.prank(consumer.addr);
        other.cooperativeClose(otherId, 0, signature);
    }

    function test_replay_authorizationOnAnotherChain() public {
        bytes memory signature = signCloseAuthorization(provider, channelId, 0);
        vm.chainId(80_002);
        expectInvalidSignature();
        vm.prank(consumer.addr);
        drain.cooperativeClose(channelId, 0, signature);

        cooperativeClose(channelId, 0); // signed for the new chain id
        assertNoChannel(channelId);
    }
}
