/**
 * What paying costs the consumer: how many vouchers per second a local key signs, on each secp256k1 library, against viem's
 * `signTypedData` on the same vouchers; and how many requests it sends for one that is paid. `node bench/consumer.ts [--quick]`. How and why: `README.md`.
 */
import { localAccount, signVoucher } from '@drain/consumer'
import { Deployment, Voucher } from '@drain/core'
import { createWalletClient, custom, type Hex, type PrivateKeyAccount } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { median } from './median.ts'
import { keyOf } from './payers/sign.ts'
import { measureRoundTrips } from './roundTrips.ts'
import { table } from './table.ts'

type Options = { quick?: boolean }

export async function run(options: Options = {}): Promise<Record<string, number>> {
  const figures = await signing(options)
  console.log()
  return { ...figures, ...(await measureRoundTrips(options)) }
}

/** Signs the next voucher. */
type Sign = () => Promise<Hex>

/** How fast vouchers are signed: from amount and nonce to the signature. */
async function signing({ quick = false }: Options): Promise<Record<string, number>> {
  const [rounds, milliseconds] = quick ? [3, 50] : [25, 200]
  const contenders = new Map<string, Sign>(Object.entries(await signers()))
  const rates = new Map([...contenders.keys()].map((name): [string, number[]] => [name, []]))
  for (const sign of contenders.values()) await rate(sign, milliseconds) // warm
  for (let round = 0; round < rounds; round++) {
    for (const [name, sign] of contenders) rates.get(name)?.push(await rate(sign, milliseconds))
  }
  const ops = (name: string) => median(rates.get(name) ?? [])
  /** Of rates that were measured side by side, so that what slowed one down slowed the other down too. */
  const versusViem = (name: string) =>
    median((rates.get(name) ?? []).map((value, round) => value / (rates.get('viem')?.[round] ?? Number.NaN)))

  table(
    ['', 'vouchers/s', 'µs', 'viem = 1'],
    [...contenders.keys()].map((name) => [
      labels[name] ?? name,
      ops(name).toFixed(0),
      (1e6 / ops(name)).toFixed(1),
      versusViem(name).toFixed(1),
    ]),
  )
  return {
    sign_native_vs_viem: versusViem('native'),
    sign_wasm_vs_viem: versusViem('wasm'),
    sign_native_ops: ops('native'),
    sign_wasm_ops: ops('wasm'),
    sign_noble_ops: ops('noble'),
    sign_viem_ops: ops('viem'),
  }
}

const labels: Record<string, string> = {
  native: 'signVoucher, native',
  wasm: 'signVoucher, WebAssembly',
  noble: 'signVoucher, noble',
  viem: 'viem signTypedData',
}

/** Signatures per second. */
async function rate(sign: Sign, milliseconds: number): Promise<number> {
  const start = performance.now()
  let done = 0
  let now = start
  while (now - start < milliseconds) {
    await sign()
    done += 1
    now = performance.now()
  }
  return (done / (now - start)) * 1_000
}

/** Each signs vouchers of rising amounts with the same key; the first of each is compared with viem's. */
async function signers(): Promise<Record<string, Sign>> {
  const deployment = Deployment.from({
    chainId: 137,
    contract: '0x00000000000000000000000000000000000d4a14',
    token: '0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359',
  })
  const [privateKey, channelId] = [keyOf(0), keyOf(1_000)]
  const transport = custom({ request: async () => Promise.reject(new Error('signing asks nobody')) })
  const clientOf = (account: PrivateKeyAccount) => createWalletClient({ account, transport })
  const counting = (sign: (voucher: Voucher.Unsigned) => Promise<Hex>): Sign => {
    let nonce = 0n
    return () => {
      nonce += 1n
      return sign({ channelId, amount: 1_000n * nonce, nonce })
    }
  }
  const ours = async (secp256k1: 'native' | 'wasm' | 'noble'): Promise<Sign> => {
    const account = localAccount(privateKey, { secp256k1 })
    await account.ready()
    const client = clientOf(account)
    return counting(async (voucher) => (await signVoucher(client, { deployment, ...voucher })).signature)
  }
  const viems = privateKeyToAccount(privateKey)
  const viem = counting((voucher) => viems.signTypedData(Voucher.typedData(voucher, deployment)))
  const all = { native: await ours('native'), wasm: await ours('wasm'), noble: await ours('noble'), viem }
  const signatures = await Promise.all(Object.values(all).map((sign) => sign()))
  if (new Set(signatures).size !== 1) throw new Error('not all sign the same')
  return all
}

if (import.meta.main) {
  console.log()
  console.log(await run({ quick: process.argv.includes('--quick') }))
}
