/**
 * Vouchers with signatures of every shape, each with what the contract does with it. The channels are planted into the
 * contract's storage by the forge test, so their consumers can be addresses whose keys nobody knows: where a looser check
 * would recover somebody, that somebody is the consumer.
 */
import { createRequire } from 'node:module'
import {
  type Address,
  concat,
  encodeAbiParameters,
  type Hex,
  hashStruct,
  hashTypedData,
  hexToBytes,
  keccak256,
  pad,
  parseSignature,
  size,
  slice,
  stringToHex,
  zeroAddress,
  zeroHash,
} from 'viem'
import { privateKeyToAccount, publicKeyToAddress, sign } from 'viem/accounts'

// viem's own library; it recovers with the ids 2 and 3 too, which viem doesn't.
const { secp256k1 }: { secp256k1: Curve } = createRequire(import.meta.resolve('viem'))(
  '@noble/curves/secp256k1',
)

/** What is used of it. */
type Curve = {
  CURVE: Record<'n' | 'p' | 'Gx' | 'Gy', bigint>
  Signature: new (
    r: bigint,
    s: bigint,
  ) => {
    addRecoveryBit(id: number): {
      recoverPublicKey(digest: Uint8Array): { toHex(isCompressed: boolean): string }
    }
  }
  ProjectivePoint: { fromHex(hex: string): unknown }
}

const { n: order, p: field, Gx, Gy } = secp256k1.CURVE
const half = order >> 1n
const key = (name: string) => keccak256(stringToHex(`drain vectors: ${name}`))
const [consumerKey, providerKey, sessionKeyKey, strangerKey] = [
  key('consumer'),
  key('provider'),
  key('session key'),
  key('stranger'),
]
const address = (privateKey: Hex) => privateKeyToAccount(privateKey).address
const [consumer, provider, sessionKey] = [address(consumerKey), address(providerKey), address(sessionKeyKey)]

const chainId = 137
const contract = '0x00000000000000000000000000000000000d4a14'
const domain = { name: 'DrainChannel', version: '1', chainId, verifyingContract: contract } as const
const types = {
  Voucher: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'amount', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
  ],
  Opening: [
    { name: 'consumer', type: 'address' },
    { name: 'provider', type: 'address' },
    { name: 'amount', type: 'uint256' },
    { name: 'duration', type: 'uint256' },
    { name: 'signer', type: 'address' },
    { name: 'salt', type: 'bytes32' },
  ],
} as const

type Voucher = { channelId: Hex; amount: bigint; nonce: bigint }
type Case = Voucher & {
  name: string
  consumer: Address
  deposit: bigint
  signature: Hex
  accepted: boolean
}

const deposit = 10_000_000n
const plain: Voucher = { channelId: keccak256(stringToHex('channel 1')), amount: 1_000_000n, nonce: 1n }
const digestOf = (message: Voucher) => hashTypedData({ domain, types, primaryType: 'Voucher', message })
const signed = (voucher: Voucher, privateKey: Hex) => sign({ hash: digestOf(voucher), privateKey, to: 'hex' })

const word = (value: bigint) => pad(`0x${value.toString(16)}`)
const rsv = (r: bigint, s: bigint, v: number) =>
  concat([word(r), word(s), `0x${v.toString(16).padStart(2, '0')}`])

/** Who signed, by textbook recovery: any s, and recovery ids 0 to 3. */
function recover(voucher: Voucher, r: bigint, s: bigint, id: number): Address {
  const signature = new secp256k1.Signature(r, s).addRecoveryBit(id)
  const publicKey = signature.recoverPublicKey(hexToBytes(digestOf(voucher))).toHex(false)
  return publicKeyToAddress(`0x${publicKey}`)
}

function isX(x: bigint): boolean {
  try {
    secp256k1.ProjectivePoint.fromHex(concat(['0x02', word(x)]).slice(2))
    return x < field
  } catch {
    return false
  }
}

/** The first from `start` on, or down from there, that `is`. */
function find(start: bigint, is: (value: bigint) => boolean, step = 1n): bigint {
  let value = start
  while (!is(value)) value += step
  return value
}

/** The first nonce whose digest, as a number, `is`. */
function nonceFor(is: (digest: bigint) => boolean): Voucher {
  return { ...plain, nonce: find(1n, (nonce) => is(BigInt(digestOf({ ...plain, nonce })))) }
}

const cases: Case[] = []
function add(name: string, accepted: boolean, signature: Hex, more: Partial<Case> = {}): void {
  cases.push({ ...plain, consumer, deposit, ...more, name, signature, accepted })
}

// --- the consumer's own

for (const [amount, nonce] of [
  [1n, 0n],
  [deposit, 2n ** 63n - 1n],
  [123_456n, 2n ** 64n],
  [deposit - 1n, 2n ** 256n - 1n],
] as const) {
  const voucher = { ...plain, amount, nonce }
  add(`the consumer's, of ${amount} with nonce ${nonce}`, true, await signed(voucher, consumerKey), voucher)
}
for (const parity of [0, 1]) {
  const nonce = await firstWithParity(parity)
  const voucher = { ...plain, nonce }
  add(`the consumer's, with v ${27 + parity}`, true, await signed(voucher, consumerKey), voucher)
}

async function firstWithParity(parity: number): Promise<bigint> {
  for (let nonce = 1n; ; nonce++) {
    if (parseSignature(await signed({ ...plain, nonce }, consumerKey)).yParity === parity) return nonce
  }
}

const good = await signed(plain, consumerKey)
const { yParity, ...hexes } = parseSignature(good)
const [r, s, v] = [BigInt(hexes.r), BigInt(hexes.s), 27 + yParity]

add("a stranger's", false, await signed(plain, strangerKey))
add("the provider's", false, await signed(plain, providerKey))
add('of another amount', false, await signed({ ...plain, amount: 1n }, consumerKey))
add('of another nonce', false, await signed({ ...plain, nonce: 2n }, consumerKey))
add('of another channel', false, await signed({ ...plain, channelId: zeroHash }, consumerKey))
add(
  'eth_sign of the digest',
  false,
  await privateKeyToAccount(consumerKey).signMessage({ message: { raw: digestOf(plain) } }),
)

// --- length

add('empty', false, '0x')
add('one byte', false, '0x1b')
add('64 bytes, without v', false, slice(good, 0, 64))
add('64 bytes, compact (EIP-2098)', false, concat([word(r), word(s | (BigInt(yParity) << 255n))]))
add('66 bytes, a zero behind', false, concat([good, '0x00']))
add('66 bytes, a zero in front', false, concat(['0x00', good]))
add('130 bytes, twice the same', false, concat([good, good]))
for (const length of [192, 193, 194]) {
  add(`${length} bytes, zeros behind`, false, pad(good, { size: length, dir: 'right' }))
}

// --- v

for (const other of [0, 1, 2, 3, 26, 29, 30, 31, 35, 36, 54, 55, 128, 255]) {
  add(`v ${other}`, false, rsv(r, s, other))
}
add('v 0 or 1', false, rsv(r, s, yParity))
add('v of the other parity', false, rsv(r, s, 55 - v))
add('v of the other parity, whose key is the consumer', true, rsv(r, s, 55 - v), {
  consumer: recover(plain, r, s, 1 - yParity),
})

// --- s

add('high s, other parity', false, rsv(r, order - s, 55 - v))
add('high s, same parity', false, rsv(r, order - s, v), { consumer: recover(plain, r, order - s, yParity) })
add('highest low s', true, rsv(r, half, v), { consumer: recover(plain, r, half, yParity) })
add('lowest high s', false, rsv(r, half + 1n, v), { consumer: recover(plain, r, half + 1n, yParity) })
add('highest s', false, rsv(r, order - 1n, v), { consumer: recover(plain, r, order - 1n, yParity) })
add('s one', true, rsv(r, 1n, v), { consumer: recover(plain, r, 1n, yParity) })
add('s zero', false, rsv(r, 0n, v))
add('s the group order', false, rsv(r, order, v))
add('s one above the group order', false, rsv(r, order + 1n, v), { consumer: recover(plain, r, 1n, yParity) })
add('s all ones', false, rsv(r, 2n ** 256n - 1n, v))
add('s changed by one', false, rsv(r, s ^ 1n, v))

// --- r

const smallest = find(1n, isX)
const largest = find(order - 1n, isX, -1n)
const noPoint = find(2n, (x) => !isX(x))
for (const [name, x] of [
  ['smallest r', smallest],
  ['largest r', largest],
] as const) {
  for (const id of [0, 1])
    add(`${name}, v ${27 + id}`, true, rsv(x, s, 27 + id), { consumer: recover(plain, x, s, id) })
}
add('r zero', false, rsv(0n, s, v))
add('r the group order', false, rsv(order, s, v))
add('r the field', false, rsv(field, s, v))
add('r all ones', false, rsv(2n ** 256n - 1n, s, v))
add('r that is no x of a point', false, rsv(noPoint, s, v))
add('r and s zero', false, rsv(0n, 0n, 27))
add('all zero', false, `0x${'00'.repeat(65)}`)

// --- recovery ids 2 and 3: R's x is r plus the group order, which ecrecover doesn't know

const overflowing = find(1n, (x) => isX(x + order))
const both = find(1n, (x) => isX(x) && isX(x + order))
const notBelow = find(1n, (x) => isX(x + order) && !isX(x))
for (const id of [2, 3]) {
  const who = { consumer: recover(plain, overflowing, s, id) }
  add(`recovery id ${id} as v ${27 + id}`, false, rsv(overflowing, s, 27 + id), who)
  add(`recovery id ${id} as v ${25 + id}`, false, rsv(overflowing, s, 25 + id), who)
  add(`recovery id ${id} as v ${id}`, false, rsv(overflowing, s, id), who)
  add(`recovery id ${id}, r written with the order added`, false, rsv(overflowing + order, s, 25 + id), who)
  add(`recovery id ${id}, where r itself is no x`, false, rsv(notBelow, s, 25 + id), {
    consumer: recover(plain, notBelow, s, id),
  })
  add(`recovery id ${id - 2}, where id ${id} would do too`, true, rsv(both, s, 25 + id), {
    consumer: recover(plain, both, s, id - 2),
  })
}

// --- the point at infinity: s·R − e·G = 0 for R = ±G and s = ±e

const parityOfG = Number(Gy & 1n)
const low = nonceFor((digest) => digest <= half)
const lowDigest = BigInt(digestOf(low))
add('a key at infinity, R = G', false, rsv(Gx, lowDigest, 27 + parityOfG), low)
add('the same r and s, other parity', true, rsv(Gx, lowDigest, 28 - parityOfG), {
  ...low,
  consumer: recover(low, Gx, lowDigest, 1 - parityOfG),
})
const high = nonceFor((digest) => digest > half && digest < order)
add('a key at infinity, R = −G', false, rsv(Gx, order - BigInt(digestOf(high)), 28 - parityOfG), high)

// --- session keys

type Proof = { kind: bigint; duration: bigint; signer: bigint; salt: Hex }
const proofOf = ({ kind, duration, signer, salt }: Proof) =>
  concat([word(kind), word(duration), word(signer), salt])
const terms = { duration: 86_400n, salt: keccak256(stringToHex('salt')) }
function open(kind: bigint, signer: Address, salt: Hex = terms.salt): Voucher & { proof: Proof } {
  const message = { consumer, provider, amount: deposit, duration: terms.duration, signer, salt }
  const opening = hashStruct({ data: message, primaryType: 'Opening', types })
  const channelId = keccak256(
    encodeAbiParameters(
      [{ type: 'uint256' }, { type: 'uint256' }, { type: 'address' }, { type: 'bytes32' }],
      [kind, BigInt(chainId), contract, opening],
    ),
  )
  const proof = { kind, duration: terms.duration, signer: BigInt(signer), salt }
  return { channelId, amount: 1_000_000n, nonce: 1n, proof }
}

for (const [name, kind] of [
  ['direct', 0n],
  ['relayed', 1n],
] as const) {
  const { proof, ...voucher } = open(kind, sessionKey)
  const own = await signed(voucher, sessionKeyKey)
  const { yParity, ...hexes } = parseSignature(own)
  const [r, s, v] = [BigInt(hexes.r), BigInt(hexes.s), 27 + yParity]
  const addSession = (what: string, accepted: boolean, signature: Hex, more: Partial<Voucher> = {}) =>
    add(`session key, ${name}: ${what}`, accepted, signature, { ...voucher, ...more })
  const behind = (changed: Partial<Proof>) => concat([own, proofOf({ ...proof, ...changed })])
  const whole = behind({})
  if (size(whole) !== 193) throw new Error('a session voucher has 193 bytes')

  addSession('with its proof', true, whole)
  addSession('the consumer, without proof', true, await signed(voucher, consumerKey))
  addSession('without proof', false, own)
  addSession(
    'the consumer, with the proof',
    false,
    concat([await signed(voucher, consumerKey), proofOf(proof)]),
  )
  const stranger = await signed(voucher, strangerKey)
  addSession('a stranger, with the proof', false, concat([stranger, proofOf(proof)]))
  const itself = proofOf({ ...proof, signer: BigInt(address(strangerKey)) })
  addSession('a stranger that names itself', false, concat([stranger, itself]))
  const names = proofOf({ ...proof, signer: BigInt(consumer) })
  addSession('the consumer that names itself', false, concat([await signed(voucher, consumerKey), names]))
  addSession('another kind', false, behind({ kind: 1n - kind }))
  addSession('an unknown kind', false, behind({ kind: 2n }))
  addSession('a kind with high bits', false, behind({ kind: (1n << 255n) | kind }))
  addSession('a longer duration', false, behind({ duration: terms.duration + 1n }))
  addSession('a duration with high bits', false, behind({ duration: terms.duration | (1n << 255n) }))
  addSession('another salt', false, behind({ salt: zeroHash }))
  addSession('no signer', false, behind({ signer: 0n }))
  addSession('a signer with bits above the address', false, behind({ signer: proof.signer | (1n << 160n) }))
  addSession('a signer with the highest bit', false, behind({ signer: proof.signer | (1n << 255n) }))
  addSession('a proof of zeros', false, concat([own, `0x${'00'.repeat(128)}`]))
  addSession('the proof alone', false, proofOf(proof))
  addSession('the proof in front', false, concat([proofOf(proof), own]))
  addSession('a proof cut off by a byte', false, slice(whole, 0, 192))
  addSession('a byte behind the proof', false, concat([whole, '0x00']))
  addSession('two proofs', false, concat([whole, proofOf(proof)]))
  addSession(
    'the proof of another channel',
    false,
    concat([own, proofOf(open(kind, sessionKey, zeroHash).proof)]),
  )
  addSession('on another channel', false, whole, { channelId: open(kind, sessionKey, zeroHash).channelId })
  addSession('of another amount', false, whole, { amount: 2n })
  addSession('v 0 or 1', false, concat([rsv(r, s, yParity), proofOf(proof)]))
  addSession('v 29', false, concat([rsv(r, s, 29), proofOf(proof)]))
  addSession('high s', false, concat([rsv(r, order - s, 55 - v), proofOf(proof)]))
  addSession('all zero', false, concat([`0x${'00'.repeat(65)}`, proofOf(proof)]))

  const none = open(kind, zeroAddress)
  const nobody = concat([`0x${'00'.repeat(65)}`, proofOf(none.proof)])
  addSession('a channel without one, a proof of nobody', false, nobody, { channelId: none.channelId })
  const same = open(kind, consumer)
  const byConsumer = await signed({ ...voucher, channelId: same.channelId }, consumerKey)
  const at = { channelId: same.channelId }
  addSession('that is the consumer, with proof', true, concat([byConsumer, proofOf(same.proof)]), at)
  addSession('that is the consumer, without', true, byConsumer, at)
}

const names = new Set(cases.map(({ name }) => name))
if (names.size !== cases.length) throw new Error('two cases have the same name')

export const signatures = {
  domain: { chainId, verifyingContract: contract },
  provider,
  cases: cases.map(({ name, accepted, channelId, consumer, deposit, amount, nonce, signature }) => ({
    name,
    accepted,
    channelId,
    consumer,
    deposit: deposit.toString(),
    amount: amount.toString(),
    nonce: nonce.toString(),
    signature,
  })),
}
