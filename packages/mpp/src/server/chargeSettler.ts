/**
 * Cashes authorizations with transactions of the provider's account, through the journal: what a process has written down before it
 * died is sent by the next one, and never twice.
 */
import { ContractError, type Deployment, DrainError, Usdc } from '@drain/core'
import { hasPaid, type JournalEntry, authorizationName as nameOf, type Transactions } from '@drain/provider'
import type { Account, PublicClient } from 'viem'
import type { Authorization, SignedAuthorization } from '../authorization.ts'
import { tokenAbi } from './chargeToken.ts'

/** Why an authorization isn't taken, or could not be cashed. */
export type ChargeFailure =
  /** The node or the token's state forbid it at the moment; nothing was sent. */
  | 'unavailable'
  | 'gas_price'
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
  /** Why none is to be sent, though the token would take it: asked before each. */
  refuse(): Promise<Refusal | undefined>
  /** Told once one is written down. */
  sent(): Promise<void>
}

export type ChargeSettler = {
  /** Whether the token would take it now, the newest block before that, and what the payer holds, base units. */
  check(authorization: SignedAuthorization): Promise<{ ok: true; block: bigint; balance: bigint } | Refusal>
  /**
   * Cashes it, and returns once that is mined and its events say so. Called again for the same, it goes on with what is on its way.
   * @param block One in which it wasn't used yet.
   */
  settle(authorization: SignedAuthorization, block: bigint, sending: Sending): Promise<Settled | Refusal>
  /** The least that is worth its gas, base units, by the price of gas when it was last asked. */
  readonly minimum: bigint
  /** Asks for the price of gas, unless that was done in the last seconds. */
  refresh(): Promise<void>
}

/** A transaction needs some time to be mined: an authorization that ends within this many seconds may be too late. */
const miningSeconds = 10n
/** The node that is asked for the head may be ahead of the one that is asked for events. */
const skewBlocks = 64n
const priceForMs = 15_000

export type ChargeSettlerOptions = {
  deployment: Deployment.Deployment
  account: Account
  client: PublicClient
  transactions: Pick<Transactions, 'send' | 'mined' | 'unsettled'>
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
    const refusal = await sending.refuse()
    if (refusal) return refusal
    const sent = await transactions.send({
      ...call,
      kind: 'charge',
      takes: [],
      subject: nameOf(token, authorization),
      fees,
    })
    await sending.sent()
    return sent
  }

  /** The transaction that has used the authorization for what it was signed for, whoever sent it. */
  async function findPaid(authorization: Authorization, block: bigint): Promise<Settled | undefined> {
    const { from, nonce } = authorization
    const found = await client.getContractEvents({
      address: token,
      abi: tokenAbi,
      eventName: 'AuthorizationUsed',
      args: { authorizer: from, nonce },
      fromBlock: block > skewBlocks ? block - skewBlocks : 0n,
    })
    for (const { transactionHash } of found) {
      const receipt = await client.getTransactionReceipt({ hash: transactionHash })
      if (receipt.transactionHash === transactionHash && hasPaid(receipt, authorization, token))
        return { ok: true, txHash: transactionHash }
    }
    return undefined
  }

  async function settleOnce(
    authorization: SignedAuthorization,
    block: bigint,
    sending: Sending,
  ): Promise<Settled | Refusal> {
    const name = nameOf(token, authorization)
    const before = (await transactions.unsettled()).find(({ subject }) => subject === name)
    const sent = before ?? (await send(authorization, sending))
    if ('failure' in sent) {
      // Whoever saw it may have sent it: what counts is the transfer.
      if (sent.failure !== 'used' && sent.failure !== 'expired' && sent.failure !== 'refused') return sent
      return (await findPaid(authorization, block)) ?? sent
    }
    const { entry, receipt } = await transactions.mined(sent, patienceMs)
    if (receipt?.status === 'success') {
      const isOurs = entry.attempts.some(({ hash }) => hash === receipt.transactionHash)
      if (isOurs && hasPaid(receipt, authorization, token))
        return { ok: true, txHash: receipt.transactionHash }
      return unproven
    }
    if (!receipt && entry.state !== 'replaced') return unproven
    const paid = await findPaid(authorization, block)
    if (paid) return paid
    if (entry.state === 'mined') return reverted
    if (await isUsed(authorization))
      return refuse('used', 'The authorization was used for something else, or canceled.')
    return failedForGood
  }

  return {
    check: (authorization) =>
      check(authorization).catch((error) => {
        failed(error)
        return outOfReach
      }),
    settle(authorization, block, sending) {
      const name = nameOf(token, authorization)
      const settling =
        running.get(name) ??
        settleOnce(authorization, block, sending)
          .catch((error) => {
            failed(error)
            return unknown
          })
          .finally(() => running.delete(name))
      running.set(name, settling)
      return settling
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

export const failedForGood = refuse('refused', 'The transfer was mined and failed. Nothing was taken.')

/** Nothing was sent. */
const outOfReach = refuse('unavailable', 'The chain cannot be read at the moment.')

/** Something may have been sent. */
export const unknown = refuse('pending', 'Whether the transfer was sent is not known at the moment.')
