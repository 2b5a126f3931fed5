/** Schemes beside the headers: what a paywall does with them, whatever they are. Here: tickets, each worth one request. */
import { Headers as Wire } from '@drain/core'
import {
  type AnswerWriter,
  type Ask,
  type ChannelState,
  type Funds,
  PaymentFailedError,
  type Paywall,
  type Scheme,
  sse,
} from '@drain/provider'
import { keccak256, stringToHex, zeroAddress } from 'viem'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type App, adapters, serviceOf, startApp } from './apps.ts'
import { type Fixture, startFixture } from './fixture.ts'

const url = 'https://provider.test/joke'

/** What became of the tickets. */
type Booth = { taken: string[]; cashed: string[]; released: string[]; stored: Map<string, Uint8Array> }
let booth: Booth
let fixture: Fixture
let paywall: Paywall
beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall({ schemes: [() => tickets('Ticket'), () => tickets('Coupon')] })
})
afterAll(() => fixture?.close())
beforeEach(() => {
  booth = { taken: [], cashed: [], released: [], stored: new Map() }
})

const writer: AnswerWriter = {
  hasChannel: false,
  receipt: ({ cost }) => ({ 'X-Ticket': `worth ${cost}` }),
  streamReceipt: () => ({ ticket: 'torn' }),
  refuse: ({ code }) => ({ status: 418, headers: { 'Content-Type': 'text/plain' }, body: code }),
}

function tickets(header: string, ready?: () => Promise<void>): Scheme {
  return {
    name: header,
    ...(ready && { ready }),
    offer: ({ origin, quote }) => `${header} realm="${origin}", worth="${quote.most}"`,
    read({ method, headers }) {
      const ticket = headers.get(header)
      if (ticket === null) return undefined
      const rejection = { code: 'invalid_voucher_format', message: 'No ticket.' } as const
      if (ticket === 'torn') return { ok: false, rejection, writer }
      if (method === 'HEAD') {
        const answer = async () => ({ ok: true, status: 204, headers: { 'X-Ticket': 'valid' } }) as const
        return { ok: true, instrument: { kind: 'managed', writer, answer } }
      }
      return {
        ok: true,
        instrument: {
          kind: 'funds',
          writer,
          async begin({ quote, key }) {
            if (ticket === 'defect') throw new TypeError('a secret')
            const stored = key && booth.stored.get(key.id)
            const account = accountOf(ticket, quote)
            const costs = { channelId: account.channelId, cost: 0n, total: 0n, remaining: 0n }
            if (stored) return { ok: false, outcome: stored, costs, account }
            if (booth.taken.includes(ticket))
              return { ok: false, rejection: { code: 'invalid_nonce', message: 'Used.' } }
            booth.taken.push(ticket)
            return { ok: true, funds: fundsOf(ticket, quote, key?.id) }
          },
        },
      }
    },
  }
}

function fundsOf(ticket: string, worth: bigint, keyId: string | undefined): Funds {
  const account = accountOf(ticket, worth)
  let captured = 0n
  return {
    account,
    consumer: zeroAddress,
    renew: async () => true,
    async capture(cost, { outcome }) {
      if (ticket === 'forged') throw new PaymentFailedError({ code: 'invalid_signature', message: 'Forged.' })
      if (ticket === 'unsound') throw new RangeError('a secret')
      if (cost > 0n && captured === 0n) {
        captured = worth
        booth.cashed.push(ticket)
      } else if (cost === 0n) booth.released.push(ticket)
      if (keyId && outcome) booth.stored.set(keyId, outcome)
      return { ok: true, captured, held: 0n, state: { ...account, charged: captured } }
    },
  }
}

function accountOf(ticket: string, worth: bigint): ChannelState {
  const none = {
    claimed: 0n,
    charged: 0n,
    reserved: 0n,
    claiming: 0n,
    expiry: 0n,
    firstSeen: 0n,
    requests: 0n,
  }
  return {
    ...none,
    ...{
      channelId: keccak256(stringToHex(ticket)),
      consumer: zeroAddress,
      provider: zeroAddress,
      deposit: worth,
    },
    ...{ status: 'open', authorized: worth, alarm: false, nonce: undefined, finalAmount: undefined },
    ...{ highest: undefined, claimable: undefined },
  }
}

const messageOf = async (response: Response) =>
  ((await response.json()) as { error: { message: string } }).error.message

/** What is logged as worth a look. */
function recorder() {
  const told: string[] = []
  const fields: object[] = []
  const tell = (facts: object, message: string) => {
    told.push(message)
    fields.push(facts)
  }
  const quiet = () => {}
  return { told, fields, log: { debug: quiet, info: quiet, warn: tell, error: tell } }
}

let works = 0
const ask = (headers: Record<string, string> = {}, init: RequestInit = {}, to = paywall) =>
  to.handle(new Request(url, { ...init, headers }), 1_000n, () => {
    works += 1
    return new Response('a joke')
  })

test('a 402 offers the headers and all of them, in one header', async () => {
  const response = await ask()
  expect(response.status).toBe(402)
  expect(Wire.parseOffer(response.headers)).toBeDefined()
  const realm = 'realm="https://provider.test", worth="1000"'
  expect(response.headers.get('WWW-Authenticate')).toBe(`Ticket ${realm}, Coupon ${realm}`)
})

describe('funds', () => {
  test('are cashed after the work, whole, and told without a channel', async () => {
    const response = await paywall.handle(
      new Request(url, { headers: { Ticket: 'a' } }),
      1_000n,
      (payment) => {
        expect(booth).toMatchObject({ taken: ['a'], cashed: [] })
        payment.charge(10n)
        return new Response('a joke')
      },
    )
    expect(response.status).toBe(200)
    expect(booth.cashed).toEqual(['a'])
    expect(response.headers.get('X-Ticket')).toBe('worth 1000')
    expect(response.headers.get('X-DRAIN-Cost')).toBe('1000')
    expect(response.headers.has('X-DRAIN-Channel')).toBe(false)
    expect((await ask({ Ticket: 'a' })).status).toBe(418)
  })

  test('are given back when the work fails', async () => {
    const request = new Request(url, { headers: { Ticket: 'a' } })
    const response = await paywall.handle(request, 1_000n, () => new Response('no', { status: 500 }))
    expect(response.headers.has('X-Ticket')).toBe(false)
    expect(booth).toMatchObject({ cashed: [], released: ['a'] })
  })

  test('that can’t be cashed keep the answer back', async () => {
    const response = await ask({ Ticket: 'forged' })
    expect(response.status).toBe(418)
    expect(await response.text()).toBe('invalid_signature')
    expect(response.headers.get('X-DRAIN-Error')).toBe('invalid_signature')
  })

  test('are cashed before a stream’s first event', async () => {
    async function* events() {
      for (const cost of [1n, 2n]) yield { data: `cashed: ${booth.cashed}`, cost }
    }
    const request = new Request(url, { headers: { Ticket: 'a' } })
    const response = await paywall.handle(request, { most: 1_000n, first: 10n }, (payment) =>
      sse(payment, events()),
    )
    const text = await response.text()
    expect(booth.cashed).toEqual(['a'])
    expect(text).toContain('"cost":"1000"')
    expect(text).toContain('"ticket":"torn"')
  })

  test('pay once under an Idempotency-Key', async () => {
    const headers = { Ticket: 'a', 'Idempotency-Key': 'k' }
    const before = works
    await ask(headers)
    const again = await ask(headers)
    expect(await again.text()).toBe('a joke')
    expect(again.headers.get('Idempotency-Replayed')).toBe('true')
    expect(works).toBe(before + 1)
  })
})

describe('a request', () => {
  test('with two instruments is refused before anything happens', async () => {
    const channel = await fixture.open()
    const voucher = await channel.voucher(1_000n)
    for (const headers of [
      { Ticket: 'a', Coupon: 'b' },
      { Ticket: 'a', ...voucher },
      { Ticket: 'torn', ...voucher },
      { Ticket: 'torn', Coupon: 'b' },
    ]) {
      const response = await ask(headers)
      expect(response.status).toBe(400)
      expect(response.headers.get('X-DRAIN-Error')).toBe('multiple_payments')
    }
    expect(booth.taken).toEqual([])
    expect((await ask(voucher)).status).toBe(200)
  })

  test('that is refused is told so in the words of its scheme', async () => {
    const response = await ask({ Ticket: 'torn' })
    expect([response.status, await response.text()]).toEqual([418, 'invalid_voucher_format'])
    expect((await ask({ Ticket: 'torn', Coupon: 'torn' })).status).toBe(418)
  })

  test('about the payment itself runs no work', async () => {
    const before = works
    const response = await ask({ Ticket: 'a' }, { method: 'HEAD' })
    expect([response.status, response.headers.get('X-Ticket')]).toEqual([204, 'valid'])
    expect(response.headers.get('Cache-Control')).toBe('private, no-store')
    expect(works).toBe(before)
  })

  test('waits until the schemes are ready, and is told when they can’t be', async () => {
    let isOut = true
    const ready = async () => {
      if (isOut) throw new Error('out')
    }
    const { told, log } = recorder()
    const late = fixture.paywall({ schemes: [() => tickets('Ticket', ready)], log })
    for (let count = 0; count < 2; count += 1) {
      const response = await ask({}, {}, late)
      expect([response.status, await messageOf(response)]).toEqual([
        503,
        'Payments cannot be taken yet. Try again in a moment.',
      ])
    }
    expect(told).toEqual(['a way to pay is not ready'])
    isOut = false
    expect((await ask({ Ticket: 'a' }, {}, late)).status).toBe(200)
  })

  test('is offered what its Accept-Payment takes, in that order; all of it where that is nothing here', async () => {
    const onlyDear = ({ quote }: Ask) => (quote.most >= 1_000n ? 'Coupon' : undefined)
    const challenges = async (accept: string) => {
      const response = await ask({ 'Accept-Payment': accept }, {}, named)
      return response.headers.get('WWW-Authenticate')?.match(/(?:Ticket|Coupon)/g)
    }
    const named = fixture.paywall({
      schemes: [
        () => ({ ...tickets('Ticket'), name: 'paper/ticket' }),
        () => ({ ...tickets('Coupon'), name: 'paper/coupon', offer: onlyDear }),
      ],
    })
    expect(await challenges('paper/ticket')).toEqual(['Ticket'])
    expect(await challenges('paper/ticket;q=0.5, paper/coupon')).toEqual(['Coupon', 'Ticket'])
    expect(await challenges('gold/coin')).toEqual(['Ticket', 'Coupon'])
    const cheap = await named.handle(
      new Request(url, { headers: { 'Accept-Payment': 'paper/coupon' } }),
      10n,
      () => new Response(),
    )
    expect(cheap.headers.get('WWW-Authenticate')).toMatch(/^Ticket /)
  })

  test('that runs into a defect of a scheme is told what is true, and the operator is told of it without the text', async () => {
    const { told, fields, log } = recorder()
    const broken = fixture.paywall({ schemes: [() => tickets('Ticket')], log })
    const early = await ask({ Ticket: 'defect' }, {}, broken)
    expect([early.status, await messageOf(early)]).toEqual([
      503,
      'The request failed before any work was done. Nothing was charged.',
    ])
    const late = await ask({ Ticket: 'unsound' }, {}, broken)
    expect(late.status).toBe(418)
    expect(late.headers.get('X-DRAIN-Error')).toBe('unavailable')
    expect(told).toEqual(['a paid request failed before its work', 'a payment could not be settled'])
    expect(fields).toMatchObject([
      { code: 'unavailable, TypeError', at: expect.stringContaining('schemes.test') },
      { code: 'unavailable, RangeError' },
    ])
    expect(JSON.stringify(fields)).not.toContain('a secret')
    // Not a defect: the payer's.
    await ask({ Ticket: 'forged' }, {}, broken)
    expect(told).toHaveLength(2)
  })
})

describe.each(adapters)('on %s', (adapter) => {
  let app: App
  beforeAll(async () => {
    app = await startApp(adapter, serviceOf(paywall))
  })
  afterAll(() => app?.close())
  const get = (path: string, headers: Record<string, string>) => fetch(`${app.origin}${path}`, { headers })

  test('funds are cashed before the answer leaves, or it does not', async () => {
    const response = await get('/joke', { Ticket: 'a' })
    expect(await response.json()).toEqual({ joke: 'paid' })
    expect(response.headers.get('X-Ticket')).toBe('worth 1000')
    const forged = await get('/joke', { Ticket: 'forged' })
    expect([forged.status, await forged.text()]).toEqual([418, 'invalid_signature'])
    expect((await get('/fails', { Ticket: 'b' })).status).toBeGreaterThanOrEqual(500)
    expect(booth).toMatchObject({ cashed: ['a'], released: ['b'] })
  })
})
