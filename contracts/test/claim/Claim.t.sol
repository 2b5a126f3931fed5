// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract ClaimTest is DrainTest {
    bytes32 private channelId;

    function setUp() public override {
        super.setUp();
        channelId = openChannel();
    }

    function expectNothingToClaim(uint256 amount, uint256 claimed) private {
        bytes memory signature = signVoucher(consumer, channelId, amount, 2);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NothingToClaim.selector, amount, claimed));
        vm.prank(provider.addr);
        drain.claim(channelId, amount, 2, signature);
    }

    function expectExceedsDeposit(uint256 amount) private {
        bytes memory signature = signVoucher(consumer, channelId, amount, 1);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ExceedsDeposit.selector, amount, DEPOSIT));
        vm.prank(provider.addr);
        drain.claim(channelId, amount, 1, signature);
    }

    function test_claim_revertsWhenChannelIsUnknown() public {
        bytes32 unknown = keccak256("unknown");
        expectChannelNotFound(unknown);
        claim(unknown, 1);
    }

    function test_claim_revertsWhenChannelWasClosed() public {
        cooperativeClose(channelId, 0);
        expectChannelNotFound(channelId);
        claim(channelId, 1);
    }

    function test_claim_revertsWhenCallerIsNotProvider() public {
        bytes memory signature = signVoucher(consumer, channelId, 1, 1);
        expectNotProvider(consumer.addr);
        vm.prank(consumer.addr);
        drain.claim(channelId, 1, 1, signature);

        expectNotProvider(stranger.addr);
        vm.prank(stranger.addr);
        drain.claim(channelId, 1, 1, signature);
    }

    function test_claim_revertsWhenAmountIsZero() public {
        expectNothingToClaim(0, 0);
    }

    function test_claim_revertsWhenAmountIsClaimed() public {
        claim(channelId, 4_000_000);
        expectNothingToClaim(4_000_000, 4_000_000);
    }

    function test_claim_revertsWhenAmountIsBelowClaimed() public {
        claim(channelId, 4_000_000);
        expectNothingToClaim(3_999_999, 4_000_000);
    }

    function test_claim_revertsWhenAmountExceedsDeposit() public {
        expectExceedsDeposit(DEPOSIT + 1);
        expectExceedsDeposit(type(uint256).max);
    }

    function test_claim_revertsWhenAmountWouldBeCutOff() public {
        expectExceedsDeposit((1 << 64) + 1);
        expectExceedsDeposit((1 << 96) + 1);
    }

    function test_claim_paysTheWholeDeposit() public {
        claim(channelId, DEPOSIT);
        assertUsdc(provider.addr, DEPOSIT);
        assertUsdc(address(drain), 0);
        assertClaimed(channelId, DEPOSIT);
        assertEq(drain.getBalance(channelId), 0);
    }

    function test_claim_revertsWhenSignerIsNotConsumer() public {
        bytes memory byProvider = signVoucher(provider, channelId, 1, 1);
        expectInvalidSignature(provider.addr, consumer.addr);
        vm.prank(provider.addr);
        drain.claim(channelId, 1, 1, byProvider);

        bytes memory byStranger = signVoucher(stranger, channelId, 1, 1);
        expectInvalidSignature(stranger.addr, consumer.addr);
        vm.prank(provider.addr);
        drain.claim(channelId, 1, 1, byStranger);
    }

    function test_claim_revertsWhenVoucherDiffers() public {
        vm.startPrank(provider.addr);

        bytes memory otherAmount = signVoucher(consumer, channelId, 999_999, 1);
        expectInvalidSignature();
        drain.claim(channelId, 1_000_000, 1, otherAmount);

        bytes memory otherNonce = signVoucher(consumer, channelId, 1_000_000, 2);
        expectInvalidSignature();
        drain.claim(channelId, 1_000_000, 1, otherNonce);

        bytes memory otherType = signCloseAuthorization(consumer, channelId, 1_000_000);
        expectInvalidSignature();
        drain.claim(channelId, 1_000_000, 1, otherType);
    }

    function test_claim_revertsWhenSignatureIsMalformed() public {
        bytes[] memory forms = malformedSignatures(consumer, digestOf(voucherHash(channelId, 1_000_000, 1)));
        vm.startPrank(provider.addr);
        for (uint256 i = 0; i < forms.length; i++) {
            expectInvalidSignature();
            drain.claim(channelId, 1_000_000, 1, forms[i]);
        }
        vm.stopPrank();

        claim(channelId, 1_000_000); // the same voucher, well-formed
    }

    function test_claim_revertsWhenTokenReturnsFalse() public {
        vm.mockCall(address(usdc), abi.encodeCall(IERC20.transfer, (provider.addr, 1_000_000)), abi.encode(false));
        bytes memory signature = signVoucher(consumer, channelId, 1_000_000, 1);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(usdc)));
        vm.prank(provider.addr);
        drain.claim(channelId, 1_000_000, 1, signature);
        assertClaimed(channelId, 0);
    }

    function test_claim_paysTheAmount() public {
        claim(channelId, 1_000_000);
        assertUsdc(provider.addr, 1_000_000);
        assertUsdc(address(drain), DEPOSIT - 1_000_000);
    }

    function test_claim_paysTheDifference() public {
        claim(channelId, 1_000_000);
        claim(channelId, 1_500_000);
        assertUsdc(provider.addr, 1_500_000);
        assertUsdc(address(drain), DEPOSIT - 1_500_000);
    }

    function test_claim_storesTheAmount() public {
        claim(channelId, 1_000_000);
        assertClaimed(channelId, 1_000_000);
        assertEq(drain.getBalance(channelId), DEPOSIT - 1_000_000);
    }

    function test_claim_emitsChannelClaimed() public {
        expectClaimed(channelId, 1_000_000);
        claim(channelId, 1_000_000);
        expectClaimed(channelId, 500_000);
        claim(channelId, 1_500_000);
    }

    function test_claim_ignoresTheOrderOfNonces() public {
        bytes memory high = signVoucher(consumer, channelId, 1_000_000, type(uint256).max);
        bytes memory low = signVoucher(consumer, channelId, 2_000_000, 0);
        vm.startPrank(provider.addr);
        drain.claim(channelId, 1_000_000, type(uint256).max, high);
        drain.claim(channelId, 2_000_000, 0, low);
        assertClaimed(channelId, 2_000_000);
    }

    function test_claim_needsOnlyTheHighestVoucher() public {
        bytes memory first = signVoucher(consumer, channelId, 1_000_000, 1);
        bytes memory second = signVoucher(consumer, channelId, 2_000_000, 2);
        vm.startPrank(provider.addr);
        drain.claim(channelId, 2_000_000, 2, second);

        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NothingToClaim.selector, 1_000_000, 2_000_000));
        drain.claim(channelId, 1_000_000, 1, first);
        assertUsdc(provider.addr, 2_000_000);
    }

    function test_claim_touchesNoOtherChannel() public {
        bytes32 other = openChannel();
        claim(channelId, 1_000_000);
        assertClaimed(other, 0);
        assertEq(drain.getBalance(other), DEPOSIT);
    }
}
