import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { bytesToHex, keccak256 as portable } from 'viem'
import { expect, test } from 'vitest'
import { keccak256 as inBrowsers } from './keccak256.browser.ts'
import { accelerated, keccak256 } from './keccak256.ts'

const bytes = (length: number) => Uint8Array.from({ length }, (_, index) => (index * 251 + length) % 256)

test('the words of FIPS 202 and the Ethereum yellow paper', () => {
  const hash = (text: string) => bytesToHex(keccak256(new TextEncoder().encode(text)))
  expect(hash('')).toBe('0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470')
  expect(hash('abc')).toBe('0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45')
})

test('WebAssembly is what is tested here', () => {
  expect(accelerated()).toBeDefined()
})

test('every length around three blocks', () => {
  for (let length = 0; length <= 3 * 136 + 1; length++) {
    expect(bytesToHex(keccak256(bytes(length)))).toBe(portable(bytes(length)))
  }
})

test('anything, in any order, hashes as viem does it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1_000 }), (message) => {
      const before = message.slice()
      expect(bytesToHex(keccak256(message))).toBe(portable(message))
      expect(inBrowsers(message)).toEqual(keccak256(message))
      expect(message).toEqual(before)
    }),
    { numRuns: 500 },
  )
})

test('a part of a larger buffer, and a result that later hashes leave alone', () => {
  const part = bytes(200).subarray(50, 114)
  const first = keccak256(part)
  keccak256(bytes(64))
  expect(bytesToHex(first)).toBe(portable(part.slice()))
})

test('where there is no WebAssembly, viem stands in', () => {
  const script = `
    const { accelerated, keccak256 } = await import('${new URL('keccak256.ts', import.meta.url)}')
    delete globalThis.WebAssembly
    console.log(typeof accelerated(), Buffer.from(keccak256(new Uint8Array(3))).toString('hex'))`
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
  })
  expect(output.trim()).toBe(`undefined ${portable(new Uint8Array(3)).slice(2)}`)
})
