/** Payloads of `drain/session`, read without a schema: a voucher comes with every paid request. */
import { Channel, ChannelRequest, GaslessOpen, InvalidFormatError, Voucher } from '@drain/core'
import type { Hex } from 'viem'

export type ReadPayload =
  | { action: 'voucher'; voucher: Voucher.Voucher }
  | { action: 'open'; voucher: Voucher.Voucher; opening?: GaslessOpen.GaslessOpen }
  | { action: 'close'; channelId: Hex; deadline: bigint; signature: Hex }

type Fields = Readonly<Record<string, unknown>>

/**
 * A payload, strictly: the members of its action, and no others.
 * @throws {InvalidFormatError}
 */
export function readPayload(payload: Fields): ReadPayload {
  switch (payload.action) {
    case 'voucher':
      assertMembers(payload, voucherNames)
      return { action: 'voucher', voucher: voucherOf(payload) }
    case 'open':
      return openOf(payload)
    case 'close': {
      assertMembers(payload, closeNames)
      const channelId = Channel.parseId(payload.channelId)
      return { action: 'close', channelId, ...ChannelRequest.fromJson(payload) }
    }
    default:
      throw fail('action must be voucher, open or close; a channel can’t be topped up, open another one')
  }
}

function openOf(payload: Fields): ReadPayload {
  if (payload.type === 'hash') {
    assertMembers(payload, 'hash' in payload ? hashNames : hashNames.slice(0, -1))
    if ('hash' in payload && !isHex(payload.hash, 66)) throw fail('hash is not 32 bytes of hex')
    return { action: 'open', voucher: voucherOf(payload) }
  }
  if (payload.type !== 'authorization') throw fail('type must be hash or authorization')
  assertMembers(payload, authorizationNames)
  return { action: 'open', voucher: voucherOf(payload), opening: GaslessOpen.fromJson(payload.authorization) }
}

const voucherNames = ['action', 'channelId', 'cumulativeAmount', 'nonce', 'signature']
const closeNames = ['action', 'channelId', 'deadline', 'signature']
const hashNames = [...voucherNames, 'type', 'hash']
const authorizationNames = [...voucherNames, 'type', 'authorization']

function assertMembers(payload: Fields, names: readonly string[]): void {
  const given = Object.keys(payload)
  if (given.length !== names.length || given.some((name) => !names.includes(name))) {
    throw fail(`it must have exactly ${names.join(', ')}`)
  }
}

function voucherOf({ channelId, cumulativeAmount, nonce, signature }: Fields): Voucher.Voucher {
  if (!isHex(channelId, 66)) throw fail('channelId is not 32 bytes of hex')
  if (!isHex(signature) || signature.length % 2 !== 0) throw fail('signature is not hex')
  return {
    channelId: channelId.toLowerCase() as Hex,
    amount: decimal(cumulativeAmount, 'cumulativeAmount', maxAmount),
    nonce: decimal(nonce, 'nonce', Voucher.maxNonce),
    signature: signature.toLowerCase() as Hex,
  }
}

const maxAmount = 2n ** 256n - 1n

function isHex(value: unknown, length?: number): value is string {
  return typeof value === 'string' && (length === undefined || value.length === length) && hex.test(value)
}

const hex = /^0x[0-9a-fA-F]+$/

function decimal(value: unknown, name: string, most: bigint): bigint {
  if (typeof value !== 'string' || !/^(?:0|[1-9][0-9]{0,77})$/.test(value)) {
    throw fail(`${name} is not a decimal string`)
  }
  const number = BigInt(value)
  if (number > most) throw fail(`${name} is too large`)
  return number
}

function fail(problem: string): InvalidFormatError {
  return new InvalidFormatError('credential payload', problem)
}
