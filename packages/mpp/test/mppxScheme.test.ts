/** mppx's own methods behind our client's limits: its `evm` charge on a real token, and `tempo` up to its signature, on anvil's Tempo. */
import { createDrainClient, type DrainClientOptions, type LimitOptions } from '@drain/consumer'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { UntrustedProviderError } from '@drain/core'
import { mppxScheme } from '@drain/mpp/client'
import { Challenge, Credential, type Method, Store } from 'mppx'
import { evm, tempo } from 'mppx/client'
import { Mppx, evm as serverEvm } from 'mppx/server'
import {
  createClient as createViemClient,
  decodeFunctionData,
  erc20Abi,
  type Hex,
  http,
  parseAbi,
} from 'viem'
import { Transaction } from 'viem/tempo'
import { tempo as tempoChain } from 'viem/tempo/chains'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { startAnvil } from '../../consumer/src/testing/anvil.ts'
import { serve } from '../../consumer/test/serve.ts'

const secretKey = 'a secret of tests, at least 32 bytes'
const authorization = { name: 'USD Coin', version: '2' }
const tokenAbi = parseAbi([
  'function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature)',
])

const tempoAbi = parseAbi(['function transferWithMemo(address to, uint256 amount, bytes32 memo)'])

let chain: LocalChain
let server: Awaited<ReturnType<typeof serve>>
/** Answers in the server's place, where it returns something. */
let instead: (request: Request) => Response | undefined
let seen: Request[]
beforeAll(async () => {
  chain = await startLocalChain()
})
afterAll(() => chain.close())
beforeEach(async () => {
  seen = []
  instead = () => undefined
  const settled = Store.memory()
  const shop = chain.accounts[1]
  const charge = serverEvm.charge({
    currency: chain.deployment.token,
    recipient: shop.address,
    chainId: chain.chainId,
    decimals: 6,
    authorization,
    async settle({ payload }) {
      const isFirst = await settled.update(payload.nonce, (known) =>
        known ? { op: 'noop', result: false } : { op: 'set', value: true, result: true },
      )
      if (!isFirst) throw new Error('settled before')
      const { from, to, value, validAfter, validBefore, nonce, signature } = payload
      const hash = await chain.walletClient(shop).writeContract({
        address: chain.deployment.token,
        abi: tokenAbi,
        functionName: 'transferWithAuthorization',
        args: [
          ...([from, to] as [Hex, Hex]),
          ...([BigInt(value), BigInt(validAfter), BigInt(validBefore)] as const),
          ...([nonce, signature] as [Hex, Hex]),
        ],
      })
      await chain.publicClient.waitForTransactionReceipt({ hash })
      return { reference: hash }
    },
  })
  const mppx = Mppx.create({ methods: [charge], secretKey })
  server = await serve(async (request) => {
    seen.push(request)
    const other = instead(request)
    if (other) return other
    const result = await mppx.evm.charge({ amount: '0.01' })(request)
    if (result.status === 402) return result.challenge
    return result.withReceipt(new Response('a joke'))
  })
})
afterEach(() => server.close())

const limits: LimitOptions = { perRequest: '0.05', perChannel: '5' }

function createClient(options: Partial<DrainClientOptions> = {}) {
  return createDrainClient({
    walletClient: chain.walletClient(chain.accounts[0]),
    deployment: chain.deployment,
    limits,
    ...options,
  })
}

const asset = () => ({ chainId: chain.chainId, address: chain.deployment.token })
const charging = () =>
  mppxScheme(
    evm.charge({ account: chain.accounts[0], networks: [chain.chainId], authorization }) as Method.AnyClient,
    { asset: asset() },
  )

const balance = (address: Hex) =>
  chain.publicClient.readContract({
    address: chain.deployment.token,
    abi: erc20Abi,
    functionName: 'balanceOf',
    args: [address],
  })

const paid = () => seen.filter(({ headers }) => headers.has('Authorization'))
const url = () => `${server.origin}/joke`

/** A 402 for a charge that differs from the honest one as said. */
function offer(request: Record<string, unknown> = {}, differing: Record<string, unknown> = {}): Response {
  const { methodDetails, ...rest } = request
  const challenge = Challenge.from({
    ...{ method: 'evm', intent: 'charge', realm: '127.0.0.1', secretKey },
    expires: new Date(Date.now() + 300_000).toISOString(),
    ...differing,
    request: {
      amount: '10000',
      currency: chain.deployment.token,
      recipient: chain.accounts[1].address,
      methodDetails: {
        ...{ chainId: chain.chainId, decimals: 6, credentialTypes: ['authorization'] },
        ...(methodDetails as object),
      },
      ...rest,
    },
  })
  return new Response('', { status: 402, headers: { 'WWW-Authenticate': Challenge.serialize(challenge) } })
}

test('pays a stock server, once for each request', async () => {
  const client = createClient({ schemes: [charging()] })
  const before = await balance(chain.accounts[1].address)
  for (let index = 0; index < 2; index++) {
    const response = await client.fetch(url())
    expect(await response.text()).toBe('a joke')
    expect(response.headers.has('Payment-Receipt')).toBe(true)
  }
  expect(await balance(chain.accounts[1].address)).toBe(before + 20_000n)
  expect(await client.spending()).toMatchObject({ charged: '0.02', today: '0.02', locked: '0' })
})

test('is off unless it is passed', async () => {
  expect((await createClient().fetch(url())).status).toBe(402)
  expect(paid()).toEqual([])
})

test.each<[string, LimitOptions, object]>([
  ['perRequest', { ...limits, perRequest: '0.009999' }, { limit: 'perRequest' }],
  ['perDay', { ...limits, perDay: '0.009999' }, { limit: 'perDay' }],
  ['providers', { ...limits, providers: ['https://other.example'] }, { limit: 'providers' }],
  ['confirm', { ...limits, confirm: () => false }, { limit: 'confirm' }],
])('within %s', async (_, limits, error) => {
  const client = createClient({ schemes: [charging()], limits })
  await expect(client.fetch(url())).rejects.toMatchObject(error)
  expect(paid()).toEqual([])
})

test('a server that always answers 402 gets one payment', async () => {
  instead = () => offer()
  await expect(createClient({ schemes: [charging()] }).fetch(url())).rejects.toMatchObject({
    rejection: 'payment_refused',
  })
  expect(paid()).toHaveLength(1)
})

test('a payment goes past no redirect', async () => {
  const other: Request[] = []
  const stranger = await serve((request) => {
    other.push(request)
    return new Response('thanks')
  })
  const headers = { Location: `${stranger.origin}/steal` }
  instead = (request) =>
    request.headers.has('Authorization') ? new Response(null, { status: 307, headers }) : undefined
  const client = createClient({ schemes: [charging()] })
  await expect(client.fetch(url())).rejects.toThrow(UntrustedProviderError)
  expect(other).toEqual([])
  await stranger.close()
})

test('what is not meant, or would be open for long, is no offer', async () => {
  const client = createClient({ schemes: [charging()] })
  const other = '0x00000000000000000000000000000000000000aa'
  const offers: [object, object?][] = [
    [{ currency: other }],
    [{ methodDetails: { chainId: 137 } }],
    [{ methodDetails: { chainId: undefined } }],
    [{ amount: '-1' }],
    [{ amount: '1e3' }],
    [{ recipient: 'nobody' }],
    [{}, { realm: 'other.example' }],
    [{}, { intent: 'session' }],
    [{}, { method: 'tempo' }],
    [{}, { header: 'Cookie' }],
    [{}, { expires: undefined }],
    [{}, { expires: '2099-01-01T00:00:00Z' }],
  ]
  for (const [request, differing] of offers) {
    instead = () => offer(request as Record<string, unknown>, differing as Record<string, unknown>)
    expect((await client.fetch(url())).status, JSON.stringify([request, differing])).toBe(402)
  }
  expect(paid()).toEqual([])
  // A malformed one beside a good one doesn't stand in its way.
  const good = offer().headers.get('WWW-Authenticate')
  const both = `Payment id="x", realm="127.0.0.1", method="evm", intent="charge", request="!", ${good}`
  instead = () => new Response('', { status: 402, headers: { 'WWW-Authenticate': both } })
  await expect(client.fetch(url())).rejects.toMatchObject({ rejection: 'payment_refused' })
  expect(paid()).toHaveLength(1)
})

test('no domain that the host is in, unless it is named', () => {
  const scheme = (realms?: string[]) =>
    mppxScheme(evm.charge({ account: chain.accounts[0] }) as Method.AnyClient, {
      asset: asset(),
      ...(realms && { realms }),
    })
  const read = (realm: string, host: string, realms?: string[]) => {
    const request = { url: new URL(`https://${host}/joke`) }
    return scheme(realms).readOffer(offer({}, { realm }), request as never)?.amount
  }
  expect(read('api.example.com', 'api.example.com')).toBe(10_000n)
  expect(read('vercel.app', 'evil.vercel.app')).toBeUndefined()
  expect(read('example.com', 'api.example.com')).toBeUndefined()
  expect(read('example.com', 'api.example.com', ['example.com'])).toBe(10_000n)
  expect(read('my-fly-app', 'api.example.com')).toBeUndefined()
  expect(read('my-fly-app', 'api.example.com', ['my-fly-app'])).toBe(10_000n)
})

// Anvil's Tempo mines no transactions of this kind: it ends with what a server would send.
test('tempo signs a transfer of what is asked, within the limits', async () => {
  const anvil = await startAnvil(['--network', 'tempo'])
  const dollars = { chainId: 31_337, address: '0x20c0000000000000000000000000000000000000' } as const
  const [payer, shop] = chain.accounts
  const tempoClient = createViemClient({
    ...{ account: payer, chain: { ...tempoChain, id: dollars.chainId }, transport: http(anvil.rpcUrl) },
  })
  const charge = tempo.charge({ account: payer, getClient: () => tempoClient }) as Method.AnyClient
  const client = createClient({ schemes: [mppxScheme(charge, { asset: dollars })] })
  const asking = { currency: dollars.address, methodDetails: { chainId: dollars.chainId } }
  instead = ({ headers }) =>
    headers.has('Authorization')
      ? new Response('a joke')
      : offer({ amount: '10000', ...asking }, { method: 'tempo' })
  expect((await client.fetch(url())).status).toBe(200)
  const [credential = ''] = paid().map(({ headers }) => headers.get('Authorization'))
  const { payload } = Credential.deserialize<{ type: string; signature: Hex }>(credential as string)
  expect(payload.type).toBe('transaction')
  const transaction = Transaction.deserialize(payload.signature as `0x76${string}`)
  const [call, ...others] = transaction.calls ?? []
  expect(others).toEqual([])
  expect(call?.to).toBe(dollars.address)
  const { args } = decodeFunctionData({ abi: tempoAbi, data: call?.data as Hex })
  expect(args.slice(0, 2)).toEqual([shop.address, 10_000n])
  expect(await client.spending()).toMatchObject({ charged: '0.01', today: '0.01' })
  instead = () => offer({ amount: '50001', ...asking }, { method: 'tempo' })
  await expect(client.fetch(url())).rejects.toMatchObject({ limit: 'perRequest' })
  expect(paid()).toHaveLength(1)
  await anvil.close()
})

test('a session isn’t a charge', () => {
  const method = { ...tempo.charge({ account: chain.accounts[0] }), intent: 'session' } as Method.AnyClient
  expect(() => mppxScheme(method, { asset: asset() })).toThrow(/Only charges/)
})

test('limits count six decimals', () => {
  const method = evm.charge({ account: chain.accounts[0] }) as Method.AnyClient
  const options = { asset: { ...asset(), decimals: 18 } }
  expect(() => mppxScheme(method, options)).toThrow(/six decimals/)
})
