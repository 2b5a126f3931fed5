/** Paid requests, and what became of them. */
import { Voucher, Headers as Wire } from '@drain/core'
import { type LocalAccount, toHex } from 'viem'
import { askReserved } from './leave.ts'
import { prices, type Work } from './prices.ts'
import type { Tab } from './Tab.ts'
import type { World } from './World.ts'

export type Route = 'fixed' | 'quoted' | 'stream'

const quotes = { fixed: prices.fixed, quoted: prices.quoted, stream: prices.stream.most }

export async function voucherOf(
  world: World,
  tab: Tab,
  amount: bigint,
  signer: LocalAccount = tab.consumer,
): Promise<string> {
  const unsigned = { channelId: tab.channelId, amount, nonce: tab.nonce() }
  const hash = toHex(Voucher.digest(unsigned, world.domainSeparator))
  if (!signer.sign) throw new Error('A local account signs.')
  return Voucher.toHeader({ ...unsigned, signature: await signer.sign({ hash }) })
}

export function ask(
  world: World,
  route: Route,
  work: Work,
  voucher: string,
  options: { key?: string | undefined; signal?: AbortSignal | undefined } = {},
): Promise<Response> {
  const headers: Record<string, string> = { [Wire.names.voucher[0]]: voucher }
  if (options.key) headers['Idempotency-Key'] = options.key
  const url = `${world.url}/${route}?work=${encodeURIComponent(JSON.stringify(work))}`
  // A server that was killed and came back may leave a connection that never answers.
  const signal = AbortSignal.any([AbortSignal.timeout(60_000), ...(options.signal ? [options.signal] : [])])
  return fetch(url, { headers, signal })
}

/** Codes with which a channel comes to its end. */
const endings = ['channel_expired', 'channel_closing', 'channel_not_found']
/** What an honest request may be refused for, and can be tried again after. */
const passing = ['rate_limited', 'unavailable', 'idempotency_in_flight']

type Outcome =
  | { kind: 'answered'; cost: bigint; total: bigint | undefined; isReplay: boolean }
  /** Nothing was charged. */
  | { kind: 'refused'; code: string }
  /** Nobody knows what was charged. */
  | { kind: 'lost'; atLeast: bigint; why: string }

/** One request, with `Idempotency-Key` until its outcome is known. */
export async function pay(
  world: World,
  tab: Tab,
  route: Route,
  work: Work,
  options: { key?: string; abortAfterMs?: number | undefined } = {},
): Promise<Outcome | undefined> {
  const { key, abortAfterMs } = options
  const quote = quotes[route]
  const amount = tab.cover(quote)
  if (amount === undefined) return undefined
  tab.begin(quote)
  const leaps = world.leaps
  let lost = 0
  let outcome: Outcome
  for (let tries = 1; ; tries += 1) {
    const voucher = await voucherOf(world, tab, amount)
    const abort = new AbortController()
    const timer =
      abortAfterMs !== undefined && tries === 1 ? setTimeout(() => abort.abort(), abortAfterMs) : undefined
    outcome = await attempt(world, tab, { route, work, voucher, key, signal: abort.signal })
    clearTimeout(timer)
    tab.note(`${route}${key ? ` key ${key}` : ''} for ${amount}: ${tell(outcome)}`)
    world.count(`${route} ${outcome.kind === 'refused' ? outcome.code : outcome.kind}`)
    if (outcome.kind === 'answered' && !outcome.isReplay) tab.spent.push(voucher)
    if (outcome.kind === 'lost') lost += 1
    const isKnown =
      outcome.kind === 'answered' || (outcome.kind === 'refused' && !passing.includes(outcome.code))
    if (!key || isKnown || tries === 40 || world.isEnding) break
    await world.pause(outcome.kind === 'refused' ? 2_000 : 300)
  }
  if (outcome.kind === 'answered') {
    // A leap ends leases: then what was lost may have gone on, and be charged beside its retry.
    const unknown = lost > 0 && world.leaps > leaps ? quote * BigInt(lost) : 0n
    tab.end(quote, { cost: outcome.cost, total: outcome.total, unknown })
    if (lost > 0) tab.hold(quote)
  } else {
    const atLeast = outcome.kind === 'lost' ? outcome.atLeast : 0n
    const isUnknown = lost > 0 || (outcome.kind === 'refused' && outcome.code === 'unavailable')
    tab.end(quote, { cost: atLeast, unknown: isUnknown ? quote - atLeast : 0n })
    if (outcome.kind === 'refused') judge(world, tab, outcome.code)
  }
  return outcome
}

/**
 * One request that is sent several times under one key, the later ones while the first is about to be answered: it is served once,
 * and paid once.
 */
export async function payTwins(
  world: World,
  tab: Tab,
  key: string,
  delaysMs: readonly number[],
): Promise<void> {
  const quote = quotes.fixed
  const amount = tab.cover(quote)
  if (amount === undefined) return
  tab.begin(quote)
  const leaps = world.leaps
  const signal = AbortSignal.timeout(60_000)
  const outcomes = await Promise.all(
    delaysMs.map(async (afterMs) => {
      const voucher = await voucherOf(world, tab, amount)
      await world.pause(afterMs)
      const work = { cost: 0, delayMs: 0 }
      const outcome = await attempt(world, tab, { route: 'fixed', work, voucher, key, signal })
      tab.note(`twin ${key} for ${amount}: ${tell(outcome)}`)
      world.count(
        `twin ${outcome.kind === 'refused' ? outcome.code : outcome.kind}${'isReplay' in outcome && outcome.isReplay ? ' again' : ''}`,
      )
      return outcome
    }),
  )
  const answers = outcomes.filter((outcome) => outcome.kind === 'answered')
  const isLost = outcomes.some(
    (outcome) => outcome.kind === 'lost' || (outcome.kind === 'refused' && outcome.code === 'unavailable'),
  )
  const served = answers.filter(({ isReplay }) => !isReplay)
  if (served.length > 1 && world.leaps === leaps)
    world.violate(tab, 'a request was served twice under one key')
  const cost = served.length > 0 ? served.reduce((sum, one) => sum + one.cost, 0n) : (answers[0]?.cost ?? 0n)
  // What was lost may have been served beside its twins when a leap ended the reservation of one.
  const isUnknown = isLost && (answers.length === 0 || world.leaps > leaps)
  const total = answers.reduce<bigint | undefined>(
    (most, { total }) => (total && total > (most ?? 0n) ? total : most),
    undefined,
  )
  tab.end(quote, { cost, unknown: isUnknown ? quote : 0n, total })
  if (isLost && !isUnknown) tab.hold(quote)
  for (const outcome of outcomes) if (outcome.kind === 'refused') judge(world, tab, outcome.code)
  // Who was never left without an answer knows that nothing of its runs, nor should anything be held for it.
  const isIdle = () =>
    tab.running === 0n && tab.unknown === 0n && tab.held === 0n && !tab.over && world.leaps === leaps
  if (isLost || !isIdle()) return
  let reserved = await askReserved(world, tab)
  // One whose client hung up before may have arrived late.
  for (let tries = 0; reserved && tries < 3; tries += 1) {
    await world.pause(1_000)
    reserved = await askReserved(world, tab)
  }
  world.count(`reserved ${reserved === undefined ? 'not told' : reserved === 0n ? 'nothing' : 'something'}`)
  if (reserved && isIdle()) world.violate(tab, `${reserved} are reserved, and no request runs`)
}

function judge(world: World, tab: Tab, code: string): void {
  if (endings.includes(code)) {
    // Just opened, and not deep enough yet.
    if (code === 'channel_not_found' && tab.total === 0n && tab.requests < 20) return
    tab.over ??= code
  } else if (!passing.includes(code) && code !== 'failed')
    world.violate(tab, `an honest request was refused: ${code}`)
}

async function attempt(
  world: World,
  tab: Tab,
  request: { route: Route; work: Work; voucher: string; key?: string | undefined; signal: AbortSignal },
): Promise<Outcome> {
  let atLeast = 0n
  try {
    const response = await ask(world, request.route, request.work, request.voucher, request)
    const code = Wire.parseRejection(response.headers).code
    const costs = Wire.parseCosts(response.headers)
    if (response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
      return await readStream(world, tab, response, (cost) => {
        atLeast = cost
      })
    }
    const text = await response.text()
    if (costs) {
      const isReplay = response.headers.get('Idempotency-Replayed') === 'true'
      // An answer that is given again costs nothing; what it did cost stands in it.
      const cost = isReplay ? BigInt((JSON.parse(text) as { cost: number }).cost) : costs.cost
      return { kind: 'answered', cost, total: costs.total, isReplay }
    }
    if (code) return { kind: 'refused', code }
    if (response.status === 409) return { kind: 'refused', code: 'idempotency_in_flight' }
    if (response.status === 429) return { kind: 'refused', code: 'rate_limited' }
    return { kind: 'lost', atLeast, why: `status ${response.status}: ${text.slice(0, 100)}` }
  } catch (error) {
    const { name, cause } = error as Error
    return { kind: 'lost', atLeast, why: `${name} ${(cause as { code?: string } | undefined)?.code ?? ''}` }
  }
}

/** Reads a metered stream to its end, and signs more when it is asked to. */
async function readStream(
  world: World,
  tab: Tab,
  response: Response,
  heard: (cost: bigint) => void,
): Promise<Outcome> {
  const decoder = new TextDecoder()
  let text = ''
  let known = 0n
  for await (const chunk of response.body as ReadableStream<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true })
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const block = text.slice(0, end)
      text = text.slice(end + 2)
      const data = /^data: (.*)$/m.exec(block)?.[1]
      if (data === undefined || data === '[DONE]') continue
      const event = /^event: (.*)$/m.exec(block)?.[1]
      const fields = JSON.parse(data)
      if (event === 'payment-receipt') {
        const cost = BigInt(fields.cost)
        if (cost < known) world.violate(tab, `a stream's receipt says ${cost}, its events ${known}`)
        return { kind: 'answered', cost, total: BigInt(fields.total), isReplay: false }
      }
      if (event === 'payment-need-voucher') void raise(world, tab, BigInt(fields.requiredCumulative))
      if (event === undefined) {
        known = BigInt(fields.cost)
        heard(known)
      }
    }
  }
  return { kind: 'lost', atLeast: known, why: 'the stream ended without a receipt' }
}

/** Signs as much as is asked for, but never above what the running requests were quoted. */
async function raise(world: World, tab: Tab, required: bigint): Promise<void> {
  const most = tab.cover(0n) ?? tab.deposit
  if (required > most) world.violate(tab, `a stream asks for ${required}, and ${most} is the most`)
  const voucher = await voucherOf(world, tab, most)
  const headers = { [Wire.names.voucher[0]]: voucher }
  const raised = await fetch(`${world.url}/v1/vouchers`, { method: 'POST', headers }).catch(() => undefined)
  await raised?.text().catch(() => {})
  world.count(`raise ${raised?.status ?? 'lost'}`)
}

function tell(outcome: Outcome): string {
  if (outcome.kind === 'answered')
    return `cost ${outcome.cost}, total ${outcome.total}${outcome.isReplay ? ', again' : ''}`
  return outcome.kind === 'refused'
    ? `refused, ${outcome.code}`
    : `lost (${outcome.why}), at least ${outcome.atLeast}`
}
