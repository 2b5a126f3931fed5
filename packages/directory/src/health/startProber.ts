/** Asks providers, each in its time, whether they still do what they say. */
import { type Address, isAddress, isAddressEqual } from 'viem'
import type { ProviderRecord } from '../Provider.ts'
import type { Target } from '../probe/ConnectionTest.ts'
import type { Probe } from '../probe/probe.ts'
import type { Rooms } from '../Rooms.ts'
import { toOffer } from '../register/offerOf.ts'
import { acceptReport, signReport } from './acceptReport.ts'
import { hourMs, pruneProbes } from './recordProbe.ts'

export type Prober = {
  /** Probes those whose time has come, and waits for them. How many there were. */
  round(): Promise<number>
  /** Starts no more, and gives up those that run: they are left to the next start, or to another instance. */
  stop(): Promise<void>
}

export type ProberOptions = {
  /** Bounded in time and size by itself. */
  probe(target: Target): Promise<Probe>
  /** How many at the same time. Default 64. */
  atOnce?: number | undefined
  /** Milliseconds after which a probe counts as not answered, whatever it does. Default 60,000. */
  patienceMs?: number | undefined
  /** Milliseconds between two looks at who is due. Default 1,000. */
  everyMs?: number | undefined
}

/** How far the next probe is moved, so that many that began together don't stay so. */
const jitter = 0.2
/** What a provider is kept for beyond a probe's longest time, in milliseconds: others take it if this process ends. */
const leaseBeyondMs = 60_000

/** Looks by itself every second until it is stopped. Does nothing where the settings name no prober. */
export function startProber(
  rooms: Rooms,
  { probe, atOnce = 64, patienceMs = 60_000, everyMs = 1_000 }: ProberOptions,
): Prober {
  const { providers, settings, database, log } = rooms
  const account = settings.prober
  const running = new Set<Promise<void>>()
  let end = (_: 'stopped') => {}
  const ended = new Promise<'stopped'>((resolve) => {
    end = resolve
  })
  let isStopped = account === undefined
  let prunedAt = Number.NEGATIVE_INFINITY
  let timer: ReturnType<typeof setTimeout> | undefined

  /** Starts those that are due and have room. */
  async function take(): Promise<Promise<void>[]> {
    const room = atOnce - running.size
    if (isStopped || room <= 0) return []
    const due = await providers.takeDue(rooms.now(), patienceMs + leaseBeyondMs, room)
    return due.map((record) => {
      const work = probeOne(record)
        .catch((err) => log.error({ err, provider: record.id }, 'a probe failed on our side'))
        .finally(() => running.delete(work))
      running.add(work)
      return work
    })
  }

  async function probeOne(record: ProviderRecord): Promise<void> {
    const patience = timeout(patienceMs)
    const result = await Promise.race([ask(record), patience.over, ended]).finally(patience.cancel)
    if (result === 'stopped' || !account) return
    const { reached, correct, latencyMs, offer, docs, problem } = judge(record, result)
    const found = { providerId: record.id, reached, correct, latencyMs, at: rooms.now() }
    const next = settings.probeEveryMs * (1 - jitter + 2 * jitter * Math.random())
    await acceptReport(rooms, await signReport(rooms, account, found), {
      problem,
      nextProbeAt: Math.round(rooms.now() + next),
      ...(correct &&
        offer && {
          offer: {
            ...toOffer({ offer, docs }, record.offer.providerAddress ?? undefined),
            apiUrl: record.apiUrl,
          },
        }),
    })
  }

  async function ask({ apiUrl, protocol, profile, ...record }: ProviderRecord): Promise<Probe> {
    const { mppEndpoint, mppType, docsUrl } = profile
    const target = { apiUrl, protocol, mppEndpoint, mppType, docsUrl: docsUrl || null }
    return probe({ ...target, providerAddress: registeredAddress(record) })
  }

  async function tick(): Promise<void> {
    try {
      await take()
      if (rooms.now() - prunedAt > hourMs) {
        prunedAt = rooms.now()
        await pruneProbes(database, prunedAt)
      }
    } catch (err) {
      log.error({ err }, 'providers could not be probed')
    }
    if (!isStopped) timer = setTimeout(() => void tick(), everyMs)
  }

  if (!isStopped) timer = setTimeout(() => void tick(), everyMs)
  return {
    async round() {
      const taken = await take()
      await Promise.all(taken)
      return taken.length
    },
    async stop() {
      isStopped = true
      clearTimeout(timer)
      end('stopped')
      await Promise.all(running)
    },
  }
}

/** Who was registered as the one that is paid. */
function registeredAddress({ offer, owner }: Pick<ProviderRecord, 'offer' | 'owner'>): Address | undefined {
  return offer.providerAddress ?? (isAddress(owner, { strict: false }) ? owner : undefined)
}

/** A server that names another address is somebody else's, however well it answers. */
function judge(record: ProviderRecord, result: Probe): Probe {
  const named = result.offer?.protocol === 'drain' ? result.offer.providerAddress : undefined
  const registered = registeredAddress(record)
  if (!named || !registered || isAddressEqual(named, registered)) return result
  return {
    reached: result.reached,
    correct: false,
    latencyMs: result.latencyMs,
    problem: `The server names ${named}, registered is ${registered}. Put the registered address back, or register anew.`,
  }
}

function timeout(ms: number): { over: Promise<Probe>; cancel: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined
  const over = new Promise<Probe>((resolve) => {
    const problem = `It did not finish its answers within ${Math.round(ms / 1_000)} s.`
    timer = setTimeout(() => resolve({ reached: false, correct: false, latencyMs: null, problem }), ms)
  })
  return { over, cancel: () => clearTimeout(timer) }
}
