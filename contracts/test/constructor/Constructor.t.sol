// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {DrainChannel} from "../../src/DrainChannel.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {IERC3009} from "../../src/interfaces/IERC3009.sol";
import {DrainTest} from "../DrainTest.sol";
import {AnsweringToken, BurningToken, PlainToken, SilentToken, SlowToken, TYPEHASH, Weth9} from "../Tokens.sol";

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

    /// @dev With as much gas as a deployment may reasonably take: a probe must not burn it.
    function supportsAuthorization(address token) private returns (bool) {
        return this.deploy{gas: 6_000_000}(token).supportsAuthorization();
    }

    function deploy(address token) external returns (IDrainChannel) {
        return new DrainChannel(IERC20(token), address(0), 0);
    }

    function test_constructor_findsEip3009InUsdc() public {
        assertEq(usdc.RECEIVE_WITH_AUTHORIZATION_TYPEHASH(), TYPEHASH);
        assertTrue(drain.supportsAuthorization());
        assertTrue(supportsAuthorization(address(usdc)));
    }

    function test_constructor_findsEip3009WhilePausedOrBlocked() public {
        pauseUsdc();
        assertTrue(supportsAuthorization(address(usdc)));
        unpauseUsdc();
        blockUsdc(vm.computeCreateAddress(address(this), vm.getNonce(address(this))));
        assertTrue(supportsAuthorization(address(usdc)));
    }

    function test_constructor_findsNoneInOtherTokens() public {
        assertFalse(supportsAuthorization(address(new PlainToken())));
    }

    function test_constructor_findsNoneBehindASilentFallback() public {
        assertFalse(supportsAuthorization(address(new Weth9())));
    }

    function test_constructor_findsNoneInWhatAcceptsEverything() public {
        SilentToken token = new SilentToken();
        assertEq(token.RECEIVE_WITH_AUTHORIZATION_TYPEHASH(), TYPEHASH);
        assertFalse(supportsAuthorization(address(token)));
    }

    function test_constructor_findsNoneInWhatAcceptsEverythingSlowly() public {
        SlowToken token = new SlowToken();
        (bool accepts,) = address(token).call(abi.encodeWithSignature("anything()"));
        assertTrue(accepts);
        assertFalse(supportsAuthorization(address(token)));
    }

    function test_constructor_survivesTokensThatBurnAllGas() public {
        assertFalse(supportsAuthorization(address(new BurningToken())));
    }

    function test_constructor_findsNoneInOtherAnswers() public {
        assertTrue(supportsAuthorization(address(new AnsweringToken(abi.encode(TYPEHASH)))));
        bytes[7] memory answers = [
            bytes(""),
            abi.encode(bytes32(0)),
            abi.encode(true),
            abi.encode(uint256(TYPEHASH) ^ 1),
            abi.encodePacked(bytes31(TYPEHASH)),
            abi.encodePacked(TYPEHASH, uint8(0)),
            abi.encode(TYPEHASH, TYPEHASH)
        ];
        for (uint256 i = 0; i < answers.length; i++) {
            assertFalse(supportsAuthorization(address(new AnsweringToken(answers[i]))));
        }
    }

    /// @dev The gas that the probes are given is many times what USDC takes.
    function test_constructor_probesUsdcWithGasToSpare() public {
        vm.cool(address(usdc));
        (bool success, bytes memory answer) =
            address(usdc).staticcall{gas: 20_000}(abi.encodeCall(IERC3009.RECEIVE_WITH_AUTHORIZATION_TYPEHASH, ()));
        assertTrue(success);
        assertEq(answer, abi.encode(TYPEHASH));
    }
}
