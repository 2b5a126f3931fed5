import type { ClientStore } from '../ClientStore.ts'
import { type Case, changes, counter, put, range, same } from './cases.ts'

/** What several stores at one place do to each other. */
export const shared: readonly Case[] = [
  {
    title: 'two stores see each other',
    async run({ open }) {
      const [one, other] = [open(), open()]
      const first = await put(one, { key: 'a', text: '1' })
      same(await changes(other), [{ key: 'a', text: '1' }])
      const second = await put(other, { key: 'a', text: null }, { key: 'b', text: '2' })
      same(second > first, true)
      same(await changes(one, first), [
        { key: 'a', text: null },
        { key: 'b', text: '2' },
      ])
    },
  },
  {
    title: 'four stores count on one number, and lose none',
    async run({ open }) {
      const counters = range(4).map(() => counter(open()))
      const counts = await Promise.all(range(200).map((index) => counters[index % 4]?.add()))
      same(
        counts.map(Number).sort((a, b) => a - b),
        range(200).map((index) => index + 1),
      )
    },
  },
  {
    title: 'a key is taken by one of them only',
    async run({ open }) {
      const stores = range(3).map(() => open())
      const take = async (store: ClientStore, index: number) => {
        let isMine = false
        await store.step(0, (changes) => {
          isMine = changes.length === 0
          return isMine ? [{ key: 'taken', text: String(index) }] : []
        })
        return isMine
      }
      const taken = await Promise.all(range(30).map((index) => take(stores[index % 3] as ClientStore, index)))
      same(taken.filter(Boolean).length, 1)
    },
  },
  {
    title: 'what one seals the other unseals, also when both are new',
    async run({ open }) {
      const [one, other] = [open(), open()]
      const [mine, theirs] = await Promise.all([one.seal(Uint8Array.of(1)), other.seal(Uint8Array.of(2))])
      same(Array.from(await other.unseal(mine)), [1])
      same(Array.from(await one.unseal(theirs)), [2])
    },
  },
  {
    title: 'one is closed, and the other goes on',
    async run({ open }) {
      const [one, other] = [open(), open()]
      await put(one, { key: 'a', text: '1' })
      await one.close()
      await put(other, { key: 'b', text: '2' })
      same((await changes(open())).length, 2)
    },
  },
]
