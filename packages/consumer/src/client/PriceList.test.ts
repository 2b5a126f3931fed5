import { Pricing, Quote } from '@drain/core'
import { expect, test } from 'vitest'
import { createPriceList } from './PriceList.ts'
import { type ReplayableRequest, replayable } from './ReplayableRequest.ts'

const origin = 'https://api.example.com'
const perToken = Pricing.perToken({ inputPer1k: '0.0025', outputPer1k: '0.01' })
const list = {
  terms: { minDeposit: '0.5', minDuration: 600, recommendedDuration: '24h', maxDuration: 2_592_000 },
  models: {
    small: Pricing.toJson(perToken),
    flat: { inputPer1kTokens: '0.003', outputPer1kTokens: '0' },
    broken: { inputPer1kTokens: 5 },
    unknown: { type: 'moon', inputPer1kTokens: '1', outputPer1kTokens: '1' },
  },
}

/** A price list of a provider that answers with these, one after the other. */
function prices(...answers: (() => Response)[]) {
  const asked: string[] = []
  const clock = { now: 1_000_000 }
  const fetch = async (input: unknown, init?: RequestInit) => {
    asked.push(`${String(input)} ${init?.redirect}`)
    const answer = answers[Math.min(asked.length, answers.length) - 1]
    if (!answer) throw new Error('unreachable')
    return answer()
  }
  const priceList = createPriceList(origin, fetch, () => clock.now)
  const most = (request: ReplayableRequest) => priceList.price(request)?.most
  return { ...priceList, most, asked, clock }
}

const chat = (body: object, path = '/v1/chat/completions') =>
  replayable(`${origin}${path}`, { method: 'POST', body: JSON.stringify(body) })
const messages = [{ role: 'user', content: 'Hello' }]

test('quotes chats by model as the provider does', async () => {
  const { load, most, asked, terms } = prices(() => Response.json(list))
  const request = await chat({ model: 'small', messages })
  expect(most(request)).toBeUndefined()
  await Promise.all([load(), load()])
  await load()
  expect(asked).toEqual([`${origin}/v1/pricing manual`])
  expect(most(request)).toBe(Quote.chat(perToken, { messages }).amount)
  expect(most(await chat({ model: 'flat', messages }))).toBe(3_000n)
  for (const model of ['broken', 'unknown', 'constructor', '__proto__', undefined]) {
    expect(most(await chat({ model, messages }))).toBeUndefined()
  }
  expect(most(await chat({ model: 'small', messages, max_tokens: -1 }))).toBeUndefined()
  expect(most(await replayable(`${origin}/v1/chat`, { method: 'POST', body: '{"messages"' }))).toBeUndefined()
  expect(terms()).toEqual({
    minDeposit: 500_000n,
    minDuration: 600n,
    recommendedDuration: 86_400n,
    maxDuration: 2_592_000n,
  })
})

test('other routes cost what was last quoted for method and path', async () => {
  const { most, learn } = prices(() => Response.json({}))
  const joke = await replayable(`${origin}/joke?topic=1`, undefined)
  learn(joke, 7n)
  expect(most(await replayable(`${origin}/joke?topic=2`, undefined))).toBe(7n)
  expect(most(await replayable(`${origin}/joke`, { method: 'POST' }))).toBeUndefined()
  learn(joke, 8n)
  expect(most(joke)).toBe(8n)
})

test('one chat’s price says nothing about another', async () => {
  const { most, learn } = prices(() => Response.json({}))
  learn(await chat({ model: 'elsewhere', messages }), 7n)
  expect(most(await chat({ model: 'elsewhere', messages }))).toBeUndefined()
})

test.each([
  ['no list', () => new Response('not found', { status: 404 })],
  ['no JSON', () => new Response('<html>')],
  ['an array of odd things', () => Response.json({ models: [1, null], terms: 'none' })],
  ['a redirect', () => Response.redirect('https://elsewhere.example/v1/pricing', 307)],
  ['an endless list', () => new Response(new Blob([`{"models":"${'x'.repeat(2 << 20)}"}`]))],
])('goes on with %s', async (_, answer) => {
  const { load, most, terms } = prices(answer)
  await load()
  expect(most(await chat({ model: 'small', messages }))).toBeUndefined()
  expect(terms().minDeposit).toBeUndefined()
})

test('reads the list again when it was out of reach or differed, at most once a minute', async () => {
  const cheaper = { models: { small: { ...list.models.small, outputPer1kTokens: '0' } } }
  const { load, most, outdated, asked, clock } = prices(
    () => new Response('', { status: 500 }),
    () => Response.json(list),
    () => Response.json(cheaper),
  )
  const request = await chat({ model: 'small', messages })
  await load()
  await load()
  expect(asked).toHaveLength(1)
  clock.now += 60_000
  await load()
  const before = most(request)
  expect(before).toBe(Quote.chat(perToken, { messages }).amount)
  outdated()
  await load()
  expect(asked).toHaveLength(2)
  clock.now += 60_000
  await load()
  expect(asked).toHaveLength(3)
  expect(most(request)).toBeLessThan(before ?? 0n)
})
