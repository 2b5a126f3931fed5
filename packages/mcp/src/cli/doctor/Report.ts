/** Checks one after the other, and what each found. */
import { DrainError } from '@drain/core'

export type Status = 'ok' | 'warning' | 'failed'

/** What a check found, and what others can go on with. */
export type Finding<T = undefined> = {
  status: Status
  detail: string
  /** What to do. */
  next?: string | undefined
  value?: T | undefined
}

export type Check = { name: string; status: Status; detail: string; next?: string }

export type Report = {
  checks: readonly Check[]
  /** Runs a check. @returns Its value; `undefined` where it has none or failed. */
  check<T>(name: string, run: () => Promise<Finding<T>> | Finding<T>): Promise<T | undefined>
}

/** How long a check may take, in milliseconds. */
const patience = 30_000

/** @param tell Hears of each check when it is done. */
export function createReport(tell: (check: Check) => void): Report {
  const checks: Check[] = []
  return {
    checks,
    async check(name, run) {
      const { value, status, detail, next } = await within(patience, async () => run()).catch(failureOf)
      const check = { name, status, detail, ...(next && { next }) }
      checks.push(check)
      tell(check)
      return value
    },
  }
}

/** Errors that aren't this project's own may quote a node's URL: of them only the kind is told. */
function failureOf(error: unknown): Finding<never> {
  if (error instanceof DrainError) return { status: 'failed', detail: error.shortMessage, next: error.action }
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown }
  const kind = [code, name].find((one) => typeof one === 'string')
  return { status: 'failed', detail: `It failed (${kind ?? 'unknown'}).` }
}

async function within<T>(milliseconds: number, run: () => Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    const message = `No answer within ${milliseconds / 1_000} seconds.`
    timer = setTimeout(
      () => reject(new DrainError('timeout', message, { action: 'Try again.' })),
      milliseconds,
    )
  })
  return Promise.race([run(), late]).finally(() => clearTimeout(timer))
}
