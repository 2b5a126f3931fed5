import { describe, expect, test } from 'vitest'
import { readChallenges } from './readChallenges.ts'

/** Written by mppx 0.11.0. */
const charge = String.raw`Payment id="kLT3c7MTJ8qX4b7poGnDPl4VMQ6rvlU7Dk5RHrK_O2U", realm="api.example.com", method="evm", intent="charge", request="eyJhbW91bnQiOiIxMDAwIiwiY3VycmVuY3kiOiIweDNjNDk5YzU0MmNFRjVFMzgxMWUxMTkyY2U3MGQ4Y0MwM2Q1YzMzNTkiLCJtZXRob2REZXRhaWxzIjp7ImNoYWluSWQiOjEzNywiY3JlZGVudGlhbFR5cGVzIjpbImF1dGhvcml6YXRpb24iXX0sInJlY2lwaWVudCI6IjB4NzA5OTc5NzBDNTE4MTJkYzNBMDEwQzdkMDFiNTBlMGQxN2RjNzlDOCJ9", description="A \"joke\", of 10 \u20ac and more", expires="2099-01-01T00:00:00Z", opaque="eyJuIjoiMSJ9"`
const session =
  'Payment id="ZWq-Vo6uS774Oozqmn3bjn6KcWVnjJsfycTgWrW0P4E", realm="api.example.com", method="tempo", intent="session", request="eyJhbW91bnQiOiIyNSIsImN1cnJlbmN5IjoiMHgyMGMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwIn0"'
const methodsIn = (header: string | null) => readChallenges(header).map(({ method }) => method)

test('the fields of a challenge, and its request', () => {
  expect(readChallenges(charge)).toEqual([
    {
      id: 'kLT3c7MTJ8qX4b7poGnDPl4VMQ6rvlU7Dk5RHrK_O2U',
      realm: 'api.example.com',
      method: 'evm',
      intent: 'charge',
      request: {
        amount: '1000',
        currency: '0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359',
        recipient: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
        methodDetails: { chainId: 137, credentialTypes: ['authorization'] },
      },
      expires: '2099-01-01T00:00:00Z',
    },
  ])
})

test('several of them, among other schemes', () => {
  const header = `Basic realm="x, Payment id=", ${charge}, Negotiate abc==, payment${session.slice(7)}, Bearer realm="y"`
  expect(methodsIn(header)).toEqual(['evm', 'tempo'])
})

test('a bad one doesn’t spoil the next', () => {
  for (const bad of [
    'Payment id="1"',
    session.replace('realm', 'other'),
    session.replace('method="tempo"', 'method="Te mpo"'),
    session.replace('intent="session"', 'intent="<b>"'),
    session.replace(/request="\w+"/, 'request="!"'),
    session.replace(/request="\w+"/, 'request="W10"'),
    session.replace(/request="(\w+)"/, 'request="$1="'),
    session.replace(/request="\w+"/, 'request="bnVsbA"'),
    session.replace(/request="\w+"/, `request="${'e'.repeat(20_000)}"`),
    `${session}, id="again"`,
    `${session}, expires="tomorrow"`,
    session.replace('realm="api.example.com"', 'realm=api"example'),
  ]) {
    expect(methodsIn(`${bad}, ${charge}`), bad.slice(0, 80)).toEqual(['evm'])
  }
})

describe('none', () => {
  test.each([
    ['no header', null],
    ['nothing', ''],
    ['another scheme', 'Bearer realm="x"'],
    ['a text that has it in it', 'Bearer error="Payment id=1"'],
    ['one that breaks off', session.slice(0, -1)],
    ['one with a rest that can’t be read', `${session}, "rest`],
    ['commas', ','.repeat(16_000)],
    ['quotes', '"'.repeat(16_000)],
    ['names', 'a'.repeat(16_000)],
    ['open quotes again and again', 'a="'.repeat(5_000)],
    ['backslashes', `Payment id="${'\\'.repeat(15_001)}`],
  ])('%s', (_, header) => expect(readChallenges(header)).toEqual([]))
})
