import fc from 'fast-check'
import { bytesToHex, type Hex, hashTypedData } from 'viem'
import { expect, test } from 'vitest'
import * as ChannelRequest from './ChannelRequest.ts'
import * as CloseAuthorization from './CloseAuthorization.ts'
import * as Domain from './Domain.ts'
import { InvalidFormatError } from './Errors.ts'
import * as Voucher from './Voucher.ts'

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => bytesToHex(value))
const uint256 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }),
  fc.bigInt({ min: 0n, max: 2n ** 64n }),
  fc.constantFrom(0n, 1n, 2n ** 64n - 1n, 2n ** 64n, 2n ** 128n, 2n ** 192n, 2n ** 255n, 2n ** 256n - 1n),
)
const place = fc.record({ chainId: fc.integer({ min: 1, max: 2 ** 40 }), contract: hex(20) })

test('digests are what viem hashes', () => {
  fc.assert(
    fc.property(place, hex(32), uint256, uint256, (place, channelId, amount, nonce) => {
      const separator = Domain.separator(place)
      const voucher = { channelId, amount, nonce }
      const digest = Voucher.digest(voucher, separator)
      expect(bytesToHex(digest)).toBe(hashTypedData(Voucher.typedData(voucher, place)))
      expect(Voucher.digest(voucher, Uint8Array.from(Buffer.from(separator.slice(2), 'hex')))).toEqual(digest)
      const close = { channelId, finalAmount: amount }
      const closeDigest = CloseAuthorization.digest(close, separator)
      expect(bytesToHex(closeDigest)).toBe(hashTypedData(CloseAuthorization.typedData(close, place)))
      const request = { channelId, action: 'close', deadline: nonce } as const
      const requestDigest = ChannelRequest.digest(request, separator)
      expect(bytesToHex(requestDigest)).toBe(hashTypedData(ChannelRequest.typedData(request, place)))
      expect(digest).toEqual(Voucher.digest(voucher, separator)) // nothing is left over from the others
    }),
    { numRuns: 300 },
  )
})

test.each([
  { channelId: '0x12' as Hex, amount: 1n, nonce: 1n },
  { channelId: `0x${'zz'.repeat(32)}` as Hex, amount: 1n, nonce: 1n },
  { channelId: `0x${'é'.repeat(64)}` as Hex, amount: 1n, nonce: 1n },
  { channelId: `0x${'ab'.repeat(33)}` as Hex, amount: 1n, nonce: 1n },
  { channelId: `0x${'ab'.repeat(32)}` as Hex, amount: -1n, nonce: 1n },
  { channelId: `0x${'ab'.repeat(32)}` as Hex, amount: 1n, nonce: 2n ** 256n },
])('there is no digest of %o', (voucher) => {
  expect(() => Voucher.digest(voucher, `0x${'00'.repeat(32)}`)).toThrow(RangeError)
})

// A space in front makes the parser take the way through JSON: both ways must end the same.

const read = (text: string) => {
  try {
    return Voucher.fromHeader(text)
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidFormatError)
    return (error as InvalidFormatError).message
  }
}

const field = fc.oneof(
  fc.nat().map(String),
  fc.bigInt({ min: 0n, max: 2n ** 257n }).map(String),
  fc.constantFrom('0', '00', '01', '-1', '1e3', '1.0', ' 1', '', `${2n ** 63n}`, `${2n ** 63n - 1n}`),
)
const bytes = fc.oneof(
  hex(32),
  hex(65),
  hex(193),
  hex(32).map((text) => text.toUpperCase()),
  hex(32).map((text) => `0x${text.slice(2).toUpperCase()}`),
  fc.constantFrom('0x', '0x1', '0xg0', ''),
)
const written = fc
  .record({ channelId: fc.oneof(hex(32), bytes), amount: field, nonce: field, signature: bytes })
  .map((fields) => JSON.stringify(fields))
const damaged = fc
  .tuple(
    written,
    fc.nat(),
    fc.constantFrom('', ' ', '"', '0', '\\', '{', '}', ',', '\n', '\u0000', ' ', '"amount":"2",'),
    fc.nat(2),
  )
  .map(([text, at, insert, skip]) => {
    const index = at % (text.length + 1)
    return text.slice(0, index) + insert + text.slice(index + skip)
  })

test('the fast way reads what the careful way reads, and refuses what it refuses', () => {
  let vouchers = 0
  fc.assert(
    fc.property(fc.oneof(written, damaged), (text) => {
      const voucher = read(text)
      if (typeof voucher === 'object') vouchers += 1
      expect(voucher).toEqual(read(` ${text}`))
    }),
    { numRuns: 5_000 },
  )
  expect(vouchers).toBeGreaterThan(100)
})
