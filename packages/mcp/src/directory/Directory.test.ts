import { beforeEach, describe, expect, test } from 'vitest'
import { createDirectory, type Filter } from './Directory.ts'

const url = new URL('https://market.example/api/mcp/providers')
const [good, evil] = [`0x${'11'.repeat(20)}`, `0x${'22'.repeat(20)}`] as const
const filter: Filter = { onlineOnly: true, limit: 20 }

const sound = {
  id: 'sound',
  apiUrl: 'https://sound.example',
  providerAddress: good,
  status: { online: true },
}
const hijack = {
  ...{ id: 'hijack', name: 'Better', apiUrl: 'https://sound.example', providerAddress: evil },
  ...{ mppEndpoint: 'https://evil.example/pay', docsUrl: 'https://evil.example/docs' },
  status: { online: true },
}

type Listing = Record<string, unknown>

/** What the directory lists, whole or by the model that is asked for. */
let all: Listing[]
let byModel: Record<string, Listing[]>
/** Everything that was asked, and by whom. */
let asked: string[]
let time: number
beforeEach(() => {
  all = [sound]
  byModel = {}
  asked = []
  time = 1_000_000
})

function open() {
  return createDirectory({
    url,
    now: () => time,
    async fetch(input, init) {
      const address = new URL(String(input))
      asked.push(`${init?.method ?? 'GET'} ${address.pathname}${address.search}`)
      const model = address.searchParams.get('model')
      return Response.json({ providers: model === null ? all : (byModel[model] ?? []) })
    },
    async outwardFetch(input) {
      asked.push(`outward ${input}`)
      return Response.json({
        provider: good,
        providerName: 'Itself',
        models: { 'm-1': {} },
        features: ['open'],
      })
    },
  })
}

describe('a provider named by its URL', () => {
  test('is what it says of itself, whoever else lists that URL', async () => {
    all = [hijack, sound]
    const directory = open()
    await directory.list(filter)
    const found = await directory.find('https://sound.example/v1/chat/completions')
    expect(found).toMatchObject({ id: 'https://sound.example', name: 'Itself', providerAddress: good })
    expect(found).not.toHaveProperty('mppEndpoint')
    expect(found).not.toHaveProperty('docsUrl')
    expect(asked).toContain('outward https://sound.example/v1/pricing')
  })

  test('may be an address that is no name', async () => {
    expect(await open().find('https://[2606:4700::1]:8443')).toMatchObject({
      id: 'https://[2606:4700::1]:8443',
      models: [{ id: 'm-1' }],
      features: ['open'],
    })
  })
})

describe('the name of a server in reports', () => {
  test('is its only listing’s', async () => {
    const directory = open()
    expect(directory.idOf('https://sound.example', undefined)).toBeUndefined()
    await directory.list(filter)
    expect(directory.idOf('https://sound.example', undefined)).toBe('sound')
    expect(directory.idOf('https://sound.example', good)).toBe('sound')
    expect(directory.idOf('https://sound.example', evil)).toBeUndefined()
    expect(directory.idOf('https://sound.example:8443', undefined)).toBeUndefined()
  })

  test('is none where several are listed, but for the address', async () => {
    all = [hijack, sound, { ...sound, id: 'below', apiUrl: 'https://sound.example/other' }]
    const directory = open()
    await directory.list(filter)
    expect(directory.idOf('https://sound.example', undefined)).toBeUndefined()
    expect(directory.idOf('https://sound.example', good)).toBe('sound')
    expect(directory.idOf('https://sound.example', evil)).toBe('hijack')
  })
})

describe('a provider named by its address', () => {
  test('is found', async () => {
    expect(await open().find(good.toUpperCase().replace('0X', '0x'))).toMatchObject({ id: 'sound' })
    await expect(open().find(evil)).rejects.toMatchObject({ code: 'provider_unknown' })
  })

  test('has to be the only one', async () => {
    all = [sound, { ...sound, id: 'second', apiUrl: 'https://second.example' }]
    await expect(open().find(good)).rejects.toMatchObject({
      code: 'provider_ambiguous',
      action: 'Name one by its id: sound, second.',
    })
  })

  test('also among those that only a filter has found', async () => {
    byModel = { gpt: [{ ...sound, id: 'far', models: [{ id: 'gpt' }] }] }
    const directory = open()
    await directory.list({ ...filter, model: 'gpt' })
    await expect(directory.find(good)).rejects.toMatchObject({ code: 'provider_ambiguous' })
  })
})

describe('a provider named by its id', () => {
  test('may have its endpoints elsewhere', async () => {
    all = [hijack]
    expect(await open().find('hijack')).toMatchObject({ mppEndpoint: 'https://evil.example/pay' })
  })

  test('is the first of that id in a list', async () => {
    all = [sound, { ...hijack, id: 'sound' }]
    expect(await open().find('sound')).toMatchObject({ providerAddress: good })
  })

  test('is read anew after a minute: changed, or gone', async () => {
    const directory = open()
    await directory.find('sound')
    await directory.find('sound')
    expect(asked).toHaveLength(1)
    all = [{ ...sound, providerAddress: evil }]
    time += 60_001
    expect(await directory.find('sound')).toMatchObject({ providerAddress: evil })
    all = []
    time += 60_001
    await expect(directory.find('sound')).rejects.toMatchObject({ code: 'provider_unknown' })
    expect(directory.idOf('https://sound.example', undefined)).toBeUndefined()
  })

  test('is found again by the filter that found it', async () => {
    byModel = { gpt: [{ ...sound, id: 'far', models: [{ id: 'gpt' }] }] }
    const directory = open()
    await directory.list({ ...filter, model: 'gpt' })
    time += 60_001
    expect(await directory.find('far')).toMatchObject({ id: 'far' })
    byModel = {}
    time += 60_001
    await expect(directory.find('far')).rejects.toMatchObject({ code: 'provider_unknown' })
  })
})

test('keeps few lists', async () => {
  const directory = open()
  const models = Array.from({ length: 12 }, (_, index) => `m-${index}`)
  byModel = Object.fromEntries(
    models.map((id, index) => [
      id,
      [{ ...sound, id, apiUrl: `https://p-${index}.example`, models: [{ id }] }],
    ]),
  )
  for (const model of models) await directory.list({ ...filter, model })
  const kept = models.filter((_, index) => directory.idOf(`https://p-${index}.example`, undefined))
  expect(kept).toEqual(models.slice(-8))
  // What was dropped is asked for again.
  expect(await directory.find('m-0')).toMatchObject({ id: 'm-0' })
})

test('takes reports by its own fetch, and follows no redirects with them', async () => {
  await open().send('/api/telemetry', { method: 'POST', body: '{}' })
  expect(asked).toEqual(['POST /api/telemetry'])
})
