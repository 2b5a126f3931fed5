import { type Case, changes, put, range, same } from './cases.ts'

/** What a store does that outlives its process. */
export const lasting: readonly Case[] = [
  {
    title: 'all is there after reopening, and revisions go on',
    async run({ open }) {
      const first = open()
      await put(first, { key: 'a', text: '1' }, { key: 'b', text: '1' })
      const written = await put(first, { key: 'c', text: '2' })
      const revision = await put(first, { key: 'b', text: null })
      await first.close()

      const second = open()
      const all = [
        { key: 'a', text: '1' },
        { key: 'c', text: '2' },
      ]
      same(await changes(second), all)
      same(await changes(second, written), [{ key: 'b', text: null }])
      same(await changes(second, revision), [])
      const next = await put(second, { key: 'd', text: '3' })
      same(next > revision, true)
      same(await changes(second, revision), [{ key: 'd', text: '3' }])
    },
  },
  {
    title: 'after everything was removed revisions still go on',
    async run({ open }) {
      const first = open()
      for (const index of range(300)) await put(first, { key: 'a', text: index % 2 === 0 ? 'here' : null })
      const revision = await first.step(0, () => [])
      await first.close()
      const second = open()
      same(await changes(second), [])
      same(await second.step(revision, () => []), revision)
      same((await put(second, { key: 'b', text: '' })) > revision, true)
    },
  },
  {
    title: 'closing without a step, and twice, does no harm',
    async run({ open }) {
      for (const _ of range(3)) {
        const store = open()
        await Promise.all([store.close(), store.close()])
      }
      same(await changes(open()), [])
    },
  },
  {
    title: 'a secret sealed before is unsealed after',
    async run({ open }) {
      const first = open()
      const text = await first.seal(Uint8Array.from(range(32)))
      await put(first, { key: 'session', text })
      await first.close()
      const second = open()
      const [entry] = await changes(second)
      same(Array.from(await second.unseal(entry?.text ?? '')), range(32))
    },
  },
]
