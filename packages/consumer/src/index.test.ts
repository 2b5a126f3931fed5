import { expect, test } from 'vitest'
import * as consumer from './index.ts'
import * as testing from './testing/index.ts'

test('what is exported', () => {
  expect(Object.keys(consumer).sort()).toEqual([
    'TransactionPendingError',
    'approveUsdc',
    'closeChannel',
    'cooperativeClose',
    'createDrainClient',
    'createDrainConsumer',
    'getAllowance',
    'getChannel',
    'getChannelBalance',
    'getUsdcBalance',
    'memoryStore',
    'openChannel',
    'signChannelRequest',
    'signVoucher',
  ])
  expect(Object.keys(testing).sort()).toEqual(['fiatTokenAbi', 'startLocalChain'])
})
