/** Opens that the provider sends for consumers without gas. */
import { Channel, drainChannelAbi, GaslessOpen, Usdc } from '@drain/core'
import type { Paywall, PaywallConfig } from '@drain/provider'
import { type Hex, type LocalAccount, zeroAddress } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fixture, startFixture } from './fixture.ts'

let fixture: Fixture
let paywall: Paywall
beforeAll(async () => {
  fixture = await startFixture()
  paywall = relaying()
})
afterAll(() => fixture?.close())

const relaying = (relay: Partial<PaywallConfig['relay']> = {}, options: Partial<PaywallConfig> = {}) =>
  fixture.paywall({
    relay: { nativePrice: '0.25', perMinute: 1_000, perDay: 1_000, ...relay },
    adminToken: 'secret',
    ...options,
  })

/** Somebody with USDC and nothing else. */
async function gasless(usdc = '5'): Promise<LocalAccount> {
  const account = privateKeyToAccount(generatePrivateKey())
  await fixture.chain.fund(account.address, usdc)
  return account
}

async function signed(
  consumer: LocalAccount,
  changes: Partial<GaslessOpen.Unsigned> & { signer?: Hex } = {},
  by = consumer,
): Promise<GaslessOpen.GaslessOpen> {
  const { timestamp } = await fixture.chain.publicClient.getBlock()
  const clock = BigInt(Math.floor(Date.now() / 1_000))
  const open: GaslessOpen.Unsigned = {
    consumer: consumer.address,
    provider: fixture.provider.address,
    amount: Usdc.parse('1'),
    duration: 86_400n,
    signer: zeroAddress,
    salt: generatePrivateKey(), // 32 random bytes
    validAfter: 0n,
    validBefore: (timestamp > clock ? timestamp : clock) + 300n,
    ...changes,
  }
  const signature = await by.signTypedData(GaslessOpen.typedData(open, fixture.chain.deployment))
  return { ...open, signature }
}

const post = (body: unknown, to = paywall) =>
  to.endpoints(
    new Request('http://provider.test/v1/open', { method: 'POST', body: JSON.stringify(body) }),
  ) as Promise<Response>
const send = (open: GaslessOpen.GaslessOpen, to = paywall) => post(GaslessOpen.toJson(open), to)
const idOf = (open: GaslessOpen.GaslessOpen) => Channel.computeId(fixture.chain.deployment, open, 'relayed')
const sent = () => fixture.chain.publicClient.getTransactionCount({ address: fixture.provider.address })
const exists = async (channelId: Hex) => {
  const [consumer] = await fixture.chain.publicClient.readContract({
    address: fixture.chain.deployment.contract,
    abi: drainChannelAbi,
    functionName: 'getChannel',
    args: [channelId],
  })
  return consumer !== zeroAddress
}

/** Somebody else sends the same authorization. */
async function frontRun({ validAfter, validBefore, signature, ...opening }: GaslessOpen.GaslessOpen) {
  const { chain, stranger } = fixture
  const hash = await chain.walletClient(stranger).writeContract({
    address: chain.deployment.contract,
    abi: drainChannelAbi,
    functionName: 'openWithAuthorization',
    args: [opening, validAfter, validBefore, signature],
  })
  await chain.publicClient.waitForTransactionReceipt({ hash })
}

describe('an open for a consumer without gas', () => {
  test('is sent, and the channel pays from then on', async () => {
    const consumer = await gasless()
    const open = await signed(consumer)
    const response = await send(open)
    const answer = await response.json()
    expect([response.status, answer]).toEqual([
      200,
      { channelId: idOf(open), txHash: expect.stringMatching(/^0x[0-9a-f]{64}$/) },
    ])
    const { publicClient } = fixture.chain
    expect((await publicClient.getTransactionReceipt({ hash: answer.txHash })).status).toBe('success')
    expect(await fixture.balance(consumer.address)).toBe(Usdc.parse('4'))
    expect(await publicClient.getBalance({ address: consumer.address })).toBe(0n)
  })

  test('is sent once, however often it is asked for', async () => {
    const before = await sent()
    const open = await signed(await gasless())
    const answers = await Promise.all(Array.from({ length: 10 }, () => send(open)))
    for (const answer of [...answers, await send(open)]) {
      expect(await answer.json()).toMatchObject({ channelId: idOf(open) })
    }
    expect(await sent()).toBe(before + 1)
    // A relay that has never heard of it finds it on the chain.
    expect(await (await send(open, relaying())).json()).toEqual({ channelId: idOf(open) })
    expect(await sent()).toBe(before + 1)
  })

  test('that a stranger has sent before is open, and costs nothing', async () => {
    const before = await sent()
    const open = await signed(await gasless())
    await frontRun(open)
    const response = await send(open)
    expect([response.status, await response.json()]).toEqual([200, { channelId: idOf(open) }])
    expect(await sent()).toBe(before)
  })

  test('that a stranger slips in first, while ours waits to be mined, is open too', async () => {
    const { testClient } = fixture.chain
    const open = await signed(await gasless())
    await testClient.setAutomine(false)
    try {
      const relayed = send(open)
      const { address } = fixture.provider
      const { publicClient } = fixture.chain
      const pending = async () =>
        (await publicClient.getTransactionCount({ address, blockTag: 'pending' })) - (await sent())
      await expect.poll(pending).toBe(1)
      const { validAfter, validBefore, signature, ...opening } = open
      await fixture.chain.walletClient(fixture.stranger).writeContract({
        address: fixture.chain.deployment.contract,
        abi: drainChannelAbi,
        functionName: 'openWithAuthorization',
        args: [opening, validAfter, validBefore, signature],
        gas: 500_000n,
        maxFeePerGas: 10n ** 12n,
        maxPriorityFeePerGas: 10n ** 12n,
      })
      await testClient.mine({ blocks: 1 })
      const response = await relayed
      // Ours was mined and failed: without its hash.
      expect([response.status, await response.json()]).toEqual([200, { channelId: idOf(open) }])
    } finally {
      await testClient.setAutomine(true)
    }
  })

  test('also with a session key', async () => {
    const open = await signed(await gasless(), { signer: fixture.stranger.address })
    expect((await send(open)).status).toBe(200)
    expect(await exists(idOf(open))).toBe(true)
  })
})

describe('refuses, and sends nothing', () => {
  const cases: [string, string, number, () => Promise<GaslessOpen.GaslessOpen>][] = [
    [
      'a channel to another provider',
      'wrong_provider',
      400,
      async () => signed(await gasless(), { provider: fixture.stranger.address }),
    ],
    [
      'a deposit below the terms',
      'channel_terms',
      400,
      async () => signed(await gasless(), { amount: 99_999n }),
    ],
    [
      'a duration below the terms',
      'channel_terms',
      400,
      async () => signed(await gasless(), { duration: 60n }),
    ],
    [
      'a duration above the terms',
      'channel_terms',
      400,
      async () => signed(await gasless(), { duration: 2n ** 62n }),
    ],
    [
      'an authorization that has ended',
      'authorization_expired',
      400,
      async () => signed(await gasless(), { validBefore: 1_700_000_000n }),
    ],
    [
      'an authorization for too long',
      'invalid_request',
      400,
      async () => signed(await gasless(), { validBefore: 2n ** 40n }),
    ],
    [
      'an authorization that begins later',
      'invalid_request',
      400,
      async () => signed(await gasless(), { validAfter: 2n ** 40n }),
    ],
    [
      'a signature of somebody else',
      'invalid_signature',
      400,
      async () => signed(await gasless(), {}, fixture.stranger),
    ],
    [
      'a field changed after the signature',
      'invalid_signature',
      400,
      async () => ({ ...(await signed(await gasless())), signer: fixture.stranger.address }),
    ],
    [
      'a signature cut short',
      'invalid_signature',
      400,
      async () => ({ ...(await signed(await gasless())), signature: '0x1234' }),
    ],
    ['a consumer without the money', 'insufficient_balance', 400, async () => signed(await gasless('0.5'))],
  ]
  test.each(cases)('%s', async (_, code, status, make) => {
    const open = await make()
    const before = await sent()
    const response = await send(open)
    expect([response.status, (await response.json()).error.code]).toEqual([status, code])
    expect(await sent()).toBe(before)
    expect(await exists(idOf(open))).toBe(false)
  })

  test.each([
    ['no JSON', 'x'],
    ['a number for an amount', { ...GaslessOpen.toJson({} as never), amount: 5 }],
    ['an array', []],
  ])('%s', async (_, body) => {
    const response = await post(body)
    expect([response.status, (await response.json()).error.code]).toEqual([400, 'invalid_request'])
  })

  test('an authorization that the consumer has cancelled', async () => {
    const consumer = fixture.consumer
    const open = await signed(consumer)
    const { chain } = fixture
    const nonce = Channel.hashOpening(open)
    const { chainId, token } = chain.deployment
    const signature = await consumer.signTypedData({
      domain: { ...GaslessOpen.usdcDomain, chainId, verifyingContract: token },
      types: {
        CancelAuthorization: [
          { name: 'authorizer', type: 'address' },
          { name: 'nonce', type: 'bytes32' },
        ],
      },
      primaryType: 'CancelAuthorization',
      message: { authorizer: consumer.address, nonce },
    })
    const hash = await chain.walletClient(consumer).writeContract({
      address: token,
      abi: [
        {
          type: 'function',
          name: 'cancelAuthorization',
          stateMutability: 'nonpayable',
          inputs: [
            { name: 'authorizer', type: 'address' },
            { name: 'nonce', type: 'bytes32' },
            { name: 'signature', type: 'bytes' },
          ],
          outputs: [],
        },
      ] as const,
      functionName: 'cancelAuthorization',
      args: [consumer.address, nonce, signature],
    })
    await chain.publicClient.waitForTransactionReceipt({ hash })
    const response = await send(open)
    expect([response.status, (await response.json()).error.code]).toEqual([409, 'authorization_used'])
  })

  test('a consumer that has code, which could change its mind once the transaction is mined', async () => {
    const consumer = await gasless()
    await fixture.chain.testClient.setCode({ address: consumer.address, bytecode: '0x60006000fd' })
    const response = await send(await signed(consumer))
    expect([response.status, (await response.json()).error.code]).toEqual([400, 'invalid_signature'])
  })
})

describe('what strangers can make it spend', () => {
  test('is bounded per consumer, per minute and in all', async () => {
    const consumer = await gasless('50')
    const perConsumer = relaying({ perConsumerPerDay: 2 })
    const opens = async (to: Paywall, who: () => Promise<LocalAccount>) => {
      const response = await send(await signed(await who()), to)
      return [response.status, response.headers.get('Retry-After') !== null]
    }
    const mine = async () => consumer
    expect(await opens(perConsumer, mine)).toEqual([200, false])
    expect(await opens(perConsumer, mine)).toEqual([200, false])
    expect(await opens(perConsumer, mine)).toEqual([429, true])
    expect(await opens(perConsumer, () => gasless())).toEqual([200, false])

    const perDay = relaying({ perDay: 1 })
    expect(await opens(perDay, () => gasless())).toEqual([200, false])
    expect(await opens(perDay, () => gasless())).toEqual([429, true])
  })

  test('a refusal takes nothing of the budget', async () => {
    const tight = relaying({ perDay: 1, perConsumerPerDay: 1 })
    expect((await send(await signed(await gasless('0.1')), tight)).status).toBe(400)
    const open = await signed(await gasless())
    await frontRun(open)
    expect((await send(open, tight)).status).toBe(200)
    expect((await send(await signed(await gasless()), tight)).status).toBe(200)
  })

  test('requests that only cost calls to the node are bounded too', async () => {
    const tight = relaying({ perMinute: 1 })
    const poor = await gasless('0.1')
    const opens = await Promise.all(Array.from({ length: 20 }, () => signed(poor)))
    const answers = await Promise.all(opens.map((open) => send(open, tight)))
    const statuses = answers.map((answer) => answer.status)
    // A minute may end in between, once.
    expect(statuses.filter((status) => status === 400).length).toBeLessThanOrEqual(12)
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(8)
  })

  test('a deposit must be worth its gas, and gas must be cheap enough', async () => {
    const before = await sent()
    const precious = relaying({ nativePrice: '100000' })
    const tooSmall = await send(await signed(await gasless()), precious)
    expect((await tooSmall.json()).error.code).toBe('channel_terms')
    const cheap = relaying({ maxGasPrice: 1n })
    const tooDear = await send(await signed(await gasless()), cheap)
    expect([tooDear.status, (await tooDear.json()).error.code]).toEqual([503, 'gas_price'])
    const small = relaying({ maxGas: 21_000n })
    expect((await (await send(await signed(await gasless()), small)).json()).error.code).toBe('open_reverted')
    expect(await sent()).toBe(before)
  })

  test('limits that make no sense are refused at the start', () => {
    expect(() => relaying({ perDay: 0 })).toThrow(/relay.perDay is 0/)
    expect(() => relaying({ nativePrice: 'x' })).toThrow(/not a valid amount/)
  })
})

test('it is off unless it is turned on, and advertised when it is', async () => {
  const off = fixture.paywall()
  expect(await post({}, off)).toBeUndefined()
  const pricing = async (of: Paywall) => (await of.endpoints(new Request('http://p.test/v1/pricing')))?.json()
  expect((await pricing(off)).features).not.toContain('open')
  expect((await pricing(off)).terms.relay).toBeUndefined()
  const on = await pricing(relaying({ minDeposit: '0.5' }))
  expect(on.features).toContain('open')
  expect(on.terms.relay).toEqual({ minDeposit: '0.5', maxValidity: 600 })
  const docs = await (await paywall.endpoints(new Request('http://p.test/v1/docs')))?.text()
  expect(docs).toContain('/v1/open')
})
