/** Prints rows of two columns in a box. */
export function printTable(rows: readonly (readonly [name: string, value: string])[]): void {
  const [left, right] = [0, 1].map((column) =>
    Math.max(...rows.map((row) => (row[column] as string).length)),
  ) as [number, number]
  const line = (start: string, middle: string, end: string) =>
    console.log(`${start}${'─'.repeat(left + 2)}${middle}${'─'.repeat(right + 2)}${end}`)
  line('┌', '┬', '┐')
  for (const [name, value] of rows) console.log(`│ ${name.padEnd(left)} │ ${value.padEnd(right)} │`)
  line('└', '┴', '┘')
}
