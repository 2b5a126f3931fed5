/** A market, a wallet and a session for all tests of a file that imports this, and what they open beside. */
import { afterAll, beforeAll } from 'vitest'
import { type AgentWallet, type Market, type Session, startMarket } from './market.ts'
import { listen, type Seller, sell } from './sellers.ts'

export let market: Market
export let wallet: AgentWallet
export let session: Session
const opened: Seller[] = []
beforeAll(async () => {
  market = await startMarket()
  wallet = await market.wallet()
  session = await market.connect(wallet.env)
})
afterAll(async () => {
  await market?.close()
  await Promise.all(opened.map((seller) => seller.close()))
})

type Rest<parameters> = parameters extends [unknown, ...infer rest] ? rest : never

/** A provider with a real paywall on this market's chain. */
export async function selling(...parameters: Rest<Parameters<typeof sell>>): Promise<Seller> {
  const seller = await sell(market, ...parameters)
  opened.push(seller)
  return seller
}

/** A server of any kind. */
export async function listening(...parameters: Parameters<typeof listen>): Promise<Seller> {
  const server = await listen(...parameters)
  opened.push(server)
  return server
}

export const messages = [{ role: 'user', content: 'Hello' }]
export const json = { 'Content-Type': 'application/json' }
export const completion = (content: string) => JSON.stringify({ choices: [{ message: { content } }] })
