import { describe, expect, test } from 'vitest'
import { withoutUrls } from './withoutUrls.ts'

const key = 'aBcD-1234_efGH'
const hidden = '(not shown)'

describe.each([
  ['in the path', `https://polygon.example/v2/${key}`],
  ['in the path, with a slash after it', `https://polygon.example/v2/${key}/`],
  ['in the query', `https://polygon.example/rpc?chain=137&apikey=${key}`],
  ['as a password', `https://operator:${key}@polygon.example/`],
  ['as a user', `https://${key}@polygon.example`],
  ['after the hash', `https://polygon.example/#${key}`],
])('a key %s', (_, rpcUrl) => {
  test.each([
    ['the whole URL', rpcUrl],
    ['as a parser gives it', new URL(rpcUrl).href],
    ['in capitals', rpcUrl.toUpperCase()],
    ['path and query', rpcUrl.replace(/^https:\/\/[^/]*/, 'POST ')],
    ['in JSON', JSON.stringify({ url: rpcUrl }).replaceAll('/', '\\/')],
    ['in another URL', `https://log.example/?from=${encodeURIComponent(rpcUrl)}`],
    ['the key alone', `no such project: ${key}.`],
    ['twice', `${key} ${key}`],
  ])('is found: %s', (_, text) => {
    expect(withoutUrls(`Bad: ${text}!`, rpcUrl).toLowerCase()).not.toContain(key.toLowerCase())
  })
})

test('a key with percent signs is found as it is meant, too', () => {
  const rpcUrl = 'https://a.example/secret%2Bkey%22x'
  expect(withoutUrls('key: secret+key"x, secret%2Bkey%22x, secret+key\\"x', rpcUrl)).toBe(
    `key: ${hidden}, ${hidden}, ${hidden}`,
  )
})

test('who asks is found as a header says it', () => {
  const rpcUrl = 'https://user:password@a.example'
  const text = `Authorization: Basic ${Buffer.from('user:password').toString('base64')}`
  expect(withoutUrls(text, rpcUrl)).toBe(`Authorization: Basic ${hidden}`)
})

test('words that are no secret stay', () => {
  const text = 'execution reverted at polygon.example: v2, 0x1234'
  expect(withoutUrls(text, `https://polygon.example/v2/${key}`)).toBe(text)
  expect(withoutUrls(text, 'https://polygon.example/')).toBe(text)
  expect(withoutUrls(text, undefined)).toBe(text)
})
