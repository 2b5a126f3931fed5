import fc from 'fast-check'
import {
  Challenge as MppxChallenge,
  Credential as MppxCredential,
  Receipt as MppxReceipt,
  PaymentRequest,
} from 'mppx'
import { describe, expect, test } from 'vitest'
import { decodeText, encodeBytes, encodeText } from './base64url.ts'
import { canonicalJson } from './canonicalJson.ts'
import {
  boundText,
  type Challenge,
  challengeSeries,
  decodeRequest,
  encodeRequest,
  parseChallenges,
  serializeChallenge,
} from './challenge.ts'
import { maxCredentialLength, parseCredential, readCredential, serializeCredential } from './credential.ts'
import { createHmac, isEqual } from './hmac.ts'
import { parseReceipt, serializeReceipt } from './receipt.ts'

const secret = 'a secret of tests, at least 32 bytes'
const sign = createHmac(secret)

/** Without half surrogates, which have no UTF-8, and the sign for them. */
const text = fc.string({ unit: 'grapheme' }).filter((value) => !/[\r\n\ufffd]/.test(value))
/** mppx signs a member of this name, and leaves it out of what it writes. */
const memberName = text.filter((value) => value !== '__proto__')
const word = fc.stringMatching(/^[a-z][a-z0-9:_-]{0,12}$/)
const dated = fc.date({ min: new Date(0), max: new Date('9999-01-01'), noInvalidDate: true })
const json = fc.dictionary(
  memberName,
  fc.oneof(text, fc.boolean(), fc.integer(), fc.array(text), fc.dictionary(memberName, text)),
)

const challenges = fc.record(
  {
    realm: text.filter(Boolean),
    method: word,
    intent: word,
    request: json,
    description: text.filter(Boolean),
    expires: dated.map((date) => date.toISOString()),
    header: fc.constantFrom('Payment-Authorization', 'X-Other'),
    opaque: fc.dictionary(memberName, text).map((meta) => PaymentRequest.serialize(meta)),
  },
  { requiredKeys: ['realm', 'method', 'intent', 'request'] },
)

function ours(fields: Parameters<typeof MppxChallenge.from>[0]): Challenge {
  const { secretKey: _, meta: __, request, ...rest } = fields as Record<string, unknown> & typeof fields
  const wire = { ...rest, request: encodeRequest(request as Record<string, unknown>) } as Challenge
  return { ...wire, id: sign(boundText(wire)) }
}

describe('base64url', () => {
  test('reads what it writes, and nothing else', () => {
    fc.assert(fc.property(text, (value) => decodeText(encodeText(value)) === value))
    for (const bad of ['YQ==', 'YR', 'Y', 'Y Q', 'Y+8', '_w', 'YQ\n']) expect(decodeText(bad)).toBeUndefined()
  })

  test('does the same where there is no Buffer', () => {
    fc.assert(
      fc.property(text, (value) => {
        const node = globalThis.Buffer
        const encoded = encodeText(value)
        try {
          Reflect.deleteProperty(globalThis, 'Buffer')
          return encodeText(value) === encoded && decodeText(encoded) === value
        } finally {
          globalThis.Buffer = node
        }
      }),
    )
    expect(encodeBytes(new Uint8Array([255]))).toBe('_w')
  })
})

test('canonical JSON and requests are mppx’s', () => {
  fc.assert(
    fc.property(json, (request) => {
      expect(encodeRequest(request)).toBe(PaymentRequest.serialize(request))
      expect(decodeRequest(encodeRequest(request))).toEqual(JSON.parse(canonicalJson(request)))
    }),
  )
  expect(canonicalJson({ 9: 1, 10: 2, a: { c: 1, b: undefined } })).toBe('{"10":2,"9":1,"a":{"c":1}}')
})

describe('challenges', () => {
  test('are mppx’s to the byte, ids among it', () => {
    fc.assert(
      fc.property(challenges, (fields) => {
        const theirs = MppxChallenge.from({ ...fields, secretKey: secret } as never)
        const made = ours(fields as never)
        expect(made.id).toBe(theirs.id)
        expect(serializeChallenge(made)).toBe(MppxChallenge.serialize(theirs))
        expect(parseChallenges(MppxChallenge.serialize(theirs))).toEqual([made])
      }),
    )
  })

  test('made in a series are those made one by one', () => {
    fc.assert(
      fc.property(challenges, text, (fields, opaque) => {
        const [expires, ends] = ['2026-11-22T00:00:00.000Z', encodeText(opaque)]
        const one = ours({ ...fields, expires, opaque: ends } as never)
        const { id: _, expires: __, opaque: ___, ...same } = one
        expect(challengeSeries(same, sign)(expires, ends)).toBe(serializeChallenge(one))
      }),
    )
  })

  test('are read from one header beside each other and other schemes', () => {
    const [a, b] = ['a', 'b'].map((intent) =>
      ours({ realm: 'r"\\,', method: 'm', intent, request: {}, id: '' }),
    )
    if (!a || !b) throw new Error()
    const both = `Basic realm="x, Payment id=", ${serializeChallenge(a)}, Negotiate abc==, ${serializeChallenge(b)}, Bearer realm="y"`
    expect(parseChallenges(both)).toEqual([a, b])
    expect(MppxChallenge.deserializeList(`${serializeChallenge(a)}, ${serializeChallenge(b)}`)).toHaveLength(
      2,
    )
    expect(parseChallenges(null)).toEqual([])
    expect(parseChallenges('')).toEqual([])
  })

  test('that can’t be read are left out, the others not', () => {
    const good = ours({ realm: 'r', method: 'm', intent: 'i', request: {}, id: '' })
    const text = serializeChallenge(good)
    for (const bad of [
      'Payment id="1"',
      text.replace('method="m"', 'method="M"'),
      text.replace('realm="r"', 'realm="r", realm="s"'),
      text.replace(/request="[^"]*"/, `request="${'A'.repeat(17_000)}"`),
      `${text}, expires="soon"`,
    ]) {
      expect(parseChallenges(bad)).toEqual([])
      expect(parseChallenges(`${bad}, ${text}`)).toEqual([good])
    }
    expect(parseChallenges(text.slice(0, -1))).toEqual([])
    expect(parseChallenges(`${text}, Payment id="`)).toEqual([good])
    expect(parseChallenges(`${'x'.repeat(70_000)} ${text}`)).toEqual([])
    expect(() => serializeChallenge({ ...good, realm: 'a\nb' })).toThrow(TypeError)
  })

  test('are told apart in constant time', () => {
    expect(isEqual('abc', 'abc')).toBe(true)
    expect(isEqual('abc', 'abd')).toBe(false)
    expect(isEqual('abc', 'ab')).toBe(false)
  })
})

describe('credentials', () => {
  const payload = fc.dictionary(memberName, text)
  const source = fc.option(text.filter(Boolean), { nil: undefined })

  test('are mppx’s, both ways', () => {
    fc.assert(
      fc.property(challenges, payload, source, (fields, payload, source) => {
        const theirs = MppxChallenge.from({ ...fields, secretKey: secret } as never)
        const credential = { challenge: ours(fields as never), payload, source }
        const ofTheirs = MppxCredential.serialize({ challenge: theirs, payload, ...(source && { source }) })
        const read = readCredential({ headers: new Headers({ Authorization: ofTheirs }) })
        if (ofTheirs.length <= maxCredentialLength) expect(read).toEqual({ ok: true, credential })
        const back = MppxCredential.deserialize<typeof payload>(serializeCredential(credential))
        expect(back.challenge.id).toBe(theirs.id)
        expect(MppxChallenge.verify(back.challenge, { secretKey: secret })).toBe(true)
        expect(back.payload).toEqual(payload)
      }),
    )
  })

  const challenge = ours({ realm: 'r', method: 'm', intent: 'i', request: {}, id: '' })
  const good = serializeCredential({ challenge, payload: { a: '1' } })
  const read = (headers: Record<string, string>) => readCredential({ headers: new Headers(headers) })

  test('come alone, in either header, beside other schemes', () => {
    expect(read({})).toBeUndefined()
    expect(read({ Authorization: 'Bearer x' })).toBeUndefined()
    expect(read({ Authorization: 'Bearer Payment' })).toBeUndefined()
    expect(read({ Authorization: good })?.ok).toBe(true)
    expect(read({ Authorization: `Bearer x, ${good}` })?.ok).toBe(true)
    expect(read({ Authorization: 'Bearer x', 'Payment-Authorization': good })?.ok).toBe(true)
    for (const headers of [
      { Authorization: `${good}, ${good}` },
      { Authorization: good, 'Payment-Authorization': good },
      { Authorization: `${good}, payment` },
    ]) {
      expect(read(headers)).toMatchObject({ ok: false, problem: 'multiple' })
    }
  })

  test('are read strictly', () => {
    const fields = { challenge, payload: { a: '1' } }
    const malformed = [
      'dGhpcyBpcyBnYXJiYWdl',
      '',
      encodeText('[]'),
      encodeText('null'),
      encodeText(JSON.stringify({ ...fields, extra: 1 })),
      encodeText(JSON.stringify({ ...fields, payload: [] })),
      encodeText(JSON.stringify({ ...fields, source: 1 })),
      encodeText(JSON.stringify({ ...fields, challenge: { ...challenge, extra: 'x' } })),
      encodeText(JSON.stringify({ ...fields, challenge: { ...challenge, opaque: { a: 'b' } } })),
      encodeText(JSON.stringify({ ...fields, challenge: { ...challenge, request: undefined } })),
      encodeText(JSON.stringify(fields).replace('"a":"1"', '"a":"1","a":"2"')),
      encodeText(JSON.stringify(fields).replace('"a":"1"', '"a":"1", "\\u0061":"2"')),
      encodeText(JSON.stringify({ ...fields, payload: { a: 'x'.repeat(maxCredentialLength) } })),
      `${encodeText(JSON.stringify(fields))}=`,
    ]
    for (const value of malformed) {
      expect(parseCredential(value), value).toMatchObject({ ok: false, problem: 'malformed' })
    }
    expect(parseCredential(encodeText(JSON.stringify(fields, null, 2))).ok).toBe(true)
  })

  test('are read the same when their challenge was read before', () => {
    const write = (text: string) => parseCredential(encodeText(text))
    const start = JSON.stringify({ challenge }).slice(0, -1)
    for (let round = 0; round < 2; round += 1) {
      expect(write(`${start},"payload":{"a":"1"}}`)).toEqual({
        ok: true,
        credential: { challenge, payload: { a: '1' } },
      })
      const { ok } = write(`${start},"payload":{"a":"1"},"source":"did:x"}`)
      expect(ok).toBe(true)
      for (const rest of [
        '"payload":{"a":"1"}',
        '"payload":{"a":"1"},"payload":{}}',
        `"payload":{"a":"1"},"challenge":${JSON.stringify(challenge)}}`,
        '"payload":{"a":"1"},"more":1}',
        '"payload":{"a":"1","a":"2"}}',
        '"payload":{"a":"1"}}}',
        '"payload":[]}',
      ]) {
        expect(write(`${start},${rest}`).ok, rest).toBe(false)
      }
    }
  })

  test('never make a reader throw', () => {
    fc.assert(fc.property(fc.string(), (value) => typeof parseCredential(value).ok === 'boolean'))
    fc.assert(fc.property(fc.json(), (value) => typeof parseCredential(encodeText(value)).ok === 'boolean'))
    const nested = encodeText(`${'['.repeat(5_000)}`)
    expect(parseCredential(nested).ok).toBe(false)
    const deep = `{"challenge":{},"payload":{"a": ${'['.repeat(2_500)}${']'.repeat(2_500)}}}`
    expect(parseCredential(encodeText(deep)).ok).toBe(false)
  })
})

test('receipts are mppx’s, both ways', () => {
  const receipts = fc.record({
    method: word,
    reference: text,
    timestamp: dated.map((date) => date.toISOString()),
  })
  fc.assert(
    fc.property(receipts, (fields) => {
      const receipt = { ...fields, status: 'success' as const, spent: '12' }
      const written = serializeReceipt(receipt)
      expect(written).toBe(MppxReceipt.serialize(receipt))
      expect(MppxReceipt.deserialize(written)).toEqual(receipt)
      expect(parseReceipt(written)).toEqual(receipt)
    }),
  )
  for (const bad of [null, '', 'x', encodeText('null'), encodeText('{"status":"success"}')]) {
    expect(parseReceipt(bad)).toBeUndefined()
  }
})

test('HMACs are the same without node:crypto', () => {
  const builtins = process.getBuiltinModule
  try {
    Object.assign(process, { getBuiltinModule: undefined })
    expect(createHmac(secret)('text')).toBe(sign('text'))
  } finally {
    Object.assign(process, { getBuiltinModule: builtins })
  }
})
