/**
 * Cashes authorizations with transactions of the provider's account, through the journal: what a process has written down before it
 * died is sent by the next one, and never twice.
 */
import { ContractError, type Deployment, DrainError, Usdc } from '@drain/core'
import {
  createChargeUses,
  hasPaid,
  type JournalEntry,
  LedgerUnavailableError,
  authorizationName as nameOf,
  type Transactions,
} from '@drain/provider'
import type { Account, PublicClient } from 'viem'
import type { Authorization, SignedAuthorization } from '../authorization.ts'
import { tokenAbi } from './chargeToken.ts'

/** Why an authorization isn't taken, or could not be cashed. */
export type ChargeFailure =
  /** The node or the token's state forbid it at the moment; nothing was sent. */
  | 'unavailable'
  | 'gas_price'
  /** Looked for only: nothing is on its way, and the token has not taken it. */
  | 'unsent'
  | 'expired'
  | 'insufficient_balance'
  | 'used'
  | 'code'
  | 'refused'
  /** Sent, and not known to be mined. */
  | 'pending'
  /** Mined and failed, but a reorganisation may still undo that: then it is sent again. */
  | 'reverted'

export type Refusal = { ok: false; failure: ChargeFailure; message: string }
export type Settled = { ok: true; txHash: `0x${string}` }

/** What sending a transfer is bound to. */
export type Sending = {
  /** The journal's nonces of those that were sent before; `null`: one that may have been. */
  sent: readonly (number | null)[]
  /**
   * Takes the right to send one, or says why none is to be sent, though the token would take it.
   * @param before.tried How many of the earlier ones may have been mined. `hasFailed`: one was, for good, and came to nothing.
   */
  claim(before: { tried: number; hasFailed: boolean }): Promise<Refusal | undefined>
  /** Told the nonce that one is written down with; `undefined`: it isn't. */
  wrote(nonce: number | undefined): Promise<void>
}

export type ChargeSettler = {
  /** Whether the token would take it now, the newest block before that, and what the payer holds, base units. */
  check(authorization: SignedAuthorization): Promise<{ ok: true; block: bigint; balance: bigint } | Refusal>
  /**
   * Cashes it, and returns once that is mined and its events say so. Called again for the same, it goes on with what is on its way.
   * @param block One in which it wasn't used yet.
   * @param sending Without it nothing is sent: what is on its way is waited for.
   */
  settle(
    authorization: SignedAuthorization,
    block: bigint,
    sending: Sending | undefined,
  ): Promise<Settled | Refusal>
  /** Whether one of these transfers was mined and failed, as far as the journal knows. */
  hasFailed(sent: Sending['sent']): Promise<boolean>
  /** The least that is worth its gas, base units, by the price of gas when it was last asked. */
  readonly minimum: bigint
  /** Asks for the price of gas, unless that was done in the last seconds. */
  refresh(): Promise<void>
}

/** A transaction needs some time to be mined: an authorization that ends within this many seconds may be too late. */
const miningSeconds = 10n
const priceForMs = 15_000
/** How long what was used, and by nothing that a node shows, is looked for after its end, in seconds. */
const lookedForSeconds = 3_600n

export type ChargeSettlerOptions = {
  deployment: Deployment.Deployment
  account: Account
  client: PublicClient
  transactions: Pick<Transactions, 'send' | 'mined' | 'unsettled' | 'get'>
  /** Unix seconds. */
  now: () => bigint
  /** Base units for one coin of the chain. */
  nativePrice: bigint
  gasFactor: bigint
  /** Base units. */
  minAmount: bigint
  maxGas: bigint
  maxGasPrice: bigint
  contractWallets: boolean
  patienceMs?: number | undefined
  /** Told what a node, or something else, has failed with. */
  failed(error: unknown): void
}

export function createChargeSettler(options: ChargeSettlerOptions): ChargeSettler {
  const { deployment, account, client, transactions, now, nativePrice, gasFactor, minAmount } = options
  const { maxGas, maxGasPrice, contractWallets, patienceMs, failed } = options
  const { token } = deployment
  const uses = createChargeUses({ client, token })
  const running = new Map<string, Promise<Settled | Refusal>>()
  let gasPrice = 0n
  let pricedAt = Number.NEGATIVE_INFINITY
  let pricing: Promise<void> | undefined

  const callOf = ({ from, to, value, validAfter, validBefore, nonce, signature }: SignedAuthorization) =>
    ({
      address: token,
      abi: tokenAbi,
      functionName: 'transferWithAuthorization',
      args: [from, to, value, validAfter, validBefore, nonce, signature],
    }) as const

  const minimumAt = (price: bigint) => {
    const needed = gasFactor * inUsdc(typicalGas * price, nativePrice)
    return needed > minAmount ? needed : minAmount
  }
  let minimum = minimumAt(gasPrice)

  async function readPrice(): Promise<void> {
    const { maxFeePerGas } = await client.estimateFeesPerGas()
    gasPrice = maxFeePerGas
    minimum = minimumAt(gasPrice)
    pricedAt = performance.now()
  }

  function refresh(): Promise<void> {
    if (performance.now() - pricedAt < priceForMs) return Promise.resolve()
    pricing ??= readPrice().finally(() => {
      pricing = undefined
    })
    return pricing
  }

  function tooDear(value: bigint): Refusal | undefined {
    if (gasPrice > maxGasPrice) return gasTooDear
    if (value >= minimum) return undefined
    return refuse(
      'gas_price',
      `At this price of gas a charge must be at least ${Usdc.display(minimum)}: pay from a channel.`,
    )
  }

  const isLate = ({ validBefore }: Authorization) => validBefore <= now() + miningSeconds

  function isUsed({ from, nonce }: Authorization): Promise<boolean> {
    const call = { address: token, abi: tokenAbi, functionName: 'authorizationState' } as const
    return client.readContract({ ...call, args: [from, nonce] })
  }

  async function check(authorization: SignedAuthorization) {
    const { from, value } = authorization
    const [code, block, coins, balance] = await Promise.all([
      contractWallets ? undefined : client.getCode({ address: from }),
      client.getBlockNumber({ cacheTime: 0 }),
      client.getBalance({ address: account.address }),
      client.readContract({ address: token, abi: tokenAbi, functionName: 'balanceOf', args: [from] }),
      refresh(),
    ])
    if (code && code !== '0x') return refuse('code', 'Accounts with code cannot pay charges here.')
    const dear = tooDear(value)
    if (dear) return dear
    // A transfer that waits for gas would take the money for an answer that nobody got.
    if (coins < 2n * typicalGas * gasPrice)
      return refuse('unavailable', 'Charges cannot be settled at the moment.')
    if (balance < value) return tooPoor
    try {
      await client.simulateContract({ ...callOf(authorization), account })
    } catch (error) {
      return explain(error)
    }
    return { ok: true, block, balance } as const
  }

  /** What a revert of the token means. @throws what is none */
  function explain(error: unknown): Refusal {
    const revert = ContractError.fromRevert(error)
    if (!(revert instanceof DrainError)) throw error
    const text = `${revert.shortMessage} ${revert.details ?? ''}`
    if (/used or canceled/i.test(text)) return refuse('used', 'This authorization was used or canceled.')
    if (/expired/i.test(text)) return refuse('expired', 'The authorization has expired.')
    if (/not yet valid/i.test(text)) return refuse('refused', 'The authorization is not valid yet.')
    if (revert.code === 'insufficient_balance') return tooPoor
    return refuse('refused', 'The token refuses the authorization.')
  }

  async function send(authorization: SignedAuthorization, sending: Sending): Promise<JournalEntry | Refusal> {
    if (isLate(authorization)) return refuse('expired', 'The authorization has expired.')
    const call = callOf(authorization)
    let estimate: bigint
    try {
      estimate = await client.estimateContractGas({ ...call, account })
    } catch (error) {
      return explain(error)
    }
    if (estimate > maxGas) return refuse('refused', 'The transfer takes too much gas.')
    const { maxFeePerGas, maxPriorityFeePerGas } = await client.estimateFeesPerGas()
    // Whether the amount is worth it was judged before the work.
    if (maxFeePerGas > maxGasPrice) return gasTooDear
    const gas = (estimate * 12n) / 10n < maxGas ? (estimate * 12n) / 10n : maxGas
    const fees = { gas, maxFeePerGas, maxPriorityFeePerGas, limit: maxGasPrice }
    const before = await entriesOf(sending.sent)
    const refusal = await sending.claim({
      tried: before.filter((entry) => entry?.state !== 'replaced').length,
      hasFailed: before.some(hasFailed),
    })
    if (refusal) return refusal
    const subject = nameOf(token, authorization)
    const sent = await transactions
      .send({ ...call, kind: 'charge', takes: [], subject, fees })
      .catch(async (error) => {
        // Where the store failed it may be written down.
        if (!(error instanceof LedgerUnavailableError)) await sending.wrote(undefined)
        throw error
      })
    await sending.wrote(sent.nonce)
    return sent
  }

  const entriesOf = (sent: Sending['sent']) =>
    Promise.all(sent.map((nonce) => (nonce === null ? undefined : transactions.get(nonce))))

  /** What the token's events say became of it, whoever sent it. */
  async function findUse(
    authorization: Authorization,
    block: bigint,
  ): Promise<Settled | 'spent' | 'hidden' | undefined> {
    const use = await uses.find({ ...authorization, block })
    return typeof use === 'object' ? { ok: true, txHash: use.transactionHash } : use
  }

  async function settleOnce(
    authorization: SignedAuthorization,
    block: bigint,
    sending: Sending | undefined,
  ): Promise<Settled | Refusal> {
    const name = nameOf(token, authorization)
    const before = (await transactions.unsettled()).find(({ subject }) => subject === name)
    const sent = before ?? (sending ? await send(authorization, sending) : unsent)
    // Whoever saw it may have sent it: what counts is the transfer.
    if ('failure' in sent) return mayBeUsed.has(sent.failure) ? judgeUse(authorization, block, sent) : sent
    const { entry, receipt } = await transactions.mined(sent, patienceMs)
    if (receipt?.status === 'success') {
      const isOurs = entry.attempts.some(({ hash }) => hash === receipt.transactionHash)
      if (isOurs && hasPaid(receipt, authorization, token))
        return { ok: true, txHash: receipt.transactionHash }
      return unproven
    }
    if (!receipt && entry.state !== 'replaced') return unproven
    // Another transaction of the provider's account has its nonce.
    if (entry.state === 'replaced') return judgeUse(authorization, block, displaced)
    if (entry.state === 'final') return judgeUse(authorization, block, failedForGood)
    const use = await findUse(authorization, block)
    return typeof use === 'object' ? use : reverted
  }

  /** What became of it, whoever sent it. `unused`: what is said of one that the token has not taken. */
  async function judgeUse(
    authorization: Authorization,
    block: bigint,
    unused: Refusal,
  ): Promise<Settled | Refusal> {
    const use = await findUse(authorization, block)
    if (use === 'spent') return spentElsewhere
    if (typeof use === 'object') return use
    if (use !== 'hidden' && !(await isUsed(authorization))) return unused
    // The node that is asked for events may be behind, or have dropped them.
    return authorization.validBefore + lookedForSeconds < now() ? spentElsewhere : unproven
  }

  return {
    check: (authorization) =>
      check(authorization).catch((error) => {
        failed(error)
        return outOfReach
      }),
    hasFailed: async (sent) => (await entriesOf(sent)).some(hasFailed),
    settle(authorization, block, sending) {
      const name = nameOf(token, authorization)
      const before = running.get(name)
      if (before) return before
      const settling = settleOnce(authorization, block, sending).catch((error) => {
        failed(error)
        return unknown
      })
      // Who is to send it must not wait for somebody who isn't.
      if (!sending) return settling
      running.set(name, settling)
      return settling.finally(() => running.delete(name))
    },
    refresh,
    get minimum() {
      return minimum
    },
  }
}

/** Gas of a transfer by authorization, measured with Circle's token behind its proxy, rounded up. */
const typicalGas = 100_000n

/** Base units of a sum in wei, rounded up. */
const inUsdc = (wei: bigint, nativePrice: bigint) => (wei * nativePrice + 10n ** 18n - 1n) / 10n ** 18n

const hasFailed = (entry: JournalEntry | undefined) => entry?.mined?.succeeded === false

const mayBeUsed: ReadonlySet<ChargeFailure> = new Set<ChargeFailure>(['unsent', 'used', 'expired', 'refused'])

function refuse(failure: ChargeFailure, message: string): Refusal {
  return { ok: false, failure, message }
}

const gasTooDear = refuse('gas_price', 'Gas is too expensive for charges at the moment.')

export const tooPoor = refuse(
  'insufficient_balance',
  'The payer holds less USDC than this and its other charges.',
)

const unproven = refuse('pending', 'The transfer was sent and is not known to be mined yet.')

const reverted = refuse(
  'reverted',
  'The transfer was mined and failed. Whether it stays so is not known yet.',
)

const unsent = refuse('unsent', 'The payment was not taken yet.')

const displaced = refuse('unavailable', 'The transfer was not mined. Nothing was taken.')

const spentElsewhere = refuse('used', 'The authorization was used for something else, or canceled.')

export const failedForGood = refuse('refused', 'The transfer was mined and failed. Nothing was taken.')

/** Nothing was sent. */
const outOfReach = refuse('unavailable', 'The chain cannot be read at the moment.')

/** Something may have been sent. */
export const unknown = refuse('pending', 'Whether the transfer was sent is not known at the moment.')
