/** Charges over HTTP: what is answered is answered once for one payment, and what is refused says how to pay. */
import { evmCharge } from '@drain/mpp/server'
import { sse } from '@drain/provider'
import type { Address, Hex, LocalAccount } from 'viem'
import { expect, test } from 'vitest'
import { cheapGas, moveUsdc } from './charging.ts'
import * as shop from './sellingCharges.ts'
import { answerTo, challengeIn, earned, fixture, type Init, paywall, price, under } from './sellingCharges.ts'

let works = 0
let whileWorking = async () => {}

const ask = (path: string, init?: Init) =>
  shop.ask(
    path,
    async (payment) => {
      works += 1
      await whileWorking()
      if (path === '/long') return new Response('x'.repeat(300_000))
      if (path !== '/stream') return new Response(`work ${works}`)
      return sse(
        payment,
        (async function* () {
          yield { data: 'at 5000', cost: 5_000n }
        })(),
      )
    },
    init,
  )

const credentialFor = async (path: string, changes?: Parameters<typeof answerTo>[1]) =>
  answerTo(await ask(path), changes)

const move = (from: LocalAccount, to: Address) => moveUsdc(fixture, from, to)

/** Lets a payer move its money away while work is done for it. */
async function withoutMoney(work: (thief: LocalAccount) => Promise<Response>): Promise<Response> {
  const thief = fixture.chain.accounts[7] as LocalAccount
  const credit = await work(thief)
  whileWorking = async () => {}
  await move(fixture.stranger, thief.address)
  return credit
}

test('under a key an answer that is too long to be kept is neither given nor charged again', async () => {
  const [before, worked] = [await earned(), works]
  const credential = await credentialFor('/long')
  expect((await (await ask('/long', under(credential, 'long'))).text()).length).toBe(300_000)
  for (const one of [credential, await credentialFor('/long')]) {
    const again = await ask('/long', under(one, 'long'))
    expect([again.status, again.headers.get('Payment-Receipt')]).toEqual([422, expect.any(String)])
    expect(await again.text()).toContain('its answer is not kept')
  }
  expect([works - worked, (await earned()) - before]).toEqual([1, price])
})

test('an authorization that leaves less than half of its challenge’s life is refused before the work, with a fresh one', async () => {
  const worked = works
  for (const left of [50n, 145n]) {
    const refused = await ask('/', under(await credentialFor('/', { validBefore: paywall.now() + left })))
    expect(refused.status).toBe(402)
    expect(await refused.json()).toMatchObject({ type: expect.stringContaining('payment-expired') })
    expect(challengeIn(refused).method).toBe('evm')
  }
  expect(works).toBe(worked)
  const good = await credentialFor('/', { validBefore: paywall.now() + 160n })
  expect((await ask('/', under(good))).status).toBe(200)
})

test('a payer whose money is gone after the work is told how to pay, also in a stream', async () => {
  const refused = await withoutMoney(async (thief) => {
    const credential = await credentialFor('/', { signer: thief })
    whileWorking = () => move(thief, fixture.stranger.address)
    return ask('/', under(credential))
  })
  expect(refused.status).toBe(402)
  expect(challengeIn(refused).method).toBe('evm')
  const stream = await withoutMoney(async (thief) => {
    const credential = await credentialFor('/stream', { signer: thief })
    whileWorking = () => move(thief, fixture.stranger.address)
    const response = await ask('/stream', under(credential))
    return new Response(await response.text())
  })
  const text = await stream.text()
  expect(text).not.toContain('at 5000')
  expect(text).toContain('insufficient_funds')
})

test('a HEAD takes no charge', async () => {
  const [before, worked] = [await earned(), works]
  const credential = await credentialFor('/')
  expect((await ask('/', { method: 'HEAD', ...under(credential) })).status).toBe(402)
  expect([works, await earned()]).toEqual([worked, before])
  expect((await ask('/', under(credential))).status).toBe(200)
})

test('the body of a request with a key is read once its signature is known to be good', async () => {
  let isRead = false
  const body = () =>
    new ReadableStream(
      {
        pull(controller) {
          isRead = true
          controller.enqueue(new TextEncoder().encode('question'))
          controller.close()
        },
      },
      { highWaterMark: 0 },
    )
  const forged = await credentialFor('/', {
    change: { from: fixture.stranger.address.toLowerCase() as Hex },
  })
  const post = (Authorization: string) =>
    ask('/', { method: 'POST', body: body(), duplex: 'half', ...under(Authorization, 'post') })
  const refused = await post(forged)
  expect(refused.status).toBe(402)
  expect(isRead).toBe(false)
  expect((await post(await credentialFor('/'))).status).toBe(200)
  expect(isRead).toBe(true)
})

test('challenges that no authorization can answer are not configured', () => {
  for (const lifeMs of [60_000, 3_600_000, Number.NaN])
    expect(() => fixture.paywall({ schemes: [evmCharge({ ...cheapGas, lifeMs })] })).toThrow(/lifeMs/)
})
