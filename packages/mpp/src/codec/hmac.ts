/** HMAC-SHA-256 under a key, as base64url. Only servers need it. */
import * as Hash from 'ox/Hash'
import { encodeBytes } from './base64url.ts'

type NodeCrypto = typeof import('node:crypto')

/** A function that signs texts under `secret`. */
export function createHmac(secret: string): (text: string) => string {
  const key = encoder.encode(secret)
  const node = globalThis.process?.getBuiltinModule?.('node:crypto') as NodeCrypto | undefined
  if (node) {
    const made = node.createSecretKey(key)
    return (text) => node.createHmac('sha256', made).update(text).digest('base64url')
  }
  return (text) => encodeBytes(Hash.hmac256(key, encoder.encode(text), { as: 'Bytes' }))
}

/** Whether two texts are equal, in a time that doesn't tell where they differ. */
export function isEqual(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let index = 0; index < a.length; index += 1) difference |= a.charCodeAt(index) ^ b.charCodeAt(index)
  return difference === 0
}

const encoder = new TextEncoder()
