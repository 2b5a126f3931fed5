/** All providers of this folder, and a static directory that lists them. */
import { type Directory, startDirectory } from './directory.ts'
import type { Listed } from './listing.ts'
import { startProviders } from './startProviders.ts'

export type RunningKit = {
  /** As the directory was told of them. */
  providers: Listed[]
  directory: Directory
  close(): Promise<void>
}

/** Starts the providers behind `port`, and the directory on it. 0 takes free ones. */
export async function startAll({
  port,
  ...options
}: Parameters<typeof startProviders>[0]): Promise<RunningKit> {
  const { providers, close } = await startProviders({ ...options, port: port && port + 1 })
  try {
    const directory = await startDirectory({ providers, port })
    return {
      ...{ providers, directory },
      async close() {
        await Promise.all([directory.close(), close()])
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}
