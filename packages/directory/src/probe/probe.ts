import type { ConnectionTest, TestOptions } from './ConnectionTest.ts'
import { testConnection } from './testConnection.ts'

/** What a health round found. */
export type Probe = {
  /** Whether the server answered at all, and whether everything was as it should be. */
  reached: boolean
  correct: boolean
  /** Of its first answer; `null` where none came. */
  latencyMs: number | null
  offer?: ConnectionTest['offer']
  docs?: string | undefined
  /** In characters, of what is kept. */
  docsLength?: number | undefined
  /** The first thing that was wrong, and what to do, for the owner. */
  problem?: string | undefined
}

/** The connection test in short, for health rounds. */
export async function probe(options: Omit<TestOptions, 'onCheck'>): Promise<Probe> {
  const { passed, checks, offer, docs, latencyMs } = await testConnection(options)
  const reached = checks.some(({ name, passed }) => name === 'reachable' && passed)
  const problem = checks.find((check) => !check.passed)?.detail
  return { reached, correct: passed, latencyMs, offer, docs, docsLength: docs?.length, problem }
}
