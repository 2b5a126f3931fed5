/** A process of the provider, that is killed and started again. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ProcessInput } from './settings.ts'

export type Process = {
  /** Resolves when it is ready to work; tries again while it isn't, as an operator's supervisor does. */
  start(): Promise<void>
  /** `kill -9`. */
  kill(): Promise<void>
  /** Tells it to end well. Resolves with its exit code. */
  stop(): Promise<number | null>
  /** Starts the next one, and kills the one before when that is ready. */
  replace(): Promise<void>
  /** Sets the run's clock. */
  leap(aheadMs: number): void
}

/** `name`: of `<name>.child.ts`. Its log is appended to `logPath`. `onReady` is told the port. */
export function createProcess(options: {
  name: 'server' | 'worker'
  logPath: string
  input: () => ProcessInput
  onReady?: (port: number) => void
}): Process {
  const { name, input, onReady = () => {} } = options
  const log = openSync(options.logPath, 'a')
  const script = fileURLToPath(new URL(`${name}.child.ts`, import.meta.url))
  /** All that run: while one is replaced, two do. */
  const children = new Set<ChildProcess>()
  let current: ChildProcess | undefined

  async function begin(): Promise<ChildProcess> {
    for (;;) {
      const child = fork(script, [JSON.stringify(input())], {
        execArgv: ['--disable-warning=ExperimentalWarning'],
        stdio: ['ignore', log, log, 'ipc'],
      })
      children.add(child)
      const ended = once(child, 'exit').then(() => {
        children.delete(child)
        return undefined
      })
      const ready = once(child, 'message').then(([message]) => message as { port: number })
      const told = await Promise.race([ready, ended])
      if (!told) continue
      onReady(told.port)
      // The clock may have leapt since.
      child.send({ aheadMs: input().aheadMs })
      return child
    }
  }

  async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<number | null> {
    if (!child || !children.has(child)) return child?.exitCode ?? null
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
    return child.exitCode
  }

  return {
    async start() {
      current = await begin()
    },
    async kill() {
      await end(current, 'SIGKILL')
    },
    stop: () => end(current, 'SIGTERM'),
    async replace() {
      const before = current
      current = await begin()
      await end(before, 'SIGKILL')
    },
    leap(aheadMs) {
      for (const child of children) if (child.connected) child.send({ aheadMs }, () => {})
    },
  }
}
