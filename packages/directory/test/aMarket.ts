/** A directory with everything that its pages show, for tests and screenshots. Nothing in it is random. */
import { Deployment } from '@drain/core'
import { pino } from 'pino'
import { createSnapshot } from '../src/listing/Snapshot.ts'
import type { Model, ProviderRecord } from '../src/Provider.ts'
import { completeSettings, type SettingsGiven } from '../src/settings.ts'
import { createProviders } from '../src/store/Providers.ts'
import { openSqlite } from '../src/store/sqlite.ts'
import type { PageRooms } from '../src/web/createPages.ts'
import type { HistoryData, HourData } from '../src/web/PageData.ts'
import { aProvider } from './aProvider.ts'

export const origin = 'http://127.0.0.1:8700'
const hour = 3_600_000
/** A Friday afternoon. */
export const noon = Date.UTC(2026, 9, 23, 15, 20)

const deployment = Deployment.from({
  chainId: 31337,
  contract: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
  token: '0xe7f1725e7734ce288f8367e1bb143e90bb3f0512',
})
const chains = [{ deployment, rpcUrl: 'http://127.0.0.1:8545' }]

export type Market = PageRooms & { close(): Promise<void> }

export async function aMarket(
  records: readonly Omit<ProviderRecord, 'revision'>[] = shops(),
  settings: Partial<SettingsGiven> = {},
): Promise<Market> {
  const database = await openSqlite(':memory:')
  const providers = createProviders(database)
  for (const record of records) await providers.add(record)
  const snapshot = createSnapshot(providers, () => noon)
  await snapshot.refresh()
  return {
    settings: completeSettings({ origin, database, chains, assets: '/nowhere', ...settings }),
    snapshot,
    providers,
    log: pino({ level: 'silent' }),
    now: () => noon,
    close: () => database.close(),
  }
}

const perToken = (id: string, input: string, output: string): Model => ({
  ...{ id, name: id, inputPer1kTokens: input, outputPer1kTokens: output },
})
const flat = (id: string, price: string): Model => ({
  ...{ id, name: id, inputPer1kTokens: price, outputPer1kTokens: '0' },
})

type Shop = {
  id: string
  name: string
  text: string
  category: ProviderRecord['profile']['category']
  models: readonly Model[]
  status?: ProviderRecord['health']['status']
  score: number
  ms: number
  uptime: number
  also?: Partial<ProviderRecord>
}

/** What a directory that runs for some weeks may hold. */
export function shops(): Omit<ProviderRecord, 'revision'>[] {
  const all: Shop[] = [
    {
      ...{
        id: 'northlight',
        name: 'Northlight Inference',
        category: 'llm',
        score: 0.93,
        ms: 184,
        uptime: 0.9997,
      },
      text: 'Open-weight language models on our own hardware in Tromsø. Streaming, tools and structured output; nothing is kept.',
      models: [
        perToken('llama-3.3-70b', '0.0006', '0.0018'),
        perToken('qwen3-32b', '0.0003', '0.0009'),
        perToken('mistral-small-3.2', '0.0001', '0.0003'),
      ],
      also: { tier: 'bittensor' },
    },
    {
      ...{ id: 'kiwi-cloud', name: 'Kiwi Cloud', category: 'llm', score: 0.88, ms: 412, uptime: 0.9931 },
      text: 'The big commercial models behind one endpoint, paid by the request.',
      models: [
        perToken('gpt-5-mini', '0.00025', '0.002'),
        perToken('llama-3.3-70b', '0.00055', '0.0017'),
        perToken('claude-haiku-4.5', '0.001', '0.005'),
      ],
    },
    {
      ...{ id: 'pixelmine', name: 'Pixelmine', category: 'image', score: 0.81, ms: 2_340, uptime: 0.9812 },
      text: 'Pictures from text: FLUX and Stable Diffusion, up to 2048 × 2048, in about three seconds.',
      models: [flat('flux.1-dev', '0.02'), flat('sdxl-turbo', '0.004')],
    },
    {
      ...{ id: 'webharvest', name: 'Webharvest', category: 'scraping', score: 0.79, ms: 890, uptime: 0.9777 },
      text: 'Any public page as clean Markdown, rendered in a browser first. Robots.txt is obeyed.',
      models: [flat('page-to-markdown', '0.0015')],
      // Registered without a wallet.
      also: { protocol: 'mpp', owner: `token:${'ab'.repeat(32)}` },
    },
    {
      ...{
        id: 'sounding',
        name: 'Sounding',
        category: 'audio',
        score: 0.74,
        ms: 1_210,
        uptime: 0.9643,
        status: 'degraded',
      },
      text: 'Speech to text in 60 languages, and back.',
      models: [flat('whisper-large-v3', '0.006'), flat('kokoro-tts', '0.003')],
    },
    {
      ...{
        id: 'forecast-guild',
        name: 'The Forecasters’ Guild',
        category: 'forecasting',
        score: 0.66,
        ms: 640,
        uptime: 0.941,
      },
      text: 'Calibrated probabilities for questions about the future, with reasons.',
      models: [flat('forecast', '0.05')],
    },
    {
      ...{ id: 'sandbox-run', name: 'Sandbox.run', category: 'code', score: 0.61, ms: 95, uptime: 1 },
      text: 'Runs Python, JavaScript and Rust in a fresh microVM, and gives back what it printed.',
      models: [flat('run-60s', '0.002')],
    },
    {
      ...{
        id: 'tidewater',
        name: 'Tidewater',
        category: 'data',
        score: 0.42,
        ms: 3_900,
        uptime: 0.72,
        status: 'offline',
      },
      text: 'Tides, currents and sea weather for every coast.',
      models: [flat('tide', '0.0004')],
    },
  ]
  const listed = all.map(toRecord)
  const [first] = listed as [Omit<ProviderRecord, 'revision'>]
  return [
    ...listed,
    {
      ...toRecord({ ...(all[2] as Shop), id: 'newcomer', name: 'Newcomer', text: '' }),
      state: 'pending',
      profile: {
        ...first.profile,
        ...{ name: 'Newcomer', description: '', logoUrl: '', category: 'search', hotkey: null },
      },
      offer: { ...first.offer, models: [], docs: '' },
      health: {
        ...first.health,
        status: 'unknown',
        lastChecked: null,
        latencyMs: null,
        medianMs: null,
        p95Ms: null,
        uptimeDay: null,
        uptimeMonth: null,
        problem: '',
      },
      review: {
        checks: [
          { name: 'reachable', passed: true, detail: 'answered in 0.2 s', latencyMs: 204 },
          { name: 'pricing', passed: false, detail: '/v1/pricing has no models. Add at least one.' },
        ],
        testedAt: noon - hour,
        note: 'Please list at least one model.',
      },
    },
  ]
}

function toRecord(
  { id, name, text, category, models, status = 'online', score, ms, uptime, also }: Shop,
  index: number | undefined = 0,
) {
  const base = aProvider()
  const host = `https://${id}.example`
  const isUp = status !== 'offline'
  return aProvider({
    ...base,
    id,
    apiUrl: `https://api.${id}.example`,
    profile: {
      ...base.profile,
      ...{ name, description: text, category, moreCategories: category === 'llm' ? ['code'] : [] },
      ...{
        contactEmail: `hello@${id}.example`,
        website: host,
        docsUrl: `${host}/docs`,
        logoUrl: `${host}/logo.svg`,
      },
      ...{ minDuration: 3_600, maxDuration: 7 * 86_400 },
      hotkey: also?.tier === 'bittensor' ? '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY' : null,
    },
    offer: { ...base.offer, contract: deployment.contract, models, docs: docsOf(name) },
    health: {
      ...{
        status,
        lastChecked: noon - 140_000 - index * 9_000,
        latencyMs: ms,
        medianMs: ms,
        p95Ms: ms * 2.4,
      },
      ...{ uptimeDay: isUp ? Math.min(1, uptime + 0.002) : 0, uptimeMonth: uptime },
      problem: isUp ? '' : 'No answer within 10 seconds. Is the server running?',
    },
    score,
    scoreParts: {
      ...{
        reachability: Math.min(1, score + 0.06),
        correctness: Math.min(1, score + 0.05),
        latency: score - 0.1,
        feedback: score - 0.05,
      },
      ...{
        praised: String(Math.round(score * 48_000_000)),
        blamed: String(Math.round((1 - score) * 3_000_000)),
      },
    },
    createdAt: noon - 40 * 24 * hour,
    ...also,
  })
}

const docsOf = (name: string) => `# ${name}

POST /v1/chat/completions with {"model", "messages"}; answers are OpenAI's.
"stream": true gives server-sent events. At most 32,000 tokens of context.

Errors: 402 asks for a voucher, 429 for patience, and everything else says what to do.
Contact: see the listing.
`

/** Thirty days of probes, with a bad day and a gap. */
export function aHistory(ms = 184): HistoryData {
  const hours: HourData[] = []
  for (let at = noon - 30 * 24 * hour; at <= noon; at += hour) {
    const day = Math.floor((noon - at) / (24 * hour))
    const wave = Math.sin(at / (5 * hour)) * 0.25 + Math.sin(at / (31 * hour)) * 0.2
    if (day === 21) continue
    const correct = day === 12 ? 7 : day === 5 ? 11 : 12
    const medianMs = Math.round(ms * (1 + wave))
    hours.push({
      hour: Math.floor(at / hour) * hour,
      probes: 12,
      reached: 12,
      correct,
      medianMs,
      p95Ms: Math.round(medianMs * (2.1 + wave)),
    })
  }
  return {
    hours,
    changes: [
      { at: noon - 12 * 24 * hour, status: 'online', reason: '' },
      {
        at: noon - 12 * 24 * hour - 5 * hour,
        status: 'degraded',
        reason: 'The 402 named another contract than /v1/pricing.',
      },
      { at: noon - 39 * 24 * hour, status: 'online', reason: '' },
    ],
  }
}
