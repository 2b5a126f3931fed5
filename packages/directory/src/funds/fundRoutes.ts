/** The routes by which newcomers get something. */
import { Usdc } from '@drain/core'
import { formatEther, parseEther } from 'viem'
import { z } from 'zod'
import { defineRoute, type Route } from '../http/Route.ts'
import { notFound } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { addressSchema } from '../register/registrationSchema.ts'
import type { Funds, Given } from './createFunds.ts'

const tag = 'Funds'
const problem = { description: 'Why not, and what to do (RFC 9457).' }

const coin = z.string().regex(/^(?:0|[1-9]\d{0,5})(?:\.\d{1,18})?$/, 'a decimal amount of the chain’s coin')
const usdc = z.string().regex(/^(?:0|[1-9]\d{0,5})(?:\.\d{1,6})?$/, 'a decimal amount of USDC')

const body = z.strictObject({ address: addressSchema.describe('Of the wallet that gets it.') })

const granted = z.object({
  ...{ id: z.string(), address: z.string(), chainId: z.number() },
  gas: z.string().describe('Of the chain’s coin.'),
  usdc: z.string(),
  state: z
    .enum(['promised', 'signed', 'sent', 'done', 'failed'])
    .describe('What is promised is given, also if it could not be sent at once.'),
  reason: z.string().optional().describe('Why it failed.'),
  transactions: z.array(z.object({ part: z.enum(['gas', 'usdc']), hash: z.string(), state: z.string() })),
})

const answers = {
  200: { description: 'What is given, and in which transactions.', schema: granted },
  404: problem,
  409: problem,
  422: problem,
  503: problem,
}

export function fundRoutes({ now }: Pick<Rooms, 'now'>, funds: Funds): Route[] {
  return [
    defineRoute({
      ...{ method: 'post', path: '/api/gas-station', tag, body, answers, cost: 20 },
      summary: 'A little gas for a wallet that has USDC and none',
      description: 'Once a day for a wallet and for a network, as long as the day’s budget lasts.',
      async handle({ body: { address }, caller }) {
        return toAnswer(await funds.askForGas({ address, network: caller.network }))
      },
    }),
    defineRoute({
      ...{ method: 'post', path: '/api/join/{code}', tag, body, answers, cost: 30 },
      params: z.strictObject({ code: z.string().min(1).max(64) }),
      summary: 'Use an invite',
      description: 'A code is good once; for the same wallet the answer is the same again.',
      async handle({ params: { code }, body: { address } }) {
        return toAnswer(await funds.join({ code, address }))
      },
    }),
    defineRoute({
      ...{ method: 'get', path: '/api/grants/{id}', tag },
      params: z.strictObject({ id: z.uuid() }),
      summary: 'How far a grant has come',
      answers: { 200: answers[200], 404: problem },
      async handle({ params: { id } }) {
        const given = await funds.get(id)
        if (!given) throw notFound('such grant')
        return toAnswer(given)
      },
    }),
    defineRoute({
      ...{ method: 'post', path: '/api/invites', tag, access: 'operator' },
      summary: 'Make invites; their codes are told once',
      body: z
        .strictObject({
          count: z.int().min(1).max(100),
          gas: coin.describe('Of the chain’s coin, for each.'),
          usdc: usdc.describe('For each.'),
          expiresInDays: z.int().min(1).max(365),
        })
        .refine(({ gas, usdc }) => Number(gas) > 0 || Number(usdc) > 0, 'an invite of nothing'),
      answers: {
        201: {
          description: 'The codes.',
          schema: z.object({ codes: z.array(z.string()), expiresAt: z.string() }),
        },
        401: problem,
        404: problem,
        409: problem,
      },
      async handle({ body: { count, gas, usdc, expiresInDays } }) {
        const expiresAt = now() + expiresInDays * 86_400_000
        const codes = await funds.makeInvites({
          count,
          gas: parseEther(gas),
          usdc: Usdc.parse(usdc),
          expiresAt,
        })
        return Response.json({ codes, expiresAt: new Date(expiresAt).toISOString() }, { status: 201 })
      },
    }),
  ]
}

function toAnswer({ grant, transactions, chainId }: Given) {
  const { id, address, gas, usdc, state, reason } = grant
  return {
    ...{ id, address, chainId, gas: formatEther(gas), usdc: Usdc.format(usdc), state },
    ...(reason && { reason }),
    transactions: transactions.map(({ part, hash, state }) => ({ part, hash, state })),
  }
}
