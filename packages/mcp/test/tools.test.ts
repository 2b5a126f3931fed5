/** What the tools do beside the usual session: single payments, files, expiry, resources, the prompt. */
import { Feedback, Usdc } from '@drain/core'
import { recoverTypedDataAddress } from 'viem'
import { beforeAll, expect, test } from 'vitest'
import { market, selling, session, wallet } from './inMarket.ts'
import type { Seller } from './sellers.ts'

let files: Seller
beforeAll(async () => {
  files = await selling(market.chain.accounts[2], { price: '0.02', charges: true }, async (req, res) => {
    const chunks: Uint8Array[] = []
    for await (const chunk of req) chunks.push(chunk as Uint8Array)
    const body = Buffer.concat(chunks)
    if (req.url === '/image')
      res.writeHead(200, { 'Content-Type': 'image/png' }).end(Buffer.from('89504e47', 'hex'))
    else if (req.url === '/reverse')
      res.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(body.reverse())
    else if (req.url === '/v1/chat/completions') {
      const { messages } = JSON.parse(String(body))
      res.writeHead(200, { 'Content-Type': 'application/json' })
      res.end(JSON.stringify({ choices: [{ message: { content: messages[0].content.toUpperCase() } }] }))
    } else
      res
        .writeHead(200, { 'Content-Type': 'application/json' })
        .end(JSON.stringify({ method: req.method, got: String(body) }))
  })
})

test('mpp_request pays single requests, JSON and binary, without a channel', async () => {
  const before = await wallet.usdc()
  const got = await session.call('mpp_request', { url: `${files.url}/json`, body: { q: 1 } })
  expect(got.data).toMatchObject({ status: 200, cost: '0.02', text: '{"method":"POST","got":"{\\"q\\":1}"}' })
  expect(got.text).toMatch(/^<<<untrusted/)
  const bytes = Buffer.from([0, 1, 2, 255]).toString('base64')
  const back = await session.call('mpp_request', {
    url: `${files.url}/reverse`,
    method: 'PUT',
    bodyBase64: bytes,
  })
  expect(back.data).toMatchObject({ bytes: 4, base64: Buffer.from([255, 2, 1, 0]).toString('base64') })
  const image = await session.call('mpp_request', { url: `${files.url}/image` })
  expect(image.content).toContainEqual({ type: 'image', mimeType: 'image/png', data: 'iVBORw==' })
  expect(before - (await wallet.usdc())).toBe(Usdc.parse('0.06'))
  expect((await session.call('drain_channels')).data.channels).toEqual([])
})

test('mpp_request sends no body with a GET: it says so, and pays nothing', async () => {
  const before = await wallet.usdc()
  for (const body of [{ body: { q: 1 } }, { bodyBase64: 'AAAA' }]) {
    expect(
      await session.refusal('mpp_request', { url: `${files.url}/json`, method: 'GET', ...body }),
    ).toMatch(/A GET has no body[\s\S]*POST/)
  }
  expect(await wallet.usdc()).toBe(before)
})

test('mpp_chat pays by the request, and from a channel where there is one', async () => {
  const messages = [{ role: 'user', content: 'hello' }]
  const single = await session.call('mpp_chat', { provider: files.url, messages })
  expect(single.data).toMatchObject({ text: 'HELLO', cost: '0.02' })
  expect(single.data.channelId).toBeUndefined()
  const { data: channel } = await session.call('drain_open_channel', { provider: files.url, amount: '0.1' })
  const { channelId } = channel
  const paid = await session.call('mpp_chat', { provider: `${files.url}/v1/chat/completions`, messages })
  expect(paid.data).toMatchObject({ text: 'HELLO', cost: '0.02', channelId, remaining: '0.08' })
  const { data: closed } = await session.call('drain_cooperative_close', { channelId })
  expect(closed).toMatchObject({ paid: '0.02', refund: '0.08' })
})

test('a channel that is used up is not followed by another one unasked', async () => {
  const shop = await selling(market.chain.accounts[3], { price: '0.04' }, (_req, res) => res.end('{}'))
  const { data: channel } = await session.call('drain_open_channel', { provider: shop.url, amount: '0.1' })
  const { channelId } = channel
  const ask = { channelId, messages: [{ role: 'user', content: 'hello' }] }
  await session.call('drain_chat', ask)
  await session.call('drain_chat', ask)
  expect(await session.refusal('drain_chat', ask)).toMatch(/no_channel[\s\S]*drain_open_channel/)
  expect((await session.call('drain_balance')).data.locked).toBe('0.1')
  const { data: closed } = await session.call('drain_cooperative_close', { channelId })
  expect(closed).toMatchObject({ paid: '0.08', refund: '0.02' })
  await shop.close()
})

test('an expired channel: drain_chat sends to a new one, drain_close_channel brings the rest back', async () => {
  const terms = { minDuration: '5s', recommendedDuration: '6s', minDeposit: '0.01' }
  const brief = await selling(market.chain.accounts[3], { terms, settle: false }, (_req, res) =>
    res.end('{}'),
  )
  const { data } = await session.call('drain_open_channel', {
    provider: brief.url,
    amount: '0.05',
    duration: '6s',
  })
  const { channelId } = data
  await expect
    .poll(async () => (await session.call('drain_channel_status', { channelId })).data.state)
    .toBe('expired')
  const messages = [{ role: 'user', content: 'hello' }]
  expect(await session.refusal('drain_chat', { channelId, messages })).toMatch(
    /expired[\s\S]*drain_open_channel/,
  )
  await market.chain.testClient.mine({ blocks: 1 })
  const { data: closed } = await session.call('drain_close_channel', { channelId })
  expect(closed).toMatchObject({ paid: '0', refund: '0.05' })
  await brief.close()
})

test('drain_approve lets the contract take an exact amount', async () => {
  await session.call('drain_approve', { amount: '0.75' })
  expect((await session.call('drain_balance')).data.allowance).toBe('0.75')
  const { data } = await session.call('drain_open_channel', { provider: files.url, amount: '0.25' })
  expect((await session.call('drain_balance')).data).toMatchObject({ allowance: '0.5', locked: '0.25' })
  await session.call('drain_cooperative_close', { channelId: data.channelId })
})

test('drain_channels finds channels that another machine has opened', async () => {
  const { data } = await session.call('drain_open_channel', { provider: files.url, amount: '0.25' })
  const elsewhere = await market.connect({
    ...wallet.env,
    DRAIN_STATE_DIR: `${wallet.env.DRAIN_STATE_DIR}-new`,
  })
  expect((await elsewhere.call('drain_channels')).data.channels).toEqual([])
  const { data: found } = await elsewhere.call('drain_channels', { recover: true, origins: [files.url] })
  expect(found.channels).toMatchObject([{ channelId: data.channelId, origin: files.url, deposit: '0.25' }])
  await elsewhere.call('drain_cooperative_close', { channelId: data.channelId })
  // A node may be behind: only a closer look says that it is closed.
  const status = () => session.call('drain_channel_status', { channelId: data.channelId })
  expect((await status()).data).toMatchObject({ state: 'open', next: expect.stringMatching(/recover: true/) })
  await session.call('drain_channels', { recover: true })
  expect((await status()).data.state).toBe('closed')
})

test('feedback in the older form, signed by the wallet', async () => {
  const { data } = await session.call('drain_open_channel', { provider: 'reference', amount: '0.2' })
  const { channelId } = data
  await session.call('drain_chat', {
    channelId,
    messages: [{ role: 'user', content: 'Hello' }],
    maxTokens: 10,
  })
  await session.call('drain_feedback', { channelId, rating: 'broken', reason: 'quality' })
  const kept = await (await fetch(`${market.directory.url}/api/feedback`)).json()
  const report = kept.feedback.at(-1)
  expect(report).toMatchObject({ providerId: 'reference', outcome: 'failure', reason: 'quality', channelId })
  const unsigned = { ...report, protocol: 'drain' as const, issuedAt: BigInt(report.issuedAt) }
  const signer = await recoverTypedDataAddress({
    ...Feedback.typedData(unsigned, market.chain.deployment),
    signature: report.signature,
  })
  expect([signer, report.consumer]).toEqual([wallet.address, wallet.address])
  await session.call('drain_cooperative_close', { channelId })
})

test('resources and the prompt', async () => {
  const { resources } = await session.client.listResources()
  expect(resources.map(({ uri }) => uri)).toEqual(['drain://wallet', 'drain://providers', 'drain://channels'])
  const read = async (uri: string) => {
    const [content] = (await session.client.readResource({ uri })).contents
    return JSON.parse(content && 'text' in content ? content.text : '')
  }
  expect(await read('drain://wallet')).toMatchObject({
    address: wallet.address,
    limits: { perRequest: '0.05' },
  })
  expect(await read('drain://providers')).toMatchObject({
    providers: [{ id: 'reference' }],
    trust: 'untrusted',
  })
  expect((await read('drain://channels')).channels.length).toBeGreaterThan(0)
  const prompt = await session.client.getPrompt({
    name: 'drain_workflow',
    arguments: { task: 'Translate', budget: '0.10' },
  })
  const [message] = prompt.messages
  expect(JSON.stringify(message)).toMatch(
    /Task: Translate.*Spend at most 0.10 USDC.*drain_cooperative_close/s,
  )
})

test('every tool says what it takes and gives, and how careful to be with it', async () => {
  const { tools } = await session.client.listTools()
  expect(tools.map(({ name }) => name)).toEqual([
    ...['drain_providers', 'drain_provider_info', 'drain_balance', 'drain_approve', 'drain_open_channel'],
    ...['drain_channel_status', 'drain_channels', 'drain_chat', 'mpp_chat', 'mpp_request'],
    ...['drain_cooperative_close', 'drain_close_channel', 'drain_feedback'],
  ])
  for (const { inputSchema, outputSchema, annotations, description } of tools) {
    expect(inputSchema.type).toBe('object')
    expect(outputSchema?.type).toBe('object')
    expect(description?.length).toBeGreaterThan(40)
    expect(annotations).toHaveProperty('readOnlyHint')
    expect(annotations).toHaveProperty('destructiveHint')
  }
  const request = tools.find(({ name }) => name === 'mpp_request')
  expect(request?.annotations).toMatchObject({ readOnlyHint: false, destructiveHint: true })
})
