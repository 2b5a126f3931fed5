/** The providers that aren't language models, paid on a real chain. */
import { gunzipSync, inflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCompression } from '../src/compression.ts'
import { startJobs } from '../src/jobs.ts'
import type { RunningProvider } from '../src/provider.ts'
import { startSandbox } from '../src/sandbox.ts'
import { startSimulation } from '../src/simulation.ts'
import { startTextTools } from '../src/textTools.ts'
import {
  ask,
  chargeOf,
  chatOf,
  expectRefused,
  expectRobust,
  type Kit,
  sendExamples,
  startKit,
} from './kit.ts'

let kit: Kit
beforeAll(async () => {
  kit = await startKit()
})
afterAll(() => kit?.close())

const chat = (provider: RunningProvider) => `${provider.url}/v1/chat/completions`

describe('text and unit tools', () => {
  let provider: RunningProvider
  beforeAll(async () => {
    provider = await kit.start(startTextTools)
  })

  it('answers what its docs promise', async () => {
    let outcomes: Awaited<ReturnType<typeof sendExamples>> = []
    const charged = await chargeOf(kit, provider, async () => {
      outcomes = await sendExamples(kit, provider)
    })
    expect(outcomes).toHaveLength(2)
    for (const { content, promised } of outcomes) expect(JSON.parse(content)).toEqual(JSON.parse(promised))
    expect(charged).toBe(1_000n + 500n)
  })

  it('converts temperatures and other units', async () => {
    const convert = (value: number, from: string, to: string) =>
      ask(kit, provider, 'unit-conversion', { value, from, to })
    expect(await convert(100, 'C', 'F')).toEqual({ value: 212, unit: 'F' })
    expect(await convert(-40, 'F', 'C')).toEqual({ value: -40, unit: 'C' })
    expect(await convert(1, 'gal', 'l')).toEqual({ value: 3.785411784, unit: 'l' })
  })

  it('takes a text in parts, and streams the answer in one piece', async () => {
    const content = [
      { type: 'text', text: '{"text":' },
      { type: 'text', text: '"Two words"}' },
    ]
    const body = JSON.stringify({
      model: 'text-statistics',
      messages: [{ role: 'user', content }],
      stream: true,
    })
    const charged = await chargeOf(kit, provider, async () => {
      const text = await (await kit.client.fetch(chat(provider), { ...chatOf('', ''), body })).text()
      const [chunk] = text.match(/^data: (\{"id.*)$/m)?.slice(1) ?? []
      const { delta } = JSON.parse(chunk ?? '').choices[0]
      expect(JSON.parse(delta.content)).toMatchObject({ words: 2 })
      expect(text).toMatch(/data: \[DONE\]\n\n$/)
    })
    expect(charged).toBe(1_000n)
  })

  it('refuses what it can’t do, for nothing', async () => {
    await expectRobust(provider)
    for (const input of ['hello', {}, { text: '' }, { text: 5 }, { text: 'x'.repeat(20_001) }])
      await expectRefused(chat(provider), chatOf('text-statistics', input), 400)
    const right = { value: 1, from: 'm', to: 'ft' }
    const wrong = [
      { value: '1' },
      { value: 1e300 },
      { value: null },
      { from: '__proto__' },
      { from: 'parsec' },
      { to: 'kg' },
      { to: 'constructor' },
    ]
    for (const part of wrong)
      await expectRefused(chat(provider), chatOf('unit-conversion', { ...right, ...part }), 400)
  })

  it('is found by those who look for its routes', async () => {
    const { paths } = await (await fetch(`${provider.url}/openapi.json`)).json()
    const { example } = paths['/v1/chat/completions'].post.requestBody.content['application/json']
    expect(example).toMatchObject({ model: 'text-statistics' })
    const { models } = await (await fetch(`${provider.url}/v1/pricing`)).json()
    expect(models['unit-conversion']).toMatchObject({ inputPer1kTokens: '0.0005', outputPer1kTokens: '0' })
    expect((await fetch(`${provider.url}/nothing`)).status).toBe(404)
  })
})

describe('jobs', () => {
  let provider: RunningProvider
  beforeAll(async () => {
    provider = await kit.start(startJobs)
  })

  it('is paid once, and fetched for nothing by whoever has the id', async () => {
    let made: { jobId: string; poll: string; status: string } | undefined
    const charged = await chargeOf(kit, provider, async () => {
      const [outcome] = await sendExamples(kit, provider)
      made = JSON.parse(outcome?.content ?? '')
      expect(Object.keys(made ?? {})).toEqual(Object.keys(JSON.parse(outcome?.promised ?? '')))
      const poll = () => fetch(`${provider.url}${made?.poll}`).then((response) => response.json())
      await expect.poll(poll).toMatchObject({ status: 'done', result: { upTo: 1_000_000, primes: 78_498 } })
    })
    expect(charged).toBe(2_000n)
    expect(made?.jobId).toMatch(/^[0-9a-f]{32}$/)
    await expectRefused(`${provider.url}/v1/jobs/${'0'.repeat(32)}`, {}, 404)
    await expectRefused(`${provider.url}/v1/jobs/__proto__`, {}, 404)
  })

  it('refuses bad input for nothing', async () => {
    await expectRobust(provider)
    for (const upTo of [undefined, '5', 1, 1.5, 1e9, -2, null])
      await expectRefused(chat(provider), chatOf('prime-count', { upTo }), 400)
  })

  it('takes no more than it can do, and charges none that it refuses', async () => {
    const statuses: number[] = []
    const charged = await chargeOf(kit, provider, async () => {
      const many = Array.from({ length: 60 }, () =>
        kit.client.fetch(chat(provider), chatOf('prime-count', { upTo: 20_000_000 })),
      )
      for (const response of await Promise.all(many)) {
        statuses.push(response.status)
        await response.body?.cancel()
      }
    })
    const taken = statuses.filter((status) => status === 200).length
    expect(statuses.filter((status) => status === 503)).toHaveLength(60 - taken)
    expect(charged).toBe(BigInt(taken) * 2_000n)
    expect(taken).toBeLessThan(60)
  })

  it('forgets jobs that have expired', async () => {
    const brief = await kit.start((options) => startJobs({ ...options, keepMs: 1 }))
    const { poll } = await ask(kit, brief, 'prime-count', { upTo: 2 })
    await expect.poll(async () => (await fetch(`${brief.url}${poll}`)).status).toBe(404)
  })
})

describe('compression', () => {
  let provider: RunningProvider
  beforeAll(async () => {
    provider = await kit.start(startCompression)
  })

  it('answers what its docs promise', async () => {
    const [outcome] = await sendExamples(kit, provider)
    expect(JSON.parse(outcome?.content ?? '')).toEqual(JSON.parse(outcome?.promised ?? ''))
    const { base64 } = JSON.parse(outcome?.content ?? '')
    expect(inflateSync(Buffer.from(base64, 'base64')).toString()).toBe('drain '.repeat(20))
  })

  it.each(['POST', 'PUT'])('takes bytes by %s and gives bytes, for their number', async (method) => {
    const file = Buffer.alloc(1_500_000, 'some bytes that repeat')
    const charged = await chargeOf(kit, provider, async () => {
      const response = await kit.client.fetch(`${provider.url}/v1/compress?format=gzip`, {
        method,
        body: file,
      })
      expect(response.headers.get('Content-Type')).toBe('application/octet-stream')
      expect(gunzipSync(Buffer.from(await response.arrayBuffer())).equals(file)).toBe(true)
    })
    expect(charged).toBe(BigInt(Math.ceil(1_500_000 / 1_024) * 20))
  })

  it('refuses what is too large, and what it doesn’t know, before it is read or paid', async () => {
    await expectRobust(provider)
    const url = `${provider.url}/v1/compress`
    await expectRefused(url, { method: 'POST', body: Buffer.alloc(4 * 1_048_576 + 1) }, 413)
    await expectRefused(url, { method: 'POST' }, 411)
    await expectRefused(`${url}?format=__proto__`, { method: 'POST', body: 'x' }, 400)
    expect((await fetch(url, { method: 'POST', body: 'x' })).status).toBe(402)
    for (const input of [{}, { base64: '' }, { base64: '!!' }, { base64: 'AAAA', format: 'zip' }])
      await expectRefused(chat(provider), chatOf('compress', input), 400)
    await expectRefused(chat(provider), chatOf('compress', { base64: 'A'.repeat(100_000) }), 413)
  })
})

describe('simulation', () => {
  let provider: RunningProvider
  beforeAll(async () => {
    provider = await kit.start(startSimulation)
  })
  /** 0.06 USDC per minute are one base unit per millisecond. */
  const priceOf = (milliseconds: number) => BigInt(milliseconds)

  it('quotes the time that was asked for, and charges the time that was used', async () => {
    const request = chatOf('random-walk', { seconds: 5, precision: 0.05 })
    expect((await fetch(chat(provider), request)).headers.get('X-DRAIN-Required')).toBe('5000')
    let used = 0
    const charged = await chargeOf(kit, provider, async () => {
      const [outcome] = await sendExamples(kit, provider)
      const { milliseconds, ...rest } = JSON.parse(outcome?.content ?? '')
      used = milliseconds
      // For 100 steps it is the square root of 200 / pi, about.
      expect(rest.meanDistance).toBeCloseTo(7.96, 0)
      expect(rest.standardError).toBeLessThanOrEqual(0.05)
    })
    expect(charged).toBe(priceOf(used))
    expect(charged).toBeLessThanOrEqual(2_000n)
  })

  it('stops at the time that was paid for', async () => {
    const charged = await chargeOf(kit, provider, async () => {
      const done = await ask(kit, provider, 'random-walk', { seconds: 0.05, steps: 10_000 })
      expect(done.milliseconds).toBe(50)
    })
    expect(charged).toBe(50n)
  })

  it('refuses bad input for nothing', async () => {
    await expectRobust(provider)
    for (const input of [{}, { seconds: 11 }, { seconds: -1 }, { seconds: '1' }, { seconds: 1, steps: 0.5 }])
      await expectRefused(chat(provider), chatOf('random-walk', input), 400)
  })
})

describe('sandbox', () => {
  let provider: RunningProvider
  beforeAll(async () => {
    provider = await kit.start(startSandbox)
  })

  it('answers what its docs promise', async () => {
    const charged = await chargeOf(kit, provider, async () => {
      const [outcome] = await sendExamples(kit, provider)
      expect(JSON.parse(outcome?.content ?? '')).toEqual(JSON.parse(outcome?.promised ?? ''))
    })
    expect(charged).toBe(2_000n)
  })

  it('charges a program that fails, and says how it failed', async () => {
    const charged = await chargeOf(kit, provider, async () => {
      const outcome = await ask(kit, provider, 'run-javascript', { code: 'null.x' })
      expect(outcome).toMatchObject({ ok: false, error: expect.stringMatching(/^TypeError/) })
    })
    expect(charged).toBe(2_000n)
  })

  it('refuses bad input for nothing, and more than it can run', async () => {
    await expectRobust(provider)
    for (const code of [undefined, '', 5, {}])
      await expectRefused(chat(provider), chatOf('run-javascript', { code }), 400)
    const statuses: number[] = []
    const charged = await chargeOf(kit, provider, async () => {
      const endless = chatOf('run-javascript', { code: 'for (;;);' })
      const many = Array.from({ length: 6 }, () => kit.client.fetch(chat(provider), endless))
      for (const response of await Promise.all(many)) {
        statuses.push(response.status)
        await response.body?.cancel()
      }
    })
    const taken = statuses.filter((status) => status === 200).length
    expect(statuses.filter((status) => status === 503)).toHaveLength(6 - taken)
    expect(charged).toBe(BigInt(taken) * 2_000n)
    expect(taken).toBeLessThan(6)
  })
})
