/** What a consumer asks about its channel beside paid requests: to take a voucher, to tell the state, to close. */
import {
  type Channel,
  ChannelRequest,
  Deployment,
  type Rejection,
  SessionKey,
  type Voucher,
} from '@drain/core'
import type { Hex } from 'viem'
import type { ChannelState, Ledger } from '../ledger/Ledger.ts'
import type { Closing } from '../settle/Closings.ts'
import type { WaitingLines } from '../stream/WaitingLines.ts'
import type { KnownChannel } from '../verify/verifyVoucher.ts'
import type { Admission, Found } from './admission.ts'
import type { CloseResult } from './closing.ts'
import type { RateLimits } from './rateLimits.ts'
import { ledgerRejection, tooManyRequests } from './rejections.ts'
import type { Refusal } from './Scheme.ts'

/** What an adapter knows of a request beside it. */
export type Asker = {
  /** Who asks. Trap: leave it out behind a proxy, unless it is the client's true address. */
  remoteAddress?: string | undefined
}

type Result<value> = ({ ok: true } & value) | ({ ok: false } & Refusal)

export type ChannelRequests = {
  /** Proves that a request about a channel comes from its consumer. `fields`: its deadline and signature, from JSON. */
  authenticate(
    channelId: Hex,
    action: ChannelRequest.Action,
    fields: unknown,
    asker: Asker,
  ): Promise<Result<{ channel: KnownChannel }>>
  /** Takes a voucher without a request. */
  raise(voucher: Voucher.Voucher, asker: Asker): Promise<Result<{ state: ChannelState }>>
  /** Closes a channel. `isUnsupported`: its contract has no early close. */
  close(
    channelId: Hex,
    fields: unknown,
    asker: Asker,
  ): Promise<Result<{ closing: Closing }> | ({ ok: false; isUnsupported: true } & Refusal)>
}

const wrongSigner =
  'The request is not signed by the channel’s consumer, nor by a session key whose proof is known.'

/** A voucher without a request is refused for no quote. */
const noQuote = { most: 0n, first: 0n }

export function createChannelRequests(options: {
  deployment: Deployment.Deployment
  domainSeparator: Hex
  provider: Hex
  ledger: Pick<Ledger, 'get' | 'raise'>
  lines: Pick<WaitingLines, 'wake'>
  secp256k1: Parameters<typeof SessionKey.recover>[2]
  /** Limits of vouchers that come without a request: each is a durable write. */
  raises: RateLimits
  allowUnsignedClose: boolean
  admit(voucher: Voucher.Voucher, remoteAddress?: string): Promise<Admission>
  lookUp(channelId: Hex, remoteAddress?: string): Promise<Found>
  closeChannel(channel: Channel.Channel): Promise<CloseResult>
  /** Unix seconds. */
  now(): bigint
}): ChannelRequests {
  const { deployment, domainSeparator, provider, ledger, lines, raises, admit, lookUp, closeChannel } =
    options

  async function authenticate(
    channelId: Hex,
    action: ChannelRequest.Action,
    fields: unknown,
    { remoteAddress }: Asker,
  ): Promise<Result<{ channel: KnownChannel }>> {
    const isUnsigned = action === 'close' && options.allowUnsignedClose && !hasSignature(fields)
    // The chain is asked only about channels for which somebody has signed something.
    const proven = isUnsigned ? undefined : signerOf(channelId, action, fields)
    if (proven && 'problem' in proven) return refuse('invalid_signature', proven.problem)
    const found = await lookUp(channelId, remoteAddress)
    const channel = 'channel' in found ? found.channel : await remembered(channelId)
    if (!channel) return { ok: false, rejection: (found as { rejection: Rejection.Rejection }).rejection }
    if (channel.provider.toLowerCase() !== provider.toLowerCase()) {
      return refuse('wrong_provider', 'This channel pays another provider.')
    }
    if (proven && !SessionKey.accept(proven.signed, channel, deployment)) {
      return refuse('invalid_signature', wrongSigner)
    }
    return { ok: true, channel }
  }

  /** Who has signed for an action, or what is wrong with that. */
  function signerOf(
    channelId: Hex,
    action: ChannelRequest.Action,
    fields: unknown,
  ): { signed: SessionKey.Signed } | { problem: string } {
    let proof: { deadline: bigint; signature: Hex }
    try {
      proof = ChannelRequest.fromJson(fields)
    } catch {
      return { problem: `Sign a ChannelRequest for the action "${action}": send deadline and signature.` }
    }
    if (!ChannelRequest.isTimely(proof.deadline, options.now())) {
      return { problem: 'The deadline must lie ahead, by at most five minutes.' }
    }
    const digest = ChannelRequest.digest({ channelId, action, deadline: proof.deadline }, domainSeparator)
    const signed = SessionKey.recover(digest, proof.signature, options.secp256k1)
    return signed ? { signed } : { problem: wrongSigner }
  }

  /** A channel that is closed on chain by now, as the ledger has it: repeats of a close get the same answer. */
  async function remembered(channelId: Hex): Promise<KnownChannel | undefined> {
    const state = await ledger.get(channelId)
    return state && { ...state, id: state.channelId }
  }

  return {
    authenticate,

    async raise(voucher, { remoteAddress }) {
      const admission = await admit(voucher, remoteAddress)
      if (!admission.ok) return admission
      const taken = raises.take(admission.channel.channelId)
      if (!taken.ok) {
        return { ok: false, rejection: tooManyRequests, retryAfterSeconds: taken.retryAfterSeconds }
      }
      const raised = await ledger.raise(admission)
      if (!raised.ok) {
        // Nothing was written: whoever has seen a voucher can send it again.
        taken.ticket.giveBack()
        return { ok: false, rejection: ledgerRejection(raised.code, raised.state, noQuote) }
      }
      lines.wake(raised.state.channelId)
      return { ok: true, state: raised.state }
    },

    async close(channelId, fields, asker) {
      const asked = await authenticate(channelId, 'close', fields, asker)
      if (!asked.ok) return asked
      if (!Deployment.has(deployment, 'cooperativeClose')) {
        const message = 'The contract of this channel has no early close: wait for its expiry.'
        return { ...refuse('channel_terms', message), isUnsupported: true }
      }
      const closing = await closeChannel(asked.channel)
      return 'rejection' in closing ? { ok: false, ...closing } : { ok: true, closing }
    },
  }
}

function refuse(code: Rejection.Code, message: string): { ok: false } & Refusal {
  return { ok: false, rejection: { code, message } }
}

function hasSignature(fields: unknown): boolean {
  return typeof fields === 'object' && fields !== null && 'signature' in fields
}

/** How a channel was closed, as its consumer is told. */
export function closingJson(channelId: Hex, { finalAmount, txHash, signature }: Closing) {
  return { channelId, finalAmount: finalAmount.toString(), ...(txHash ? { txHash } : {}), signature }
}
