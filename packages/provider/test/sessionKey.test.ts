/** A session key pays, and is claimed with, on the real contract. */
import { join } from 'node:path'
import {
  Channel,
  ChannelRequest,
  drainChannelAbi,
  SessionKey,
  Usdc,
  Voucher,
  Headers as Wire,
} from '@drain/core'
import { createDrainProviderWithWallet, type Paywall, verifyVoucher } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import { erc20Abi, type Hex, type LocalAccount, parseEventLogs, zeroAddress } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fixture, startFixture } from './fixture.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())

const price = Usdc.parse('0.001')
const duration = 86_400n
const deposit = Usdc.parse('1')

type Session = { id: Hex; key: LocalAccount; proof: Hex; opening: Channel.Opening }

/** Opens a channel with a session key, and computes the proof as a consumer would: from what it sent. */
async function open(key: LocalAccount = privateKeyToAccount(generatePrivateKey())): Promise<Session> {
  const { chain, consumer, provider } = fixture
  const { deployment, publicClient } = chain
  const wallet = chain.walletClient(consumer)
  const { contract: address, token } = deployment
  const nonce = await publicClient.readContract({
    address,
    abi: drainChannelAbi,
    functionName: 'nonces',
    args: [consumer.address],
  })
  const approval = { address: token, abi: erc20Abi, functionName: 'approve' } as const
  const approved = await wallet.writeContract({ ...approval, args: [address, deposit] })
  await publicClient.waitForTransactionReceipt({ hash: approved })
  const hash = await wallet.writeContract({
    address,
    abi: drainChannelAbi,
    functionName: 'openWithSigner',
    args: [provider.address, deposit, duration, key.address],
  })
  const { logs } = await publicClient.waitForTransactionReceipt({ hash })
  const [opened] = parseEventLogs({ abi: drainChannelAbi, eventName: 'ChannelOpened', logs })
  const parties = { consumer: consumer.address, provider: provider.address }
  const plain = Channel.directOpening({ ...parties, amount: deposit, duration, nonce })
  const opening = { ...plain, signer: key.address }
  const id = Channel.computeId(deployment, opening)
  expect(opened?.args.channelId).toBe(id)
  return { id, key, opening, proof: SessionKey.encodeProof(opening) }
}

let nonces = 0n
async function signed(id: Hex, amount: bigint, signer: LocalAccount, behind: Hex = '0x', nonce = ++nonces) {
  const unsigned = { channelId: id, amount, nonce }
  const own = await signer.signTypedData(Voucher.typedData(unsigned, fixture.chain.deployment))
  return { ...unsigned, signature: `${own}${behind.slice(2)}` as Hex }
}

const pay = (paywall: Paywall, voucher: Voucher.Voucher) =>
  paywall.handle(
    new Request('http://provider.test/joke', {
      headers: { [Wire.names.voucher[0]]: Voucher.toHeader(voucher) },
    }),
    price,
    () => new Response('paid'),
  )
const code = (response: Response) => response.headers.get('X-DRAIN-Error')

/** Whether the contract would pay out this voucher. */
async function isClaimable({ channelId, amount, nonce, signature }: Voucher.Voucher): Promise<boolean> {
  const { chain, provider } = fixture
  const call = {
    address: chain.deployment.contract,
    abi: drainChannelAbi,
    functionName: 'claim',
    args: [channelId, amount, nonce, signature],
    account: provider,
  } as const
  return chain.publicClient.simulateContract(call).then(
    () => true,
    (error) => {
      expect(`${error}`).toContain('InvalidSignature')
      return false
    },
  )
}

test('pays with its proof once, then without; the last voucher is claimed as it is kept', async () => {
  const paywall = fixture.paywall()
  const { id, key, proof } = await open()
  expect(code(await pay(paywall, await signed(id, price, key)))).toBe('invalid_signature')
  expect((await pay(paywall, await signed(id, price, key, proof))).status).toBe(200)
  expect((await pay(paywall, await signed(id, 2n * price, key))).status).toBe(200)
  const state = await paywall.ledger.get(id)
  expect(state).toMatchObject({ proof, charged: 2n * price })
  expect(state?.highest?.signature).toHaveLength(2 + 2 * 193)

  const before = await fixture.balance(fixture.provider.address)
  expect(await paywall.settlement.claim(id)).toMatchObject({ amount: 2n * price })
  expect((await fixture.balance(fixture.provider.address)) - before).toBe(2n * price)
})

test('another process on the same ledger learns the proof, also when it has the channel in memory', async () => {
  const ledger = () => sqliteLedger(join(fixture.folder, 'session.db'))
  const [first, second] = [fixture.paywall({ ledger: ledger() }), fixture.paywall({ ledger: ledger() })]
  const { id, key, proof } = await open()
  expect((await pay(second, await signed(id, price, fixture.consumer))).status).toBe(200)
  expect((await pay(first, await signed(id, 2n * price, key, proof))).status).toBe(200)
  expect((await pay(second, await signed(id, 3n * price, key))).status).toBe(200)
  const elsewhere = fixture.paywall()
  expect(code(await pay(elsewhere, await signed(id, 4n * price, key)))).toBe('invalid_signature')
})

test('the consumer pays and the session key learns nothing from it; both share the amount', async () => {
  const paywall = fixture.paywall()
  const { id, key, proof } = await open()
  expect((await pay(paywall, await signed(id, price, fixture.consumer))).status).toBe(200)
  expect(code(await pay(paywall, await signed(id, 2n * price, key)))).toBe('invalid_signature')
  expect(code(await pay(paywall, await signed(id, price, key, proof)))).toBe('insufficient_funds')
  expect((await pay(paywall, await signed(id, 2n * price, key))).status).toBe(200)
  expect((await pay(paywall, await signed(id, 3n * price, fixture.consumer))).status).toBe(200)
})

test('asks for the state and closes: claimAndClose takes its voucher', async () => {
  const paywall = fixture.paywall()
  const { id, key, proof } = await open()
  // More than is charged, so that the close takes less than was signed.
  expect((await pay(paywall, await signed(id, 20n * price, key, proof))).status).toBe(200)
  expect((await pay(paywall, await signed(id, 30n * price, key))).status).toBe(200)

  const request = async (action: ChannelRequest.Action, signer: LocalAccount, behind: Hex = '0x') => {
    const deadline = paywall.now() + 60n
    const own = await signer.signTypedData(
      ChannelRequest.typedData({ channelId: id, action, deadline }, fixture.chain.deployment),
    )
    return { deadline: `${deadline}`, signature: `${own}${behind.slice(2)}` }
  }
  const state = async (signer: LocalAccount, behind?: Hex) =>
    paywall.endpoints(
      new Request(`http://provider.test/v1/channels/${id}`, {
        headers: { [Wire.request]: JSON.stringify(await request('state', signer, behind)) },
      }),
    )
  const answer = await state(key)
  expect(answer?.status).toBe(200)
  const shown = (await answer?.json()) as { voucher: { signature: Hex } }
  expect(shown.voucher.signature).toHaveLength(2 + 2 * 193)
  expect((await state(key, proof))?.status).toBe(200)
  expect((await state(fixture.consumer))?.status).toBe(200)
  expect((await state(fixture.consumer, proof))?.status).toBe(402)
  expect((await state(fixture.stranger))?.status).toBe(402)

  const before = await fixture.balance(fixture.consumer.address)
  const closed = await paywall.endpoints(
    new Request('http://provider.test/v1/close-channel', {
      method: 'POST',
      body: JSON.stringify({ channelId: id, ...(await request('close', key)) }),
    }),
  )
  expect(await closed?.json()).toMatchObject({ finalAmount: `${2n * price}` })
  // What isn't worth a transaction is left to the consumer; the voucher counts in claimAndClose all the same.
  const { highest } = (await paywall.ledger.get(id)) ?? {}
  if (!highest) throw new Error('no voucher')
  const { chain, provider } = fixture
  const hash = await chain.walletClient(provider).writeContract({
    address: chain.deployment.contract,
    abi: drainChannelAbi,
    functionName: 'claimAndClose',
    args: [id, highest.amount, highest.nonce, 2n * price, highest.signature],
  })
  expect((await chain.publicClient.waitForTransactionReceipt({ hash })).status).toBe('success')
  expect((await fixture.balance(fixture.consumer.address)) - before).toBe(deposit - 2n * price)
})

describe('what the contract refuses is refused', () => {
  let a: Session
  let b: Session
  beforeAll(async () => {
    const key = privateKeyToAccount(generatePrivateKey())
    a = await open(key)
    b = await open(key)
  })

  const flip = (proof: Hex, at: number) =>
    `${proof.slice(0, at)}${proof[at] === '0' ? '1' : '0'}${proof.slice(at + 1)}` as Hex
  const word = (index: number) => 2 + 64 * index
  const attacks: [string, () => Promise<Voucher.Voucher>, boolean][] = [
    ['its own proof', () => signed(a.id, price, a.key, a.proof), true],
    ['the consumer without proof', () => signed(a.id, price, fixture.consumer), true],
    ['no proof', () => signed(a.id, price, a.key), false],
    ['the proof of another channel of the same key', () => signed(a.id, price, a.key, b.proof), false],
    ['another kind', () => signed(a.id, price, a.key, flip(a.proof, word(1) - 1)), false],
    ['another duration', () => signed(a.id, price, a.key, flip(a.proof, word(2) - 1)), false],
    ['another salt', () => signed(a.id, price, a.key, flip(a.proof, word(4) - 1)), false],
    ['a signer with a high bit', () => signed(a.id, price, a.key, flip(a.proof, word(2))), false],
    ['the consumer with the proof', () => signed(a.id, price, fixture.consumer, a.proof), false],
    ['a stranger with the proof', () => signed(a.id, price, fixture.stranger, a.proof), false],
    [
      'a stranger that names itself',
      () =>
        signed(
          a.id,
          price,
          fixture.stranger,
          SessionKey.encodeProof({ ...a.opening, signer: fixture.stranger.address }),
        ),
      false,
    ],
    [
      'a proof of nobody',
      () => signed(a.id, price, a.key, SessionKey.encodeProof({ ...a.opening, signer: zeroAddress })),
      false,
    ],
    [
      'relayed instead of direct',
      () => signed(a.id, price, a.key, SessionKey.encodeProof(a.opening, 'relayed')),
      false,
    ],
    ['a byte too much', () => signed(a.id, price, a.key, `${a.proof}00`), false],
    ['a byte too few', () => signed(a.id, price, a.key, a.proof.slice(0, -2) as Hex), false],
    [
      'a voucher of one channel on the other',
      async () => ({ ...(await signed(a.id, price, a.key, a.proof)), channelId: b.id }),
      false,
    ],
  ]
  test.each(attacks)('%s', async (_, attack, isGood) => {
    const voucher = await attack()
    const { chain, provider } = fixture
    const { deployment } = chain
    const paywall = fixture.paywall()
    const channel = (id: Hex) =>
      paywall.lookUp(id).then((found) => ('channel' in found ? found.channel : undefined))
    const context = {
      provider: provider.address,
      deployment,
      domainSeparator: paywall.domainSeparator,
      now: 0n,
    }
    const verdict = verifyVoucher(voucher, await channel(voucher.channelId), context)
    expect(verdict.ok).toBe(isGood)
    expect(await isClaimable(voucher)).toBe(isGood)
    const response = await pay(paywall, voucher)
    expect([response.status, code(response)]).toEqual(isGood ? [200, null] : [402, 'invalid_signature'])
  })

  test('a proof that one channel has shown counts on no other', async () => {
    const paywall = fixture.paywall()
    expect((await pay(paywall, await signed(a.id, price, a.key, a.proof))).status).toBe(200)
    expect(code(await pay(paywall, await signed(b.id, price, b.key)))).toBe('invalid_signature')
    expect(code(await pay(paywall, await signed(b.id, price, b.key, a.proof)))).toBe('invalid_signature')
    expect((await pay(paywall, await signed(b.id, price, b.key, b.proof))).status).toBe(200)
  })

  test('contracts without session keys have none', async () => {
    const { deployment } = fixture.chain
    const paywall = fixture.paywall({
      deployment: { ...deployment, features: deployment.features.filter((one) => one !== 'openWithSigner') },
    })
    expect(code(await pay(paywall, await signed(a.id, price, a.key, a.proof)))).toBe('invalid_signature')
    expect((await pay(paywall, await signed(a.id, price, fixture.consumer))).status).toBe(200)
  })
})

test('a provider without a paywall claims vouchers of a session key whose proof it has seen', async () => {
  const { chain, provider: account } = fixture
  const { contract: contractAddress, token: usdcAddress } = chain.deployment
  const { chainId, rpcUrl } = chain
  const provider = createDrainProviderWithWallet(
    { chainId, rpcUrl, contractAddress, usdcAddress },
    chain.walletClient(account),
    account,
  )
  const { id, key, proof } = await open()
  expect(await provider.verifyVoucher(await signed(id, price, key))).toMatchObject({
    valid: false,
    code: 'invalid_signature',
  })
  expect(await provider.verifyVoucher(await signed(id, price, key, proof))).toMatchObject({ valid: true })
  const last = await signed(id, 2n * price, key)
  expect(await provider.verifyVoucher(last)).toMatchObject({ valid: true, increase: price })
  await provider.claim(last)
  expect((await provider.getChannel(id)).claimed).toBe(2n * price)
})
