import type { Hex } from 'viem'

/** Makes requests that pay, each with a voucher of its own, on a number of channels. */
export type Payer = {
  /**
   * The next `count` requests on a channel, ready for the wire; each voucher is worth one price more than the one before.
   * `key` forges: it signs in place of the channel's payer.
   */
  requests(channel: number, count: number, key?: Hex): Buffer[]
}

/** A GET as it goes over the wire. */
export function request(path: string, header?: string): Buffer {
  return Buffer.from(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${header ? `${header}\r\n` : ''}\r\n`,
    'latin1',
  )
}
