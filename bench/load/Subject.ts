import { type Payer, request } from '../payers/Payer.ts'
import { path } from '../servers/Server.ts'
import type { SpawnedServer } from '../servers/spawn.ts'
import { drive, type Round } from './drive.ts'

/** One thing that is measured: a server and what it is asked, with the rounds so far. */
export type Subject = {
  name: string
  rounds: (Round & { serverShare: number })[]
  /** Runs a round of about `seconds`. @throws {Error} When a request was answered wrongly or not paid. */
  round(seconds: number): Promise<void>
  /** Runs rounds that don't count, until the server is warm. */
  warmUp(seconds: number): Promise<void>
}

const connections = 16

/**
 * A subject whose requests all end in `status`. With a `payer` each carries a voucher, and the server's books must show as many
 * more at the end of a round; with one `channel` all connections share it, otherwise each has its own.
 */
export function createSubject(
  name: string,
  server: SpawnedServer,
  { payer, status = 200, channel }: { payer?: Payer; status?: number; channel?: number } = {},
): Subject {
  /** Per second: a first guess, then what the last round has shown. */
  let rate = 100
  const rounds: Subject['rounds'] = []
  const plain = request(path)

  function prepare(each: number): Buffer[][] {
    const numbers = Array.from({ length: connections }, (_, index) => index)
    if (!payer) return numbers.map(() => Array<Buffer>(each).fill(plain))
    if (channel === undefined) return numbers.map((index) => payer.requests(index, each))
    const all = payer.requests(channel, each * connections)
    return numbers.map((index) => all.filter((_, position) => position % connections === index))
  }

  async function run(seconds: number) {
    const queues = prepare(Math.max(10, Math.ceil((rate * seconds) / connections)))
    const [paidBefore, cpuBefore] = [await server.paid(), await server.cpu()]
    const round = await drive(server.port, queues)
    const [paid, cpu] = [(await server.paid()) - paidBefore, (await server.cpu()) - cpuBefore]
    const right = round.statuses.get(status) ?? 0
    if (right !== round.requests) {
      throw new Error(
        `${name}: ${right} of ${round.requests} answered ${status}: ${[...round.statuses].join('; ')}`,
      )
    }
    const due = payer ? round.requests : 0
    if (paid !== due) throw new Error(`${name}: the books show ${paid} paid requests, ${due} were made.`)
    rate = round.perSecond
    return { ...round, serverShare: (cpu * round.perSecond) / round.requests / 1_000 }
  }

  return {
    name,
    rounds,
    async round(seconds) {
      rounds.push(await run(seconds))
    },
    async warmUp(seconds) {
      const until = performance.now() + seconds * 1_000
      do await run(seconds / 4)
      while (performance.now() < until)
    },
  }
}
