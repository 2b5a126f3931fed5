/**
 * Writes the vectors that Solidity and TypeScript check each other with. viem is the independent oracle: nothing in here
 * imports this project's code, except that quotes and costs are worked out by hand below.
 *
 *   node vectors/generate.ts           writes vectors/*.json
 *   node vectors/generate.ts --check   fails when a committed file differs
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import {
  type Address,
  concat,
  encodeAbiParameters,
  getAddress,
  type Hex,
  hashDomain,
  hashStruct,
  hashTypedData,
  keccak256,
  parseSignature,
  serializeSignature,
  size,
  slice,
  stringToHex,
  zeroAddress,
  zeroHash,
} from 'viem'
import { privateKeyToAccount, sign } from 'viem/accounts'
import { signatures } from './signatures.ts'

const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const key = (name: string) => keccak256(stringToHex(`drain vectors: ${name}`))
const consumerKey = key('consumer')
const providerKey = key('provider')
const consumer = privateKeyToAccount(consumerKey)
const provider = privateKeyToAccount(providerKey)

const chainId = 137
const contract = '0x00000000000000000000000000000000000d4a14'
const domain = { name: 'DrainChannel', version: '1', chainId, verifyingContract: contract } as const

const types = {
  Voucher: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'amount', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
  ],
  CloseAuthorization: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'finalAmount', type: 'uint256' },
  ],
  ChannelRequest: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'action', type: 'string' },
    { name: 'deadline', type: 'uint256' },
  ],
  Opening: [
    { name: 'consumer', type: 'address' },
    { name: 'provider', type: 'address' },
    { name: 'amount', type: 'uint256' },
    { name: 'duration', type: 'uint256' },
    { name: 'signer', type: 'address' },
    { name: 'salt', type: 'bytes32' },
  ],
  // EIP-3009, signed for the token.
  ReceiveWithAuthorization: [
    { name: 'from', type: 'address' },
    { name: 'to', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'validAfter', type: 'uint256' },
    { name: 'validBefore', type: 'uint256' },
    { name: 'nonce', type: 'bytes32' },
  ],
} as const

const separatorOf = (domain: {
  name: string
  version: string
  chainId: number | bigint
  verifyingContract: Address
}) =>
  hashDomain({
    domain: { ...domain, chainId: BigInt(domain.chainId) },
    types: {
      EIP712Domain: [
        { name: 'name', type: 'string' },
        { name: 'version', type: 'string' },
        { name: 'chainId', type: 'uint256' },
        { name: 'verifyingContract', type: 'address' },
      ],
    },
  })
const domainSeparator = separatorOf(domain)

const channelIdOf = (kind: bigint, chainId: bigint, contract: Address, opening: Hex) =>
  keccak256(
    encodeAbiParameters(
      [{ type: 'uint256' }, { type: 'uint256' }, { type: 'address' }, { type: 'bytes32' }],
      [kind, chainId, contract, opening],
    ),
  )

/** Numbers become decimal strings: JSON has none that are wide enough. */
const text = <fields extends Record<string, unknown>>(fields: fields) =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, typeof value === 'bigint' ? `${value}` : value]),
  ) as { [name in keyof fields]: fields[name] extends bigint ? string : fields[name] }

// --- signatures

const channelIds = [
  keccak256(stringToHex('channel 1')),
  keccak256(stringToHex('channel 2')),
  `0x${'00'.repeat(31)}01`,
  `0x${'ff'.repeat(32)}`,
] as const
const amounts = [
  0n,
  1n,
  100_000n,
  1_000_000n,
  2n ** 63n - 1n,
  2n ** 64n - 1n,
  2n ** 64n,
  2n ** 128n,
  2n ** 256n - 1n,
]

const vouchers = []
for (const [index, amount] of amounts.entries()) {
  const channelId = channelIds[index % channelIds.length] as Hex
  const nonce = index === 0 ? 0n : 2n ** BigInt(index * 7)
  const typedData = { domain, types, primaryType: 'Voucher', message: { channelId, amount, nonce } } as const
  vouchers.push({
    channelId,
    amount: amount.toString(),
    nonce: nonce.toString(),
    digest: hashTypedData(typedData),
    signer: consumer.address,
    signature: await consumer.signTypedData(typedData),
  })
}

const closeAuthorizations = []
for (const [index, finalAmount] of amounts.entries()) {
  const channelId = channelIds[index % channelIds.length] as Hex
  const typedData = {
    domain,
    types,
    primaryType: 'CloseAuthorization',
    message: { channelId, finalAmount },
  } as const
  closeAuthorizations.push({
    channelId,
    finalAmount: finalAmount.toString(),
    digest: hashTypedData(typedData),
    signer: provider.address,
    signature: await provider.signTypedData(typedData),
  })
}

const channelRequests = []
for (const action of ['state', 'close']) {
  const message = { channelId: channelIds[0], action, deadline: 1_800_000_000n }
  const typedData = { domain, types, primaryType: 'ChannelRequest', message } as const
  channelRequests.push({
    ...message,
    deadline: message.deadline.toString(),
    digest: hashTypedData(typedData),
    signer: consumer.address,
    signature: await consumer.signTypedData(typedData),
  })
}

// --- what the contract refuses, and every off-chain check must refuse too

const digest = vouchers[2]?.digest as Hex
const good = await sign({ hash: digest, privateKey: consumerKey, to: 'hex' })
const { r, s, yParity } = parseSignature(good)
const word = (value: bigint) => value.toString(16).padStart(64, '0')
const raw = (rr: bigint, ss: bigint, v: number): Hex =>
  `0x${word(rr)}${word(ss)}${v.toString(16).padStart(2, '0')}`
const [rn, sn, v] = [BigInt(r), BigInt(s), 27 + yParity]
const invalid: Record<string, Hex> = {
  empty: '0x',
  'one byte': '0x1b',
  '64 bytes, without v': good.slice(0, 130) as Hex,
  '64 bytes, compact (EIP-2098)': `0x${word(rn)}${word(sn | (BigInt(yParity) << 255n))}`,
  '66 bytes, a zero appended': `${good}00`,
  '66 bytes, a zero in front': `0x00${good.slice(2)}`,
  'v 0 or 1': raw(rn, sn, yParity),
  'v 29': raw(rn, sn, 29),
  'v 30': raw(rn, sn, 30),
  'v 255': raw(rn, sn, 255),
  'v of the other parity': raw(rn, sn, yParity === 0 ? 28 : 27),
  'v with the chain id (EIP-155)': raw(rn, sn, (35 + yParity + 137 * 2) & 0xff),
  'high s, other parity': raw(rn, order - sn, yParity === 0 ? 28 : 27),
  'high s, same parity': raw(rn, order - sn, v),
  'lowest high s': raw(rn, (order >> 1n) + 1n, v),
  'r zero': raw(0n, sn, v),
  's zero': raw(rn, 0n, v),
  'all zero': raw(0n, 0n, 27),
  'all zero, v zero': raw(0n, 0n, 0),
  'r the group order': raw(order, sn, v),
  's the group order': raw(rn, order, v),
  'r above the field': raw(2n ** 256n - 1n, sn, v),
  'r that is no x of a point': raw(5n, sn, v),
  's changed by one': raw(rn, sn ^ 1n, v),
  "another key's": await sign({ hash: digest, privateKey: providerKey, to: 'hex' }),
  "another digest's": await sign({ hash: keccak256('0x00'), privateKey: consumerKey, to: 'hex' }),
  'eth_sign of the digest': await consumer.signMessage({ message: { raw: digest } }),
}
const invalidSignatures = Object.entries(invalid).map(([name, signature]) => ({
  name,
  digest,
  signer: consumer.address,
  signature,
}))
// The valid one stands beside them, so that a test that refuses everything fails.
if (serializeSignature({ r, s, yParity }) !== good) throw new Error('the good signature is not plain')

// --- channel ids

const openingTerms = [
  { kind: 0n, amount: 1_000_000n, duration: 86_400n, signer: zeroAddress, salt: zeroHash },
  { kind: 0n, amount: 1n, duration: 1n, signer: zeroAddress, salt: `0x${word(1n)}` as Hex },
  {
    kind: 0n,
    amount: 2n ** 64n - 1n,
    duration: 31_536_000n,
    signer: provider.address,
    salt: `0x${word(2n ** 200n)}` as Hex,
  },
  {
    kind: 1n,
    amount: 10_000_000n,
    duration: 604_800n,
    signer: zeroAddress,
    salt: keccak256(stringToHex('salt')),
  },
  {
    kind: 1n,
    amount: 10_000_000n,
    duration: 604_800n,
    signer: consumer.address,
    salt: keccak256(stringToHex('salt')),
  },
] as const
const openings = openingTerms.map(({ kind, ...terms }) => {
  const message = { consumer: consumer.address, provider: provider.address, ...terms }
  const opening = hashStruct({ data: message, primaryType: 'Opening', types })
  const channelId = channelIdOf(kind, BigInt(chainId), contract, opening)
  const { amount, duration } = terms
  return {
    ...message,
    kind: kind.toString(),
    amount: amount.toString(),
    duration: duration.toString(),
    chainId: chainId.toString(),
    contract,
    opening,
    channelId,
  }
})

// --- vouchers of session keys: the signature carries the proof of the opening

const sessionKeyKey = key('session key')
const sessionKey = privateKeyToAccount(sessionKeyKey)

/** What a proof is made of: the opening's words that the contract doesn't store. */
type Proof = { kind: bigint; duration: bigint; signer: bigint; salt: Hex }
const proofOf = ({ kind, duration, signer, salt }: Proof) =>
  encodeAbiParameters(
    [{ type: 'uint256' }, { type: 'uint256' }, { type: 'uint256' }, { type: 'bytes32' }],
    [kind, duration, signer, salt],
  )

const sessionOpenings = [
  { kind: 0n, amount: 1_000_000n, duration: 86_400n, salt: zeroHash },
  { kind: 0n, amount: 2n ** 64n - 1n, duration: 31_536_000n, salt: `0x${word(1n)}` as Hex },
  { kind: 1n, amount: 10_000_000n, duration: 604_800n, salt: keccak256(stringToHex('salt')) },
  { kind: 1n, amount: 1n, duration: 1n, salt: `0x${'ff'.repeat(32)}` as Hex },
].map(({ kind, ...terms }) => {
  const message = {
    consumer: consumer.address,
    provider: provider.address,
    ...terms,
    signer: sessionKey.address,
  }
  const opening = hashStruct({ data: message, primaryType: 'Opening', types })
  return { kind, ...message, channelId: channelIdOf(kind, BigInt(chainId), contract, opening) }
})

const sessionVouchers = []
for (const [index, opening] of sessionOpenings.entries()) {
  const { kind, consumer, provider, amount: deposit, duration, signer, salt, channelId } = opening
  const amount = deposit / 2n + 1n
  const nonce = 2n ** BigInt(index * 20)
  const typedData = { domain, types, primaryType: 'Voucher', message: { channelId, amount, nonce } } as const
  const proof = proofOf({ kind, duration, signer: BigInt(signer), salt })
  const signature = concat([await sessionKey.signTypedData(typedData), proof])
  if (size(signature) !== 193) throw new Error('a session voucher has 193 bytes')
  const digest = hashTypedData(typedData)
  const terms = { kind, consumer, provider, deposit, duration, signer, salt }
  sessionVouchers.push(text({ ...terms, channelId, amount, nonce, digest, proof, signature }))
}

// All on the third of these channels, and over the same digest. The valid one is sessionVouchers[2].
const proven = sessionOpenings[2] as (typeof sessionOpenings)[number]
const provenDigest = sessionVouchers[2]?.digest as Hex
const own = await sign({ hash: provenDigest, privateKey: sessionKeyKey, to: 'hex' })
const parts: Proof = { ...proven, signer: BigInt(proven.signer) }
const consumersOwn = await sign({ hash: provenDigest, privateKey: consumerKey, to: 'hex' })
const strangerKey = key('stranger')
const strangersOwn = await sign({ hash: provenDigest, privateKey: strangerKey, to: 'hex' })
const strangerWord = BigInt(privateKeyToAccount(strangerKey).address)
const { r: ownR, s: ownS, yParity: ownParity } = parseSignature(own)
const behind = (changed: Partial<Proof>) => concat([own, proofOf({ ...parts, ...changed })])
const invalidSessions: Record<string, Hex> = {
  'no proof': own,
  'the proof alone': proofOf(parts),
  'the proof in front': concat([proofOf(parts), own]),
  'a proof cut off by a byte': slice(behind({}), 0, 192),
  'a proof cut off by a word': slice(behind({}), 0, 161),
  'a byte behind the proof': concat([behind({}), '0x00']),
  'two proofs': concat([behind({}), proofOf(parts)]),
  'a proof of zeros': concat([own, `0x${'00'.repeat(128)}`]),
  'another kind': behind({ kind: 0n }),
  'an unknown kind': behind({ kind: 2n }),
  'a kind with high bits': behind({ kind: 2n ** 255n + 1n }),
  'another duration': behind({ duration: parts.duration + 1n }),
  'another salt': behind({ salt: zeroHash }),
  'no signer': behind({ signer: 0n }),
  'a signer with bits above the address': behind({ signer: parts.signer | (1n << 160n) }),
  'a signer with the highest bit': behind({ signer: parts.signer | (1n << 255n) }),
  'a stranger that names itself': concat([strangersOwn, proofOf({ ...parts, signer: strangerWord })]),
  'a stranger behind the true proof': concat([strangersOwn, proofOf(parts)]),
  'the consumer, with the proof': concat([consumersOwn, proofOf(parts)]),
  'the proof of another channel': concat([
    own,
    proofOf({ ...(sessionOpenings[0] as typeof proven), signer: parts.signer }),
  ]),
  'v 0 or 1': concat([raw(BigInt(ownR), BigInt(ownS), ownParity), proofOf(parts)]),
  'high s': concat([raw(BigInt(ownR), order - BigInt(ownS), ownParity === 0 ? 28 : 27), proofOf(parts)]),
  'all zero': concat([`0x${'00'.repeat(65)}`, proofOf(parts)]),
}
const invalidSessionSignatures = Object.entries(invalidSessions).map(([name, signature]) => ({
  name,
  signature,
}))

// --- gasless openings: the consumer's authorization for the token, with the opening's hash as its nonce

const tokenDomain = {
  name: 'USD Coin',
  version: '2',
  chainId,
  verifyingContract: '0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359', // USDC on Polygon
} as const

const authorizations = []
for (const [index, signer] of [zeroAddress, sessionKey.address, sessionKey.address].entries()) {
  const opening = {
    consumer: consumer.address,
    provider: provider.address,
    amount: 10_000_000n + BigInt(index),
    duration: 604_800n,
    signer,
    salt: keccak256(stringToHex(`salt ${index}`)),
  }
  const nonce = hashStruct({ data: opening, primaryType: 'Opening', types })
  const validAfter = index === 0 ? 0n : 1_799_999_000n
  const validBefore = index === 2 ? 2n ** 256n - 1n : 1_800_000_600n
  const message = {
    from: consumer.address,
    to: contract,
    value: opening.amount,
    validAfter,
    validBefore,
    nonce,
  } as const
  const typedData = { domain: tokenDomain, types, primaryType: 'ReceiveWithAuthorization', message } as const
  authorizations.push(
    text({
      ...opening,
      channelId: channelIdOf(1n, BigInt(chainId), contract, nonce),
      nonce,
      validAfter,
      validBefore,
      digest: hashTypedData(typedData),
      signature: await consumer.signTypedData(typedData),
    }),
  )
}

// --- everything that is hashed, over random input

/** Random, and the same each time. Every fourth number is small. */
const random = (index: number, name: string) => keccak256(stringToHex(`drain vectors: ${name} ${index}`))
const randomAddress = (index: number, name: string) => getAddress(slice(random(index, name), 12))
const randomNumber = (index: number, name: string) =>
  BigInt(random(index, name)) >> (index % 4 === 3 ? 200n : 0n)

const hashes = Array.from({ length: 200 }, (_, index) => {
  const chainId = (BigInt(random(index, 'chain')) >> 192n) % 2n ** 63n
  const contract = randomAddress(index, 'contract')
  const token = randomAddress(index, 'token')
  const kind = BigInt(index % 2)
  const terms = {
    consumer: randomAddress(index, 'consumer'),
    provider: randomAddress(index, 'provider'),
    amount: randomNumber(index, 'amount'),
    duration: randomNumber(index + 1, 'duration'),
    signer: index % 3 === 0 ? zeroAddress : randomAddress(index, 'signer'),
    salt: random(index, 'salt'),
  }
  const voucher = { amount: randomNumber(index + 2, 'voucher'), nonce: randomNumber(index + 3, 'nonce') }
  const validAfter = randomNumber(index, 'after')
  const validBefore = randomNumber(index, 'before')

  const opening = hashStruct({ data: terms, primaryType: 'Opening', types })
  const channelId = channelIdOf(kind, chainId, contract, opening)
  const domain = { name: 'DrainChannel', version: '1', chainId, verifyingContract: contract } as const
  const tokenDomain = { name: 'USD Coin', version: '2', chainId, verifyingContract: token } as const
  return {
    ...text({
      chainId,
      contract,
      token,
      kind,
      ...terms,
      voucherAmount: voucher.amount,
      nonce: voucher.nonce,
    }),
    ...text({ validAfter, validBefore, opening, channelId }),
    domainSeparator: separatorOf(domain),
    voucher: hashTypedData({ domain, types, primaryType: 'Voucher', message: { channelId, ...voucher } }),
    closeAuthorization: hashTypedData({
      domain,
      types,
      primaryType: 'CloseAuthorization',
      message: { channelId, finalAmount: voucher.amount },
    }),
    tokenDomainSeparator: separatorOf(tokenDomain),
    authorization: hashTypedData({
      domain: tokenDomain,
      types,
      primaryType: 'ReceiveWithAuthorization',
      message: {
        from: terms.consumer,
        to: contract,
        value: terms.amount,
        validAfter,
        validBefore,
        nonce: opening,
      },
    }),
  }
})

// --- quotes and costs, worked out by hand: base units, rounded up once

const quotes = [
  {
    name: 'one short message, default max_tokens',
    pricing: { inputPer1kTokens: '0.0025', outputPer1kTokens: '0.01', defaultMaxTokens: 1024 },
    body: { model: 'm', messages: [{ role: 'user', content: 'Hello' }] },
    // [{"role":"user","content":"Hello"}] has 35 bytes: 12 tokens × 2.5 + 1024 × 10 = 10,270
    inputTokens: 12,
    outputTokens: 1024,
    amount: '10270',
  },
  {
    name: 'max_tokens, several bytes per character, two choices',
    pricing: { inputPer1kTokens: '0.00015', outputPer1kTokens: '0.0006', defaultMaxTokens: 1024 },
    body: { messages: [{ role: 'user', content: 'Grüße 😀' }], max_tokens: 7, n: 2 },
    // [{"role":"user","content":"Grüße 😀"}]: 30 + 12 = 42 bytes: 14 tokens × 0.15 + 14 × 0.6 = 10.5 → 11
    inputTokens: 14,
    outputTokens: 14,
    amount: '11',
  },
  {
    name: 'tools count, max_completion_tokens wins',
    pricing: { inputPer1kTokens: '0.001', outputPer1kTokens: '0.002', defaultMaxTokens: 10 },
    body: { messages: [{}], tools: [{ a: 1 }], max_tokens: 1000, max_completion_tokens: 1 },
    // [{}] 4 bytes + [{"a":1}] 9 bytes = 13 bytes: 5 tokens × 1 + 1 × 2 = 7
    inputTokens: 5,
    outputTokens: 1,
    amount: '7',
  },
  {
    name: 'a price below one base unit per thousand tokens still costs one',
    pricing: { inputPer1kTokens: '0.00000001', outputPer1kTokens: '0', defaultMaxTokens: 1, type: 'tokens' },
    body: { messages: [{}] },
    inputTokens: 2,
    outputTokens: 1,
    amount: '1',
  },
]

const costs = [
  { pricing: { type: 'flat', inputPer1kTokens: '0.01', outputPer1kTokens: '0' }, usage: {}, amount: '10000' },
  {
    pricing: { type: 'flat', inputPer1kTokens: '0.0000001', outputPer1kTokens: '0' },
    usage: {},
    amount: '1',
  },
  { pricing: { inputPer1kTokens: '0.0075', outputPer1kTokens: '0' }, usage: {}, amount: '7500' },
  {
    pricing: { type: 'unit', unit: 'image', inputPer1kTokens: '0.0400005', outputPer1kTokens: '0' },
    usage: { units: 3 },
    amount: '120002',
  },
  {
    pricing: { type: 'minute', inputPer1kTokens: '0.006', outputPer1kTokens: '0' },
    usage: { milliseconds: 1_001 },
    amount: '101',
  },
  {
    pricing: { inputPer1kTokens: '0.0025', outputPer1kTokens: '0.01' },
    usage: { inputTokens: 1, outputTokens: 1 },
    amount: '13',
  },
]

// --- files

const files = {
  'voucher.json': {
    domain: { chainId, verifyingContract: contract, domainSeparator },
    vouchers,
    closeAuthorizations,
    channelRequests,
    invalidSignatures,
    openings,
    sessionVouchers,
    invalidSessionSignatures,
    tokenDomain: { ...tokenDomain, domainSeparator: separatorOf(tokenDomain) },
    authorizations,
  },
  'hashes.json': { hashes },
  'pricing.json': { quotes, costs },
  'signatures.json': signatures,
}

for (const [name, content] of Object.entries(files)) {
  const path = new URL(name, import.meta.url)
  const json = `${JSON.stringify(content, null, 2)}\n`
  if (!process.argv.includes('--check')) writeFileSync(path, json)
  else if (!existsSync(path) || readFileSync(path, 'utf8') !== json) {
    console.error(`vectors/${name} is stale: run node vectors/generate.ts`)
    process.exitCode = 1
  }
}
