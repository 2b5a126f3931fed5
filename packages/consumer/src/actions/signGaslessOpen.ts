import {
  Channel,
  Deployment,
  drainChannelAbi,
  FeatureUnavailableError,
  GaslessOpen,
  InvalidFormatError,
  SessionKey,
} from '@drain/core'
import { type Address, bytesToHex, type Client, type Hex, zeroAddress } from 'viem'
import { getBlock, readContract } from 'viem/actions'
import { getUsdcBalance } from './getUsdcBalance.ts'
import { assertBalance, assertOpening } from './openChannel.ts'
import { accountOf, type WriteParameters } from './Parameters.ts'
import { signForToken, tokenDomainOf } from './tokenSignature.ts'

/**
 * Signs an opening that anybody may send: the consumer needs USDC, no gas and no approval. One wallet prompt, which comes
 * only after everything that can be known was checked. Nothing is sent.
 *
 * Trap: until `validBefore` whoever has the signed opening can lock the deposit with it, also a relay that refused it. Sign
 * another one only when {@link getGaslessOpen} says `expired` or `used`, or after {@link cancelGaslessOpen}; else two
 * deposits may be locked. Source: `openWithAuthorization` of the contract, EIP-3009.
 *
 * @example
 * ```ts
 * const { open, channelId, proof } = await signGaslessOpen(walletClient, {
 *   deployment,
 *   provider: '0x…',
 *   amount: Usdc.parse('10'),
 *   duration: Duration.parse('24h'),
 *   signer: sessionAccount.address,
 * })
 * ```
 * @throws {FeatureUnavailableError} The contract or its token can't open with authorizations.
 * @throws {InvalidFormatError} A provider, session key, salt or time that can't be.
 * @throws {InvalidAmountError | InvalidDurationError | InsufficientBalanceError}
 * @throws {DrainError} `token_domain`, `unusable_signature`
 */
export async function signGaslessOpen(
  client: Client,
  parameters: signGaslessOpen.Parameters,
): Promise<signGaslessOpen.ReturnValue> {
  const { deployment, provider, amount, duration, signer, publicClient: reader = client } = parameters
  const account = accountOf(client, parameters.account)
  const consumer = account.address
  Deployment.assertHas(deployment, 'openWithAuthorization')
  assertOpening(deployment, consumer, { provider, amount, duration, signer })
  const opening = {
    consumer,
    provider,
    amount,
    duration,
    signer: signer ?? zeroAddress,
    salt: saltOf(parameters),
  }
  const channelId = Channel.computeId(deployment, opening, 'relayed')

  const [balance, isSupported, tokenDomain, now] = await Promise.all([
    getUsdcBalance(reader, { deployment, account }),
    supportsAuthorization(reader, deployment),
    tokenDomainOf(reader, deployment),
    laterOfClocks(reader),
  ])
  if (!isSupported) {
    throw new FeatureUnavailableError(
      'openWithAuthorization for its token',
      `at ${deployment.contract} on chain ${deployment.chainId}`,
      'Approve the deposit and use open; the consumer needs gas for both.',
    )
  }
  assertBalance(balance, amount, consumer)
  const { validAfter = 0n, validBefore = now + defaultAge } = parameters
  assertTimes(validAfter, validBefore, now)

  const unsigned = { ...opening, validAfter, validBefore }
  const typedData = GaslessOpen.typedData(unsigned, deployment, tokenDomain)
  const signature = await signForToken(client, reader, account, typedData)
  const signed = { channelId, open: { ...unsigned, signature } }
  return signer ? { ...signed, proof: SessionKey.encodeProof(opening, 'relayed') } : signed
}

export declare namespace signGaslessOpen {
  type Parameters = Omit<WriteParameters, 'timeout'> & {
    provider: Address
    /** Deposit in base units: positive, below 2^64. */
    amount: bigint
    /** Seconds until the consumer may close alone, from when the opening is mined: positive, at most 365 days. */
    duration: bigint
    /** A session key that may sign this channel's vouchers too: whoever holds it can spend this deposit, and nothing else. */
    signer?: Address | undefined
    /** 32 bytes that no other opening of this consumer has; random by default. */
    salt?: Hex | undefined
    /** Unix seconds, exclusive; 0 by default. */
    validAfter?: bigint | undefined
    /** Unix seconds, exclusive: at most 10 minutes ahead, nine by default. */
    validBefore?: bigint | undefined
  }
  type ReturnValue = {
    open: GaslessOpen.GaslessOpen
    /** The id that the channel will have, whoever opens it. */
    channelId: Hex
    /** What the session key appends to its signatures: see `Session`. Only with `signer`. */
    proof?: Hex
  }
}

/** Short of what is allowed, for relays whose clocks differ. Seconds. */
const defaultAge = GaslessOpen.maxAge - 60n

function saltOf({ salt }: signGaslessOpen.Parameters): Hex {
  if (salt === undefined) return bytesToHex(crypto.getRandomValues(new Uint8Array(32)))
  if (/^0x[0-9a-fA-F]{64}$/.test(salt)) return salt.toLowerCase() as Hex
  throw new InvalidFormatError('salt', 'it is not 32 bytes of hex', 'Leave it out: a random one is made.')
}

function supportsAuthorization(
  reader: Client,
  { contract: address }: Deployment.Deployment,
): Promise<boolean> {
  return readContract(reader, { address, abi: drainChannelAbi, functionName: 'supportsAuthorization' })
}

/**
 * Unix seconds by the chain's head, which decides, or by this machine's clock, where that is later: a private chain without
 * transactions stands still. A clock that is fast can only make a relay refuse.
 */
async function laterOfClocks(reader: Client): Promise<bigint> {
  const { timestamp } = await getBlock(reader)
  const clock = BigInt(Math.floor(Date.now() / 1_000))
  return timestamp > clock ? timestamp : clock
}

function assertTimes(validAfter: bigint, validBefore: bigint, now: bigint): void {
  const fail = (problem: string) =>
    new InvalidFormatError('gasless open', problem, 'Leave the times out, or set this machine’s clock right.')
  if (validAfter < 0n || validAfter >= validBefore) throw fail('validAfter is not before validBefore')
  if (validBefore <= now) throw fail('validBefore has passed')
  if (validBefore > now + GaslessOpen.maxAge) throw fail('validBefore is more than 10 minutes ahead')
}
