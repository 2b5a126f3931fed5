import { describe, expect, it } from 'vitest'
import { networkOf } from './networkOf.ts'

describe('the network of a request', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:0001:0002::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['', 'unknown'],
    ['localhost', 'unknown'],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address, null, 0)).toBe(network)
    expect(networkOf('127.0.0.1', address, 1)).toBe(network)
  })

  it('is the socket’s where no proxy stands before it, whatever a header says', () => {
    for (const forwarded of [null, undefined, '', '10.0.0.1', '10.0.0.1, 10.0.0.2']) {
      expect(networkOf('192.0.2.7', forwarded, 0)).toBe('192.0.2.7')
    }
    expect(networkOf(undefined, '10.0.0.1', 0)).toBe('unknown')
  })

  it('is what the outermost of our proxies saw: what stands before that, anybody can write', () => {
    const caller = '198.51.100.9'
    for (const forged of ['', '10.0.0.1, ', '10.0.0.1, 10.0.0.2, ', ', ,, ', `${'1.1.1.1, '.repeat(500)}`]) {
      expect(networkOf('127.0.0.1', `${forged}${caller}`, 1)).toBe(caller)
      expect(networkOf('127.0.0.1', `${forged}${caller}, 10.9.9.9`, 2)).toBe(caller)
    }
  })

  it('is one for all that come past the proxies', () => {
    expect(networkOf('203.0.113.5', null, 1)).toBe('unknown')
  })

  it.each([
    ['198.51.100.9:4711', '198.51.100.9'],
    ['[2001:db8:1:2::9]:4711', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2::9]', '2001:db8:1:2::/64'],
  ])('is found where a proxy writes %s', (forwarded, network) => {
    expect(networkOf('127.0.0.1', forwarded, 1)).toBe(network)
  })
})
