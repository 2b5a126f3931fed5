/** The type `bytea` in PostgreSQL's catalogue. */
const byteaOid = 17

/**
 * PostgreSQL's binary form of a one-dimensional `bytea[]` (`array_recv`). `pg` sends a Buffer as it is, where it would write
 * out an array as text of twice the length.
 */
export function byteaArray(items: readonly Uint8Array[]): Buffer {
  const isEmpty = items.length === 0
  const header = isEmpty ? [0, 0, byteaOid] : [1, 0, byteaOid, items.length, 1]
  const size = items.reduce((sum, { length }) => sum + 4 + length, header.length * 4)
  const buffer = Buffer.allocUnsafe(size)
  let end = 0
  for (const word of header) end = buffer.writeInt32BE(word, end)
  for (const item of items) {
    end = buffer.writeInt32BE(item.length, end)
    buffer.set(item, end)
    end += item.length
  }
  return buffer
}
