import type { OutwardResponse } from '../net/outwardFetch.ts'
import {
  type Ask,
  type Checklist,
  chatRequest,
  docsIn,
  jsonRequest,
  notPaymentRequired,
  routeOf,
} from './asking.ts'
import type { ConnectionTest, MppOffer, TestOptions } from './ConnectionTest.ts'
import { exampleRequest } from './exampleRequest.ts'
import { plainLine } from './plainText.ts'
import { type PaymentChallenge, readChallenges } from './readChallenges.ts'

const names = ['reachable', 'payment', 'docs'] as const

type Found = Pick<ConnectionTest, 'offer' | 'docs' | 'latencyMs'>

/** Whether an API asks for payment with a `Payment` challenge that agents can answer. */
export async function testMpp(options: TestOptions, ask: Ask, list: Checklist): Promise<Found> {
  const { apiUrl, mppEndpoint } = options
  const endpoint = endpointOf(apiUrl, mppEndpoint ?? '')
  if (!endpoint) {
    list.end(
      names,
      'Not tried: the endpoint is no path or URL of the same server. Give one that is below the API’s origin.',
    )
    return { latencyMs: null }
  }
  const { first, last, error } = await knock(options, endpoint, ask)
  const latencyMs = first?.latencyMs
  list.tell(
    'reachable',
    first !== undefined,
    first ? 'The server answers.' : (error?.message ?? ''),
    latencyMs,
  )
  if (!first || !last) {
    list.end(names, 'Not tried, since the server can’t be reached.')
    return { latencyMs: null }
  }
  const judged = judge(last.response, endpoint, Date.now())
  const isOffer = typeof judged !== 'string'
  const proper = isOffer
    ? `A proper 402: ${judged.methods.join(', ')}, ${judged.amount} ${judged.currency ?? ''}`
    : judged
  list.tell('payment', isOffer, proper, last.response.latencyMs)
  const docs = await findDocs(options, ask)
  const detail = docs
    ? `${docs.length} characters.`
    : 'None found. Agents use a service more readily that has an /llms.txt.'
  list.tell('docs', true, detail)
  const offer: MppOffer | undefined = isOffer ? { ...judged, httpMethod: last.method } : undefined
  return { offer, docs: docs?.text, latencyMs: first.latencyMs }
}

/** What is paid: a path or URL on the API's own origin, lest someone lists what is another's. */
function endpointOf(apiUrl: string, endpoint: string): URL | undefined {
  if (!URL.canParse(apiUrl)) return undefined
  if (endpoint === '') return new URL(apiUrl)
  const folder = routeOf(apiUrl, '/')
  const url = URL.canParse(endpoint, folder) ? new URL(endpoint, folder) : undefined
  return url?.origin === new URL(apiUrl).origin ? url : undefined
}

type Way = { method: 'GET' | 'POST'; request: Parameters<Ask>[1] }
type Knocked = { response: OutwardResponse; method: Way['method'] }

const bare: Way = { method: 'GET', request: { redirects: 0 } }
const posted = (request: Parameters<Ask>[1]): Way => ({ method: 'POST', request })
/** Answers to those who ask in a way that a route doesn't take. */
const otherwise = new Set([200, 204, 400, 404, 405, 411, 415, 422])

/** Asks without a payment, in one way after the other, until one is answered with a 402. */
async function knock({ apiUrl, mppType }: TestOptions, endpoint: URL, ask: Ask) {
  const answers: Knocked[] = []
  async function tryOut({ method, request }: Way) {
    const { response, error } = await ask(endpoint.href, request)
    if (response) answers.push({ response, method })
    return { isOver: !response || !otherwise.has(response.status), error }
  }
  for (const way of mppType === 'llm' ? [posted(chatRequest('default'))] : [bare, posted(jsonRequest({}))]) {
    const { isOver, error } = await tryOut(way)
    if (isOver) return { ...outcome(answers), error }
  }
  const example = await exampleRequest(ask, apiUrl, pathBelow(apiUrl, endpoint))
  if (example) await tryOut(posted(example))
  return { ...outcome(answers), error: undefined }
}

/** The first answer, and the one that tells the most: a 402, or what is served for nothing. */
function outcome(answers: readonly Knocked[]): {
  first?: OutwardResponse | undefined
  last?: Knocked | undefined
} {
  const telling = [402, 200].flatMap((status) => answers.filter(({ response }) => response.status === status))
  return { first: answers[0]?.response, last: telling[0] ?? answers.at(-1) }
}

/** The path of an endpoint as the API's own documents have it. */
function pathBelow(apiUrl: string, { pathname }: URL): string {
  const folder = new URL(routeOf(apiUrl, '/')).pathname
  return pathname.startsWith(folder) ? pathname.slice(folder.length - 1) : pathname
}

/** An offer, or what is wrong with an answer. */
function judge(
  { status, headers }: OutwardResponse,
  endpoint: URL,
  now: number,
): Omit<MppOffer, 'httpMethod'> | string {
  if (status !== 402) return notPaymentRequired(status, plainLine(endpoint.pathname, 100))
  const challenges = readChallenges(headers.get('WWW-Authenticate'))
  if (challenges.length === 0) {
    return 'The 402 has no challenge that can be read. Send WWW-Authenticate: Payment with id, realm, method, intent and request.'
  }
  const own = challenges.filter(({ realm }) => isRealmOf(realm, endpoint))
  if (own.length === 0) {
    const realm = plainLine(challenges[0]?.realm ?? '', 100)
    return `The challenge is of the realm ${realm}, and agents answer only those of the server they ask. Name ${endpoint.host}.`
  }
  const current = own.filter(({ expires }) => expires === undefined || Date.parse(expires) > now)
  if (current.length === 0) return 'The challenge has expired already. Check the server’s clock.'
  const priced = current.filter(({ request }) => amountOf(request) !== undefined)
  const [first] = priced
  if (!first)
    return 'The challenge does not say what is asked for. Put `amount` into its request, as a decimal string.'
  return offerOf(first, priced)
}

function offerOf(first: PaymentChallenge, all: readonly PaymentChallenge[]): Omit<MppOffer, 'httpMethod'> {
  const { method, intent, realm, request } = first
  const details = request.methodDetails as { chainId?: unknown } | null | undefined
  const chainId = details?.chainId ?? request.chainId
  return {
    protocol: 'mpp',
    ...{ method, intent, realm: plainLine(realm, 200) },
    amount: amountOf(request) ?? '',
    currency: short(request.currency),
    recipient: short(request.recipient),
    chainId: Number.isSafeInteger(chainId) ? (chainId as number) : undefined,
    methods: [...new Set(all.map((one) => `${one.method}/${one.intent}`))].slice(0, 10),
    models: [],
  }
}

function amountOf({ amount }: PaymentChallenge['request']): string | undefined {
  return typeof amount === 'string' && /^\d{1,78}(?:\.\d{1,18})?$/.test(amount) ? amount : undefined
}

function short(value: unknown): string | undefined {
  return typeof value === 'string' ? plainLine(value, 100) : undefined
}

/** Its origin, host or host name. Not a domain that it is in: others may be in it too. */
function isRealmOf(realm: string, { origin, host, hostname }: URL): boolean {
  return [origin, host, hostname].includes(realm.toLowerCase())
}

async function findDocs({ apiUrl, docsUrl }: TestOptions, ask: Ask) {
  const urls = [...(docsUrl ? [docsUrl] : []), routeOf(apiUrl, '/llms.txt'), routeOf(apiUrl, '/openapi.json')]
  for (const url of urls) {
    const { response } = await ask(url, { maxBytes: 1 << 20 })
    const docs = response && docsIn(response)
    if (docs && docs.length > 0) return docs
  }
  return undefined
}
