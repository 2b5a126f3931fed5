import { describe, expect, test } from 'vitest'
import { aProvider } from '../../test/aProvider.ts'
import { noOffer } from '../Provider.ts'
import { hostOf, payeeOf } from './listingOf.ts'

test.each([
  ['https://api.one.example/v1', 'one.example'],
  ['https://one.example:8443', 'one.example'],
  ['https://ONE.example.', 'one.example'],
  ['https://a.b.c.one.example', 'one.example'],
  ['http://192.0.2.7:8080/x', '192.0.2.7'],
  ['http://[2001:db8::1]:80', '[2001:db8::1]'],
  ['http://127.0.0.1:3001', '127.0.0.1:3001'],
  ['http://localhost:3002', 'localhost:3002'],
])('the host of %s is %s', (url, host) => {
  expect(hostOf(url)).toBe(host)
})

describe('who is paid', () => {
  const address = '0x97439450fAd8449dd81a6eb79fc98c393dbdec58'
  const of = (owner: string, providerAddress: string | null) =>
    payeeOf(aProvider({ owner, offer: { ...noOffer, providerAddress: providerAddress as never } }))

  test('is the owner, where it is the address that its server names', () => {
    expect(of(address.toLowerCase(), address)).toBe(address.toLowerCase())
  })

  test('is nobody where the address is only claimed: a thief would name an honest provider’s', () => {
    expect(of('token:abc', address)).toBe(undefined)
    expect(of(`0x${'11'.repeat(20)}`, address)).toBe(undefined)
    expect(of(address, null)).toBe(undefined)
  })
})
