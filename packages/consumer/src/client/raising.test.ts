import type { Voucher } from '@drain/core'
import { expect, test } from 'vitest'
import type { Slip } from './ChannelBook.ts'
import { createRaising } from './raising.ts'
import type { ChannelRecord } from './records.ts'

const slip: Slip = { id: '1', channelId: `0x${'ab'.repeat(32)}`, quote: 10n, amount: 10n, nonce: 1n }

test('however often a voucher is asked for while another is under way, one more follows', async () => {
  const answers: ((response: Response) => void)[] = []
  const extended: bigint[] = []
  const raising = createRaising({
    fetch: () => new Promise((resolve) => answers.push(resolve)),
    signer: {
      signVoucher: async (_, { channelId, amount, nonce }): Promise<Voucher.Voucher> => ({
        ...{ channelId, amount, nonce },
        signature: `0x${'00'.repeat(65)}`,
      }),
    },
    book: {
      get: () => ({}) as ChannelRecord,
      async extend(slip, by) {
        extended.push(by)
        return { ...slip, quote: slip.quote + by, amount: slip.amount + by }
      },
    },
    slip,
    price: { most: 1_000_000n, first: 10n, steps: { step: 1n, tokens: 1 } },
    origin: 'https://api.example',
  })
  raising.received(1_000_000)
  for (let index = 0; index < 10_000; index++) raising.raise()
  await expect.poll(() => answers.length).toBe(1)
  answers[0]?.(new Response())
  await expect.poll(() => answers.length).toBe(2)
  answers[1]?.(new Response())
  expect((await raising.stop()).amount).toBe(12n)
  expect(extended).toEqual([1n, 1n])
})
