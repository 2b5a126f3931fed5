/**
 * A market with honest customers and every thief that we could think of. Each trick is played with random numbers, many times, against the
 * same market without it: it must not gain.
 */
import { describe, expect, test } from 'vitest'
import { computeScore } from './computeScore.ts'
import {
  createMarket,
  type Listing,
  type Payment,
  type Report,
  type Weight,
  weighFeedback,
} from './weighFeedback.ts'

/** Base units. */
type Channel = { consumer: string; payee: string; paid: bigint; on?: string; outcome?: Report['outcome'] }
type World = { listings: Listing[]; channels: Channel[] }

/** Mulberry32: the same numbers on every run. */
function createRandom(seed: number) {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    /** From `least` to `most`. */
    whole: (least: number, most: number) => least + Math.floor(next() * (most - least + 1)),
    /** From a base unit to 1,000 USDC, small ones as likely as large ones. */
    money: () => BigInt(Math.ceil(10 ** (next() * 9))),
    chance: (share: number) => next() < share,
  }
}
type Random = ReturnType<typeof createRandom>

const listing = (name: string, changes: Partial<Listing> = {}): Listing => ({
  ...{ id: name, owner: `0x${name}`, payee: `0x${name}`, chainId: 1, host: `${name}.example` },
  ...changes,
})

/** Honest providers whose customers pay several of them, are mostly content, and say so. */
function honestWorld(random: Random): World {
  const listings = Array.from({ length: random.whole(3, 6) }, (_, index) => listing(`honest${index}`))
  const channels = Array.from({ length: random.whole(5, 20) }, (_, index) =>
    listings.flatMap(({ id, payee = '' }): Channel[] =>
      random.chance(0.6)
        ? [
            {
              ...{ consumer: `customer${index}`, payee, paid: random.money(), on: id },
              outcome: random.chance(0.9) ? 'success' : 'failure',
            },
          ]
        : [],
    ),
  ).flat()
  return { listings, channels }
}

/** As the database adds it up. */
function weigh({ listings, channels }: World): Map<string, Weight> {
  const byId = new Map(listings.map((one) => [one.id, one]))
  const reports = sum(
    channels.filter(({ on = '', payee }) => byId.get(on)?.payee === payee),
    ({ consumer, on, outcome }) => `${consumer} ${on} ${outcome}`,
  ).map(
    ([{ consumer, on = '', outcome = 'success' }, paid]): Report => ({
      consumer,
      providerId: on,
      outcome,
      paid,
    }),
  )
  const payments = sum(channels, ({ consumer, payee }) => `${consumer} ${payee}`).map(
    ([{ consumer, payee }, paid]): Payment => ({ consumer, payee, chainId: 1, paid }),
  )
  const market = createMarket(listings, (id) => byId.get(id))
  return weighFeedback({ wanted: listings, market, reports, payments })
}

function sum(channels: readonly Channel[], keyOf: (channel: Channel) => string): [Channel, bigint][] {
  const sums = new Map<string, [Channel, bigint]>()
  for (const channel of channels) {
    const before = sums.get(keyOf(channel))?.[1] ?? 0n
    sums.set(keyOf(channel), [channel, before + channel.paid])
  }
  return [...sums.values()]
}

const aWeek = { probes: 2_016, reached: 2_016, correct: 2_016 }
const perfect = [{ week: aWeek, day: { ...aWeek, latencies: [100] } }]

function scores(world: World): Map<string, number> {
  const weights = weigh(world)
  return new Map(
    [...weights].map(([id, weight]) => [id, computeScore({ probers: perfect, ...weight }).score]),
  )
}
const scoreOf = (world: World, id = 'thief') => scores(world).get(id) as number
const withMore = ({ listings, channels }: World, more: Partial<World>): World => ({
  listings: [...listings, ...(more.listings ?? [])],
  channels: [...channels, ...(more.channels ?? [])],
})

/** Parts that add up to the whole, none negative. */
function split(random: Random, whole: bigint, count: number): bigint[] {
  const cuts = Array.from({ length: count - 1 }, () => (whole * BigInt(random.whole(0, 1_000))) / 1_000n)
  const edges = [0n, ...cuts.sort((one, other) => (one < other ? -1 : 1)), whole]
  return edges.slice(1).map((edge, index) => edge - (edges[index] as bigint))
}

const runs = Array.from({ length: 150 }, (_, seed) => seed + 1)
const thief = listing('thief')
const praise = (consumer: string, paid: bigint, one = thief): Channel => ({
  ...{ consumer, payee: one.payee ?? '', paid, on: one.id, outcome: 'success' },
})
const blame = (consumer: string, paid: bigint, one = thief): Channel => ({
  ...praise(consumer, paid, one),
  outcome: 'failure',
})
const spend = (consumer: string, paid: bigint): Channel => ({ consumer, payee: '0xhonest0', paid })

/** Plays a game with many random numbers. */
const always = (game: (random: Random, world: World) => void) => () => {
  for (const seed of runs) {
    const random = createRandom(seed)
    game(random, withMore(honestWorld(random), { listings: [thief] }))
  }
}

test(
  'honest providers with content customers stand above newcomers, who stand at 0.6',
  always((_, world) => {
    const all = scores(world)
    expect(all.get('thief')).toBeCloseTo(0.6, 2)
    const weights = weigh(world)
    for (const [id, { praised, blamed }] of weights) {
      if (praised > 2n * blamed && praised > 1_000n)
        expect(all.get(id)).toBeGreaterThan(all.get('thief') as number)
    }
  }),
)

describe('a cheater that answers every probe', () => {
  const cheated = (random: Random) =>
    Array.from({ length: 8 }, (_, index) => blame(`victim${index}`, 500_000n + random.money()))

  test(
    'sinks below 0.3 once those who paid say so',
    always((random, world) => {
      expect(scoreOf(withMore(world, { channels: cheated(random) }))).toBeLessThan(0.3)
    }),
  )

  test(
    'does not come up again by paying itself, with whatever sums, wallets and channels',
    always((random, world) => {
      const after = withMore(world, { channels: cheated(random) })
      const shills = Array.from({ length: random.whole(1, 20) }, (_, index) =>
        praise(`shill${index % 5}`, random.money() * 1_000n),
      )
      expect(scoreOf(withMore(after, { channels: shills }))).toBe(scoreOf(after))
    }),
  )
})

describe('nothing is gained by', () => {
  test(
    'splitting one payment into many channels',
    always((random, world) => {
      const [paid, honest] = [random.money(), random.money()]
      const whole = withMore(world, { channels: [spend('shill', honest), praise('shill', paid)] })
      const parts = split(random, paid, random.whole(2, 50)).map((part) => praise('shill', part))
      expect(scoreOf(withMore(world, { channels: [spend('shill', honest), ...parts] }))).toBe(scoreOf(whole))
    }),
  )

  test(
    'splitting one payer into many wallets',
    always((random, world) => {
      const [paid, honest] = [random.money(), random.money()]
      const whole = withMore(world, { channels: [spend('shill', honest), praise('shill', paid)] })
      const count = random.whole(2, 30)
      const channels = [
        ...split(random, paid, count).map((part, index) => praise(`shill${index}`, part)),
        ...split(random, honest, count).map((part, index) => spend(`shill${index}`, part)),
      ]
      expect(scoreOf(withMore(world, { channels }))).toBeLessThanOrEqual(scoreOf(whole))
    }),
  )

  test(
    'paying oneself',
    always((random, world) => {
      const channels = Array.from({ length: random.whole(1, 10) }, (_, index) =>
        praise(`shill${index}`, random.money()),
      )
      expect(scoreOf(withMore(world, { channels }))).toBe(scoreOf(world))
    }),
  )

  test(
    'praise from the own listings’ wallets, whatever these have spent elsewhere',
    always((random, world) => {
      const channels = [spend('0xthief', random.money()), praise('0xthief', random.money())]
      expect(scoreOf(withMore(world, { channels }))).toBe(scoreOf(world))
    }),
  )

  test.each<[string, (index: number) => Partial<Listing>]>([
    ['wallet', () => ({ owner: thief.owner, payee: thief.payee })],
    ['owner', () => ({ owner: thief.owner })],
    ['host', () => ({ host: thief.host })],
    ['paid address', () => ({ payee: thief.payee })],
  ])('paying in a ring of listings with one %s', (_, shared) =>
    always((random, world) => {
      const ring = Array.from({ length: random.whole(2, 8) }, (_, index) =>
        listing(`ring${index}`, shared(index)),
      )
      const channels = [thief, ...ring].flatMap((one, index) =>
        [0, 1, 2].map((step) => praise(`shill${(index + step) % 5}`, random.money(), one)),
      )
      // As many as there are hosts or wallets, each related to the thief.
      expect(scoreOf(withMore(world, { listings: ring, channels }))).toBe(
        scoreOf(withMore(world, { listings: ring })),
      )
    })(),
  )

  test(
    'using money honestly spent for a hundred listings of one owner: together they get it once',
    always((random, world) => {
      const honest = random.money()
      const ring = Array.from({ length: 100 }, (_, index) =>
        listing(`ring${index}`, { owner: thief.owner, host: `host${index}.example` }),
      )
      const channels = [spend('shill', honest), ...ring.map((one) => praise('shill', random.money(), one))]
      const weights = weigh(withMore(world, { listings: ring, channels }))
      const sum = ring.reduce((total, { id }) => total + (weights.get(id)?.praised ?? 0n), 0n)
      expect(sum <= honest).toBe(true)
    }),
  )

  test(
    'wallets, channels and listings all at once: never more than went to others',
    always((random, world) => {
      const ring = Array.from({ length: random.whole(1, 10) }, (_, index) =>
        listing(
          `ring${index}`,
          random.chance(0.5) ? { owner: thief.owner, host: thief.host } : { host: thief.host },
        ),
      )
      const own = [thief, ...ring]
      let honest = 0n
      const channels = Array.from({ length: random.whole(5, 60) }, (): Channel => {
        const shill = `shill${random.whole(0, 6)}`
        if (random.chance(0.7)) return praise(shill, random.money(), own[random.whole(0, ring.length)])
        const paid = random.money()
        honest += paid
        return spend(shill, paid)
      })
      const weights = weigh(withMore(world, { listings: ring, channels }))
      const sum = own.reduce((total, { id }) => total + (weights.get(id)?.praised ?? 0n), 0n)
      expect(sum <= honest).toBe(true)
    }),
  )

  test(
    'reporting on a channel that pays somebody else',
    always((random, world) => {
      const other: Channel = { ...spend('shill', random.money()), on: 'thief', outcome: 'success' }
      expect(scoreOf(withMore(world, { channels: [other] }))).toBe(scoreOf(world))
    }),
  )
})

describe('a slanderer', () => {
  test(
    'has to pay its victim as much as the blame weighs, however it is split',
    always((random, world) => {
      const before = weigh(world).get('honest1') as Weight
      const paid = random.money()
      const victim = world.listings[1] as Listing
      const parts = split(random, paid, random.whole(1, 30))
      const channels = parts.map((part, index) => blame(`slanderer${index % 7}`, part, victim))
      const after = weigh(withMore(world, { channels })).get('honest1') as Weight
      expect(after.blamed - before.blamed).toBe(paid)
      expect(after.praised).toBe(before.praised)
    }),
  )

  test(
    'does no harm without paying',
    always((random, world) => {
      const channels = Array.from(
        { length: 50 },
        (_, index): Channel => ({
          ...praise(`slanderer${index}`, random.money()),
          ...{ on: 'honest1', outcome: 'failure' },
        }),
      )
      expect(scoreOf(withMore(world, { channels }), 'honest1')).toBe(scoreOf(world, 'honest1'))
    }),
  )

  test(
    'can’t make one owner of strangers by listing beside each of them',
    always((_, world) => {
      const bridges = world.listings.map(({ host }, index) =>
        listing(`bridge${index}`, { owner: thief.owner, payee: thief.payee, host }),
      )
      const before = scores(world)
      const after = scores(withMore(world, { listings: bridges }))
      for (const { id } of world.listings) expect(after.get(id)).toBe(before.get(id))
    }),
  )
})
