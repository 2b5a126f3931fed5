/** Days since 1970-01-01, in UTC: whole numbers inside, `YYYY-MM-DD` for people. */

export const milliseconds = 24 * 60 * 60 * 1000

/** The day of a moment, given in milliseconds. */
export function at(now: number): number {
  return Math.floor(now / milliseconds)
}

export function format(day: number): string {
  return new Date(day * milliseconds).toISOString().slice(0, 10)
}

/** The day that is written as `YYYY-MM-DD`; undefined for anything else, days like February 30 among it. */
export function parse(text: string): number | undefined {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return undefined
  const time = Date.parse(`${text}T00:00:00Z`)
  return Number.isNaN(time) || format(at(time)) !== text ? undefined : at(time)
}
