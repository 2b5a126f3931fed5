/** How many damaged rows of one listing are named. */
const mostNamed = 10

/**
 * Turns rows into what they stand for and leaves out those that can't be read: one damaged row must not hide the others.
 * What is left out is said to `log`, up to ten rows one by one and the others as a number. One of these for each listing.
 */
export function skipDamaged<row, item>(
  read: (row: row) => item,
  { name, log }: { name: (row: row) => string; log: (message: string) => void },
) {
  let damaged = 0
  return {
    read: (rows: readonly row[]): item[] =>
      rows.flatMap((row) => {
        try {
          return [read(row)]
        } catch (error) {
          damaged += 1
          if (damaged <= mostNamed)
            log(`DAMAGED: ${name(row)} cannot be read and is left out: ${reasonOf(error)}`)
          return []
        }
      }),
    /** After the last row. */
    end(): void {
      if (damaged > mostNamed)
        log(`DAMAGED: ${damaged - mostNamed} more rows cannot be read and are left out.`)
    },
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
}
