/** How one provider is paid, as code that runs when it is copied: strangers' names in it stay names. */
import { Deployment, Usdc } from '@drain/core'
import { isAddressEqual } from 'viem'
import type { ProviderRecord } from '../../Provider.ts'
import type { Settings } from '../../settings.ts'
import { scriptString, shellWord } from './code.ts'
import { amountOf, cheapestOf, comparedPrice } from './price.ts'

export type PaySettings = Pick<Settings, 'origin' | 'chains'>

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
export function mcpSettings(record: ProviderRecord, { origin, chains }: PaySettings): string {
  const { chainId, own } = chainOf(record, chains)
  const env = {
    DRAIN_DIRECTORY_URL: origin,
    ...(chainId !== 137 && { DRAIN_CHAIN_ID: String(chainId) }),
    ...(own && {
      DRAIN_CONTRACT_ADDRESS: own.contract,
      DRAIN_USDC_ADDRESS: own.token,
      DRAIN_RPC_URL: '<a node>',
    }),
  }
  const drain = { command: 'npx', args: ['-y', 'drain-mcp'], env }
  return JSON.stringify({ mcpServers: { drain } }, undefined, 2)
}

export function sdkCode(record: ProviderRecord, { chains }: PaySettings): string {
  const { protocol, apiUrl } = record
  const isMpp = protocol === 'mpp'
  const { chainId: chain, own } = chainOf(record, chains)
  return [
    `import { createDrainClient${isMpp ? ', Deployment' : ''} } from '@drain-protocol/sdk'`,
    ...(isMpp ? ["import { evmCharge } from '@drain/mpp/client'"] : []),
    "import type { Hex } from 'viem'",
    "import { privateKeyToAccount } from 'viem/accounts'",
    '',
    'const account = privateKeyToAccount(process.env.PRIVATE_KEY as Hex)',
    'const client = createDrainClient({',
    '  account,',
    `  chainId: ${chain},`,
    ...(own ? [`  contractAddress: '${own.contract}',`, '  rpcUrl: process.env.RPC_URL,'] : []),
    ...(isMpp
      ? [
          `  schemes: [evmCharge({ account, deployment: Deployment.find({ chainId: ${chain} }), maxAmount: '0.05' })],`,
        ]
      : []),
    '  limits: {',
    "    perRequest: '0.05',",
    `    perChannel: '${trialDeposit(record)}',`,
    `    providers: [${scriptString(originOf(apiUrl))}],`,
    '  },',
    '})',
    ...sdkRequest(record),
    'console.log(await response.text())',
    ...(isMpp ? [] : ['await client.closeAll() // what was not used comes back']),
  ].join('\n')
}

/** A chain whose contract core doesn't know has this directory's; what a provider names as one is never paid through. */
function chainOf({ chainId }: ProviderRecord, chains: PaySettings['chains']) {
  const id = chainId ?? 137
  const own = chains.find(({ deployment }) => deployment.chainId === id)?.deployment
  const isKnown = Deployment.deployments.some(
    (known) => known.chainId === id && (!own || isAddressEqual(known.contract, own.contract)),
  )
  return { chainId: id, own: isKnown ? undefined : own }
}

function sdkRequest(record: ProviderRecord): string[] {
  const { protocol, apiUrl, profile } = record
  const model = cheapestOf(record)?.id
  const isMpp = protocol === 'mpp'
  const url = scriptString(isMpp ? paidUrl(record) : `${apiUrl}/v1/chat/completions`)
  if (isMpp && profile.mppType !== 'llm') return [`const response = await client.fetch(${url})`]
  return [
    `const response = await client.fetch(${url}, {`,
    "  method: 'POST',",
    "  headers: { 'Content-Type': 'application/json' },",
    '  body: JSON.stringify({',
    ...(model === undefined ? [] : [`    model: ${scriptString(model)},`]),
    `    messages: [{ role: 'user', content: ${scriptString(example)} }],`,
    '  }),',
    '})',
  ]
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
