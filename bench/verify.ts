/**
 * How many vouchers per second are verified: ours from header to verdict on each secp256k1 library, viem's
 * `verifyTypedData` on the same vouchers, the bare native recovery that bounds us, and the peers' own verification as
 * published. `node bench/verify.ts [--quick]`. How and why: `README.md`.
 */
import { createRequire } from 'node:module'
import { Deployment, Domain, Voucher } from '@drain/core'
import { type Secp256k1Name, selectSecp256k1, verifyVoucher } from '@drain/provider'
import { BATCH_SETTLEMENT_ADDRESS, BATCH_SETTLEMENT_DOMAIN, voucherTypes } from '@x402/evm'
import { BatchSettlementEvmScheme, InMemoryChannelStorage } from '@x402/evm/batch-settlement/server'
import { Session } from 'mppx/tempo'
import { type Hex, hashTypedData, hexToBytes, verifyTypedData } from 'viem'
import { median } from './median.ts'
import { chainId as mppxChainId } from './payers/mppx.ts'
import { escrow, channelOf as mppxChannelOf } from './payers/mppxSession.ts'
import { createSigner, keyOf } from './payers/sign.ts'
import {
  network,
  receiver,
  token,
  withdrawDelay,
  chainId as x402ChainId,
  channelOf as x402ChannelOf,
} from './payers/x402.ts'
import { table } from './table.ts'

/** Verifies voucher number `index`; throws when it is refused. */
type Verify = (index: number) => unknown

/** Vouchers of each kind: that many, on that many channels, so that nothing is remembered from the last round. */
const [vouchers, channels] = [256, 16]

export async function run({ quick = false }: { quick?: boolean } = {}): Promise<Record<string, number>> {
  const [rounds, milliseconds] = quick ? [3, 50] : [25, 200]
  const contenders = new Map<string, Verify>(
    Object.entries({ ...(await ours()), mppx: mppx(), x402: await x402() }),
  )
  const rates = new Map([...contenders.keys()].map((name): [string, number[]] => [name, []]))
  for (const verify of contenders.values()) await rate(verify, milliseconds) // warm
  for (let round = 0; round < rounds; round++) {
    for (const [name, verify] of contenders) rates.get(name)?.push(await rate(verify, milliseconds))
  }
  const ops = (name: string) => median(rates.get(name) ?? [])
  /** Of rates that were measured side by side, so that what slowed one down slowed the other down too. */
  const versus = (name: string, other: string) =>
    median((rates.get(name) ?? []).map((value, round) => value / (rates.get(other)?.[round] ?? Number.NaN)))

  table(
    ['', 'vouchers/s', 'µs', 'viem = 1'],
    [...contenders.keys()].map((name) => [
      labels[name] ?? name,
      ops(name).toFixed(0),
      (1e6 / ops(name)).toFixed(1),
      versus(name, 'viem').toFixed(1),
    ]),
  )
  return {
    verify_native_vs_viem: versus('native', 'viem'),
    verify_wasm_vs_viem: versus('wasm', 'viem'),
    verify_native_vs_raw: versus('native', 'raw'),
    verify_native_vs_mppx: versus('native', 'mppx'),
    verify_native_vs_x402: versus('native', 'x402'),
    verify_native_ops: ops('native'),
    verify_wasm_ops: ops('wasm'),
    verify_noble_ops: ops('noble'),
    verify_viem_ops: ops('viem'),
    verify_raw_native_ops: ops('raw'),
  }
}

const labels: Record<string, string> = {
  raw: 'libsecp256k1, bare recovery',
  native: 'DRAIN, native',
  wasm: 'DRAIN, WebAssembly',
  noble: 'DRAIN, noble',
  viem: 'viem verifyTypedData',
  mppx: 'mppx Voucher.verifyVoucher',
  x402: 'x402 onBeforeVerify',
}

/** Verifications per second. */
async function rate(verify: Verify, milliseconds: number): Promise<number> {
  const start = performance.now()
  let done = 0
  let now = start
  while (now - start < milliseconds) {
    const result = verify(done++ % vouchers)
    if (result instanceof Promise) await result
    now = performance.now()
  }
  return (done / (now - start)) * 1_000
}

/** Ours, and on the same vouchers viem's and libsecp256k1's own. */
async function ours(): Promise<Record<string, Verify>> {
  const deployment = Deployment.from({
    chainId: 137,
    contract: '0x00000000000000000000000000000000000d4a14',
    token: '0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359',
  })
  const provider = createSigner(keyOf(500)).address
  const facts = Array.from({ length: channels }, (_, index) => ({
    id: keyOf(1_000 + index),
    consumer: createSigner(keyOf(index)).address,
    provider,
    deposit: 10n ** 12n,
    claimed: 0n,
    expiry: 2n ** 32n - 1n,
  }))
  const known = new Map(facts.map((channel) => [channel.id, channel]))
  const separator = hexToBytes(Domain.separator(deployment))
  const all = Array.from({ length: vouchers }, (_, index) => {
    const channelId = keyOf(1_000 + (index % channels))
    const unsigned = { channelId, amount: BigInt(1_000 * (index + 1)), nonce: BigInt(index + 1) }
    const digest = Voucher.digest(unsigned, separator)
    const signature = createSigner(keyOf(index % channels)).sign(digest)
    const bytes = hexToBytes(signature)
    return {
      header: Voucher.toHeader({ ...unsigned, signature }),
      typedData: { ...Voucher.typedData(unsigned, deployment), signature },
      consumer: facts[index % channels]?.consumer ?? provider,
      digest,
      rs: bytes.slice(0, 64),
      recovery: (bytes[64] ?? 0) - 27,
    }
  })
  const at = (index: number) => all[index] as (typeof all)[number]

  const whole = async (name: Secp256k1Name): Promise<Verify> => {
    const secp256k1 = selectSecp256k1(name)
    await secp256k1.ready()
    const context = { provider, deployment, domainSeparator: separator, secp256k1, now: 1_800_000_000n }
    return (index) => {
      const voucher = Voucher.fromHeader(at(index).header)
      if (!verifyVoucher(voucher, known.get(voucher.channelId), context).ok)
        throw new Error(`${name} refuses`)
    }
  }
  const { ecdsaRecover } = createRequire(import.meta.url)('secp256k1/bindings') as {
    ecdsaRecover(rs: Uint8Array, recovery: number, digest: Uint8Array, compressed: boolean): Uint8Array
  }
  return {
    raw(index) {
      const { rs, recovery, digest } = at(index)
      ecdsaRecover(rs, recovery, digest, false)
    },
    native: await whole('native'),
    wasm: await whole('wasm'),
    noble: await whole('noble'),
    async viem(index) {
      const { typedData, consumer } = at(index)
      if (!(await verifyTypedData({ ...typedData, address: consumer }))) throw new Error('viem refuses')
    },
  }
}

/** What mppx's session server calls for each voucher, from the parsed voucher on. */
function mppx(): Verify {
  const { Voucher } = Session.Precompile
  const all = Array.from({ length: vouchers }, (_, index) => {
    const { channelId } = mppxChannelOf(index % channels)
    const signer = createSigner(keyOf(index % channels))
    const message = { channelId, cumulativeAmount: BigInt(1_000 * (index + 1)) }
    const domain = Voucher.getVoucherDomain(escrow, mppxChainId)
    const digest = hashTypedData({ domain, types: Voucher.voucherTypes, primaryType: 'Voucher', message })
    return { voucher: { ...message, signature: signer.sign(hexToBytes(digest)) }, signer: signer.address }
  })
  return (index) => {
    const { voucher, signer } = all[index] as (typeof all)[number]
    if (!Voucher.verifyVoucher(escrow, mppxChainId, voucher as never, signer)) throw new Error('mppx refuses')
  }
}

/**
 * x402's batch settlement keeps its verification to itself. The nearest that it publishes is the hook with which its server
 * verifies a voucher on a channel it knows, without the facilitator or the chain: from the decoded payload, with the channel
 * from its own in-memory store.
 */
async function x402(): Promise<Verify> {
  const storage = new InMemoryChannelStorage()
  for (let index = 0; index < channels; index++) {
    const { channelId, channelConfig } = x402ChannelOf(index)
    await storage.updateChannel(channelId, () => ({
      channelId,
      channelConfig,
      chargedCumulativeAmount: '0',
      signedMaxClaimable: '0',
      signature: '0x',
      balance: `${10n ** 12n}`,
      totalClaimed: '0',
      withdrawRequestedAt: 0,
      refundNonce: 0,
      onchainSyncedAt: Date.now(),
      lastRequestTimestamp: Date.now(),
    }))
  }
  const scheme = new BatchSettlementEvmScheme(receiver, {
    storage,
    withdrawDelay,
    onchainStateTtlMs: Number.MAX_SAFE_INTEGER,
  })
  const { onBeforeVerify } = scheme.schemeHooks
  if (!onBeforeVerify) throw new Error('x402 has no onBeforeVerify any more')
  const domain = {
    ...BATCH_SETTLEMENT_DOMAIN,
    chainId: x402ChainId,
    verifyingContract: BATCH_SETTLEMENT_ADDRESS,
  }
  const all = Array.from({ length: vouchers }, (_, index) => {
    const { channelId, channelConfig } = x402ChannelOf(index % channels)
    const amount = 1_000 * (index + 1)
    const message = { channelId, maxClaimableAmount: BigInt(amount) }
    const digest = hashTypedData({ domain, types: voucherTypes, primaryType: 'Voucher', message })
    const signature: Hex = createSigner(keyOf(index % channels)).sign(hexToBytes(digest))
    const requirements = {
      scheme: 'batch-settlement',
      network,
      amount: `${amount}`,
      asset: token,
      payTo: receiver,
      maxTimeoutSeconds: 60,
      extra: {
        name: 'USDC',
        version: '2',
        withdrawDelay,
        receiverAuthorizer: channelConfig.receiverAuthorizer,
      },
    }
    const voucher = { channelId, maxClaimableAmount: `${amount}`, signature }
    const payload = { type: 'voucher', channelConfig, voucher }
    return { requirements, paymentPayload: { x402Version: 2, accepted: requirements, payload } }
  })
  return async (index) => {
    const verdict = await onBeforeVerify(all[index] as never)
    const { result } = (verdict ?? {}) as { result?: { isValid?: boolean } }
    if (!result?.isValid) throw new Error(`x402 refuses: ${JSON.stringify(verdict)}`)
  }
}

if (import.meta.main) {
  console.log()
  console.log(await run({ quick: process.argv.includes('--quick') }))
}
