import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type MppService = { url: string; close(): Promise<void> }

/** A service that asks for a payment to somebody, whatever it is asked. Close it. */
export async function startMppService(recipient?: string): Promise<MppService> {
  const request = { amount: '1000', currency: 'usdc', recipient, methodDetails: { chainId: 137 } }
  const encoded = Buffer.from(JSON.stringify(request)).toString('base64url')
  const server = createServer(({ headers }, response) => {
    const challenge = `Payment id="1", realm="${headers.host}", method="evm", intent="charge", request="${encoded}"`
    response.writeHead(402, { 'WWW-Authenticate': challenge }).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
