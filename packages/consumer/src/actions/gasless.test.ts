/** Session keys and openings without gas, on a real chain. Relays here are hostile; the real one is tried with the provider. */
import {
  type Channel,
  ChannelRequest,
  type Deployment,
  Domain,
  drainChannelAbi,
  FeatureUnavailableError,
  GaslessOpen,
  InsufficientBalanceError,
  InvalidDurationError,
  InvalidFormatError,
  SessionKey,
  Signature,
  UntrustedProviderError,
  type Voucher,
} from '@drain/core'
import {
  type Client,
  createClient,
  custom,
  encodeFunctionResult,
  type Hex,
  type LocalAccount,
  padHex,
  stringToHex,
  toFunctionSelector,
  zeroAddress,
} from 'viem'
import { generatePrivateKey, privateKeyToAccount, toAccount } from 'viem/accounts'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type LocalChain, startLocalChain } from '../testing/index.ts'
import { approveUsdc } from './approveUsdc.ts'
import { cancelGaslessOpen } from './cancelGaslessOpen.ts'
import { closeFor } from './closeFor.ts'
import { getChannel } from './getChannel.ts'
import { getGaslessOpen } from './getGaslessOpen.ts'
import { getUsdcBalance } from './getUsdcBalance.ts'
import { openChannel } from './openChannel.ts'
import { relayGaslessOpen } from './relayGaslessOpen.ts'
import { requestGaslessOpen } from './requestGaslessOpen.ts'
import { signChannelRequest } from './signChannelRequest.ts'
import { signGaslessOpen } from './signGaslessOpen.ts'
import { signVoucher } from './signVoucher.ts'

let chain: LocalChain
let wallet: Client
let stranger: Client
let deployment: Deployment.Deployment
let snapshot: Hex
beforeAll(async () => {
  chain = await startLocalChain()
  deployment = chain.deployment
  wallet = chain.walletClient(chain.accounts[0])
  stranger = chain.walletClient(chain.accounts[2])
  snapshot = await chain.testClient.snapshot()
})
beforeEach(async () => {
  await chain.testClient.revert({ id: snapshot })
  snapshot = await chain.testClient.snapshot()
})
afterAll(() => chain.close())

const usdc = 1_000_000n
const day = 86_400n
const terms = () => ({ deployment, provider: chain.accounts[1].address, amount: 10n * usdc, duration: day })
const newKey = () => privateKeyToAccount(generatePrivateKey())
const sign = (change: Partial<signGaslessOpen.Parameters> = {}, client = wallet) =>
  signGaslessOpen(client, { ...terms(), ...change })
const head = async () => (await chain.publicClient.getBlock()).timestamp
const pass = async (seconds: bigint) => {
  await chain.testClient.increaseTime({ seconds: Number(seconds) })
  await chain.testClient.mine({ blocks: 1 })
}

/** The consumer's account as a wallet that counts how often it is asked. */
function counting(account: LocalAccount = chain.accounts[0]) {
  const prompts: unknown[] = []
  const asked = toAccount({
    ...account,
    signTypedData: (data) => {
      prompts.push(data)
      return account.signTypedData(data as never)
    },
  })
  return { prompts, account: asked }
}

/** Whether the contract would pay out a voucher. */
async function claimable({ channelId, amount, nonce, signature }: Voucher.Voucher): Promise<boolean> {
  const call = {
    address: deployment.contract,
    abi: drainChannelAbi,
    functionName: 'claim',
    args: [channelId, amount, nonce, signature],
    account: chain.accounts[1],
  } as const
  return chain.publicClient.simulateContract(call).then(
    () => true,
    (error) => {
      expect(`${error}`).toContain('InvalidSignature')
      return false
    },
  )
}

describe('a session key of a direct opening', () => {
  test('signs vouchers that the contract pays, with the proof that the opening returned', async () => {
    const account = newKey()
    await approveUsdc(wallet, { deployment, amount: 20n * usdc })
    await openChannel(wallet, terms())
    const { channel, channelId, proof } = await openChannel(wallet, { ...terms(), signer: account.address })
    if (!proof) throw new Error('no proof')
    expect(SessionKey.provenSigner(proof, channel, deployment)).toBe(account.address.toLowerCase())

    const session = { account, proof }
    const voucher = (nonce: bigint, withProof?: boolean) =>
      signVoucher(wallet, { deployment, channelId, amount: usdc, nonce, session, withProof })
    const [proven, bare] = [await voucher(1n, true), await voucher(2n)]
    expect(proven.signature).toHaveLength(2 + 2 * 193)
    expect(bare.signature).toHaveLength(2 + 2 * 65)
    expect([await claimable(proven), await claimable(bare)]).toEqual([true, false])
    expect(await claimable({ ...bare, signature: `${bare.signature}${proof.slice(2)}` as Hex })).toBe(true)
  })

  test('signs requests too, and the consumer’s account is not asked', async () => {
    const { account, prompts } = counting()
    const session = {
      account: newKey(),
      proof: SessionKey.encodeProof({
        duration: day,
        signer: zeroAddress,
        salt: padHex('0x1', { size: 32 }),
      }),
    }
    const about = { deployment, account, session, channelId: padHex('0x2', { size: 32 }) }
    const wanted = { ...about, action: 'state', deadline: 1_800_000_000n } as const
    const request = await signChannelRequest(wallet, { ...wanted, withProof: true })
    const digest = ChannelRequest.digest(request, Domain.separator(deployment))
    expect(SessionKey.ownPart(request.signature)).toBe((await signChannelRequest(wallet, wanted)).signature)
    expect(Signature.isValid(digest, SessionKey.ownPart(request.signature), session.account.address)).toBe(
      true,
    )
    await signVoucher(wallet, { ...about, amount: 1n, nonce: 1n })
    expect(prompts).toEqual([])
  })

  test('openings without one return no proof', async () => {
    await approveUsdc(wallet, { deployment, amount: 10n * usdc })
    expect(await openChannel(wallet, terms())).not.toHaveProperty('proof')
    expect(await sign()).not.toHaveProperty('proof')
  })

  test('is refused where the contract would refuse it', async () => {
    const { account, prompts } = counting()
    const before = await chain.publicClient.getBlockNumber()
    const none = { ...deployment, features: deployment.features.filter((one) => one !== 'openWithSigner') }
    for (const open of [openChannel, signGaslessOpen]) {
      for (const signer of [zeroAddress, chain.accounts[1].address, '0x12'] as const) {
        await expect(open(wallet, { ...terms(), account, signer })).rejects.toThrow(/Not a valid session key/)
      }
      const older = open(wallet, { ...terms(), account, deployment: none, signer: newKey().address })
      await expect(older).rejects.toThrow(FeatureUnavailableError)
    }
    expect(prompts).toEqual([])
    expect(await chain.publicClient.getBlockNumber()).toBe(before)
  })
})

describe('a gasless opening', () => {
  test('is one prompt; anybody sends it; its session key signs what the contract pays', async () => {
    const session = newKey()
    const consumer = newKey()
    await chain.fund(consumer.address, '10')
    const { account, prompts } = counting(consumer)
    const { open, channelId, proof } = await sign({ account, signer: session.address })
    if (!proof) throw new Error('no proof')
    expect(prompts).toHaveLength(1)
    expect(GaslessOpen.fromJson(GaslessOpen.toJson(open))).toMatchObject({ amount: 10n * usdc })
    expect(open.validBefore).toBeLessThanOrEqual((await head()) + GaslessOpen.maxAge)
    expect(await getGaslessOpen(wallet, { deployment, open })).toEqual({ status: 'valid' })

    const relayed = await relayGaslessOpen(stranger, { deployment, open })
    expect(relayed).toMatchObject({ channelId, txHash: expect.stringMatching(/^0x/) })
    expect(relayed.channel).toEqual({
      ...(await getChannel(wallet, { deployment, channelId })),
      ...relayed.channel,
    })
    expect(relayed.channel).toMatchObject({ deposit: 10n * usdc, expiry: (await head()) + day })
    expect(await getUsdcBalance(wallet, { deployment, account: consumer })).toBe(0n)
    expect(await getGaslessOpen(wallet, { deployment, open })).toMatchObject({ status: 'opened' })

    const signed = { deployment, channelId, amount: usdc, nonce: 1n, session: { account: session, proof } }
    expect(await claimable(await signVoucher(wallet, { ...signed, withProof: true }))).toBe(true)
  })

  test('sent again opens nothing more, also when its channel is closed', async () => {
    const { open, channelId } = await sign()
    await relayGaslessOpen(stranger, { deployment, open })
    const before = await getUsdcBalance(wallet, { deployment })
    const again = await relayGaslessOpen(stranger, { deployment, open })
    expect(again).toMatchObject({ channelId, channel: { deposit: 10n * usdc } })
    expect(again.txHash).toBeUndefined()

    await pass(2n * day)
    await closeFor(stranger, { deployment, channelId })
    await expect(relayGaslessOpen(stranger, { deployment, open })).rejects.toThrow()
    expect(await getGaslessOpen(wallet, { deployment, open })).toEqual({ status: 'used' })
    expect(await getUsdcBalance(wallet, { deployment })).toBe(before + 10n * usdc)
  })

  test('that somebody slips in first, while ours waits, is open all the same', async () => {
    const { open, channelId } = await sign()
    await chain.testClient.setAutomine(false)
    try {
      const ours = relayGaslessOpen(stranger, { deployment, open })
      const pending = async () => (await chain.testClient.getTxpoolStatus()).pending
      await expect.poll(pending).toBe(1)
      const { validAfter, validBefore, signature, ...opening } = open
      await chain.walletClient(chain.accounts[3]).writeContract({
        address: deployment.contract,
        abi: drainChannelAbi,
        functionName: 'openWithAuthorization',
        args: [opening, validAfter, validBefore, signature],
        gas: 500_000n,
        maxFeePerGas: 10n ** 12n,
        maxPriorityFeePerGas: 10n ** 12n,
      })
      await expect.poll(pending).toBe(2)
      await chain.testClient.mine({ blocks: 1 })
      expect(await ours).toMatchObject({ channelId, channel: { deposit: 10n * usdc } })
      expect((await ours).txHash).toBeUndefined()
    } finally {
      await chain.testClient.setAutomine(true)
    }
  })

  test('expires, and can then be signed anew', async () => {
    const { open } = await sign({ validBefore: (await sign()).open.validBefore - 500n })
    await pass(50n)
    await expect(relayGaslessOpen(stranger, { deployment, open })).rejects.toMatchObject({
      reason: expect.stringContaining('expired'),
    })
    // Not certain yet: the last blocks may be replaced.
    expect(await getGaslessOpen(wallet, { deployment, open })).toEqual({ status: 'valid' })
    await pass(60n)
    expect(await getGaslessOpen(wallet, { deployment, open })).toEqual({ status: 'expired' })
    await relayGaslessOpen(stranger, { deployment, open: (await sign()).open })
  })

  test('a sender can change nothing', async () => {
    const { open } = await sign()
    const changes = [
      { amount: usdc },
      { provider: chain.accounts[2].address },
      { duration: 2n * day },
      { signer: chain.accounts[2].address },
      { salt: padHex('0x1', { size: 32 }) },
      { validBefore: open.validBefore + 1n },
    ]
    for (const change of changes) {
      await expect(
        relayGaslessOpen(stranger, { deployment, open: { ...open, ...change } }),
      ).rejects.toMatchObject({ reason: expect.stringContaining('invalid signature') })
    }
  })

  test('asks the wallet only for what can be opened', async () => {
    const { account, prompts } = counting()
    const attempt = (change: Partial<signGaslessOpen.Parameters>) => sign({ account, ...change })
    const { validBefore } = (await sign()).open
    await expect(attempt({ amount: 10_001n * usdc })).rejects.toThrow(InsufficientBalanceError)
    await expect(attempt({ duration: 366n * day })).rejects.toThrow(InvalidDurationError)
    await expect(attempt({ provider: account.address })).rejects.toThrow(InvalidFormatError)
    await expect(attempt({ salt: '0x12' })).rejects.toThrow(/salt/)
    await expect(attempt({ validBefore: validBefore + 120n })).rejects.toThrow(/more than 10 minutes ahead/)
    await expect(attempt({ validBefore: validBefore - 600n })).rejects.toThrow(/has passed/)
    await expect(attempt({ validAfter: validBefore, validBefore })).rejects.toThrow(/not before validBefore/)
    const features = deployment.features.filter((one) => one !== 'openWithAuthorization')
    const older = attempt({ deployment: { ...deployment, features } })
    await expect(older).rejects.toThrow(/Approve the deposit and use open/)
    expect(prompts).toEqual([])
  })

  test('a token with another domain is signed for in its own, or not at all', async () => {
    const { account, prompts } = counting()
    // `name` of FiatTokenV1, as USDC is called on some test networks.
    const called = (name: string) =>
      chain.testClient.setStorageAt({
        address: deployment.token,
        index: 4,
        value: `0x${stringToHex(name).slice(2).padEnd(62, '0')}${(2 * name.length).toString(16).padStart(2, '0')}`,
      })
    await called('USDC')
    const { open } = await sign({ account })
    expect(prompts).toMatchObject([{ domain: { name: 'USDC', version: '2' } }])
    await relayGaslessOpen(stranger, { deployment, open })

    const elsewhere = sign({ account, deployment: { ...deployment, chainId: 137 } })
    await expect(elsewhere).rejects.toMatchObject({ code: 'token_domain' })
    expect(prompts).toHaveLength(1)
  })

  test('of another account than the one that was asked is not taken', async () => {
    const other = newKey()
    const account = toAccount({ ...chain.accounts[0], signTypedData: other.signTypedData })
    await expect(sign({ account })).rejects.toMatchObject({ code: 'unusable_signature' })
  })

  test('a wallet behind a connection signs it like a key in the process', async () => {
    const remote = chain.walletClient(chain.accounts[0].address)
    const { open } = await sign({}, remote)
    const { salt, validBefore } = open
    expect((await sign({ salt, validBefore })).open.signature).toBe(open.signature)
    await relayGaslessOpen(stranger, { deployment, open })
    const { open: next } = await sign({}, remote)
    expect(await cancelGaslessOpen(remote, { deployment, open: next })).toMatchObject({ status: 'cancelled' })
  })

  test('a hardware wallet’s v is made plain', async () => {
    const [owner] = chain.accounts
    const account = toAccount({
      ...owner,
      signTypedData: async (data) => {
        const signature = await owner.signTypedData(data as never)
        return `${signature.slice(0, 130)}${signature.endsWith('1b') ? '00' : '01'}` as Hex
      },
    })
    await relayGaslessOpen(stranger, { deployment, open: (await sign({ account })).open })
  })

  test('a wallet with code signs in its own way, as long as it likes', async () => {
    const { address } = newKey()
    await chain.fund(address, '30')
    const answering = (signature: Hex) =>
      toAccount({ ...chain.accounts[0], address, signTypedData: async () => signature })
    const long: Hex = `0x${'ab'.repeat(300)}`
    const account = answering(long)
    await expect(sign({ account })).rejects.toThrow(/must be deployed on this chain first/)
    // Says of every signature that it is good (EIP-1271).
    await chain.testClient.setCode({ address, bytecode: '0x631626ba7e60e01b60005260206000f3' })
    const { open, channelId } = await sign({ account })
    expect(open.signature).toBe(long)
    expect(await relayGaslessOpen(stranger, { deployment, open })).toMatchObject({ channelId })
    await expect(sign({ account: answering(`0x${'ab'.repeat(2_049)}`) })).rejects.toThrow(/too long/)
    // Says so of none.
    await chain.testClient.setCode({ address, bytecode: '0x60206000f3' })
    await expect(sign({ account })).rejects.toThrow(/its own code accepts/)
  })
})

describe('cancelling', () => {
  test('makes a signed opening void', async () => {
    const { open } = await sign()
    expect(await cancelGaslessOpen(wallet, { deployment, open })).toMatchObject({ status: 'cancelled' })
    expect(await getGaslessOpen(wallet, { deployment, open })).toEqual({ status: 'used' })
    await expect(relayGaslessOpen(stranger, { deployment, open })).rejects.toMatchObject({
      reason: expect.stringContaining('used or canceled'),
    })
    expect(await cancelGaslessOpen(wallet, { deployment, open })).toEqual({ status: 'used' })
  })

  test('too late says that the channel is open', async () => {
    const { open, channelId } = await sign()
    await relayGaslessOpen(stranger, { deployment, open })
    const { account, prompts } = counting()
    const late = await cancelGaslessOpen(wallet, { deployment, open, account })
    expect(late).toMatchObject({ status: 'opened', channel: { id: channelId } })
    expect(prompts).toEqual([])
  })

  test('that a relay overtakes says so too', async () => {
    const { open, channelId } = await sign()
    const [owner] = chain.accounts
    const account = toAccount({
      ...owner,
      signTypedData: async (data) => {
        await relayGaslessOpen(stranger, { deployment, open })
        return owner.signTypedData(data as never)
      },
    })
    const overtaken = await cancelGaslessOpen(wallet, { deployment, open, account })
    expect(overtaken).toMatchObject({ status: 'opened', channel: { id: channelId } })
  })

  test('is for the consumer, and for what can still be used', async () => {
    const { open } = await sign()
    await expect(cancelGaslessOpen(stranger, { deployment, open })).rejects.toMatchObject({
      code: 'wrong_account',
    })
    await pass(700n)
    expect(await cancelGaslessOpen(wallet, { deployment, open })).toEqual({ status: 'expired' })
  })
})

test('anybody closes a channel a day after its expiry, and its consumer gets the refund', async () => {
  const consumer = newKey()
  await chain.fund(consumer.address, '10')
  const { open, channelId } = await sign({ account: consumer })
  await relayGaslessOpen(stranger, { deployment, open })
  await pass(day + 3_600n)
  const early = closeFor(stranger, { deployment, channelId })
  await expect(early).rejects.toMatchObject({ reason: 'NotExpired' })
  await expect(early).rejects.toThrow(/only from a day after its expiry on/)
  await pass(day)
  expect((await closeFor(stranger, { deployment, channelId })).refund).toBe(10n * usdc)
  expect(await getUsdcBalance(wallet, { deployment, account: consumer })).toBe(10n * usdc)
  await expect(closeFor(stranger, { deployment, channelId })).rejects.toMatchObject({
    code: 'channel_not_found',
  })
  const older = { ...deployment, features: ['open', 'close'] as const }
  await expect(closeFor(stranger, { deployment: older, channelId })).rejects.toThrow(FeatureUnavailableError)
})

describe('a relay', () => {
  type Signed = signGaslessOpen.ReturnValue
  const hash: Hex = `0x${'ab'.repeat(32)}`
  const failing = (status: number, code: string, headers = {}, message: unknown = 'words') =>
    Response.json({ error: { code, message } }, { status, headers })
  const request = (
    open: GaslessOpen.GaslessOpen,
    answer: (input: Parameters<typeof fetch>[0], init?: RequestInit) => Response | Promise<Response>,
    client = wallet,
  ) =>
    requestGaslessOpen(client, {
      deployment,
      origin: 'https://relay.test',
      open,
      fetch: async (input, init) => answer(input, init),
      timeout: 500,
      lag: 300,
    })

  test('is sent the opening as it was signed, and nowhere else', async () => {
    const { open, channelId } = await sign()
    const outcome = await request(open, async (input, init) => {
      expect([input, init?.method, init?.redirect]).toEqual(['https://relay.test/v1/open', 'POST', 'manual'])
      const { txHash } = await relayGaslessOpen(stranger, {
        deployment,
        open: GaslessOpen.fromJson(JSON.parse(String(init?.body))),
      })
      return Response.json({ channelId, txHash })
    })
    expect(outcome).toMatchObject({ status: 'opened', channelId, channel: { deposit: 10n * usdc } })
    expect(outcome.status === 'opened' && outcome.txHash).toBeTruthy()
  })

  test.each<[string, (signed: Signed) => Response]>([
    ['what it has not opened', ({ channelId }) => Response.json({ channelId, txHash: hash })],
    ['another channel', () => Response.json({ channelId: hash })],
    ['no channel at all', () => Response.json({})],
    ['nothing but a status', () => new Response(null, { status: 204 })],
    ['no JSON', () => new Response('ok')],
    ['a list', () => Response.json([])],
    ['more than anybody wants to read', () => new Response('9'.repeat(2 << 20))],
  ])('that reports %s is not believed', async (_, answer) => {
    const signed = await sign()
    const attempt = request(signed.open, () => answer(signed))
    await expect(attempt).rejects.toThrow(UntrustedProviderError)
    await expect(attempt).rejects.toThrow(/it can still be until 20/)
  })

  test('that reports a channel before this client’s node knows it is waited for', async () => {
    const { open, channelId } = await sign()
    let late: Promise<unknown> | undefined
    const outcome = await requestGaslessOpen(wallet, {
      deployment,
      origin: 'https://relay.test',
      open,
      fetch: async () => {
        late = getGaslessOpen(wallet, { deployment, open }).then(() =>
          relayGaslessOpen(stranger, { deployment, open }),
        )
        return Response.json({ channelId })
      },
    })
    await late
    expect(outcome.status).toBe('opened')
  })

  test.each<[string, () => Response]>([
    ['a refusal', () => failing(409, 'authorization_used')],
    ['an error', () => failing(503, 'unavailable')],
    ['another channel', () => Response.json({ channelId: hash, txHash: hash })],
    ['nonsense', () => new Response('<html>', { status: 502 })],
  ])('that opens the channel and answers %s has opened it', async (_, answer) => {
    const { open, channelId } = await sign()
    const outcome = await request(open, async () => {
      await relayGaslessOpen(stranger, { deployment, open })
      return answer()
    })
    expect(outcome).toMatchObject({ status: 'opened', channelId })
    expect(outcome).not.toHaveProperty('txHash')
  })

  test('that names a transaction which did something else is not quoted', async () => {
    const { txHash } = await approveUsdc(stranger, { deployment, amount: 1n })
    const { open, channelId } = await sign()
    await relayGaslessOpen(stranger, { deployment, open })
    expect(await request(open, () => Response.json({ channelId, txHash }))).not.toHaveProperty('txHash')
  })

  test('that refuses does so with its code', async () => {
    const { open, channelId } = await sign()
    const outcomes: [Response, string][] = [
      [failing(400, 'channel_terms'), 'channel_terms'],
      [failing(400, 'authorization_expired'), 'authorization_expired'],
      [failing(422, 'open_reverted'), 'open_reverted'],
      [failing(400, 'made_up'), 'unknown'],
      [failing(403, '__proto__'), 'unknown'],
      [failing(402, 'voucher_required'), 'no_relay'],
      [new Response('Not found', { status: 404 }), 'no_relay'],
      [new Response(null, { status: 307, headers: { Location: 'https://elsewhere.test' } }), 'no_relay'],
    ]
    for (const [answer, code] of outcomes) {
      expect(await request(open, () => answer)).toMatchObject({ status: 'refused', code, channelId })
    }
  })

  test('that may open it later says when to ask again, within reason', async () => {
    const { open, channelId } = await sign()
    const after = (seconds: string) => ({ 'Retry-After': seconds })
    const outcomes: [Response | Error, string, number][] = [
      [failing(503, 'open_pending', after('10')), 'open_pending', 10],
      [failing(429, 'rate_limited', after('86400')), 'rate_limited', 600],
      [failing(503, 'gas_price', after('0')), 'gas_price', 1],
      [failing(503, 'unavailable', after('Wed, 21 Oct 2026 07:28:00 GMT')), 'unavailable', 10],
      [failing(500, 'made_up'), 'no_answer', 10],
      [new Response('slow down', { status: 429 }), 'no_answer', 10],
      [new Error('connection refused'), 'no_answer', 5],
    ]
    for (const [answer, code, retryAfterSeconds] of outcomes) {
      const outcome = await request(open, () => {
        if (answer instanceof Error) throw answer
        return answer
      })
      expect(outcome).toMatchObject({ status: 'pending', code, retryAfterSeconds, channelId })
    }
  })

  test('that never answers is not waited for', async () => {
    const { open } = await sign()
    const outcome = await request(
      open,
      (_, init) =>
        new Promise((_, reject) => {
          init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))
        }),
    )
    expect(outcome).toMatchObject({ status: 'pending', code: 'no_answer' })
  })

  test('says no more than a line', async () => {
    const { open } = await sign()
    const said = async (message: unknown) => {
      const outcome = await request(open, () => failing(400, 'channel_terms', {}, message))
      return outcome.status === 'refused' && outcome.message
    }
    expect(await said('two\nlines\u001b[31m\u202e\u2028')).toBe('two lines [31m  ')
    expect(await said('x'.repeat(10_000))).toBe('x'.repeat(200))
    expect(await said({ toString: 'x' })).toBe('')
  })

  test('of a contract that has other terms is caught', async () => {
    const { open, channelId } = await sign()
    const { channel } = await relayGaslessOpen(stranger, { deployment, open })
    const { abi, functionName } = { abi: drainChannelAbi, functionName: 'getChannel' } as const
    const selector = toFunctionSelector('getChannel(bytes32)')
    const answering = (change: Partial<Channel.Channel>) => {
      const { consumer, provider, deposit, claimed, expiry } = { ...channel, ...change }
      const result = encodeFunctionResult({
        abi,
        functionName,
        result: [consumer, provider, deposit, claimed, expiry],
      })
      return createClient({
        transport: custom({
          request: async (call) =>
            JSON.stringify(call.params ?? []).includes(selector) ? result : wallet.request(call as never),
        }),
      })
    }
    const look = (change: Partial<Channel.Channel>) =>
      request(open, () => Response.json({ channelId }), answering(change))
    expect((await look({ claimed: usdc })).status).toBe('opened')
    for (const change of [
      { deposit: 9n * usdc },
      { provider: chain.accounts[2].address },
      { consumer: chain.accounts[2].address },
      { expiry: channel.expiry + 3_600n },
    ]) {
      await expect(look(change)).rejects.toMatchObject({ code: 'unexpected_contract' })
    }
  })
})
