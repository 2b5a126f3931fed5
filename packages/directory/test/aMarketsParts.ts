/** What the pages of `aMarket` show beside its providers. */
import { openApi } from '../src/http/openApi.ts'
import { listingRoutes } from '../src/listing/listingRoutes.ts'
import { Problem } from '../src/problem.ts'
import type { Rooms } from '../src/Rooms.ts'
import { scoreText } from '../src/score/scoreText.ts'
import type { PageParts } from '../src/web/createPages.ts'
import type { Decision, DeskParts } from '../src/web/DeskParts.ts'
import type { OpenApi, PageData, SkillData, SkillSummary } from '../src/web/PageData.ts'
import { aHistory, type Market, noon, origin } from './aMarket.ts'

const consumer = '0x3c44…93bc'
const author = '0x97439450fad8449dd81a6eb79fc98c393dbdec58'

export type TestDesk = DeskParts & { decided: (Decision & { operator: string })[] }

export function aMarketsParts(market: Market): PageParts & { data: PageData; operators: TestDesk } {
  return { data: aMarketsData(market), operators: aDesk(market) }
}

function aMarketsData(market: Market): PageData {
  const rooms = market as unknown as Rooms
  return {
    history: async () => aHistory(),
    feedback: async () => [
      {
        at: noon - 3_600_000,
        outcome: 'success',
        protocol: 'drain',
        reason: 'Fast, and cheaper than it said.',
        consumer,
        paid: '0.4182',
      },
      {
        at: noon - 90_000_000,
        outcome: 'failure',
        protocol: 'drain',
        reason: 'The second half of the stream never came.',
        consumer: '0x15d3…6a65',
        paid: '0.02',
      },
      {
        at: noon - 200_000_000,
        outcome: 'success',
        protocol: 'mpp',
        reason: '',
        consumer: '0x9965…a4dc',
        paid: null,
      },
    ],
    skills: async () => ({
      skills: [
        summaryOf(aSkillShown),
        { ...summaryOf(aSkillShown), id: 'two', title: 'What the sea does tomorrow', cost: null, steps: 1 },
      ],
      total: 2,
    }),
    skill: async (id) => (id === aSkillShown.id || id === 'two' ? { ...aSkillShown, id } : undefined),
    invite: async (code) =>
      code === 'WELCOME'
        ? {
            state: 'open',
            usdc: '2',
            gas: '0.1',
            coin: 'POL',
            network: 'Polygon',
            expiresAt: noon + 7 * 86_400_000,
          }
        : { state: 'gone' },
    async join(_, address) {
      if (/^0x[0-9a-fA-F]{40}$/.test(address)) return `2 USDC and 0.1 POL are on their way to ${address}.`
      throw new Problem(400, 'invalid_request', 'That is no address.', {
        action: 'It is 0x and 40 hex digits.',
      })
    },
    scoreText: () => scoreText,
    openApi: () => openApi(listingRoutes(rooms), { origin, version: '1.0.0' }) as unknown as OpenApi,
  }
}

const summaryOf = ({
  id,
  title,
  summary,
  tags,
  author,
  steps,
  cost,
  updatedAt,
}: SkillData): SkillSummary => ({
  ...{ id, title, summary, tags, author, updatedAt },
  steps: steps.length,
  cost: cost.total,
})

export const aSkillShown: SkillData = {
  id: 'read-and-translate',
  title: 'Read a page and translate it',
  summary: 'Fetches a public page as Markdown, sums it up, and translates the summary.',
  tags: ['reading', 'translation'],
  author,
  updatedAt: noon - 5 * 86_400_000,
  inputs: [
    {
      name: 'url',
      type: 'string',
      description: 'The page.',
      required: true,
      example: 'https://example.com/',
    },
    { name: 'language', type: 'string', description: 'What to translate into.', required: false },
  ],
  steps: [
    {
      ...{ id: 'read', title: 'Read the page', provider: 'webharvest', protocol: 'mpp', cost: '0.0015' },
      request: '{"url": "{{inputs.url}}"}',
      output: 'The page as Markdown.',
    },
    {
      ...{
        id: 'translate',
        title: 'Sum up and translate',
        provider: 'tidewater',
        model: 'llama-3.3-70b',
        protocol: 'drain',
      },
      request: '{"messages": [{"role": "user", "content": "In {{inputs.language}}: {{steps.read.output}}"}]}',
      output: 'Five sentences.',
      cost: '0.0042',
    },
  ],
  output: 'Five sentences in the language that was asked for.',
  cost: { total: '0.0057', note: 'At today’s prices, with 4,000 tokens in and 300 out.' },
  execution: {
    instructions:
      '1. mpp_request {"url": "https://api.webharvest.example/read", …}\n2. drain_open_channel {"provider": "northlight", "amount": "0.05"}\n3. drain_chat …\n4. drain_cooperative_close …',
    toolsNeeded: ['mpp_request', 'drain_open_channel', 'drain_chat', 'drain_cooperative_close'],
    protocol: 'mixed',
  },
  warnings: ['Tidewater is offline: the step “Sum up and translate” will fail.'],
}

/** Signed in with the cookie `desk=open`. */
function aDesk({ snapshot }: Market): TestDesk {
  const decided: TestDesk['decided'] = []
  const records = [...snapshot.all()]
  return {
    decided,
    async operatorOf(request) {
      return request.headers.get('cookie')?.includes('desk=open') ? 'token' : undefined
    },
    async signInWithToken(token) {
      if (token !== 'right') throw new Problem(401, 'not_operator', 'That is not the operator’s token.')
      return { cookie: 'desk=open; Path=/; HttpOnly; SameSite=Strict' }
    },
    signOutCookie: 'desk=; Path=/; Max-Age=0',
    overview: async () => ({
      pending: records.filter(({ state }) => state === 'pending'),
      counts: { all: 9, approved: 8, pending: 1, online: 6, degraded: 1, offline: 1 },
      troubled: records.filter(({ health }) => health.status === 'offline' || health.status === 'degraded'),
      feedback: [
        {
          id: 'northlight/0x15d3/0x00',
          providerId: 'northlight',
          at: noon - 90_000_000,
          outcome: 'failure',
          reason: 'The second half of the stream never came.',
          consumer,
          hidden: false,
        },
        {
          id: 'kiwi-cloud/0x15d3/0x01',
          providerId: 'kiwi-cloud',
          at: noon - 95_000_000,
          outcome: 'success',
          reason: 'BUY CHEAP WATCHES',
          consumer,
          hidden: true,
        },
      ],
      actions: [
        { at: noon - 100_000_000, operator: 'token', action: 'approve', subject: 'sandbox-run', reason: '' },
        {
          at: noon - 95_000_000,
          operator: author,
          action: 'hide',
          subject: 'kiwi-cloud/0x15d3/0x01',
          reason: 'An advertisement.',
        },
      ],
    }),
    async decide(operator, decision) {
      decided.push({ ...decision, operator })
      return 'Done.'
    },
  }
}

/** Everywhere that a person may go, with what has to be sent along. */
export const everyPage: readonly { path: string; cookie?: string; status?: number }[] = [
  { path: '/' },
  { path: '/?category=image&online=false' },
  { path: '/?search=nothing%20fits' },
  { path: '/models' },
  { path: '/models/llama-3.3-70b' },
  { path: '/providers/northlight' },
  { path: '/providers/webharvest' },
  { path: '/providers/newcomer' },
  { path: '/providers/newcomer/review' },
  { path: '/providers/northlight/change' },
  { path: '/providers/webharvest/change' },
  { path: '/providers/newcomer/change' },
  { path: '/become-a-provider' },
  { path: '/skills' },
  { path: '/skills/new' },
  { path: '/skills/read-and-translate' },
  { path: '/desk' },
  { path: '/desk?done=approve', cookie: 'desk=open' },
  { path: '/join/WELCOME' },
  { path: '/join/USED', status: 404 },
  { path: '/docs/score' },
  { path: '/docs/api' },
  { path: '/try' },
  { path: '/try?provider=northlight' },
  { path: '/nowhere', status: 404 },
]
