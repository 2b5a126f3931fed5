import type { Address } from 'viem'
import { describe, expect, test } from 'vitest'
import * as Channel from './Channel.ts'
import * as Deployment from './Deployment.ts'
import { FeatureUnavailableError, InvalidFormatError, UnknownDeploymentError } from './Errors.ts'

const [contract, token] = [
  '0x00000000000000000000000000000000000000bb',
  '0x00000000000000000000000000000000000000cc',
] as const

describe('find', () => {
  test('a chain has a default', () => {
    expect(Deployment.find({ chainId: 137 })).toMatchObject({
      contract: '0x0C2B3aA1e80629D572b1f200e6DF3586B3946A8A',
      token: '0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359',
      feeBps: 200,
    })
    expect(Deployment.find({ chainId: 80002 }).features).toEqual(['open', 'claim', 'close'])
  })

  test('a known contract is found by its address, in any letter case', () => {
    const older = '0x1c1918c99b6dce977392e4131c91654d8ab71e64' as Address
    expect(Deployment.find({ chainId: 137, contract: older })).toMatchObject({
      feeBps: 0,
      channelIds: 'timestamp',
    })
  })

  test('another one is taken for the current contract', () => {
    expect(Deployment.find({ chainId: 31337, contract, token })).toEqual(
      Deployment.from({ chainId: 31337, contract, token }),
    )
    expect(Deployment.find({ chainId: 137, contract }).token).toBe(
      '0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359',
    )
  })

  test.each([{ chainId: 1 }, { chainId: 31337, contract }, { chainId: 31337, token }])(
    'not without its addresses: %j',
    (options) => {
      expect(() => Deployment.find(options)).toThrow(UnknownDeploymentError)
    },
  )
})

test('a missing function is a clear error, with what to do instead', () => {
  const amoy = Deployment.find({ chainId: 80002 })
  expect(() => Deployment.assertHas(amoy, 'open')).not.toThrow()
  expect(() => Deployment.assertHas(amoy, 'cooperativeClose')).toThrow(/Wait for the expiry and use close/)
  const polygon = Deployment.find({ chainId: 137 })
  expect(() => Deployment.assertHas(polygon, 'claimAndClose')).toThrow(FeatureUnavailableError)
})

describe('channel ids', () => {
  const consumer = '0x1111111111111111111111111111111111111111'
  const provider = '0x2222222222222222222222222222222222222222'

  test('older contracts put the block time into them, so they are not known before', () => {
    const opening = Channel.directOpening({ consumer, provider, amount: 1n, duration: 1n, nonce: 0n })
    expect(() => Channel.computeId(Deployment.find({ chainId: 137 }), opening)).toThrow(/ChannelOpened event/)
    // keccak256(abi.encodePacked(consumer, provider, timestamp, nonce)), computed with cast
    expect(Channel.computeTimestampId({ consumer, provider, timestamp: 1_700_000_000n, nonce: 3n })).toBe(
      '0x2104dc8a088abd97f76a6dfd48a4c3d7bcd81f59606cfd791b6acdb7f6fa9214',
    )
  })

  test('have one form', () => {
    expect(Channel.parseId(`0x${'AB'.repeat(32)}`)).toBe(`0x${'ab'.repeat(32)}`)
    for (const id of ['0x12', '', undefined, 5, `0x${'zz'.repeat(32)}`]) {
      expect(() => Channel.parseId(id)).toThrow(InvalidFormatError)
    }
  })
})
