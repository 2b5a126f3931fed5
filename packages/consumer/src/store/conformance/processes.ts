import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import type { ClientStore } from '../ClientStore.ts'
import { changes } from './cases.ts'

let children: ChildProcess[] = []

/** Kills what a test has left. */
export function endChildren(): void {
  afterEach(() => {
    for (const child of children) child.kill('SIGKILL')
    children = []
  })
}

/**
 * Starts a process on a job, once it is told to `begin`. `ended`: what it printed until its end, which comes by force after
 * `killAfter` lines.
 */
export async function hammer(job: string, kind: 'file' | 'sqlite', path: string, killAfter?: number) {
  const child = fork(new URL('../hammer.child.ts', import.meta.url), [job, kind, path], {
    execArgv: [],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  children.push(child)
  const lines: string[] = []
  const output = createInterface({ input: child.stdout ?? process.stdin })
  output.on('line', (line) => {
    lines.push(line)
    if (lines.length === killAfter) child.kill('SIGKILL')
  })
  const ended = Promise.all([once(child, 'exit'), once(output, 'close')]).then(([[exitCode]]) => ({
    lines,
    exitCode: exitCode as number | null,
  }))
  const tooEarly = ended.then(() => {
    throw new Error('ended before it began')
  })
  tooEarly.catch(() => {})
  await Promise.race([once(child, 'message'), tooEarly])
  return {
    pid: child.pid ?? 0,
    lines,
    ended,
    /** Also what a job waits for later. One that has ended meanwhile need not hear it. */
    begin: () => child.send('begin', () => {}),
    kill: () => child.kill('SIGKILL'),
    line: () => Promise.race([once(output, 'line').then(([line]) => String(line)), tooEarly]),
  }
}

/** What is there after processes were killed while they wrote. */
export function killed(
  kind: 'file' | 'sqlite',
  place: () => string,
  open: (path: string) => ClientStore,
): void {
  endChildren()

  test('killed while it writes: all that it acknowledged is there, and nothing half', async () => {
    const path = place()
    const acknowledged: string[] = []
    const moments = [1, 30, 200, 1000].map((most) => 1 + Math.floor(Math.random() * most))
    const context = `killed after ${moments.join(', ')}`
    for (const moment of moments) {
      const { begin, ended } = await hammer('load', kind, path, moment)
      begin()
      const { lines, exitCode } = await ended
      expect(exitCode, context).toBeNull()
      acknowledged.push(...lines)
    }
    const store = open(path)
    const entries = new Map((await changes(store)).map(({ key, text }) => [key, text ?? '']))
    await store.close()
    expect(
      acknowledged.filter((key) => !entries.has(key)),
      context,
    ).toEqual([])
    for (const [key, text] of entries) {
      const [lane = '', number = ''] = key.split('/')
      const last = Number(entries.get(`${lane}/last`))
      if (number === 'last') {
        expect(entries.has(`${lane}/${last}`), `${context}: ${key}`).toBe(true)
        continue
      }
      const count = Number(number)
      expect(count, `${context}: ${key}`).toBeLessThanOrEqual(last)
      expect(text, `${context}: ${key}`).toBe(`${count} `.repeat(1 + ((count * 37) % 900)))
    }
  })
}
