/** What somebody lets this page spend: shown, asked for, and kept for the next visit. Decimal USDC. */
import { Usdc } from '@drain/core'
import { sayProblem } from '../fieldProblems.ts'
import { part } from '../page.ts'

export type Limits = { perRequest: string; perChannel: string; perDay: string }

const fields = { perRequest: 'per-request', perChannel: 'deposit', perDay: 'per-day' } as const
const usual: Limits = { perRequest: '0.05', perChannel: '1', perDay: '2' }
const key = 'drain-try-limits'

/** Puts into the form what was chosen last time. */
export function showLimits(): void {
  const kept = { ...usual, ...readKept() }
  for (const [name, id] of Object.entries(fields)) {
    part<HTMLInputElement>(id).value = kept[name as keyof Limits]
  }
}

/** The limits of the form, or `undefined` where one is missing or none: then the field says so, and has the focus. */
export function readLimits(): Limits | undefined {
  const limits = { ...usual }
  let wrong: HTMLInputElement | undefined
  for (const [name, id] of Object.entries(fields)) {
    const input = part<HTMLInputElement>(id)
    const text = input.value.trim()
    const problem = problemOf(text)
    sayProblem(input, problem)
    if (problem !== '') wrong ??= input
    limits[name as keyof Limits] = text
  }
  wrong?.focus()
  if (wrong) return undefined
  localStorage.setItem(key, JSON.stringify(limits))
  return limits
}

/** Raises the deposit to what the provider wants at least, in base units, where it is lower. */
export function raiseDeposit(least: bigint): void {
  const input = part<HTMLInputElement>(fields.perChannel)
  if (problemOf(input.value.trim()) === '' && Usdc.parse(input.value.trim()) < least)
    input.value = Usdc.format(least)
}

function problemOf(text: string): string {
  try {
    return Usdc.parse(text) > 0n ? '' : 'It must be more than nothing.'
  } catch {
    return 'Write an amount of USDC, such as 0.05.'
  }
}

function readKept(): Partial<Limits> {
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? '{}')
    return Object.fromEntries(Object.entries(kept).filter(([, value]) => typeof value === 'string'))
  } catch {
    return {}
  }
}
