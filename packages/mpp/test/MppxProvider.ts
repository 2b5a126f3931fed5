/**
 * A provider that runs mppx's own server with our method, and doesn't speak the DRAIN headers. Tests make it misbehave by answering
 * in its place.
 */
import type { LocalChain } from '@drain/consumer/testing'
import { Usdc, type Voucher } from '@drain/core'
import { type Challenge, type Credential, readCredential, type SessionRequest } from '@drain/mpp'
import { session } from '@drain/mpp/server'
import { createPaywall, memoryLedger, type PaywallConfig } from '@drain/provider'
import { Challenge as MppxChallenge } from 'mppx'
import { Mppx } from 'mppx/server'
import type { LocalAccount } from 'viem'
import { serve } from '../../consumer/test/serve.ts'
import { readPayload } from '../src/method/sessionPayload.ts'

export type Seen = { method: string; path: string; credential: Credential | undefined; headers: Headers }

export type MppxProvider = {
  origin: string
  account: LocalAccount
  /** What a request costs, in decimal USDC. */
  price: string
  /** What challenges are signed with. */
  secret: string
  /** Answers in the provider's place, where it returns something. */
  instead: (request: Request, seen: Seen) => Response | undefined | Promise<Response | undefined>
  seen: Seen[]
  /** The vouchers that arrived, in order. */
  vouchers(): Voucher.Voucher[]
  /** Base units, over all channels. */
  charged(): Promise<bigint>
  /** A 402 with a challenge that differs from the honest one as said. */
  challenge(
    differing?: Partial<Omit<Challenge, 'request'>> & { request?: Partial<SessionRequest> },
    details?: Partial<SessionRequest['methodDetails']>,
  ): string
  close(): Promise<void>
}

/** `isWhole`: it has the protocol's own endpoints too. */
export async function startMppxProvider(
  chain: LocalChain,
  account: LocalAccount,
  { isWhole = false, ...options }: Partial<PaywallConfig> & { isWhole?: boolean } = {},
): Promise<MppxProvider> {
  const { deployment } = chain
  const paywall = createPaywall({
    account,
    chainId: chain.chainId,
    rpcUrl: chain.rpcUrl,
    contractAddress: deployment.contract,
    usdcAddress: deployment.token,
    ledger: memoryLedger(),
    settle: false,
    log: () => {},
    ...options,
  })
  const method = session({ paywall })
  const terms = {
    chainId: deployment.chainId,
    currency: deployment.token,
    escrowContract: deployment.contract,
    recipient: account.address,
  }

  async function handle(request: Request): Promise<Response> {
    const read = readCredential(request)
    const credential = read?.ok ? read.credential : undefined
    const path = new URL(request.url).pathname
    const seen = { method: request.method, path, credential, headers: request.headers }
    provider.seen.push(seen)
    const other = await provider.instead(request, seen)
    if (other) return other
    const endpoint = isWhole && (await paywall.endpoints(request))
    if (endpoint) return endpoint
    if (path.startsWith('/v1/')) return new Response('', { status: 404 })
    if (path === '/free') return new Response('free')
    const mppx = Mppx.create({ methods: [method], secretKey: provider.secret })
    const result = await mppx.drain.session({ amount: provider.price })(request)
    if (result.status === 402) return result.challenge
    return result.withReceipt(Response.json({ paid: provider.price }))
  }

  const server = await serve(handle)
  const provider: MppxProvider = {
    origin: server.origin,
    account,
    price: '0.001',
    secret: 'a secret of tests, at least 32 bytes',
    instead: () => undefined,
    seen: [],
    vouchers: () => provider.seen.flatMap(({ credential }) => (credential ? voucherOf(credential) : [])),
    async charged() {
      const ids = new Set(provider.vouchers().map(({ channelId }) => channelId))
      const states = await Promise.all([...ids].map((id) => paywall.ledger.get(id)))
      return states.reduce((sum, state) => sum + (state?.charged ?? 0n), 0n)
    },
    challenge({ request = {}, ...differing } = {}, details = {}) {
      const { recipient, currency, chainId, escrowContract } = terms
      const asked: SessionRequest = {
        amount: Usdc.parse(provider.price).toString(),
        ...{ currency, recipient },
        methodDetails: { chainId, credentialTypes: ['hash'], escrowContract, ...details },
        ...request,
      }
      return MppxChallenge.serialize(
        MppxChallenge.from({
          realm: '127.0.0.1',
          method: 'drain',
          intent: 'session',
          expires: new Date(Date.now() + 300_000).toISOString(),
          ...(differing as object),
          request: asked,
          secretKey: provider.secret,
        }),
      )
    },
    async close() {
      await server.close()
      await paywall.close()
    },
  }
  return provider
}

function voucherOf({ payload }: Credential): Voucher.Voucher {
  const read = readPayload(payload)
  if (read.action === 'close') throw new Error('not a voucher')
  return read.voucher
}

/** A 402 with these challenges. */
export function refusal(challenges: string, problem: Record<string, unknown> = {}): Response {
  const headers = { 'WWW-Authenticate': challenges, 'Content-Type': 'application/problem+json' }
  return new Response(JSON.stringify(problem), { status: 402, headers })
}
