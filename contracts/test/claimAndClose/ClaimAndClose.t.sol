// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {IPaymentChannel} from "../../src/interfaces/IPaymentChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract ClaimAndCloseTest is DrainTest {
    bytes32 private channelId;
    uint256 private funds; // the consumer's, with the deposit out

    function setUp() public override {
        super.setUp();
        channelId = openChannel();
        funds = usdc.balanceOf(consumer.addr);
    }

    /// @dev With a voucher for `amount`; an expected revert must be announced with the signature made already.
    function claimAndClose(uint256 amount, uint256 payAmount, bytes memory signature) private {
        vm.prank(provider.addr);
        drain.claimAndClose(channelId, amount, 1, payAmount, signature);
    }

    function voucher(uint256 amount) private view returns (bytes memory) {
        return signVoucher(consumer, channelId, amount, 1);
    }

    function test_claimAndClose_revertsWhenChannelIsUnknown() public {
        bytes32 unknown = keccak256("unknown");
        expectChannelNotFound(unknown);
        claimAndClose(unknown, 1);

        expectChannelNotFound(unknown);
        vm.prank(provider.addr);
        drain.claimAndClose(unknown, 0, 0, 0, "");
    }

    function test_claimAndClose_revertsWhenChannelWasClosed() public {
        claimAndClose(channelId, 1_000_000);
        expectChannelNotFound(channelId);
        claimAndClose(channelId, 2_000_000);
    }

    function test_claimAndClose_revertsWhenCallerIsNotProvider() public {
        bytes memory signature = voucher(1_000_000);
        expectNotProvider(consumer.addr);
        vm.prank(consumer.addr);
        drain.claimAndClose(channelId, 1_000_000, 1, 1_000_000, signature);

        expectNotProvider(stranger.addr);
        vm.prank(stranger.addr);
        drain.claimAndClose(channelId, 0, 0, 0, "");
    }

    function test_claimAndClose_revertsWhenPayAmountIsBelowClaimed() public {
        claim(channelId, 4_000_000);
        bytes memory signature = voucher(5_000_000);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.BelowClaimed.selector, 3_999_999, 4_000_000));
        claimAndClose(5_000_000, 3_999_999, signature);

        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.BelowClaimed.selector, 0, 4_000_000));
        claimAndClose(5_000_000, 0, signature);
    }

    function test_claimAndClose_revertsWhenPayAmountExceedsVoucher() public {
        bytes memory signature = voucher(1_000_000);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ExceedsVoucher.selector, 1_000_001, 1_000_000));
        claimAndClose(1_000_000, 1_000_001, signature);

        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ExceedsVoucher.selector, type(uint256).max, 1_000_000));
        claimAndClose(1_000_000, type(uint256).max, signature);
    }

    function test_claimAndClose_needsNoSignatureToTakeNothing() public {
        claim(channelId, 4_000_000);
        claimAndClose(4_000_000, 4_000_000, "not a signature");
        assertUsdc(provider.addr, 4_000_000);
        assertUsdc(consumer.addr, funds + DEPOSIT - 4_000_000);
        assertNoChannel(channelId);
    }

    function test_claimAndClose_emitsNoChannelClaimedForNothing() public {
        vm.recordLogs();
        claimAndClose(0, 0, "");
        assertEq(countLogs(address(drain), IPaymentChannel.ChannelClaimed.selector), 0);
        assertUsdc(consumer.addr, funds + DEPOSIT);
    }

    function test_claimAndClose_checksTheOrderWithoutSignature() public {
        claim(channelId, 4_000_000);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ExceedsVoucher.selector, 4_000_000, 3_999_999));
        claimAndClose(3_999_999, 4_000_000, "");

        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ExceedsDeposit.selector, DEPOSIT + 1, DEPOSIT));
        claimAndClose(DEPOSIT + 1, 4_000_000, "");
    }

    function test_claimAndClose_paysLessThanTheVoucher() public {
        claimAndClose(5_000_000, 1_234_567, voucher(5_000_000));
        assertUsdc(provider.addr, 1_234_567);
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_234_567);
    }

    function test_claimAndClose_paysTheWholeDeposit() public {
        bytes memory signature = voucher(DEPOSIT);
        vm.recordLogs();
        claimAndClose(DEPOSIT, DEPOSIT, signature);
        assertEq(countLogs(address(usdc), IERC20.Transfer.selector), 1);
        assertUsdc(provider.addr, DEPOSIT);
        assertUsdc(consumer.addr, funds);
        assertNoChannel(channelId);
    }

    function test_claimAndClose_needsASignatureForOneUnit() public {
        claim(channelId, 4_000_000);
        expectInvalidSignature(address(0), consumer.addr);
        claimAndClose(4_000_001, 4_000_001, "");
    }

    function test_claimAndClose_revertsWhenVoucherExceedsDeposit() public {
        bytes memory signature = voucher(DEPOSIT + 1);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ExceedsDeposit.selector, DEPOSIT + 1, DEPOSIT));
        claimAndClose(DEPOSIT + 1, DEPOSIT + 1, signature);

        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ExceedsDeposit.selector, DEPOSIT + 1, DEPOSIT));
        claimAndClose(DEPOSIT + 1, DEPOSIT, signature);
    }

    function test_claimAndClose_revertsWhenAmountWouldBeCutOff() public {
        for (uint256 bits = 64; bits <= 96; bits += 32) {
            uint256 amount = 2 ** bits + 1_000_000;
            bytes memory signature = voucher(amount);
            vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ExceedsDeposit.selector, amount, DEPOSIT));
            claimAndClose(amount, amount, signature);

            vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ExceedsDeposit.selector, amount, DEPOSIT));
            claimAndClose(amount, 1_000_000, signature);
        }
    }

    function test_claimAndClose_revertsWhenSignerIsNotConsumer() public {
        bytes memory byProvider = signVoucher(provider, channelId, 1_000_000, 1);
        expectInvalidSignature(provider.addr, consumer.addr);
        claimAndClose(1_000_000, 1_000_000, byProvider);
    }

    function test_claimAndClose_revertsWhenVoucherDiffers() public {
        bytes memory signature = voucher(1_000_000);
        expectInvalidSignature();
        claimAndClose(1_000_001, 1_000_001, signature);

        expectInvalidSignature();
        claimAndClose(1_000_001, 1_000_000, signature);

        bytes memory otherNonce = signVoucher(consumer, channelId, 1_000_000, 2);
        expectInvalidSignature();
        claimAndClose(1_000_000, 1_000_000, otherNonce);

        bytes memory otherType = signCloseAuthorization(consumer, channelId, 1_000_000);
        expectInvalidSignature();
        claimAndClose(1_000_000, 1_000_000, otherType);
    }

    function test_claimAndClose_revertsWhenSignatureIsMalformed() public {
        bytes[] memory forms = malformedSignatures(consumer, digestOf(voucherHash(channelId, 1_000_000, 1)));
        for (uint256 i = 0; i < forms.length; i++) {
            expectInvalidSignature();
            claimAndClose(1_000_000, 1_000_000, forms[i]);
        }
        claimAndClose(1_000_000, 1_000_000, voucher(1_000_000)); // the same voucher, well-formed
    }

    function test_claimAndClose_revertsWhenTokenReturnsFalse() public {
        bytes memory signature = voucher(1_000_000);
        vm.mockCall(
            address(usdc), abi.encodeCall(IERC20.transfer, (consumer.addr, DEPOSIT - 1_000_000)), abi.encode(false)
        );
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(usdc)));
        claimAndClose(1_000_000, 1_000_000, signature);
        assertClaimed(channelId, 0);
        assertUsdc(provider.addr, 0);
    }

    function test_claimAndClose_paysAndRefunds() public {
        claimAndClose(1_000_000, 1_000_000, voucher(1_000_000));
        assertUsdc(provider.addr, 1_000_000);
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_000_000);
        assertUsdc(address(drain), 0);
    }

    function test_claimAndClose_paysTheDifference() public {
        claim(channelId, 4_000_000);
        claimAndClose(5_000_000, 4_500_000, voucher(5_000_000));
        assertUsdc(provider.addr, 4_500_000);
        assertUsdc(consumer.addr, funds + DEPOSIT - 4_500_000);
        assertUsdc(address(drain), 0);
    }

    function test_claimAndClose_deletesTheChannel() public {
        claimAndClose(1_000_000, 1_000_000, voucher(1_000_000));
        assertNoChannel(channelId);
    }

    function test_claimAndClose_emitsItsEvents() public {
        claim(channelId, 4_000_000);
        bytes memory signature = voucher(5_000_000);
        expectClaimed(channelId, 1_000_000);
        expectClosed(channelId, 5_000_000);
        claimAndClose(5_000_000, 5_000_000, signature);
    }

    function test_claimAndClose_touchesNoOtherChannel() public {
        bytes32 other = openChannel();
        claimAndClose(1_000_000, 1_000_000, voucher(1_000_000));
        assertClaimed(other, 0);
        assertUsdc(address(drain), DEPOSIT);
    }
}
