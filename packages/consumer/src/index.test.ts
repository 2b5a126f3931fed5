import { expect, test } from 'vitest'
import * as consumer from './index.ts'
import * as testing from './testing/index.ts'

test('what is exported', () => {
  expect(Object.keys(consumer).sort()).toEqual([
    'TransactionPendingError',
    'approveUsdc',
    'cancelGaslessOpen',
    'closeChannel',
    'closeFor',
    'cooperativeClose',
    'createDrainClient',
    'createDrainConsumer',
    'getAllowance',
    'getChannel',
    'getChannelBalance',
    'getGaslessOpen',
    'getUsdcBalance',
    'headersWire',
    'indexedDbStore',
    'localAccount',
    'memoryStore',
    'openChannel',
    'relayGaslessOpen',
    'requestGaslessOpen',
    'signChannelRequest',
    'signGaslessOpen',
    'signVoucher',
  ])
  expect(Object.keys(testing).sort()).toEqual(['fiatTokenAbi', 'startLocalChain'])
})
