/** Times, always in UTC. */
import { html } from 'hono/html'
import type { Html } from '../Page.ts'

const day = 86_400_000

/** `2026-11-23 14:05 UTC` */
export function utc(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** `23 Nov` */
export function dayOf(milliseconds: number): string {
  return new Date(milliseconds).toLocaleDateString('en-GB', {
    day: 'numeric',
    month: 'short',
    timeZone: 'UTC',
  })
}

/** `14:00` */
export function hourOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(11, 16)
}

export function time(milliseconds: number): Html {
  return html`<time datetime="${new Date(milliseconds).toISOString()}">${utc(milliseconds)}</time>`
}

/** How long ago, with the exact time behind it. */
export function ago(milliseconds: number, now: number): Html {
  return html`<time datetime="${new Date(milliseconds).toISOString()}" title="${utc(milliseconds)}">${agoText(now - milliseconds)}</time>`
}

function agoText(passed: number): string {
  if (passed < 90_000) return 'a minute ago'
  if (passed < 90 * 60_000) return `${Math.round(passed / 60_000)} minutes ago`
  if (passed < 36 * 3_600_000) return `${Math.round(passed / 3_600_000)} hours ago`
  return `${Math.round(passed / day)} days ago`
}

/** `90 ms`, `1.4 s` */
export function latency(milliseconds: number | null): string {
  if (milliseconds === null) return 'not known'
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`
  return `${(milliseconds / 1_000).toFixed(milliseconds < 10_000 ? 1 : 0)} s`
}

/** `2 hours`, from seconds. */
export function duration(seconds: number): string {
  const units = [
    [86_400, 'day'],
    [3_600, 'hour'],
    [60, 'minute'],
    [1, 'second'],
  ] as const
  const [size, unit] = units.find(([size]) => seconds >= size && seconds % size === 0) ?? [1, 'second']
  const count = seconds / size
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
