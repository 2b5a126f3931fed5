/**
 * Asks providers, each in its time, whether they still do what they say. Those that take long go in a lane of their own: however many
 * they are, they keep nobody else waiting.
 */
import { type Address, isAddress, isAddressEqual } from 'viem'
import type { ProviderRecord } from '../Provider.ts'
import type { Target } from '../probe/ConnectionTest.ts'
import { createLane } from '../probe/Lane.ts'
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
  /** Bounded in size by itself, and in time by `withinMs`. */
  probe(target: Target & { withinMs: number }): Promise<Probe>
  /** How many at the same time, a quarter of them in the lane of the slow ones. Default 64. */
  atOnce?: number | undefined
  /** Milliseconds after which one that was not known as slow is broken off, and probed in the lane of the slow ones. Default 5,000. */
  slowAfterMs?: number | undefined
  /** Milliseconds after which a probe counts as not answered, whatever it does. Default 60,000. */
  patienceMs?: number | undefined
  /** Milliseconds between two looks at who is due. Default 1,000. */
  everyMs?: number | undefined
}

/** How far the next probe is moved, so that many that began together don't stay so. */
const jitter = 0.2
/** What a provider is kept for beyond a probe's longest time, in milliseconds: others take it if this process ends. */
const leaseBeyondMs = 60_000
/** Milliseconds in which a probe that nobody waits for any more ends by itself. */
const endsAfterMs = 1_000

/** Looks by itself every second until it is stopped. Does nothing where the settings name no prober. */
export function startProber(
  rooms: Rooms,
  { probe, atOnce = 64, slowAfterMs = 5_000, patienceMs = 60_000, everyMs = 1_000 }: ProberOptions,
): Prober {
  const { providers, settings, database, log } = rooms
  const account = settings.prober
  const leaseMs = patienceMs + leaseBeyondMs
  const slowAtOnce = Math.max(1, Math.floor(atOnce / 4))
  const [quick, slow] = [createLane(Math.max(1, atOnce - slowAtOnce)), createLane(slowAtOnce)]
  /** Those under way, in line or at it, and until when they are kept for us. */
  const leases = new Map<string, number>()
  /** Whether one's latest probe by this process took long. */
  const wasSlow = new Map<string, boolean>()
  const running = new Set<Promise<void>>()
  const unfinished: Probe = {
    ...{ reached: false, correct: false, latencyMs: null },
    problem: `It did not finish its answers within ${Math.round(patienceMs / 1_000)} s.`,
  }
  let end = (_: 'stopped') => {}
  const ended = new Promise<'stopped'>((resolve) => {
    end = resolve
  })
  let isStopped = account === undefined
  let prunedAt = Number.NEGATIVE_INFINITY
  let timer: ReturnType<typeof setTimeout> | undefined

  /** Starts those that are due, as long as the quick ones have room: slow ones take none of it. */
  async function take(): Promise<Promise<void>[]> {
    const works: Promise<void>[] = []
    for (;;) {
      const room = quick.room()
      if (isStopped || room <= 0) return works
      const now = rooms.now()
      const due = await providers.takeDue(now, leaseMs, room)
      for (const record of due) {
        // One that waited in line for longer than it was kept keeps its place.
        const isUnderWay = leases.has(record.id)
        leases.set(record.id, now + leaseMs)
        if (!isUnderWay) works.push(start(record))
      }
      if (due.length < room) return works
    }
  }

  function start(record: ProviderRecord): Promise<void> {
    const work = probeOne(record)
      .catch((err) => log.error({ err, provider: record.id }, 'a probe failed on our side'))
      .finally(() => {
        running.delete(work)
        leases.delete(record.id)
      })
    running.add(work)
    return work
  }

  async function probeOne(record: ProviderRecord): Promise<void> {
    if (!isSlow(record)) {
      const result = await quick.run(() => askWithin(record, slowAfterMs))
      if (result === 'stopped') return
      wasSlow.set(record.id, result === 'late')
      if (result !== 'late') return keep(record, result)
    }
    await slow.run(async () => {
      const own = isStopped ? undefined : await renew(record.id)
      if (!own) return
      const startedAt = performance.now()
      const result = await askWithin(own, patienceMs)
      if (result === 'stopped') return
      wasSlow.set(own.id, performance.now() - startedAt > slowAfterMs)
      await keep(own, result === 'late' ? unfinished : result)
    })
  }

  /** What is known of its latest probe; before the first one of this process, what its record shows. */
  function isSlow({ id, health: { status, latencyMs } }: ProviderRecord): boolean {
    return wasSlow.get(id) ?? (status === 'offline' || (latencyMs ?? 0) > slowAfterMs)
  }

  /** As it is now, and kept for another while; `undefined` where somebody else has taken it since, or it isn't due any more. */
  function renew(id: string): Promise<ProviderRecord | undefined> {
    const lease = leases.get(id)
    return providers.update(id, ({ state, nextProbeAt }) =>
      state === 'approved' && nextProbeAt === lease ? { nextProbeAt: rooms.now() + leaseMs } : undefined,
    )
  }

  async function askWithin(record: ProviderRecord, ms: number): Promise<Probe | 'late' | 'stopped'> {
    if (isStopped) return 'stopped'
    const patience = timeout(ms)
    const asked = ask(record, ms + endsAfterMs)
    return Promise.race([asked, patience.over, ended]).finally(patience.cancel)
  }

  async function keep(record: ProviderRecord, result: Probe): Promise<void> {
    if (!account) return
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

  async function ask(
    { apiUrl, protocol, profile, ...record }: ProviderRecord,
    withinMs: number,
  ): Promise<Probe> {
    const { mppEndpoint, mppType, docsUrl } = profile
    const target = { apiUrl, protocol, mppEndpoint, mppType, docsUrl: docsUrl || null, withinMs }
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

function timeout(ms: number): { over: Promise<'late'>; cancel: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined
  const over = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), ms)
  })
  return { over, cancel: () => clearTimeout(timer) }
}
