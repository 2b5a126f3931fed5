import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { aProvider } from '../../test/aProvider.ts'
import { aSkill } from '../../test/aSkill.ts'
import { createAuthor, startSkills } from '../../test/skillRooms.ts'
import { noHealth } from '../Provider.ts'
import type { SkillDefinition } from './SkillDefinition.ts'

let server: Awaited<ReturnType<typeof startSkills>>
let author: ReturnType<typeof createAuthor>
beforeEach(async () => {
  server = await startSkills()
  server.list()
  author = createAuthor()
})
afterEach(() => server?.close())

async function create(definition: SkillDefinition = aSkill(), who = author) {
  const body = { definition, author: who.address }
  return server.ask(
    'POST',
    '/api/skills',
    await who.sign('skill.save', definition.title, server.later(), body),
  )
}

const act = async (what: 'publish' | 'withdraw', id: string, who = author) =>
  server.ask('POST', `/api/skills/${id}/${what}`, await who.sign(`skill.${what}`, id, server.later()))

describe('a skill as it stands', () => {
  const [step] = aSkill().steps as [SkillDefinition['steps'][0]]
  const get = async (definition: SkillDefinition, query = '') => {
    const { body } = await create(definition)
    await act('publish', body.id)
    return server.ask('GET', `/api/skills/${body.id}${query}`)
  }

  test('costs what its providers list, by the token and by the request', async () => {
    const models = [
      { id: 'small', name: '', inputPer1kTokens: '0.001', outputPer1kTokens: '0.002' },
      { id: 'tool', name: '', inputPer1kTokens: '0.06', outputPer1kTokens: '0' },
      { id: 'secret', name: '', inputPer1kTokens: null, outputPer1kTokens: null },
    ]
    server.list({ offer: { ...aProvider().offer, models } })
    const steps = [
      step,
      { ...step, id: 'tool', model: 'tool', estimatedUnits: '0.05' },
      { ...step, id: 'once', model: 'tool' },
    ]
    const { body } = await get(aSkill({ steps }))
    expect(body.cost).toMatchObject({
      ...{ currency: 'USDC', total: '0.0642' },
      steps: [
        { step: 'ask', model: 'small', usdc: '0.0012' },
        { step: 'tool', model: 'tool', usdc: '0.003', note: '0.05 × the listed price' },
        { step: 'once', usdc: '0.06' },
      ],
    })
    const unknown = await get(
      aSkill({ title: 'Unknown', steps: [step, { ...step, id: 'b', model: 'secret' }] }),
    )
    expect(unknown.body.cost).toMatchObject({ total: null, note: expect.stringContaining('0.0012 USDC') })
    expect(unknown.body.cost.steps[1]).toMatchObject({
      usdc: null,
      note: expect.stringContaining('lists no price'),
    })
    const gone = await get(aSkill({ title: 'Gone', steps: [{ ...step, model: 'nine' }] }))
    expect(gone.body).toMatchObject({
      cost: { total: null },
      warnings: [expect.stringContaining('does not list the model nine')],
    })
  })

  test('warns of providers that are degraded, offline, or not there any more', async () => {
    server.list({ id: 'two', health: { ...aProvider().health, status: 'degraded' } })
    server.list({ id: 'three' })
    const steps = ['one', 'two', 'three'].map((provider) => ({ ...step, id: provider, provider }))
    const definition = aSkill({ steps, output: { description: 'x', from: 'steps.one.output' } })
    const { body } = await get(definition)
    expect(body.warnings).toEqual([expect.stringContaining('two does not answer as it should')])
    server.list({ id: 'two', health: { ...aProvider().health, status: 'offline' } })
    server.list({ id: 'three', state: 'suspended' })
    server.list({ health: { ...noHealth, lastChecked: 1 } })
    const later = await server.ask('GET', '/api/skills/ask-one')
    expect(later.body.warnings).toEqual([
      expect.stringContaining('one was not asked yet'),
      expect.stringContaining('two is offline'),
      expect.stringContaining('three is not listed'),
    ])
    expect(later.body.providers).toMatchObject([
      { id: 'one', name: 'One', status: 'unknown' },
      { id: 'two', status: 'offline' },
      { id: 'three', name: null, status: 'not listed' },
    ])
    expect(later.body.cost).toMatchObject({ total: null })
  })

  test('is executed with the tools of drain-mcp, in their order', async () => {
    server.list({
      ...{ id: 'mpp', protocol: 'mpp', apiUrl: 'https://mpp.example' },
      profile: { ...aProvider().profile, mppEndpoint: '/v1/search', mppType: 'rest' },
    })
    const request = { body: { query: '{{steps.ask.output}}' } }
    const { model: _model, ...bare } = step
    const steps = [
      step,
      { ...step, id: 'again' },
      { ...bare, id: 'find', provider: 'mpp', protocol: 'mpp' as const, request },
    ]
    const { body } = await get(aSkill({ steps }))
    expect(body.execution).toMatchObject({
      protocol: 'mixed',
      tools_needed: ['drain_open_channel', 'drain_chat', 'mpp_request', 'drain_cooperative_close'],
    })
    expect(body.execution.calls).toEqual([
      {
        tool: 'drain_open_channel',
        arguments: { provider: 'one', amount: '0.1' },
        keep: { field: 'channelId', as: 'channels.one' },
      },
      ...['ask', 'again'].map((id) => ({
        tool: 'drain_chat',
        arguments: {
          channelId: '{{channels.one}}',
          model: 'small',
          messages: step.request.messages,
          maxTokens: 100,
        },
        keep: { field: 'text', as: `steps.${id}.output` },
      })),
      {
        tool: 'mpp_request',
        arguments: { url: 'https://mpp.example/v1/search', method: 'POST', ...request },
        keep: { field: 'text', as: 'steps.find.output' },
      },
      { tool: 'drain_cooperative_close', arguments: { channelId: '{{channels.one}}' } },
    ])
    for (const [index, { tool, arguments: given }] of body.execution.calls.entries()) {
      expect(body.execution.instructions).toContain(`\n${index + 1}. ${tool} `)
      expect(body.execution.instructions).toContain(JSON.stringify(given))
    }
  })

  test('is paid one way where all of its providers offer that', async () => {
    await create()
    await act('publish', 'ask-one')
    const refused = await server.ask('GET', '/api/skills/ask-one?protocol=mpp')
    expect(refused).toMatchObject({ status: 409, body: { code: 'protocol_unavailable', steps: ['ask'] } })
    expect(refused.body.action).toContain('Leave the parameter protocol out')
    server.list({ profile: { ...aProvider().profile, mppEndpoint: 'https://one.example/mpp' } })
    const { body } = await server.ask('GET', '/api/skills/ask-one?protocol=mpp')
    expect(body.execution).toMatchObject({ protocol: 'mpp', tools_needed: ['mpp_chat'] })
    expect((await server.ask('GET', '/api/skills/ask-one?protocol=x402')).status).toBe(400)
  })
})
