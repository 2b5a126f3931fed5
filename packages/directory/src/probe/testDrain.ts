import { Usdc, Headers as Wire } from '@drain/core'
import type { Address } from 'viem'
import type { OutwardResponse } from '../net/outwardFetch.ts'
import { type Ask, type Checklist, chatRequest, docsIn, notPaymentRequired, routeOf } from './asking.ts'
import type { ConnectionTest, DrainOffer, TestOptions } from './ConnectionTest.ts'
import { documentedRequest, exampleRequest } from './exampleRequest.ts'
import { type PriceList, readPricing } from './readPricing.ts'

const names = ['reachable', 'pricing', 'address', 'models', 'docs', 'payment'] as const
const chatPath = '/v1/chat/completions'
/** An agent that knows nothing else can't learn from less, in characters. */
const shortestDocs = 100

type Found = Pick<ConnectionTest, 'offer' | 'docs' | 'latencyMs'>

/** Whether an API sells what it says, is documented, and asks for payment as the protocol has it. */
export async function testDrain(options: TestOptions, ask: Ask, list: Checklist): Promise<Found> {
  const { apiUrl, providerAddress } = options
  const asked = await ask(routeOf(apiUrl, '/v1/pricing'), { maxBytes: 1 << 20 })
  // Too much is an answer as well.
  const isReached = asked.response !== undefined || asked.error.code === 'too_large'
  const latencyMs = asked.response?.latencyMs
  list.tell('reachable', isReached, isReached ? 'The server answers.' : asked.error.message, latencyMs)
  if (!isReached) {
    list.end(names, 'Not tried, since the server can’t be reached.')
    return { latencyMs: null }
  }
  const prices = asked.response ? judgePricing(asked.response, list) : undefined
  if (asked.error) list.tell('pricing', false, asked.error.message)
  if (prices) {
    judgeAddress(prices.providerAddress, providerAddress, list)
    const { models, leftOut } = prices
    const left = leftOut.length > 0 ? ` Left out: ${leftOut.join('; ')}`.slice(0, 200) : ''
    const action = 'List at least one model with its prices as decimal strings.'
    list.tell(
      'models',
      models.length > 0,
      `${models.length} with prices.${left}${models.length > 0 ? '' : ` ${action}`}`,
    )
  } else {
    for (const name of ['address', 'models'] as const) list.tell(name, false, withoutPrices)
  }
  const docs = await checkDocs(apiUrl, ask, list)
  const quote = prices ? await checkPayment(options, prices, docs ?? '', ask, list) : undefined
  list.end(names, withoutPrices)
  const offer: DrainOffer | undefined = prices && { protocol: 'drain', ...prices, quote }
  return { offer, docs, latencyMs: latencyMs ?? null }
}

const withoutPrices = 'Not tried, since there is no price list.'

function judgePricing({ status, text }: OutwardResponse, list: Checklist): PriceList | undefined {
  if (status !== 200) {
    list.tell('pricing', false, `GET /v1/pricing answers ${status}. Serve the price list there, for nothing.`)
    return undefined
  }
  const read = readPricing(text)
  if (read.ok) list.tell('pricing', true, 'The price list can be read.')
  else list.tell('pricing', false, `The answer of GET /v1/pricing is no price list: ${read.problem}.`)
  return read.ok ? read.list : undefined
}

function judgeAddress(named: Address, wanted: Address | undefined, list: Checklist): void {
  if (wanted === undefined)
    list.tell('address', true, `The price list names ${named}: register with that wallet.`)
  else if (isSame(named, wanted)) list.tell('address', true, `Payments go to ${named}.`)
  else {
    const detail = `The price list names ${named}, the registration ${wanted}. Register with the wallet that the server is paid with.`
    list.tell('address', false, detail)
  }
}

async function checkDocs(apiUrl: string, ask: Ask, list: Checklist): Promise<string | undefined> {
  const { response, error } = await ask(routeOf(apiUrl, '/v1/docs'), { maxBytes: 1 << 20 })
  if (!response) {
    list.tell('docs', false, error.message)
    return undefined
  }
  const docs = docsIn(response)
  const passed = docs !== undefined && docs.length >= shortestDocs
  const found = docs
    ? `GET /v1/docs has ${docs.length} characters.`
    : `GET /v1/docs has no text (${response.status}).`
  const action = `Answer in plain text how the service is used, in ${shortestDocs} characters or more.`
  list.tell('docs', passed, passed ? found : `${found} ${action}`, response.latencyMs)
  return docs?.text
}

/** @returns What the 402 asks for, in base units. */
async function checkPayment(
  options: TestOptions,
  prices: PriceList,
  docs: string,
  ask: Ask,
  list: Checklist,
) {
  const [model] = prices.models
  if (!model) {
    list.tell('payment', false, 'Not tried, since there is no model to ask for.')
    return undefined
  }
  const url = routeOf(options.apiUrl, chatPath)
  let asked = await ask(url, chatRequest(model.id))
  const isRefused = () => [400, 415, 422].includes(asked.response?.status ?? 0)
  if (isRefused()) {
    const example = await exampleRequest(ask, options.apiUrl, chatPath)
    if (example) asked = await ask(url, example)
  }
  const documented = isRefused() ? documentedRequest(docs) : undefined
  if (documented) asked = await ask(url, documented)
  const { response, error } = asked
  if (!response) {
    list.tell('payment', false, `POST ${chatPath}, without a payment: ${error.message}`)
    return undefined
  }
  const { latencyMs } = response
  if (response.status !== 402) {
    list.tell('payment', false, notPaymentRequired(response.status, `POST ${chatPath}`), latencyMs)
    return undefined
  }
  const problem = judgeOffer(response.headers, prices, options)
  const { required = 0n } = Wire.parseRejection(response.headers)
  const proper = `A proper 402: ${Usdc.display(required)} for a small chat.`
  list.tell('payment', problem === undefined, problem ?? proper, latencyMs)
  return problem === undefined ? required.toString() : undefined
}

/** What is wrong with the headers of a 402 for a request without a payment. */
function judgeOffer(
  headers: Headers,
  prices: PriceList,
  { isKnownContract }: TestOptions,
): string | undefined {
  if (headers.get('X-Payment-Protocol') !== Wire.protocol) {
    return `The 402 lacks X-Payment-Protocol: ${Wire.protocol}. Use a current paywall.`
  }
  const offer = Wire.parseOffer(headers)
  if (!offer) {
    return 'The 402 does not say how to pay. Send X-Payment-Provider, X-Payment-Contract and X-Payment-Chain with it.'
  }
  const { provider, contract, chainId } = offer
  const { code, required } = Wire.parseRejection(headers)
  if (code !== 'voucher_required') return 'The 402 lacks X-DRAIN-Error: voucher_required.'
  if (required === undefined)
    return 'The 402 does not say what is asked for. Send the price in base units as X-DRAIN-Required.'
  const action = 'Let both say the same.'
  if (!isSame(provider, prices.providerAddress)) {
    return `The 402 wants payments to ${provider}, the price list to ${prices.providerAddress}. ${action}`
  }
  if (chainId !== prices.chainId) {
    return `The 402 names chain ${chainId}, the price list ${prices.chainId}. ${action}`
  }
  if (prices.contract && !isSame(contract, prices.contract)) {
    return `The 402 names the contract ${contract}, the price list ${prices.contract}. ${action}`
  }
  if (isKnownContract?.(chainId, contract) === false) {
    return `Agents don’t know the contract ${contract} on chain ${chainId}. Use one that is published for this chain.`
  }
  return undefined
}

function isSame(one: Address, other: Address): boolean {
  return one.toLowerCase() === other.toLowerCase()
}
