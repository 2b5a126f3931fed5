import { DrainError } from '@drain/core'
import { BaseError, HttpRequestError } from 'viem'
import { expect, test } from 'vitest'
import { errorWords, hideNodes } from './errorWords.ts'

const node = 'https://user:SECRET@polygon.example:8545/v2/SECRET?key=SECRET'

test('of a node’s error the short message is taken, and of URLs the host', () => {
  const failure = new HttpRequestError({ url: node, body: { method: 'eth_call' }, status: 500 })
  expect(errorWords(failure)).toBe('HTTP request failed.')
  expect(errorWords(new BaseError(`cannot reach ${node}.`))).toBe(
    'cannot reach https://polygon.example:8545/…',
  )
  expect(errorWords(new TypeError(`Failed to parse URL from '${node}'`))).not.toContain('SECRET')
  expect(errorWords('wss://polygon.example')).toBe('wss://polygon.example')
  const refused = new DrainError('code', 'It did not close.', { action: 'Wait.', details: `402 of ${node}` })
  expect(errorWords(refused)).toBe('It did not close. 402 of https://polygon.example:8545/…')
})

test('an error that is passed on tells nothing of the node’s address, in none of its causes', () => {
  const cause = new TypeError(`fetch of ${node} failed`)
  const failure = new BaseError('The call failed.', { cause: new HttpRequestError({ url: node, cause }) })
  const error = new DrainError('code', 'It failed at https://provider.example/v1/chat.', { cause: failure })
  expect(hideNodes(error)).toBe(error)
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    expect(`${one.stack}${one.message}${JSON.stringify(one)}`).not.toContain('SECRET')
  }
  expect(failure.message).toContain('fetch of https://polygon.example:8545/… failed')
  expect(failure.walk((one) => one instanceof HttpRequestError)).toBeInstanceOf(HttpRequestError)
  // What this project says of providers stays.
  expect(error.message).toContain('https://provider.example/v1/chat')
})
