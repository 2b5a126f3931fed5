/** Refusals that both ways to get something have in common. */
import { Problem } from '../problem.ts'

export const off = (what: string) =>
  new Problem(404, 'off', `${what} is off here.`, {
    action: 'Get the chain’s coin and USDC elsewhere: an exchange, or a bridge.',
  })

export const empty = () =>
  new Problem(503, 'empty', 'The wallet that gives has too little itself at the moment.', {
    action: 'Ask again later, or tell the operator.',
    headers: { 'Retry-After': '3600' },
  })

export const cannotReceive = (address: string) =>
  new Problem(422, 'cannot_receive', `${address} can’t receive this: the chain refuses the transfer.`, {
    action: 'Use another wallet.',
  })

/** What a node that isn't reached becomes; other refusals stay what they are. */
export function chainUnavailable(error: unknown): never {
  if (error instanceof Problem) throw error
  throw new Problem(503, 'chain_unavailable', 'The chain is out of reach at the moment.', {
    action: 'Ask again in a minute.',
    headers: { 'Retry-After': '60' },
  })
}
