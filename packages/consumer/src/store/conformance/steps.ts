import type { Write } from '../ClientStore.ts'
import { type Case, changes, counter, failure, put, range, same } from './cases.ts'

/** What every store does. */
export const steps: readonly Case[] = [
  {
    title: 'an empty store is at revision 0, and stays there without writes',
    async run({ open }) {
      const store = open()
      same(await store.step(0, () => []), 0)
      same(await changes(store), [])
    },
  },
  {
    title: 'tells whoever asks from 0 all there is, and others what came later',
    async run({ open }) {
      const store = open()
      const first = await put(store, { key: 'a', text: '1' }, { key: 'b', text: '1' })
      const second = await put(store, { key: 'b', text: '2' })
      const third = await put(store, { key: 'c', text: '3' }, { key: 'a', text: null })
      same([first > 0, second > first, third > second], [true, true, true])
      same(await changes(store), [
        { key: 'b', text: '2' },
        { key: 'c', text: '3' },
      ])
      const later = [
        { key: 'a', text: null },
        { key: 'b', text: '2' },
        { key: 'c', text: '3' },
      ]
      same(await changes(store, first), later)
      same(await changes(store, second), [later[0], later[2]])
      same(await changes(store, third), [])
    },
  },
  {
    title: 'a step is not told of its own writes',
    async run({ open }) {
      const store = open()
      const revision = await put(store, { key: 'a', text: '1' })
      same(await store.step(revision, (seen) => [...seen]), revision)
    },
  },
  {
    title: 'an entry that is removed can come back',
    async run({ open }) {
      const store = open()
      const first = await put(store, { key: 'a', text: '1' })
      await put(store, { key: 'a', text: null })
      same(await changes(store), [])
      await put(store, { key: 'a', text: '3' })
      same(await changes(store), [{ key: 'a', text: '3' }])
      same(await changes(store, first), [{ key: 'a', text: '3' }])
    },
  },
  {
    title: 'of several writes to one key the last one counts',
    async run({ open }) {
      const store = open()
      const before = await put(store, { key: 'z', text: '' })
      await put(store, { key: 'a', text: '1' }, { key: 'a', text: null }, { key: 'a', text: '3' })
      same(await changes(store, before), [{ key: 'a', text: '3' }])
    },
  },
  {
    title: 'changes come in the order of their keys',
    async run({ open }) {
      const store = open()
      const keys = ['b', 'a/2', 'Z', 'ä', 'a/10', '', 'a', '\u{1f600}', '\uff5e', '10', '9']
      for (const key of keys) await put(store, { key, text: key })
      same(
        await changes(store),
        [...keys].sort().map((key) => ({ key, text: key })),
      )
    },
  },
  {
    title: 'any text comes back as it was',
    async run({ open }) {
      const store = open()
      const texts = ['', ' ', '\n', 'a\r\nb\n', '\0', 'null', '"', "'; DROP TABLE entries; --", '€ \u{1f600}']
      const writes = texts.map((text, index) => ({ key: `text ${index}`, text }))
      await put(store, ...writes)
      same(await changes(store), writes)
    },
  },
  {
    title: 'a text of two million characters',
    async run({ open }) {
      const store = open()
      const text = 'äb'.repeat(1_000_000)
      await put(store, { key: 'big', text }, { key: 'small', text: '' })
      const [big] = await changes(store)
      same(big?.text === text, true)
    },
  },
  {
    title: 'a decide that throws writes nothing, and its error is the answer',
    async run({ open }) {
      const store = open()
      const before = await put(store, { key: 'a', text: '1' })
      const error = new Error('over the limit')
      const found = await failure(
        store.step(before, () => {
          throw error
        }),
      )
      same(found === error, true)
      same(await store.step(before, () => []), before)
      same(await changes(store), [{ key: 'a', text: '1' }])
    },
  },
  {
    title: 'steps asked for at once take place one after the other, in that order',
    async run({ open }) {
      const store = open()
      const order: number[] = []
      const revisions = await Promise.all(
        range(100).map((index) =>
          store.step(0, (changes) => {
            order.push(index)
            same(changes, index === 0 ? [] : [{ key: 'last', text: String(index - 1) }])
            return [{ key: 'last', text: String(index) }]
          }),
        ),
      )
      same(order, range(100))
      same(
        revisions,
        [...revisions].sort((a, b) => a - b),
      )
      same(new Set(revisions).size, 100)
    },
  },
  {
    title: 'one that throws among many undoes none of the others',
    async run({ open }) {
      const store = open()
      const results = await Promise.allSettled(
        range(30).map((index) =>
          store.step(0, () => {
            if (index % 3 === 1) throw new Error(`refused ${index}`)
            return [{ key: `${100 + index}`, text: 'here' }]
          }),
        ),
      )
      const kept = range(30).filter((index) => index % 3 !== 1)
      same(
        results.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : [])),
        kept,
      )
      same(
        await changes(store),
        kept.map((index) => ({ key: `${100 + index}`, text: 'here' })),
      )
    },
  },
  {
    title: 'parallel steps of two clients lose no count',
    async run({ open }) {
      const store = open()
      const clients = [counter(store), counter(store)]
      const counts = await Promise.all(range(200).map((index) => clients[index % 2]?.add()))
      same(
        counts.map(Number).sort((a, b) => a - b),
        range(200).map((index) => index + 1),
      )
      same(await changes(store), [{ key: 'count', text: '200' }])
    },
  },
  {
    title: 'many random steps leave what a plain map has, and each reader catches up',
    async run({ open }) {
      const store = open()
      const plain = new Map<string, string>()
      const readers = range(4).map(() => ({ since: 0, known: new Map<string, string>() }))
      const pick = (count: number) => Math.floor(Math.random() * count)
      const take = async (reader: (typeof readers)[number], writes: readonly Write[]) => {
        reader.since = await store.step(reader.since, (changes) => {
          apply(reader.known, changes)
          return writes
        })
        apply(reader.known, writes)
        apply(plain, writes)
      }
      for (const round of range(300)) {
        const writes = range(pick(4)).map((more) => ({
          key: `key ${pick(20)}`,
          text: pick(3) === 0 ? null : `${round} ${more}`,
        }))
        const reader = readers[pick(4)]
        if (reader) await take(reader, [...new Map(writes.map((write) => [write.key, write])).values()])
      }
      for (const reader of readers) {
        await take(reader, [])
        same([...reader.known].sort(), [...plain].sort())
      }
      same(
        (await changes(store)).map(({ key, text }) => [key, text]),
        [...plain].sort(([a], [b]) => (a < b ? -1 : 1)),
      )
    },
  },
  {
    title: 'a revision that it never was at is refused',
    async run({ open }) {
      const store = open()
      const revision = await put(store, { key: 'a', text: '1' })
      same((await failure(store.step(revision + 1, () => []))).code, 'store_unavailable')
    },
  },
  {
    title: 'closing finishes what was asked for, and refuses what comes later',
    async run({ open }) {
      const store = open()
      const asked = range(10).map((index) => put(store, { key: `${index}`, text: '' }))
      const closed = store.close()
      const late = failure(put(store, { key: 'late', text: '' }))
      await Promise.all([...asked, closed])
      same((await late).code, 'store_unavailable')
      await store.close()
    },
  },
  {
    title: 'a secret is unsealed as it was sealed, and no other text is',
    async run({ open }) {
      const store = open()
      for (const secret of [new Uint8Array(32).fill(7), Uint8Array.from(range(256)), new Uint8Array()]) {
        const text = await store.seal(secret)
        same(Array.from(await store.unseal(text)), Array.from(secret))
        for (const wrong of [`${text}0`, text.slice(1), `x${text}`, ''])
          same((await failure(store.unseal(wrong))).code, 'seal', wrong)
      }
    },
  },
]

function apply(map: Map<string, string>, writes: readonly Write[]): void {
  for (const { key, text } of writes) {
    if (text === null) map.delete(key)
    else map.set(key, text)
  }
}
