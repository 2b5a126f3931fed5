/** How one provider is paid, as code that runs when it is copied: strangers' names in it stay names. */
import { Usdc } from '@drain/core'
import type { ProviderRecord } from '../../Provider.ts'
import { scriptString, shellWord } from './code.ts'
import { amountOf, cheapestOf, comparedPrice } from './price.ts'

const example = 'Say hello in one sentence.'

/** USDC that is enough to try a provider: about fifty requests, within what drain-mcp allows by itself. */
export function trialDeposit(record: ProviderRecord): string {
  const cheapest = cheapestOf(record)
  const price = cheapest && comparedPrice(cheapest)
  if (price === undefined) return '0.10'
  const [least, most] = [amountOf('0.10') ?? 0n, amountOf('1') ?? 0n]
  const wanted = price * 50n
  const deposit = wanted < least ? least : wanted > most ? most : wanted
  // Up to whole cents.
  const cent = 10n ** 16n
  return Usdc.format(((deposit + cent - 1n) / cent) * 10_000n)
}

/** What an agent that has drain-mcp's tools is told. */
export function mcpSteps(record: ProviderRecord): string {
  const { id, protocol, profile } = record
  const model = cheapestOf(record)?.id
  if (protocol === 'mpp') {
    const url = paidUrl(record)
    return [
      `drain_provider_info {"provider": ${scriptString(id)}}`,
      profile.mppType === 'rest'
        ? `mpp_request {"url": ${scriptString(url)}}`
        : `mpp_chat {"provider": ${scriptString(id)}, "messages": [{"role": "user", "content": ${scriptString(example)}}]}`,
      `drain_feedback {"providerId": ${scriptString(id)}, "outcome": "success", "protocol": "mpp"}`,
    ].join('\n')
  }
  return [
    `drain_provider_info {"provider": ${scriptString(id)}}`,
    `drain_open_channel {"provider": ${scriptString(id)}, "amount": "${trialDeposit(record)}"}`,
    `drain_chat {"channelId": "<from the step before>", "model": ${scriptString(model ?? '')}, "messages": [{"role": "user", "content": ${scriptString(example)}}]}`,
    'drain_cooperative_close {"channelId": "<the same>"}',
    `drain_feedback {"providerId": ${scriptString(id)}, "outcome": "success"}`,
  ].join('\n')
}

/** The settings of an MCP client. */
export function mcpSettings(origin: string): string {
  const drain = { command: 'npx', args: ['-y', 'drain-mcp'], env: { DRAIN_DIRECTORY_URL: origin } }
  return JSON.stringify({ mcpServers: { drain } }, undefined, 2)
}

export function sdkCode(record: ProviderRecord): string {
  const { protocol, chainId, apiUrl } = record
  const model = cheapestOf(record)?.id
  const isMpp = protocol === 'mpp'
  const url = isMpp ? paidUrl(record) : `${apiUrl}/v1/chat/completions`
  const call =
    model === undefined && isMpp
      ? [`const response = await client.fetch(${scriptString(url)})`]
      : [
          `const response = await client.fetch(${scriptString(url)}, {`,
          "  method: 'POST',",
          "  headers: { 'Content-Type': 'application/json' },",
          '  body: JSON.stringify({',
          ...(model === undefined ? [] : [`    model: ${scriptString(model)},`]),
          `    messages: [{ role: 'user', content: ${scriptString(example)} }],`,
          '  }),',
          '})',
        ]
  return [
    "import { createDrainClient } from '@drain-protocol/sdk'",
    ...(isMpp ? ["import { evmCharge } from '@drain/mpp/client'"] : []),
    "import { privateKeyToAccount } from 'viem/accounts'",
    '',
    'const client = createDrainClient({',
    '  account: privateKeyToAccount(process.env.PRIVATE_KEY),',
    `  chainId: ${chainId ?? 137},`,
    ...(isMpp ? ['  schemes: [evmCharge()],'] : []),
    `  limits: { perRequest: '0.05', perChannel: '${trialDeposit(record)}', providers: [${scriptString(originOf(apiUrl))}] },`,
    '})',
    ...call,
    'console.log(await response.json())',
    ...(isMpp ? [] : ['await client.closeAll() // what was not used comes back']),
  ].join('\n')
}

export function curlCode(record: ProviderRecord): string {
  const { apiUrl, protocol } = record
  const model = cheapestOf(record)?.id
  if (protocol === 'mpp') {
    return [
      '# The price and how it is paid stand in the 402’s WWW-Authenticate: Payment',
      `curl -i ${shellWord(paidUrl(record))}`,
      '',
      '# Pays and fetches, within your limits',
      `npx drain fetch ${shellWord(paidUrl(record))}`,
    ].join('\n')
  }
  const body = JSON.stringify({ model: model ?? '', messages: [{ role: 'user', content: example }] })
  return [
    '# What it costs, and how it is used',
    `curl ${shellWord(`${apiUrl}/v1/pricing`)}`,
    `curl ${shellWord(`${apiUrl}/v1/docs`)}`,
    '',
    '# A request with a voucher of an open channel; without one it answers 402 and the price',
    `curl ${shellWord(`${apiUrl}/v1/chat/completions`)} \\`,
    "  -H 'Content-Type: application/json' \\",
    `  -H "X-DRAIN-Voucher: $VOUCHER" \\`,
    `  -d ${shellWord(body)}`,
    '',
    '# Opens a channel, signs and pays by itself',
    `npx drain chat ${shellWord(apiUrl)} ${shellWord(example)}`,
  ].join('\n')
}

/** What is paid by the request: a path of the API, or a whole URL. */
function paidUrl({ apiUrl, profile: { mppEndpoint } }: ProviderRecord): string {
  if (!mppEndpoint) return apiUrl
  if (/^https?:\/\//.test(mppEndpoint)) return mppEndpoint
  return `${apiUrl}/${mppEndpoint.replace(/^\/+/, '')}`
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url
}
