/** `evm`/`charge` as a scheme of our paywall: single requests, each paid by an authorization of its own. */
import { DrainError, InvalidFormatError, Usdc } from '@drain/core'
import type { AnswerWriter, Scheme, SchemeContext, SchemeFactory } from '@drain/provider'
import { getAddress, type Hex } from 'viem'
import { challengeNonce, fromPayload, type SignedAuthorization } from '../authorization.ts'
import { encodeText } from '../codec/base64url.ts'
import { type credentialHeaders, encodeRequest } from '../codec/challenge.ts'
import { readCredential } from '../codec/credential.ts'
import { type Receipt, receiptHeader, serializeReceipt } from '../codec/receipt.ts'
import { usdcDecimals } from '../usdc.ts'
import { type ChallengeProblem, createChallenges, realmOf, type SecretInput } from './challenges.ts'
import { leastLife } from './chargeJudge.ts'
import { type ChargeInput, createCharges } from './charges.ts'
import { refusalAnswer, refuseReading, refuseUnreadable } from './refusals.ts'

export const chargeMethod = 'evm'
export const chargeIntent = 'charge'

export type EvmChargeInput = ChargeInput &
  SecretInput & {
    /** The header that challenges ask for the credential in. Name the other one where `Authorization` has something else in it. */
    header?: (typeof credentialHeaders)[number] | undefined
    /**
     * How long a challenge may be answered, in milliseconds, from 120,000 to 3,000,000. Default 300,000. Clients let their
     * authorizations end with it, and the work must be done by then: else its payer can't be charged. Half of it must be left (of ten
     * minutes, where it is longer) when one is taken, so use more than twice what the work takes.
     */
    lifeMs?: number | undefined
  }

/** The receipt of a charge. */
export type ChargeReceipt = Receipt & {
  intent: typeof chargeIntent
  challengeId: string
  chainId: number
  /** Base units. */
  amount: string
  payer: Hex
}

/**
 * Lets consumers pay single requests by MPP, without a channel: method `evm`, intent `charge`, in the USDC of the deployment. The
 * provider's account sends a transaction for each, after the work and before the answer.
 *
 * The value is fixed before the work: a request is charged its whole quote.
 *
 * @example
 * ```ts
 * const schemes = [drainSession(), evmCharge({ nativePrice: '0.25', minAmount: '0.01' })]
 * const paywall = createPaywall({ account, chainId: 137, ledger: sqliteLedger('drain.db'), schemes })
 * ```
 * @throws {DrainError} `invalid_secret`, `invalid_limit`, `key_elsewhere`
 * @throws {InvalidAmountError}
 */
export function evmCharge(input: EvmChargeInput): SchemeFactory {
  return (context) => createChargeScheme(input, context)
}

function createChargeScheme(input: EvmChargeInput, context: SchemeContext): Scheme {
  const { deployment, ledger, clock, logger } = context
  const { chainId } = deployment
  const { header, lifeMs = 300_000 } = input
  if (!(lifeMs >= 2 * Number(leastLife) * 1_000 && lifeMs <= 3_000_000)) {
    const action = 'Use 120,000 to 3,000,000 milliseconds.'
    throw new DrainError('invalid_limit', `evmCharge.lifeMs is ${lifeMs}.`, { action })
  }
  // Neither by its end nor by coming late may a payer leave less than half of it for the work.
  const charges = createCharges(context, input, BigInt(Math.floor(Math.min(lifeMs, clientsLifeMs) / 2_000)))
  const challenges = createChallenges(input, ledger.notebook)
  const currency = getAddress(deployment.token)
  const recipient = getAddress(context.provider)
  const methodDetails = { chainId, credentialTypes: ['authorization'], decimals: usdcDecimals }

  const requestOf = (amount: bigint) =>
    encodeRequest({ amount: amount.toString(), currency, methodDetails, recipient })

  /** Makers of challenges, by price and origin. */
  const offers = new Map<string, (expires: string, opaque: string) => string>()

  function offersOf(origin: string, amount: bigint): (expires: string, opaque: string) => string {
    const key = `${amount} ${origin}`
    const known = offers.get(key)
    if (known !== undefined) return known
    const made = challenges.series({
      ...{ realm: realmOf(origin), method: chargeMethod, intent: chargeIntent },
      ...(header && { header }),
      request: requestOf(amount),
    })
    if (offers.size >= remembered) offers.clear()
    offers.set(key, made)
    return made
  }

  const ours = crypto.randomUUID()
  let made = 0
  let end = { second: 0, text: '' }

  /** Each is answered once, so each is another. */
  function makeOffer(origin: string, amount: bigint): string {
    made += 1
    const second = Math.ceil(clock() / 1_000)
    if (end.second !== second) end = { second, text: new Date(second * 1_000 + lifeMs).toISOString() }
    return offersOf(origin, amount)(end.text, encodeText(`{"n":"${ours}-${made}"}`))
  }

  /** Reads the token. One that isn't what it is known as stops the paywall, one that is out of reach only this scheme. */
  function readToken(): Promise<void> {
    return charges.ready().catch((error) => {
      if (isTokenProblem(error)) {
        logger.error('charges are not offered: the token is not what it is known as', {})
        throw error
      }
      logger.warn('charges are not offered yet: the token cannot be read', {})
    })
  }

  /** All ways to pay wait for the token, but no longer than this for a node that doesn't answer. */
  async function awaitToken(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const tooLong = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, tokenWaitMs)
    })
    const reading = readToken()
    reading.catch(() => {})
    await Promise.race([reading, tooLong]).finally(() => clearTimeout(timer))
  }

  return {
    name: `${chargeMethod}/${chargeIntent}`,
    async ready() {
      await Promise.all([challenges.ready(), awaitToken()])
    },
    offer({ origin, quote }) {
      const { minimum } = charges
      return minimum !== undefined && quote.most >= minimum ? makeOffer(origin, quote.most) : undefined
    },
    read(request, origin) {
      const read = readCredential(request)
      if (!read) return undefined
      if (!read.ok) return refuseUnreadable(read)
      const { challenge, payload, source } = read.credential
      if (challenge.method !== chargeMethod || challenge.intent !== chargeIntent) return undefined
      const writer = new ChargeWriter(challenge.id, chainId, clock)
      // It has no body to pay for, and what is charged can't be told before.
      if (request.method === 'HEAD')
        return refuseReading({ code: 'voucher_required', message: 'A HEAD takes no charges.' }, writer)
      let authorization: SignedAuthorization
      try {
        authorization = fromPayload(payload)
      } catch (error) {
        const message = error instanceof InvalidFormatError ? error.message : 'The payload can’t be read.'
        return refuseReading({ code: 'invalid_voucher_format', message, problem: 'invalid-payload' }, writer)
      }
      writer.authorization = authorization
      const misfit =
        challenges.judge(challenge, origin, clock()) ??
        judgeNonce(challenge, authorization) ??
        judgeSource(source, chainId, authorization)
      if (misfit) return refuseReading({ code: 'voucher_required', ...misfit }, writer)
      const judgePrice = (quote: bigint) => (requestOf(quote) === challenge.request ? undefined : otherPrice)
      return {
        ok: true,
        instrument: {
          kind: 'funds',
          writer,
          async check(quote) {
            return judgePrice(quote) ?? charges.judge(authorization, quote)
          },
          async begin({ quote, key, asker: { remoteAddress } }) {
            const misfit = judgePrice(quote)
            if (misfit) return misfit
            return charges.begin(authorization, { quote, key, remoteAddress }, ({ txHash }) => {
              writer.txHash = txHash
            })
          },
        },
      }
    },
  }
}

const tokenWaitMs = 3_000
/** Clients sign for no longer, whatever the challenge says. */
const clientsLifeMs = 600_000

/** The most amounts whose requests are kept. */
const remembered = 1_024

const otherPrice = {
  ok: false,
  rejection: {
    code: 'insufficient_funds',
    message: 'The challenge was made for another price. Answer a fresh one.',
    problem: 'invalid-challenge',
  },
} as const

function judgeNonce(
  challenge: { id: string; realm: string },
  { nonce }: SignedAuthorization,
): ChallengeProblem | undefined {
  if (nonce === challengeNonce(challenge)) return undefined
  const message = 'The authorization’s nonce must be the hash of the challenge’s id and realm.'
  return { problem: 'verification-failed', message }
}

/** Who pays, where the credential says so: it must not say another. */
function judgeSource(
  source: string | undefined,
  chainId: number,
  { from }: SignedAuthorization,
): ChallengeProblem | undefined {
  if (source === undefined || source.toLowerCase() === `did:pkh:eip155:${chainId}:${from}`) return undefined
  return { problem: 'verification-failed', message: 'The source of the credential is not its payer.' }
}

function isTokenProblem(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'token_domain'
}

/** Tells what a charge came to. */
class ChargeWriter implements AnswerWriter {
  readonly hasChannel = false
  /** What pays. */
  authorization: SignedAuthorization | undefined
  /** The transaction that has cashed it, once that is mined. */
  txHash: Hex | undefined
  readonly #challengeId: string
  readonly #chainId: number
  readonly #clock: () => number

  constructor(challengeId: string, chainId: number, clock: () => number) {
    this.#challengeId = challengeId
    this.#chainId = chainId
    this.#clock = clock
  }

  receipt(): Record<string, string> {
    const receipt = this.#receipt()
    return receipt ? { [receiptHeader]: serializeReceipt(receipt) } : {}
  }

  streamReceipt(): Record<string, unknown> {
    const receipt = this.#receipt()
    // What was paid, also where it is given again for nothing.
    return receipt ? { ...receipt, cost: receipt.amount, display: Usdc.display(BigInt(receipt.amount)) } : {}
  }

  refuse(rejection: Parameters<AnswerWriter['refuse']>[0]): ReturnType<AnswerWriter['refuse']> {
    const { headers, ...told } = refusalAnswer(rejection, { challengeId: this.#challengeId })
    // Of a request that was paid before, and whose answer is not kept.
    return { ...told, headers: { ...headers, ...this.receipt() } }
  }

  /** Work that came to nothing was not charged. */
  #receipt(): ChargeReceipt | undefined {
    const { authorization, txHash } = this
    if (!authorization || !txHash) return undefined
    return {
      ...{ method: chargeMethod, intent: chargeIntent, status: 'success', reference: txHash },
      timestamp: new Date(this.#clock()).toISOString(),
      ...{ challengeId: this.#challengeId, chainId: this.#chainId, payer: authorization.from },
      amount: authorization.value.toString(),
    }
  }
}
