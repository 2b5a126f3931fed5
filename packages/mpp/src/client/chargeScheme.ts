/** Pays `evm`/`charge` challenges: an EIP-3009 authorization for each request, without a channel. */
import type { PaymentScheme, ReplayableRequest, SchemeOffer } from '@drain/consumer'
import { type Deployment, DrainError, PaymentRejectedError, Usdc } from '@drain/core'
import {
  type Account,
  type Address,
  type Client,
  getAddress,
  type Hex,
  parseSignature,
  serializeSignature,
} from 'viem'
import { signTypedData } from 'viem/actions'
import {
  type Authorization,
  authorizationTypedData,
  challengeNonce,
  type TokenDomain,
  toPayload,
} from '../authorization.ts'
import { type Challenge, parseChallenges } from '../codec/challenge.ts'
import { serializeCredential } from '../codec/credential.ts'
import { parseReceipt, receiptHeader } from '../codec/receipt.ts'
import { knownUsdc } from '../usdc.ts'
import { type ChargeRequest, readChargeRequest } from './chargeRequest.ts'
import { isRealmOf } from './realm.ts'

export type EvmChargeOptions = {
  /** Who pays: an account with a key. Or pass `walletClient`. */
  account?: Account | undefined
  /** Who pays: a viem wallet client with an account. */
  walletClient?: Client | undefined
  /** Chain and token: from core's deployments or your own configuration, never from a provider. */
  deployment: Deployment.Deployment
  /** The token's EIP-712 domain, for tokens other than USDC on Polygon and Amoy, which are known. */
  tokenDomain?: { name: string; version: string } | undefined
  /** The most that one authorization may be for, in USDC. The client's own limits count as well. */
  maxAmount?: string | undefined
  /** Who may be paid; everybody that the client's limits allow, by default. */
  recipients?: readonly Address[] | undefined
  /**
   * Realms that are taken beside the origin, host and name of the URL, from whatever server: of those that call themselves
   * otherwise, a domain that they are in, say.
   */
  realms?: readonly string[] | undefined
  /** Unix milliseconds. */
  now?: (() => number) | undefined
}

/** How far ahead an authorization ends at most, in seconds, whatever the challenge says: it is a cheque until then. */
const maxAgeSeconds = 600
/** Where the challenge doesn't say. */
const usualAgeSeconds = 300
const rememberedAtMost = 100_000

/**
 * A payment scheme for `createDrainClient({ schemes })` that pays single requests by authorization.
 *
 * What isn't a charge in the deployment's token and chain, from the server that was asked, within `maxAmount` and to be paid before
 * it expires, is no offer to it. No challenge is paid twice.
 *
 * @example
 * ```ts
 * const deployment = Deployment.find({ chainId: 137 })
 * const schemes = [evmCharge({ account, deployment, maxAmount: '0.05' })]
 * const client = createDrainClient({ account, chainId: 137, limits, schemes })
 * ```
 * @throws {DrainError} `account_missing`, `token_domain`
 */
export function evmCharge(options: EvmChargeOptions): PaymentScheme {
  const { walletClient, deployment, realms = [], now = Date.now } = options
  const { chainId, token } = deployment
  const account = options.account ?? walletClient?.account
  if (!account || (!walletClient && !account.signTypedData)) {
    throw new DrainError('account_missing', 'No account to pay charges with.', {
      action: 'Pass account with a key, or walletClient with an account.',
    })
  }
  const payer = account
  const named = options.tokenDomain ?? knownUsdc(chainId, token)
  if (!named) {
    throw new DrainError(
      'token_domain',
      `The domain of the token ${token} on chain ${chainId} is not known.`,
      {
        action: 'Pass tokenDomain: the name and version that the token itself has.',
      },
    )
  }
  const { name, version } = named
  const domain: TokenDomain = { name, version, chainId, verifyingContract: token }
  const maxAmount = options.maxAmount === undefined ? undefined : Usdc.parse(options.maxAmount)
  const recipients = options.recipients && new Set(options.recipients.map((one) => one.toLowerCase()))
  /** Nonces that were signed for, until those signatures have expired. Unix seconds. */
  const signed = new Map<Hex, number>()

  const seconds = () => Math.floor(now() / 1_000)

  /** When an authorization for a challenge ends, or `undefined` where it is too late for it. */
  function endOf({ expires }: Challenge): number | undefined {
    const latest = seconds() + maxAgeSeconds
    if (expires === undefined) return seconds() + usualAgeSeconds
    const end = Math.floor(Date.parse(expires) / 1_000)
    return end > seconds() ? Math.min(end, latest) : undefined
  }

  function isMeant({ realm }: Challenge, { url }: ReplayableRequest): boolean {
    return isRealmOf(realm, url) || realms.includes(realm)
  }

  function readCharge(challenge: Challenge, request: ReplayableRequest): ChargeRequest | undefined {
    const charge = readChargeRequest(challenge, deployment)
    if (!charge || !isMeant(challenge, request) || endOf(challenge) === undefined) return undefined
    if (maxAmount !== undefined && charge.amount > maxAmount) return undefined
    if (recipients && !recipients.has(charge.recipient)) return undefined
    return signed.has(challengeNonce(challenge)) ? undefined : charge
  }

  /** No signature for a challenge is made twice, nor for one that expired meanwhile. */
  function take(challenge: Challenge): { nonce: Hex; validBefore: number } {
    const validBefore = endOf(challenge)
    const nonce = challengeNonce(challenge)
    for (const [old, until] of signed) if (until < seconds()) signed.delete(old)
    if (validBefore === undefined || signed.has(nonce) || signed.size >= rememberedAtMost) {
      const message = 'The challenge has expired, or was paid before. Nothing was signed.'
      throw new PaymentRejectedError('invalid_nonce', message, 'Send the request again.')
    }
    signed.set(nonce, validBefore)
    return { nonce, validBefore }
  }

  async function sign(authorization: Authorization): Promise<Hex> {
    const typedData = authorizationTypedData(authorization, domain)
    const signature =
      walletClient === undefined
        ? await payer.signTypedData?.(typedData)
        : await signTypedData(walletClient, { account: payer, ...typedData })
    // Some wallets say 0 and 1 where tokens want 27 and 28.
    return serializeSignature(parseSignature(signature as Hex))
  }

  function offerOf(challenge: Challenge, { amount, recipient }: ChargeRequest): SchemeOffer {
    const end = endOf(challenge)
    return {
      amount,
      payee: recipient,
      ...(end !== undefined && { expires: end * 1_000 }),
      async pay(request, fetch) {
        const { nonce, validBefore } = take(challenge)
        const authorization: Authorization = {
          from: getAddress(payer.address),
          to: getAddress(recipient),
          value: amount,
          validAfter: 0n,
          validBefore: BigInt(validBefore),
          nonce,
        }
        const payload = toPayload({ ...authorization, signature: await sign(authorization) })
        const source = `did:pkh:eip155:${chainId}:${authorization.from}`
        const headers = new Headers(request.headers)
        const header = challenge.header ?? 'Authorization'
        headers.set(header, serializeCredential({ challenge, payload, source }))
        const response = await fetch(request.url.href, request.init({ headers, redirect: 'manual' }))
        const receipt = parseReceipt(response.headers.get(receiptHeader))
        return receipt?.method === 'evm' ? { response, cost: amount } : { response }
      },
    }
  }

  return {
    name: 'evm/charge',
    readOffer(response, request) {
      for (const challenge of parseChallenges(response.headers.get('WWW-Authenticate'))) {
        if (challenge.header !== undefined && !isCredentialHeader(challenge.header)) continue
        const charge = readCharge(challenge, request)
        if (charge) return offerOf(challenge, charge)
      }
      return undefined
    },
  }
}

/** Nothing else is overwritten because a server names it. */
const isCredentialHeader = (name: string) => /^(?:payment-)?authorization$/i.test(name)
