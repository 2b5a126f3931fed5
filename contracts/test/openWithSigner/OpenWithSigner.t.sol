// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {IPaymentChannel} from "../../src/interfaces/IPaymentChannel.sol";
import {DrainTest} from "../DrainTest.sol";
import {Wallet} from "../Wallets.sol";

contract OpenWithSignerTest is DrainTest {
    function open(address provider_, uint256 amount, uint256 duration, address signer) private returns (bytes32) {
        vm.prank(consumer.addr);
        return drain.openWithSigner(provider_, amount, duration, signer);
    }

    function test_openWithSigner_revertsAsOpenDoes() public {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidProvider.selector, address(0)));
        open(address(0), DEPOSIT, DURATION, sessionKey.addr);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidProvider.selector, consumer.addr));
        open(consumer.addr, DEPOSIT, DURATION, sessionKey.addr);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidProvider.selector, address(drain)));
        open(address(drain), DEPOSIT, DURATION, sessionKey.addr);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidDeposit.selector, 0, type(uint64).max));
        open(provider.addr, 0, DURATION, sessionKey.addr);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidDeposit.selector, 1 << 64, type(uint64).max));
        open(provider.addr, 1 << 64, DURATION, sessionKey.addr);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidDuration.selector, 0, 365 days));
        open(provider.addr, DEPOSIT, 0, sessionKey.addr);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidDuration.selector, 365 days + 1, 365 days));
        open(provider.addr, DEPOSIT, 365 days + 1, sessionKey.addr);
    }

    function test_openWithSigner_revertsWhenSignerIsProvider() public {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidSigner.selector, provider.addr));
        open(provider.addr, DEPOSIT, DURATION, provider.addr);
    }

    function test_openWithSigner_revertsWhenNotApproved() public {
        vm.prank(consumer.addr);
        usdc.approve(address(drain), DEPOSIT - 1);
        vm.expectRevert("ERC20: transfer amount exceeds allowance");
        openWithSigner();
        assertEq(drain.nonces(consumer.addr), 0);
        assertNoChannel(idOf(0, directOpening(0)));
    }

    function test_openWithSigner_withoutSignerIsOpen() public {
        IDrainChannel.Opening memory opening = directOpening(0);
        opening.signer = address(0);
        bytes32 channelId = open(provider.addr, DEPOSIT, DURATION, address(0));
        assertEq(channelId, idOf(0, opening));
        claim(channelId, 1_000_000);
        assertClaimed(channelId, 1_000_000);
    }

    function test_openWithSigner_signerMayBeTheConsumer() public {
        IDrainChannel.Opening memory opening = directOpening(0);
        opening.signer = consumer.addr;
        bytes32 channelId = open(provider.addr, DEPOSIT, DURATION, consumer.addr);
        bytes memory signature = signWithProof(consumer, channelId, 1_000_000, 1, proofOf(0, opening));
        vm.prank(provider.addr);
        drain.claim(channelId, 1_000_000, 1, signature);
        claim(channelId, 2_000_000); // as well without the proof
        assertClaimed(channelId, 2_000_000);
    }

    function test_openWithSigner_pullsTheDeposit() public {
        uint256 before = usdc.balanceOf(consumer.addr);
        openWithSigner();
        assertUsdc(consumer.addr, before - DEPOSIT);
        assertUsdc(address(drain), DEPOSIT);
    }

    function test_openWithSigner_storesTheChannel() public {
        assertClaimed(openWithSigner(), 0);
    }

    function test_openWithSigner_emitsChannelOpened() public {
        vm.expectEmit(address(drain));
        emit IPaymentChannel.ChannelOpened(
            idOf(0, directOpening(0)), consumer.addr, provider.addr, DEPOSIT, NOW + DURATION
        );
        openWithSigner();
    }

    function test_openWithSigner_returnsTheComputedId() public {
        assertEq(openWithSigner(), idOf(0, directOpening(0)));
        assertEq(openWithSigner(), drain.computeChannelId(0, directOpening(1)));
    }

    function test_openWithSigner_sharesItsNonceWithOpen() public {
        openChannel();
        assertEq(openWithSigner(), idOf(0, directOpening(1)));
        assertEq(drain.nonces(consumer.addr), 2);
        openChannel();
        assertEq(drain.nonces(consumer.addr), 3);
    }

    function test_openWithSigner_givesTheSignerItsOwnId() public {
        uint256 snapshot = vm.snapshotState();
        bytes32 plain = openChannel();
        vm.revertToState(snapshot);
        assertNotEq(openWithSigner(), plain);
    }

    /// @dev A contract wallet can't sign vouchers, but its session key can.
    function test_openWithSigner_worksForContractWallets() public {
        Wallet wallet = new Wallet(consumer.addr);
        fund(address(wallet), DEPOSIT);
        vm.prank(consumer.addr);
        bytes32 channelId = abi.decode(
            wallet.execute(
                address(drain),
                abi.encodeCall(drain.openWithSigner, (provider.addr, DEPOSIT, DURATION, sessionKey.addr))
            ),
            (bytes32)
        );
        IDrainChannel.Opening memory opening = directOpening(0);
        opening.consumer = address(wallet);
        assertEq(channelId, idOf(0, opening));

        bytes memory signature = signWithProof(sessionKey, channelId, 1_000_000, 1, proofOf(0, opening));
        vm.prank(provider.addr);
        drain.claimAndClose(channelId, 1_000_000, 1, 1_000_000, signature);
        assertUsdc(address(wallet), DEPOSIT - 1_000_000);
    }
}
