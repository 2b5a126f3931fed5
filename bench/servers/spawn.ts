import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Server } from './Server.ts'

/** A server in a process of its own. */
export type SpawnedServer = Server & {
  /** Processor time so far, in milliseconds. */
  cpu(): Promise<number>
  /** Its monotonic clock, in microseconds. */
  clock(): Promise<number>
}

/** Starts `servers/<kind>.ts` in a process of its own. `profileTo`: a folder for its CPU profile, written at the end. */
export async function spawn(
  kind: string,
  options: Record<string, unknown> = {},
  profileTo?: string,
): Promise<SpawnedServer> {
  const child = fork(fileURLToPath(new URL('child.ts', import.meta.url)), [kind, JSON.stringify(options)], {
    execArgv: [
      ...process.execArgv,
      ...(profileTo ? ['--cpu-prof', '--cpu-prof-interval=200', `--cpu-prof-dir=${profileTo}`] : []),
    ],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  const exited = once(child, 'exit')
  const hear = async <answer>(): Promise<answer> => {
    const heard = once(child, 'message').then(([message]) => (message as { answer: answer }).answer)
    const died = exited.then(() => {
      throw new Error(`The server «${kind}» ended by itself.`)
    })
    return Promise.race([heard, died])
  }
  const ask = <answer>(question: string): Promise<answer> => {
    const answer = hear<answer>()
    child.send(question)
    return answer
  }
  const port = await hear<number>()
  return {
    port,
    paid: () => ask('paid'),
    cpu: () => ask('cpu'),
    clock: () => ask('clock'),
    async close() {
      child.disconnect()
      await exited
    },
  }
}
