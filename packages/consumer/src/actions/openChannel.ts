import {
  Channel,
  Deployment,
  DrainError,
  Duration,
  drainChannelAbi,
  InsufficientAllowanceError,
  InsufficientBalanceError,
  InvalidAmountError,
  InvalidDurationError,
  InvalidFormatError,
  SessionKey,
  Usdc,
} from '@drain/core'
import {
  type Address,
  type Client,
  type Hash,
  type Hex,
  isAddress,
  isAddressEqual,
  parseEventLogs,
  zeroAddress,
} from 'viem'
import { readContract } from 'viem/actions'
import { getAllowance } from './getAllowance.ts'
import { getUsdcBalance } from './getUsdcBalance.ts'
import { accountOf, type WriteParameters } from './Parameters.ts'
import { contractCall, type Receipt, transact } from './transact.ts'

/**
 * Opens a channel: locks `amount` for `provider`, for `duration` seconds at most. Waits for the receipt.
 *
 * The USDC must be in the wallet and approved before ({@link approveUsdc}); both are checked first, and nothing is sent
 * when either is short. Source: `open` of the contract (ERC-8190), `openWithSigner` with a session key.
 *
 * @example
 * ```ts
 * const { channelId } = await openChannel(walletClient, {
 *   deployment,
 *   provider: '0x…',
 *   amount: Usdc.parse('10'),
 *   duration: Duration.parse('24h'),
 * })
 * ```
 * @throws {InvalidFormatError} A provider that is no address, zero, the consumer or the contract; a session key that is no
 * address, zero or the provider.
 * @throws {FeatureUnavailableError} Older contracts know no session keys.
 * @throws {InvalidAmountError | InvalidDurationError} Zero, or more than a channel can hold or run.
 * @throws {InsufficientBalanceError | InsufficientAllowanceError}
 * @throws {TransactionRevertedError}
 */
export async function openChannel(
  client: Client,
  parameters: openChannel.Parameters,
): Promise<openChannel.ReturnValue> {
  const { deployment, provider, amount, duration, signer, publicClient: reader = client } = parameters
  const account = accountOf(client, parameters.account)
  const consumer = account.address
  assertOpening(deployment, consumer, { provider, amount, duration, signer })

  const [balance, allowance] = await Promise.all([
    getUsdcBalance(reader, { deployment, account }),
    getAllowance(reader, { deployment, account }),
  ])
  assertBalance(balance, amount, consumer)
  if (allowance < amount) {
    throw new InsufficientAllowanceError(
      `The contract may take ${Usdc.display(allowance)} from the wallet, the deposit is ${Usdc.display(amount)}.`,
      `Call approveUsdc for ${Usdc.display(amount)} first.`,
    )
  }
  const call = signer
    ? contractCall(deployment, 'openWithSigner', [provider, amount, duration, signer])
    : contractCall(deployment, 'open', [provider, amount, duration])
  const receipt = await transact(client, parameters, call)
  return openedChannel(reader, receipt, { deployment, consumer, provider, amount, duration, signer })
}

export declare namespace openChannel {
  type Parameters = WriteParameters & {
    provider: Address
    /** Deposit in base units: positive, below 2^64. */
    amount: bigint
    /** Seconds until the consumer may close alone: positive, at most 365 days. */
    duration: bigint
    /** A session key that may sign this channel's vouchers too: whoever holds it can spend this deposit, and nothing else. */
    signer?: Address | undefined
  }
  type ReturnValue = {
    channelId: Hex
    txHash: Hash
    channel: Channel.Channel
    /** What the session key appends to its signatures: see `Session`. Only with `signer`. */
    proof?: Hex
  }
}

/** @internal */
export function assertBalance(balance: bigint, amount: bigint, consumer: Address): void {
  if (balance >= amount) return
  throw new InsufficientBalanceError(
    `The wallet ${consumer} holds ${Usdc.display(balance)}, the deposit is ${Usdc.display(amount)}.`,
    `Send it at least ${Usdc.display(amount - balance)}, or open a smaller channel.`,
  )
}

/**
 * Refuses what the contract would refuse, before anything is approved or sent.
 *
 * @internal
 */
export function assertOpening(
  deployment: Deployment.Deployment,
  consumer: Address,
  terms: { provider: Address; amount: bigint; duration: bigint; signer?: Address | undefined },
): void {
  Deployment.assertHas(deployment, terms.signer ? 'openWithSigner' : 'open')
  assertProvider(terms.provider, consumer, deployment.contract)
  assertAmount(terms.amount)
  assertDuration(terms.duration)
  if (terms.signer) assertSigner(terms.signer, terms.provider)
}

function assertProvider(provider: Address, consumer: Address, contract: Address): void {
  const fail = (problem: string) =>
    new InvalidFormatError('provider', problem, "Use the provider's own address.")
  if (!isAddress(provider)) throw fail('it is not an address, or its checksum is wrong')
  if (provider === zeroAddress) throw fail('it is the zero address')
  if (isAddressEqual(provider, consumer)) throw fail('it is the consumer itself')
  if (isAddressEqual(provider, contract)) throw fail('it is the channel contract')
}

function assertSigner(signer: Address, provider: Address): void {
  const fail = (problem: string) =>
    new InvalidFormatError('session key', problem, 'Use the address of a fresh key, or none.')
  if (!isAddress(signer)) throw fail('it is not an address, or its checksum is wrong')
  if (signer === zeroAddress) throw fail('it is the zero address')
  if (isAddressEqual(signer, provider)) throw fail('it is the provider')
}

function assertAmount(amount: bigint): void {
  const shown = Usdc.format(amount)
  if (amount <= 0n)
    throw new InvalidAmountError(shown, 'a deposit is positive', 'Deposit at least 0.000001 USDC.')
  if (amount > Usdc.maxChannelAmount) {
    const most = Usdc.display(Usdc.maxChannelAmount)
    throw new InvalidAmountError(shown, `a channel holds at most ${most}`, 'Open several channels.')
  }
}

function assertDuration(duration: bigint): void {
  if (duration <= 0n) throw new InvalidDurationError(duration)
  if (duration > Duration.max) throw new InvalidDurationError(duration, 'a channel runs at most 365 days')
}

/** What a channel was to be opened with. */
type Terms = {
  deployment: Deployment.Deployment
  consumer: Address
  provider: Address
  amount: bigint
  duration: bigint
  signer?: Address | undefined
}

/**
 * The opened channel from the receipt of a direct opening.
 *
 * @internal
 */
export async function openedChannel(
  reader: Client,
  receipt: Receipt,
  terms: Terms,
): Promise<openChannel.ReturnValue> {
  const { deployment } = terms
  const channel = openedIn(receipt, terms)
  const opened = { channelId: channel.id, txHash: receipt.transactionHash, channel }
  if (deployment.channelIds !== 'opening') return opened
  const opening = await openingOf(reader, channel.id, terms)
  return terms.signer ? { ...opened, proof: SessionKey.encodeProof(opening, 'direct') } : opened
}

/**
 * The channel of these terms from the receipt's event; nothing else in the transaction is taken for it.
 *
 * @param channelId Where it is known beforehand.
 * @internal
 */
export function openedIn(
  receipt: Pick<Receipt, 'logs'>,
  terms: Omit<Terms, 'duration' | 'signer'>,
  channelId?: Hex,
): Channel.Channel {
  const { deployment, consumer, provider, amount } = terms
  const events = parseEventLogs({ abi: drainChannelAbi, eventName: 'ChannelOpened', logs: receipt.logs })
  const event = events.find(
    ({ address, args }) =>
      isAddressEqual(address, deployment.contract) &&
      isAddressEqual(args.consumer, consumer) &&
      isAddressEqual(args.provider, provider) &&
      args.deposit === amount &&
      (channelId === undefined || args.channelId === channelId),
  )
  if (!event) throw wrongContract(deployment, 'reported no opening of this channel')
  const { deposit, expiry } = event.args
  return { id: Channel.parseId(event.args.channelId), consumer, provider, deposit, claimed: 0n, expiry }
}

/**
 * What the id binds. Checks that it is exactly the terms asked for, so that no reorg can put other terms behind it. It
 * contains the consumer's counter of direct opens, which this opening and maybe later ones have raised.
 */
async function openingOf(reader: Client, id: Hex, terms: Terms): Promise<Channel.Opening> {
  // A node that is a block behind the one with the receipt still has the old counter.
  for (let tries = 1; ; tries++) {
    const opening = await findOpening(reader, id, terms)
    if (opening) return opening
    if (tries === 5) break
    await new Promise((resolve) => setTimeout(resolve, reader.pollingInterval / 2))
  }
  throw wrongContract(terms.deployment, `reported the channel id ${id}, which is not the id of these terms`)
}

async function findOpening(reader: Client, id: Hex, terms: Terms): Promise<Channel.Opening | undefined> {
  const { deployment, consumer, provider, amount, duration, signer = zeroAddress } = terms
  const counter = await readContract(reader, {
    address: deployment.contract,
    abi: drainChannelAbi,
    functionName: 'nonces',
    args: [consumer],
  })
  for (let back = 1n; back <= counter && back <= laterOpenings; back++) {
    const plain = Channel.directOpening({ consumer, provider, amount, duration, nonce: counter - back })
    const opening = { ...plain, signer }
    if (Channel.computeId(deployment, opening) === id) return opening
  }
  return undefined
}

/** How many openings of the same account between a receipt and the look at the counter are allowed for. */
const laterOpenings = 1_000n

/** @internal */
export function wrongContract(deployment: Deployment.Deployment, what: string): DrainError {
  return new DrainError('unexpected_contract', `The contract ${deployment.contract} ${what}.`, {
    action: 'Check the deployment: address, chain and channelIds. Do not sign vouchers for this channel.',
  })
}
