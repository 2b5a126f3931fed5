/** The end of a provider: what runs comes to its end, everything is charged and stored, and nothing new begins. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createServer, request as rawRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { Usdc } from '@drain/core'
import { memoryLedger, type Paywall, sse } from '@drain/provider'
import { paid, serve } from '@drain/provider/node'
import { sqliteLedger } from '@drain/provider/sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fixture, startFixture } from './fixture.ts'

const price = Usdc.parse('0.001')
let fixture: Fixture
beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())

const open = (options = {}) => {
  const path = `${fixture.folder}/${crypto.randomUUID()}.db`
  return { path, paywall: fixture.paywall({ ledger: sqliteLedger(path), ...options }) }
}
const code = (response: Response | undefined) => response?.headers.get('X-DRAIN-Error')
const ask = (paywall: Paywall, headers: Record<string, string>, work: () => Response | Promise<Response>) =>
  paywall.handle(new Request('http://p.test/x', { headers }), price, work)
/** The channel as it is stored, read by another process' eyes. */
async function stored(path: string, channelId: `0x${string}`) {
  const { paywall } = { paywall: fixture.paywall({ ledger: sqliteLedger(path) }) }
  return paywall.ledger.get(channelId)
}

describe('closing a paywall', () => {
  test('refuses what is new, finishes what runs, and then closes the store', async () => {
    const { path, paywall } = open({ graceMs: 60_000 })
    const channel = await fixture.open()
    let finish: (response: Response) => void = () => {}
    let running: Promise<Response> | undefined
    const headers = await channel.voucher(price)
    await new Promise<void>((started) => {
      running = ask(paywall, headers, () => {
        started()
        return new Promise((resolve) => {
          finish = resolve
        })
      })
    })
    const closed = paywall.close()
    expect(paywall.close()).toBe(closed)
    expect(paywall.isClosing).toBe(true)
    const refused = await ask(paywall, await channel.voucher(2n * price), () => new Response('no'))
    expect([refused.status, code(refused), refused.headers.get('Retry-After')]).toEqual([
      503,
      'unavailable',
      '1',
    ])
    const health = await paywall.endpoints(new Request('http://p.test/health'))
    expect([health?.status, (await health?.json())?.reasons]).toEqual([503, ['closing']])
    const closing = await paywall.endpoints(
      new Request('http://p.test/v1/close-channel', { method: 'POST', body: '{}' }),
    )
    expect(closing?.status).toBe(503)
    // What runs may need another voucher to come to its end.
    const raised = await paywall.endpoints(
      new Request('http://p.test/v1/vouchers', {
        method: 'POST',
        headers: await channel.voucher(3n * price),
      }),
    )
    expect(raised?.status).toBe(200)

    finish(new Response('done'))
    expect(await (await running)?.text()).toBe('done')
    await closed
    expect(await stored(path, channel.id)).toMatchObject({ charged: price, reserved: 0n, nonce: 3n })
    await expect(paywall.ledger.get(channel.id)).rejects.toThrow()
  })

  test('ends a stream that goes on at what it has charged, with its receipt', async () => {
    const { path, paywall } = open({ graceMs: 10 })
    const channel = await fixture.open()
    const request = new Request('http://p.test/s', { headers: await channel.voucher(price) })
    const response = await paywall.handle(request, price, (payment) =>
      sse(
        payment,
        (async function* () {
          yield { data: 'first', cost: 123n }
          await new Promise(() => {})
        })(),
      ),
    )
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = (await reader?.read())?.value ?? ''
    const closed = paywall.close()
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
      if (done) break
      text += value
    }
    await closed
    expect(text).toContain('data: first')
    expect(JSON.parse(/event: payment-receipt\ndata: (.*)/.exec(text)?.[1] ?? '')).toMatchObject({
      cost: '123',
    })
    expect(await stored(path, channel.id)).toMatchObject({ charged: 123n, reserved: 0n })
  })

  test('charges nothing for work that does not end, and gives its reservation back', async () => {
    const { path, paywall } = open({ graceMs: 10 })
    const channel = await fixture.open()
    const headers = await channel.voucher(price)
    await new Promise<void>((started) => {
      void ask(paywall, headers, () => {
        started()
        return new Promise(() => {})
      })
    })
    await paywall.close()
    expect(await stored(path, channel.id)).toMatchObject({ charged: 0n, reserved: 0n, authorized: price })
  })

  test('does not send what comes after that, unless it was charged', async () => {
    const { path, paywall } = open({ graceMs: 10 })
    const [whole, reported, behind] = [await fixture.open(), await fixture.open(), await fixture.open()]
    const finish: (() => void)[] = []
    const asked: Promise<Response>[] = []
    const slow = (headers: Record<string, string>, cost?: bigint) => {
      const request = new Request('http://p.test/x', { headers })
      const answer = paywall.handle(request, price, (payment) => {
        if (cost !== undefined) payment.charge(cost)
        return new Promise((resolve) => {
          finish.push(() => resolve(new Response('valuable')))
        })
      })
      asked.push(answer)
    }
    slow(await whole.voucher(price))
    slow(await reported.voucher(price), 7n)
    const listener = paid(paywall, '0.001', (_, res) => void finish.push(() => res.end('valuable')))
    const server = createServer(listener)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    asked.push(fetch(`http://127.0.0.1:${port}/`, { headers: await behind.voucher(price) }))
    await expect.poll(() => finish.length).toBe(3)
    await paywall.close()
    for (const end of finish) end()
    const [first, second, third] = await Promise.all(asked)
    for (const response of [first, third]) {
      expect([response?.status, code(response)]).toEqual([503, 'unavailable'])
      expect(await response?.text()).not.toContain('valuable')
    }
    expect([second?.headers.get('X-DRAIN-Cost'), await second?.text()]).toEqual(['7', 'valuable'])
    expect((await stored(path, whole.id))?.charged).toBe(0n)
    expect((await stored(path, reported.id))?.charged).toBe(7n)
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  test('waits for a request that is just being reserved', async () => {
    const { path, paywall } = open({ graceMs: 60_000 })
    const channel = await fixture.open()
    const running = ask(paywall, await channel.voucher(price), () => new Response('paid'))
    await paywall.close()
    expect((await running).status).toBe(200)
    expect(await stored(path, channel.id)).toMatchObject({ charged: price, reserved: 0n })
  })
})

describe('a server', () => {
  test('does not start on the wrong chain, and leaves nothing open', async () => {
    const paywall = fixture.paywall({
      deployment: { ...fixture.chain.deployment, contract: fixture.stranger.address },
      ledger: memoryLedger({ log: () => {} }),
    })
    await expect(serve(paywall, () => {}, { port: 0 })).rejects.toMatchObject({ code: 'no_contract' })
    expect(paywall.isClosing).toBe(true)
  })

  test('does not start on a port that is taken, and leaves nothing open', async () => {
    const first = await serve(fixture.paywall(), () => {}, { port: 0, signals: false })
    const port = Number(new URL(first.url).port)
    const paywall = fixture.paywall()
    await expect(serve(paywall, () => {}, { port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    expect(paywall.isClosing).toBe(true)
    await first.close()
  })

  test('finishes its answers, ends idle connections, and takes no signal any more', async () => {
    const listeners = () => process.listenerCount('SIGTERM') + process.listenerCount('SIGINT')
    const before = listeners()
    const { path, paywall } = open({ graceMs: 60_000 })
    const channel = await fixture.open()
    let finish = () => {}
    let started = () => {}
    const isStarted = new Promise<void>((resolve) => {
      started = resolve
    })
    const listener = paid(paywall, '0.001', (_, res) => {
      started()
      finish = () => res.end('done')
    })
    const server = await serve(paywall, listener, { port: 0 })
    expect(listeners()).toBe(before + 2)
    // An idle connection that is kept alive.
    expect((await fetch(`${server.url}/v1/pricing`)).status).toBe(200)
    const answer = fetch(`${server.url}/x`, { headers: await channel.voucher(price) })
    await isStarted
    const closed = server.close()
    expect(server.close()).toBe(closed)
    finish()
    expect(await (await answer).text()).toBe('done')
    await closed
    await expect(fetch(`${server.url}/v1/pricing`)).rejects.toThrow()
    expect(listeners()).toBe(before)
    expect(await stored(path, channel.id)).toMatchObject({ charged: price })
  })

  test('charges for what it served before SIGTERM, and the process ends by itself', async () => {
    const path = `${fixture.folder}/sigterm.db`
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script(path)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const lines = createInterface({ input: child.stdout })
    const line = (await lines[Symbol.asyncIterator]().next()).value as string
    const channel = await fixture.open()
    const headers = await channel.voucher(price)
    const text = await new Promise<string>((resolve, reject) => {
      const request = rawRequest(`${line}/slow`, { headers }, (response) => {
        let body = ''
        response.on('data', (chunk) => {
          if (body === '') child.kill('SIGTERM')
          body += chunk
        })
        response.on('end', () => resolve(body))
      })
      request.on('error', reject).end()
    })
    expect(text).toContain('payment-receipt')
    expect(await exit(child)).toBe(0)
    expect((await stored(path, channel.id))?.charged).toBeGreaterThan(0n)
    expect((await stored(path, channel.id))?.reserved).toBe(0n)
  })
})

function exit(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return Promise.resolve(child.exitCode)
  return new Promise((resolve) => child.once('exit', resolve))
}

/** A provider with an endless stream, as a process of its own. */
function script(path: string): string {
  const source = (name: string) => JSON.stringify(new URL(`../src/${name}`, import.meta.url).href)
  const { chainId, contract, token } = fixture.chain.deployment
  const key = `0x${Buffer.from(fixture.chain.accounts[1].getHdKey().privateKey as Uint8Array).toString('hex')}`
  return `
    import { createPaywall, sse } from ${source('index.ts')}
    import { paid, send, serve } from ${source('http/node.ts')}
    import { sqliteLedger } from ${source('ledger/sqlite.ts')}
    import { privateKeyToAccount } from 'viem/accounts'
    const paywall = createPaywall({
      account: privateKeyToAccount('${key}'),
      chainId: ${chainId},
      rpcUrl: '${fixture.chain.rpcUrl}',
      contractAddress: '${contract}',
      usdcAddress: '${token}',
      ledger: sqliteLedger(${JSON.stringify(path)}),
      graceMs: 50,
      log: () => {},
    })
    async function* events() {
      for (let cost = 1n; ; cost += 1n) {
        yield { data: 'x', cost }
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
    const listener = paid(paywall, '0.001', (req, res, payment) => send(res, sse(payment, events())))
    const { url } = await serve(paywall, listener, { port: 0 })
    console.log(url)
  `
}
