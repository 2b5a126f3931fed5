/** `drain/session` as a scheme of our paywall: the channel of the headers, paid by credentials of MPP. */
import { InvalidFormatError } from '@drain/core'
import {
  type Asker,
  closingJson,
  type Instrument,
  type Managed,
  type Refusal,
  type SchemeContext,
  type SchemeFactory,
} from '@drain/provider'
import type { credentialHeaders } from '../codec/challenge.ts'
import { decodeRequest } from '../codec/challenge.ts'
import { readCredential } from '../codec/credential.ts'
import { bindingOf, intent, methodName, type SessionRequest } from '../method/drainSession.ts'
import { type ReadPayload, readPayload } from '../method/sessionPayload.ts'
import { createAwaitConfirmed, type OpenPatienceInput } from './awaitConfirmed.ts'
import {
  type ChallengeProblem,
  createChallenges,
  createOfferCache,
  realmOf,
  type SecretInput,
} from './challenges.ts'
import { refuseReading, refuseUnreadable } from './refusals.ts'
import { relayOpening } from './relayOpening.ts'
import { SessionWriter } from './SessionWriter.ts'

export type DrainSessionInput = SecretInput &
  OpenPatienceInput & {
    /** The header that challenges ask for the credential in. Name the other one where `Authorization` has something else in it. */
    header?: (typeof credentialHeaders)[number] | undefined
  }

/** A voucher, or an opening with one. */
type VoucherPayload = Exclude<ReadPayload, { action: 'close' }>

/**
 * Lets consumers pay from DRAIN channels by MPP: method `drain`, intent `session`.
 *
 * @example
 * ```ts
 * const paywall = createPaywall({ account, chainId: 137, ledger: sqliteLedger('drain.db'), schemes: [drainSession()] })
 * ```
 * @throws {DrainError} `invalid_secret`
 */
export function drainSession(input: DrainSessionInput = {}): SchemeFactory {
  return (context) => createSessionScheme(input, context)
}

function createSessionScheme(input: DrainSessionInput, context: SchemeContext): ReturnType<SchemeFactory> {
  const { deployment, provider, terms, ledger, channels, requests, relay, clock } = context
  const { chainId } = deployment
  const challenges = createChallenges(input, ledger.notebook)
  const fixed: Omit<SessionRequest, 'amount'> = {
    currency: deployment.token,
    methodDetails: {
      chainId,
      credentialTypes: relay ? ['hash', 'authorization'] : ['hash'],
      escrowContract: deployment.contract,
    },
    recipient: provider,
    suggestedDeposit: terms.minDeposit.toString(),
  }
  const offer = createOfferCache(({ origin, amount, expires }) =>
    challenges.make({
      ...{ realm: realmOf(origin), method: methodName, intent, expires },
      ...(input.header && { header: input.header }),
      request: { ...fixed, amount: amount.toString() },
    }),
  )

  const relaying = { ...context, now: channels.now }
  const awaitConfirmed = createAwaitConfirmed(context, input)
  const binding = JSON.stringify(bindingOf({ ...fixed, amount: '' }))
  /** Requests that were found to be ours: the same few come again and again. */
  const bound = new Set<string>()

  /** Whoever shares our secret may ask for payments to others, or on another chain. The price is each request's own. */
  function judgeBinding(encoded: string): ChallengeProblem | undefined {
    if (bound.has(encoded)) return undefined
    const request = decodeRequest(encoded) as SessionRequest | undefined
    if (!request?.methodDetails || JSON.stringify(bindingOf(request)) !== binding) {
      const message = 'The challenge isn’t valid: it asks for a payment to somebody else.'
      return { problem: 'invalid-challenge', message }
    }
    if (bound.size >= remembered) bound.clear()
    bound.add(encoded)
    return undefined
  }

  function voucherInstrument(
    payload: VoucherPayload,
    writer: SessionWriter,
    isWorkless: boolean,
  ): Instrument {
    const { voucher } = payload
    const prepare =
      payload.action === 'open'
        ? async (quote: bigint, asker: Asker): Promise<Refusal | undefined> => {
            const { opening } = payload
            const opened = opening && (await relayOpening(relaying, voucher, opening, quote, asker))
            if (opened && 'rejection' in opened) return opened
            writer.txHash = opened?.txHash
            return awaitConfirmed(voucher, asker)
          }
        : undefined
    if (!isWorkless) return { kind: 'voucher', writer, voucher, ...(prepare && { prepare }) }
    async function answer(asker: Asker): Promise<Managed> {
      const unprepared = await prepare?.(0n, asker)
      if (unprepared) return { ok: false, ...unprepared }
      const raised = await requests.raise(voucher, asker)
      return raised.ok ? { ok: true, status: 204, headers: writer.told(raised.state) } : raised
    }
    return { kind: 'managed', writer, answer }
  }

  function closeInstrument(
    { channelId, deadline, signature }: Extract<ReadPayload, { action: 'close' }>,
    writer: SessionWriter,
  ): Instrument {
    async function answer(asker: Asker): Promise<Managed> {
      const closed = await requests.close(channelId, { deadline: deadline.toString(), signature }, asker)
      if (!closed.ok) return closed
      const { closing } = closed
      writer.txHash = closing.txHash
      const state = await ledger.get(channelId)
      const headers = state ? writer.told({ ...state, charged: closing.finalAmount }) : {}
      return { ok: true, status: 200, headers, body: closingJson(channelId, closing) }
    }
    return { kind: 'managed', writer, answer }
  }

  return {
    name: `${methodName}/${intent}`,
    ready: challenges.ready,
    offer: ({ origin, quote }) => offer(origin, quote.most, clock()),
    read(request, origin) {
      const read = readCredential(request)
      if (!read) return undefined
      if (!read.ok) return refuseUnreadable(read)
      const { challenge, payload } = read.credential
      if (challenge.method !== methodName || challenge.intent !== intent) return undefined
      const writer = new SessionWriter(challenge.id, chainId, clock)
      const misfit = challenges.judge(challenge, origin, clock()) ?? judgeBinding(challenge.request)
      if (misfit) return refuseReading({ code: 'voucher_required', ...misfit }, writer)
      let asked: ReadPayload
      try {
        asked = readPayload(payload)
      } catch (error) {
        const message = error instanceof InvalidFormatError ? error.message : 'The payload can’t be read.'
        return refuseReading({ code: 'invalid_voucher_format', message }, writer)
      }
      const instrument =
        asked.action === 'close'
          ? closeInstrument(asked, writer)
          : voucherInstrument(asked, writer, request.method === 'HEAD')
      return { ok: true, instrument }
    },
  }
}

const remembered = 1_024
