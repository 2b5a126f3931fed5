import { Channel, GaslessOpen, UntrustedProviderError } from '@drain/core'
import type { Client, Hash, Hex } from 'viem'
import { getTransactionReceipt } from 'viem/actions'
import { type Json, readObject } from '../client/readJson.ts'
import { findGaslessChannel } from './getGaslessOpen.ts'
import { openedIn } from './openChannel.ts'
import type { ReadParameters } from './Parameters.ts'

/**
 * Asks a provider to send an opening (`POST /v1/open`), for a consumer that has no gas.
 *
 * Only the chain is believed, as `client` sees it: `opened` is a channel with the terms that were signed, whatever the relay
 * answered. Trap: `refused` and `pending` void nothing, see {@link signGaslessOpen}; nor does an error that is thrown here.
 *
 * @example
 * ```ts
 * const outcome = await requestGaslessOpen(client, { deployment, origin: 'https://api.example.com', open })
 * if (outcome.status === 'pending') // the same again in outcome.retryAfterSeconds
 * ```
 * @throws {UntrustedProviderError} It says that the channel is open, and the chain has none.
 */
export async function requestGaslessOpen(
  client: Client,
  parameters: requestGaslessOpen.Parameters,
): Promise<requestGaslessOpen.ReturnValue> {
  const { deployment, origin, open, lag = 30_000 } = parameters
  const channelId = Channel.computeId(deployment, open, 'relayed')
  const answer = await ask(parameters)
  // A relay that names another channel has no reason to be waited for.
  const patience = answer.status === 'opened' && answer.channelId === channelId ? lag : 0
  const channel = await lookFor(() => findGaslessChannel(client, deployment, open), patience)
  if (channel) {
    const txHash = await openedBy(client, parameters, answer.txHash)
    return { status: 'opened', channelId, channel, ...(txHash && { txHash }) }
  }
  if (answer.status !== 'opened') return { ...answer, channelId }
  const until = new Date(Number(open.validBefore) * 1_000).toISOString()
  throw new UntrustedProviderError(
    `${origin} says that it has opened channel ${channelId}, and it is not on the chain.`,
    `Nothing is locked so far, but it can still be until ${until}. Look for the channel, or cancel the opening, before you sign another.`,
  )
}

export declare namespace requestGaslessOpen {
  type Parameters = ReadParameters & {
    /** Of the provider, such as `https://api.example.com`. */
    origin: string
    open: GaslessOpen.GaslessOpen
    fetch?: typeof globalThis.fetch | undefined
    /** How long the relay may take to answer, in milliseconds; 90 seconds by default. */
    timeout?: number | undefined
    /** How far this client's node may be behind the relay's, in milliseconds; 30 seconds by default. */
    lag?: number | undefined
  }
  type ReturnValue =
    /** `txHash`: of the relay's transaction, where this client has seen that it opened the channel. */
    | { status: 'opened'; channelId: Hex; channel: Channel.Channel; txHash?: Hash }
    | (Pending & { channelId: Hex })
    | (Refused & { channelId: Hex })
  /** Not open yet: send the same again later. */
  type Pending = {
    status: 'pending'
    code: PendingCode
    /** The relay's words, cut to a line; not to be trusted. */
    message: string
    /** From 1 to 600. */
    retryAfterSeconds: number
    /** As the relay says. */
    txHash?: Hash
  }
  /** The same will be refused again. */
  type Refused = { status: 'refused'; code: RefusedCode; message: string; txHash?: never }
  /** `no_answer`: none, or none that can be read. */
  type PendingCode = (typeof pendingCodes)[number] | 'no_answer'
  /** `no_relay`: this origin opens no channels for others. `unknown`: a code that isn't known here. */
  type RefusedCode = (typeof refusedCodes)[number] | 'no_relay' | 'unknown'
}

const pendingCodes = ['open_pending', 'rate_limited', 'gas_price', 'unavailable'] as const
const refusedCodes = [
  'invalid_request',
  'wrong_provider',
  'channel_terms',
  'authorization_expired',
  'invalid_signature',
  'insufficient_balance',
  'authorization_used',
  'open_reverted',
] as const

/** What the relay says, nothing of it checked against the chain. */
type Answer =
  | { status: 'opened'; channelId: unknown; txHash?: Hash }
  | requestGaslessOpen.Pending
  | requestGaslessOpen.Refused

async function ask(parameters: requestGaslessOpen.Parameters): Promise<Answer> {
  const { origin, open, fetch = globalThis.fetch, timeout = 90_000 } = parameters
  try {
    const response = await fetch(`${origin}/v1/open`, {
      method: 'POST',
      // Elsewhere nobody was chosen to open this.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeout),
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(GaslessOpen.toJson(open)),
    })
    const isRedirect = response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)
    const body = isRedirect ? {} : await readObject(response).catch((): Json => ({}))
    return isRedirect ? noRelay : readAnswer(response, body)
  } catch {
    return { status: 'pending', code: 'no_answer', message: 'No answer came.', retryAfterSeconds: 5 }
  }
}

const noRelay = { status: 'refused', code: 'no_relay', message: 'No channels are opened here.' } as const

function readAnswer(response: Response, body: Json): Answer {
  const txHash = hashIn(body)
  if (response.ok) return { status: 'opened', channelId: body.channelId, ...txHash }
  const { code, message } = (typeof body.error === 'object' && body.error !== null ? body.error : {}) as Json
  const words = lineOf(message)
  const pending = pendingCodes.find((known) => known === code)
  const refused = refusedCodes.find((known) => known === code)
  if (refused) return { status: 'refused', code: refused, message: words }
  if (pending || response.status >= 500 || response.status === 429) {
    const retryAfterSeconds = secondsOf(response.headers.get('Retry-After'))
    return { status: 'pending', code: pending ?? 'no_answer', message: words, retryAfterSeconds, ...txHash }
  }
  // Without a relay there is no such endpoint; a paywall may ask to be paid for whatever is behind it.
  if ([402, 404, 405].includes(response.status)) return noRelay
  return { status: 'refused', code: 'unknown', message: words }
}

function hashIn({ txHash }: Json): { txHash?: Hash } {
  const isHash = typeof txHash === 'string' && /^0x[0-9a-fA-F]{64}$/.test(txHash)
  return isHash ? { txHash: txHash.toLowerCase() as Hash } : {}
}

/** What may be shown and logged of somebody else's text. */
function lineOf(message: unknown): string {
  if (typeof message !== 'string') return ''
  return message.slice(0, 200).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ')
}

/** A `Retry-After` in seconds (RFC 9110), within reason; the same when there is none that can be read. */
function secondsOf(header: string | null): number {
  const seconds = /^[0-9]{1,9}$/.test(header ?? '') ? Number(header) : 10
  return Math.min(Math.max(seconds, 1), 600)
}

/** The transaction, if it is what opened the channel: a relay may name any. */
async function openedBy(
  client: Client,
  { deployment, open }: requestGaslessOpen.Parameters,
  hash: Hash | undefined,
): Promise<Hash | undefined> {
  if (!hash) return undefined
  try {
    const receipt = await getTransactionReceipt(client, { hash })
    openedIn(receipt, { deployment, ...open }, Channel.computeId(deployment, open, 'relayed'))
    return hash
  } catch {
    return undefined
  }
}

/** Looks until something is there, for at most `patience` milliseconds. */
async function lookFor<found>(
  look: () => Promise<found | undefined>,
  patience: number,
): Promise<found | undefined> {
  const end = performance.now() + patience
  for (let pause = 100; ; pause = Math.min(2 * pause, 2_000)) {
    const found = await look()
    if (found || performance.now() + pause > end) return found
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}
