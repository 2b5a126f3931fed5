/** A provider that dies at any step of a charge: the payer pays once for an answer, or nothing for none. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { sqliteLedger } from '@drain/provider/sqlite'
import { bytesToHex, keccak256, stringToBytes } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { type SignedAuthorization, toPayload } from '../src/authorization.ts'
import { tokenAbi } from '../src/server/chargeToken.ts'
import { authorize, chargesOf } from './charging.ts'

let fixture: Fixture
const price = 20_000n

beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())

const script = new URL('charging.child.ts', import.meta.url).pathname

/** How many steps there were; `undefined` when it was killed. */
function run(
  path: string,
  authorization: SignedAuthorization,
  keyId: string,
  step: number,
): number | undefined {
  const { chain, provider } = fixture
  const key = 'getHdKey' in provider ? (provider.getHdKey as () => { privateKey: Uint8Array })() : undefined
  if (!key) throw new Error('no key')
  const input = {
    ...{ path, keyId, payload: toPayload(authorization), chainId: chain.chainId, rpcUrl: chain.rpcUrl },
    contractAddress: chain.deployment.contract,
    usdcAddress: chain.deployment.token,
    privateKey: bytesToHex(key.privateKey),
  }
  const child = spawnSync(process.execPath, [script, JSON.stringify(input), String(step)], {
    encoding: 'utf8',
  })
  if (child.signal === 'SIGKILL') return undefined
  if (child.status !== 0) throw new Error(child.stderr)
  return Number(child.stdout)
}

async function uses({ from, nonce }: SignedAuthorization): Promise<number> {
  const events = await fixture.chain.publicClient.getContractEvents({
    address: fixture.chain.deployment.token,
    abi: tokenAbi,
    eventName: 'AuthorizationUsed',
    args: { authorizer: from, nonce },
    fromBlock: 0n,
  })
  return events.length
}

test('killed before any of its steps, a charge is taken once or not at all, and its answer is there for whoever paid', async () => {
  const found: string[] = []
  for (let step = 1; ; step += 1) {
    const path = join(fixture.folder, `death-${step}.db`)
    const authorization = await authorize(fixture, price)
    const keyId = keccak256(stringToBytes(`key ${step}`))
    const key = { id: keyId, fingerprint: keyId }
    const before = await fixture.balance(fixture.provider.address)
    const steps = run(path, authorization, keyId, step)
    const paywall = fixture.paywall({ ledger: sqliteLedger(path, { restored: 'trust', log: () => {} }) })
    const charges = chargesOf(paywall)
    const again = await charges.begin(authorization, { quote: price, key })
    const earned = (await fixture.balance(fixture.provider.address)) - before
    if (again.ok) {
      // Nothing was written down yet.
      expect(earned).toBe(0n)
      await again.funds.capture(price, {})
      expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
      found.push('unknown')
    } else if ('rejection' in again) {
      // Its lease still runs: nothing was sent.
      expect(['idempotency_in_flight', 'invalid_nonce']).toContain(again.rejection.code)
      expect([earned, await uses(authorization)]).toEqual([0n, 0])
      found.push('taken')
    } else {
      expect(new TextDecoder().decode(again.outcome)).toBe('the answer')
      expect([earned, await uses(authorization)]).toEqual([price, 1])
      found.push('answered')
    }
    expect(await uses(authorization)).toBeLessThanOrEqual(1)
    const other = await charges.begin(authorization, { quote: price })
    expect(other.ok).toBe(false)
    await paywall.close()
    if (steps !== undefined) break
  }
  // Each of the three was seen, in this order.
  expect([...new Set(found)]).toEqual(['unknown', 'taken', 'answered'])
  expect(found.length).toBeGreaterThan(7)
}, 300_000)
