/** Has the directory look at a skill: what is wrong with it, what it would cost, what may keep it from working. Nothing is kept there. */
import { call } from '../api.ts'
import type { Problem } from './Draft.ts'

/** `words`: cost and warnings, once nothing is wrong. */
export type Verdict = { problems: readonly Problem[]; words: string }

type Read = { definition: unknown; problems: readonly Problem[] }

type Validated =
  | { valid: false; problems: readonly { field: string; problem: string }[] }
  | { valid: true; cost: { total: string | null; note: string }; warnings: readonly string[] }

/** Milliseconds without a change, before it is asked. */
const patience = 400

/** @param show Called with each verdict that isn't overtaken. */
export function createChecker(show: (verdict: Verdict) => void) {
  let timer: ReturnType<typeof setTimeout> | undefined
  let latest = 0

  /** @throws {ApiError} */
  async function now({ definition, problems }: Read): Promise<Verdict> {
    clearTimeout(timer)
    const turn = ++latest
    const answer = await call<Validated>('POST', '/api/skills/validate', { definition })
    const verdict = {
      problems: [...problems, ...(answer.valid ? [] : answer.problems.map(toProblem))],
      words: answer.valid ? wordsFor(answer) : '',
    }
    if (turn === latest) show(verdict)
    return verdict
  }

  return {
    now,
    /** When nobody types any more. */
    later(read: Read): void {
      clearTimeout(timer)
      timer = setTimeout(() => void now(read).catch(() => {}), patience)
    },
  }
}

function toProblem({ field, problem }: { field: string; problem: string }): Problem {
  const path = field === '' ? [] : field.split('.').map((part) => (/^\d+$/.test(part) ? Number(part) : part))
  return { path, message: plain(problem) }
}

/** The schema's words for what fields have most often: nothing in them. */
function plain(problem: string): string {
  if (/^Too small: expected string/.test(problem)) return 'it is missing'
  return problem.startsWith('Invalid string: must match')
    ? 'it is missing, or has signs that it can’t have'
    : problem
}

function wordsFor({ cost, warnings }: Extract<Validated, { valid: true }>): string {
  const total = cost.total === null ? [] : [`About ${cost.total} USDC each time.`]
  return [...total, cost.note, ...warnings].join(' ')
}
