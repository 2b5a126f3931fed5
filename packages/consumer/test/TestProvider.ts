/**
 * The smallest honest provider: the rules of protocol §3 on a map, so that the client is judged by more than its own idea
 * of them. Tests make it misbehave by answering in its place.
 */
import {
  ChannelRequest,
  CloseAuthorization,
  Domain,
  drainChannelAbi,
  Pricing,
  Quote,
  Rejection,
  Signature,
  Voucher,
  Headers as Wire,
} from '@drain/core'
import type { Hex, LocalAccount } from 'viem'
import { getChannel } from '../src/actions/getChannel.ts'
import type { LocalChain } from '../src/testing/index.ts'
import { serve } from './serve.ts'

export type Books = {
  authorized: bigint
  charged: bigint
  reserved: bigint
  nonces: Set<bigint>
  highest: Voucher.Voucher | undefined
}

export type Seen = { method: string; path: string; voucher: Voucher.Voucher | undefined; body: string }

export type TestProvider = {
  origin: string
  account: LocalAccount
  /** What a request costs at most, in base units, except for chats. */
  quote: bigint
  /** What it really costs. */
  cost: (quote: bigint) => bigint
  /** How the offer of a 402 differs from the truth. */
  offer: Partial<Wire.Offer>
  pricing: Record<string, unknown>
  /** Answers in the provider's place, where it returns something. */
  instead: (request: Request, seen: Seen) => Response | undefined | Promise<Response | undefined>
  /** Waited for between reservation and charge. */
  work: (request: Request) => Promise<void>
  /** How it answers a close request. */
  settle: 'sign' | 'transact'
  seen: Seen[]
  /** The vouchers that arrived, in order. */
  vouchers(): Voucher.Voucher[]
  books(channelId: Hex): Books
  /** Sum over all channels. */
  charged(): bigint
  close(): Promise<void>
}

export const model = Pricing.perToken({ inputPer1k: '0.0025', outputPer1k: '0.01' })

export async function startTestProvider(chain: LocalChain, account: LocalAccount): Promise<TestProvider> {
  const { deployment, publicClient } = chain
  const separator = Domain.separator(deployment)
  const ledger = new Map<Hex, Books>()
  const server = await serve(handle)

  const provider: TestProvider = {
    origin: server.origin,
    account,
    quote: 1_000n,
    cost: (quote) => quote,
    offer: {},
    pricing: { terms: { minDeposit: '0.1' }, models: { small: Pricing.toJson(model) } },
    instead: () => undefined,
    work: async () => {},
    settle: 'sign',
    seen: [],
    vouchers: () => provider.seen.flatMap(({ voucher }) => voucher ?? []),
    books(channelId) {
      let books = ledger.get(channelId)
      if (!books) {
        books = { authorized: 0n, charged: 0n, reserved: 0n, nonces: new Set(), highest: undefined }
        ledger.set(channelId, books)
      }
      return books
    },
    charged: () => [...ledger.values()].reduce((sum, { charged }) => sum + charged, 0n),
    close: server.close,
  }
  return provider

  async function handle(request: Request): Promise<Response> {
    const { pathname: path } = new URL(request.url)
    const parsed = Wire.parseVoucher(request.headers)
    const voucher = parsed.ok ? parsed.voucher : undefined
    const seen = { method: request.method, path, voucher, body: await request.clone().text() }
    provider.seen.push(seen)
    const other = await provider.instead(request, seen)
    if (other) return other
    if (path === '/v1/pricing') return Response.json(provider.pricing)
    if (path === '/v1/close-channel') return closeChannel(await request.json())
    if (path === '/free') return new Response('free')
    const quote =
      path === '/v1/chat/completions'
        ? Quote.chat(model, await request.clone().json()).amount
        : provider.quote
    if (!voucher) return refuse({ code: 'voucher_required', message: 'pay', required: quote })
    return paid(request, voucher, quote)
  }

  async function paid(request: Request, voucher: Voucher.Voucher, quote: bigint): Promise<Response> {
    const { channelId, amount, nonce, signature } = voucher
    const channel = await getChannel(publicClient, { deployment, channelId }).catch(() => undefined)
    if (!channel) return refuse({ code: 'channel_not_found', message: 'unknown' })
    if (!Signature.isValid(Voucher.digest(voucher, separator), signature, channel.consumer)) {
      return refuse({ code: 'invalid_signature', message: 'forged' })
    }
    const books = provider.books(channelId)
    const highestNonce = [...books.nonces].reduce((a, b) => (a > b ? a : b), 0n)
    if (books.nonces.has(nonce) || nonce < highestNonce - 1_024n) {
      return refuse({ code: 'invalid_nonce', message: 'used' })
    }
    if (amount > channel.deposit) return refuse({ code: 'exceeds_deposit', message: 'too much' })
    books.nonces.add(nonce)
    if (amount > books.authorized) {
      books.authorized = amount
      books.highest = voucher
    }
    const before = books.charged + books.reserved
    if (before + quote > books.authorized) {
      return refuse({
        code: 'insufficient_funds',
        message: 'more',
        required: quote,
        provided: books.authorized - before,
        requiredCumulative: before + quote,
        providedCumulative: books.authorized,
      })
    }
    books.reserved += quote
    await provider.work(request)
    const cost = provider.cost(quote)
    books.reserved -= quote
    books.charged += cost
    const costs = { channelId, cost, total: books.charged, remaining: channel.deposit - books.charged }
    if (new URL(request.url).pathname === '/stream') return stream(costs)
    const response = Response.json({ paid: cost.toString() })
    Wire.writeCosts(response.headers, costs)
    return response
  }

  function refuse(rejection: Rejection.Rejection): Response {
    const headers = new Headers()
    const { contract, chainId } = deployment
    Wire.writeOffer(headers, {
      provider: account.address,
      contract,
      chainId,
      features: [],
      ...provider.offer,
    })
    Wire.writeRejection(headers, rejection)
    return Response.json(Rejection.toBody(rejection), { status: Rejection.statuses[rejection.code], headers })
  }

  async function closeChannel(body: { channelId: Hex }): Promise<Response> {
    const { channelId } = body
    const { deadline, signature } = ChannelRequest.fromJson(body)
    const channel = await getChannel(publicClient, { deployment, channelId })
    const digest = ChannelRequest.digest({ channelId, action: 'close', deadline }, separator)
    const isTimely = ChannelRequest.isTimely(deadline, BigInt(Math.floor(Date.now() / 1_000)))
    if (!isTimely || !Signature.isValid(digest, signature, channel.consumer)) {
      return refuse({ code: 'invalid_signature', message: 'who are you' })
    }
    const finalAmount = provider.books(channelId).charged
    const answer = await consent(chain, account, channelId, finalAmount)
    const txHash = provider.settle === 'transact' ? await settle(channelId, finalAmount) : undefined
    return Response.json({ ...answer, ...(txHash ? { txHash } : {}) })
  }

  async function settle(channelId: Hex, finalAmount: bigint): Promise<Hex> {
    const { highest } = provider.books(channelId)
    const { amount, nonce, signature } = highest ?? { amount: 0n, nonce: 0n, signature: '0x' as const }
    return chain.walletClient(account).writeContract({
      address: deployment.contract,
      abi: drainChannelAbi,
      functionName: 'claimAndClose',
      args: [channelId, amount, nonce, finalAmount, signature],
    })
  }
}

/** A provider's answer to a close request. */
export async function consent(chain: LocalChain, signer: LocalAccount, channelId: Hex, finalAmount: bigint) {
  const typedData = CloseAuthorization.typedData({ channelId, finalAmount }, chain.deployment)
  const signature = await signer.signTypedData(typedData)
  return { channelId, finalAmount: finalAmount.toString(), signature }
}

/** A stream as the provider of this project sends it. */
function stream({ channelId, cost, total, remaining }: Wire.Costs): Response {
  const receipt = { channelId, cost: `${cost}`, total: `${total}`, remaining: `${remaining}` }
  const text = [
    'data: {"delta":"Hel"}\n\n',
    'data: {"delta":"lo"}\n\n',
    `event: payment-receipt\ndata: ${JSON.stringify(receipt)}\n\n`,
    `: X-DRAIN-Cost: ${cost}\n\n`,
    'data: [DONE]\n\n',
  ]
  return new Response(new Blob(text).stream(), { headers: { 'Content-Type': 'text/event-stream' } })
}
