/** What the pages show beside providers: plain data, from whichever part keeps it. */
import type { Status } from '../Provider.ts'

export type PageData = {
  /** Of the last 30 days, the oldest first. */
  history(providerId: string): Promise<HistoryData>
  /** The latest first, at most 50. */
  feedback(providerId: string): Promise<readonly FeedbackData[]>
  /** Published ones, the latest first. */
  skills(filter: SkillFilter): Promise<SkillList>
  /** A published one as it costs and stands now; `undefined` where there is none. @throws {Problem} 409 */
  skill(id: string, protocol?: 'drain' | 'mpp'): Promise<SkillData | undefined>
  invite(code: string): Promise<InviteData>
  /** Uses an invitation: what was sent, in a sentence. @throws {Problem} */
  join(code: string, address: string, request: Request): Promise<string>
  /** How scores are made, in Markdown. */
  scoreText(): string
  /** The OpenAPI document. */
  openApi(): OpenApi
}

export type HistoryData = {
  /** Those with probes, the oldest first. */
  hours: readonly HourData[]
  /** The latest first, at most 100. */
  changes: readonly { at: number; status: Status; reason: string }[]
}

/** One hour of probes. Times are Unix milliseconds, latencies milliseconds. */
export type HourData = {
  hour: number
  probes: number
  reached: number
  correct: number
  medianMs: number | null
  p95Ms: number | null
}

export type FeedbackData = {
  at: number
  outcome: 'success' | 'failure'
  protocol: 'drain' | 'mpp'
  reason: string
  /** Shortened. */
  consumer: string
  /** Decimal USDC that the chain shows as paid from its channel; `null` where it doesn't count. */
  paid: string | null
}

export type SkillFilter = {
  search?: string | undefined
  category?: string | undefined
  limit: number
  cursor?: string | undefined
}

export type SkillSummary = {
  id: string
  title: string
  summary: string
  tags: readonly string[]
  author: string
  steps: number
  /** Decimal USDC; `null` where a price isn't known. */
  cost: string | null
  updatedAt: number
}

export type SkillList = { skills: readonly SkillSummary[]; total: number; next?: string | undefined }

export type SkillData = {
  id: string
  title: string
  summary: string
  tags: readonly string[]
  author: string
  updatedAt: number
  inputs: readonly {
    name: string
    type: string
    description: string
    required: boolean
    example?: string | undefined
  }[]
  steps: readonly {
    id: string
    title: string
    /** Of the directory. */
    provider: string
    model?: string | undefined
    protocol: 'drain' | 'mpp'
    /** JSON text with placeholders. */
    request: string
    output: string
    /** Decimal USDC, or `null`. */
    cost: string | null
  }[]
  output: string
  cost: { total: string | null; note: string }
  execution: { instructions: string; toolsNeeded: readonly string[]; protocol: 'drain' | 'mpp' | 'mixed' }
  warnings: readonly string[]
}

/** Unknown, used and expired ones look alike. */
export type InviteData =
  | { state: 'open'; usdc: string; gas: string; coin: string; network: string; expiresAt: number }
  | { state: 'gone' }

/** As much of a document as is shown. */
export type OpenApi = {
  info: { title: string; version: string; description?: string | undefined }
  paths: Record<string, Record<string, OpenApiOperation>>
}

export type OpenApiOperation = {
  summary?: string | undefined
  description?: string | undefined
  tags?: readonly string[] | undefined
  parameters?: readonly OpenApiParameter[] | undefined
  requestBody?: { content?: Record<string, { schema?: object }> } | undefined
  responses?: Record<string, { description?: string }> | undefined
}

export type OpenApiParameter = {
  name: string
  in: string
  required?: boolean | undefined
  description?: string | undefined
  schema?: object | undefined
}
