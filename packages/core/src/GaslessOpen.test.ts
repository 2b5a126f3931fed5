import { readFileSync } from 'node:fs'
import { bytesToHex, type Hex, hashTypedData } from 'viem'
import { expect, test } from 'vitest'
import * as Channel from './Channel.ts'
import * as Deployment from './Deployment.ts'
import * as GaslessOpen from './GaslessOpen.ts'

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../../vectors/${name}`, import.meta.url), 'utf8'))

const openingOf = (vector: Record<string, string>): GaslessOpen.Unsigned => {
  const { consumer, provider, signer, salt } = vector as Record<string, Hex>
  const integer = (name: string) => BigInt(vector[name] as string)
  return {
    ...({ consumer, provider, signer, salt } as Channel.Opening),
    amount: integer('amount'),
    duration: integer('duration'),
    validAfter: integer('validAfter'),
    validBefore: integer('validBefore'),
  }
}

test('digests are those of the 200 shared vectors', () => {
  const { hashes } = read('hashes.json')
  for (const vector of hashes) {
    const digest = GaslessOpen.digest(openingOf(vector), vector.contract, vector.tokenDomainSeparator)
    expect(bytesToHex(digest)).toBe(vector.authorization)
  }
  expect(hashes).toHaveLength(200)
})

test('ids and typed data of the signed vectors', () => {
  const { chainId, verifyingContract: contract } = read('voucher.json').domain
  const token = '0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359'
  const deployment = Deployment.from({ chainId, contract, token })
  const { authorizations } = read('voucher.json')
  for (const vector of authorizations) {
    const open = openingOf(vector)
    expect(Channel.computeId(deployment, open, 'relayed')).toBe(vector.channelId)
    expect(hashTypedData(GaslessOpen.typedData(open, deployment))).toBe(vector.digest)
  }
  expect(authorizations).toHaveLength(3)
})

const open: GaslessOpen.GaslessOpen = {
  consumer: `0x${'11'.repeat(20)}`,
  provider: `0x${'22'.repeat(20)}`,
  amount: 1_000_000n,
  duration: 86_400n,
  signer: `0x${'00'.repeat(20)}`,
  salt: `0x${'33'.repeat(32)}`,
  validAfter: 0n,
  validBefore: 1_800_000_000n,
  signature: `0x${'44'.repeat(65)}`,
}

test('what is written is read', () => {
  expect(GaslessOpen.fromJson(JSON.parse(JSON.stringify(GaslessOpen.toJson(open))))).toEqual(open)
})

test.each([
  ['nothing', undefined],
  ['an array', []],
  ['an unknown field', { ...GaslessOpen.toJson(open), extra: '1' }],
  ['a missing field', (({ salt, ...rest }) => rest)(GaslessOpen.toJson(open))],
  ['a number', { ...GaslessOpen.toJson(open), amount: 1_000_000 }],
  ['an amount over uint64', { ...GaslessOpen.toJson(open), amount: (2n ** 64n).toString() }],
  ['a leading zero', { ...GaslessOpen.toJson(open), duration: '086400' }],
  ['an exponent', { ...GaslessOpen.toJson(open), amount: '1e6' }],
  ['a short salt', { ...GaslessOpen.toJson(open), salt: '0x33' }],
  ['a short address', { ...GaslessOpen.toJson(open), signer: '0x00' }],
  ['an empty signature', { ...GaslessOpen.toJson(open), signature: '0x' }],
  ['a signature without end', { ...GaslessOpen.toJson(open), signature: `0x${'44'.repeat(2_049)}` }],
  [
    'a field of the prototype',
    { ...GaslessOpen.toJson(open), ['__proto__' as string]: '1', constructor: '1' },
  ],
])('%s is refused', (_, value) => {
  expect(() => GaslessOpen.fromJson(value)).toThrow(/Not a valid gasless open/)
})
