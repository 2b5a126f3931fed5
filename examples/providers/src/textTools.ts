/** Flat-rate tools: one price per call, whatever it takes. */
import { createPaywall, Pricing } from '@drain-protocol/sdk'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import { choiceIn, type JsonObject, numberIn, textIn } from './body.ts'
import { describeRoute, describeTasks, type Example } from './describeTasks.ts'
import { Refusal } from './problem.ts'
import { Hono, listen, type ProviderOptions, type RunningProvider } from './provider.ts'
import { taskRoute } from './task.ts'

const models = { 'text-statistics': Pricing.flat('0.001'), 'unit-conversion': Pricing.flat('0.0005') }
const longest = 20_000

/** How many of the base unit one of them is. Of temperatures also what is added after that. */
const units = {
  length: {
    m: [1],
    km: [1_000],
    cm: [0.01],
    mm: [0.001],
    mi: [1_609.344],
    yd: [0.9144],
    ft: [0.3048],
    in: [0.0254],
  },
  mass: { kg: [1], g: [0.001], t: [1_000], lb: [0.45359237], oz: [0.028349523125] },
  volume: { l: [1], ml: [0.001], m3: [1_000], gal: [3.785411784], pt: [0.473176473] },
  temperature: { K: [1], C: [1, 273.15], F: [5 / 9, 459.67 * (5 / 9)] },
}
const kinds = Object.values(units).map((kind) => new Map<string, number[]>(Object.entries(kind)))

export async function startTextTools({
  port,
  ledger = sqliteLedger('text-tools.db'),
  ...chain
}: ProviderOptions): Promise<RunningProvider> {
  const name = 'Text and unit tools'
  const routes = [describeRoute(statistics, 'Counts words, sentences and characters; converts units')]
  const paywall = createPaywall({ ...chain, ledger, name, models, routes, docs })
  const app = new Hono()
  app.post(
    '/v1/chat/completions',
    taskRoute(paywall, ({ model, input }) => {
      const work = model === 'text-statistics' ? count(input) : convert(input)
      return { quote: Pricing.cost(models[model as keyof typeof models]), work }
    }),
  )
  return listen(paywall, app, port)
}

/** Reads the input at once, so that what is wrong with it is said before it is paid, and counts later. */
function count(input: JsonObject) {
  const text = textIn(input, 'text', longest)
  return () => {
    const segments = (granularity: 'word' | 'sentence' | 'grapheme') => [
      ...new Intl.Segmenter(undefined, { granularity }).segment(text),
    ]
    const words = segments('word').filter(({ isWordLike }) => isWordLike)
    const unique = new Set(words.map(({ segment }) => segment.toLowerCase())).size
    const [characters, sentences] = [segments('grapheme').length, segments('sentence').length]
    return { characters, words: words.length, uniqueWords: unique, sentences, bytes: Buffer.byteLength(text) }
  }
}

function convert(input: JsonObject) {
  const value = numberIn(input, 'value', { least: -1e15, most: 1e15 })
  const from = choiceIn(
    input,
    'from',
    kinds.flatMap((kind) => [...kind.keys()]),
  )
  const kind = kinds.find((kind) => kind.has(from)) ?? new Map<string, number[]>()
  const to = choiceIn(input, 'to', [...kind.keys()])
  const [[scale = 1, offset = 0], [toScale = 1, toOffset = 0]] = [kind.get(from) ?? [], kind.get(to) ?? []]
  const result = Number(((value * scale + offset - toOffset) / toScale).toPrecision(12))
  if (!Number.isFinite(result)) throw new Refusal(400, 'invalid_request', 'That cannot be converted.')
  return () => ({ value: result, unit: to })
}

const statistics: Example = {
  model: 'text-statistics',
  input: { text: 'Pay once. Ask often, and pay for what you ask.' },
  result: { characters: 46, words: 10, uniqueWords: 8, sentences: 2, bytes: 46 },
}
const conversion: Example = {
  model: 'unit-conversion',
  input: { value: 26.2, from: 'mi', to: 'km' },
  result: { value: 42.1648128, unit: 'km' },
}

const docs = `Two tools, each at one price per call.

- text-statistics: {"text": string of 1 to ${longest} characters}.
- unit-conversion: {"value": number, "from": unit, "to": unit of the same kind}. Units: ${kinds.map((kind) => [...kind.keys()].join(' ')).join('; ')}.

${describeTasks([statistics, conversion])}`
