/** What a page is, before its frame is put around it. */
import type { html } from 'hono/html'

/** Text that is escaped already. */
export type Html = ReturnType<typeof html>

export type Page = {
  title: string
  /** Its address here, from the first slash on. */
  path: string
  /** One sentence, for search engines and agents. */
  description?: string | undefined
  /** What stands within `<main>`. */
  body: Html
  /** Names of scripts in the assets, without `.js`: `copy`. The page must make sense without them. */
  scripts?: readonly string[] | undefined
  /** Where the same is to be had as JSON. */
  alternate?: string | undefined
  /** 200 by default. */
  status?: number | undefined
  /** Whether search engines shall list it; so by default. */
  indexed?: boolean | undefined
  /** For one person only: it is kept nowhere. */
  isPrivate?: boolean | undefined
  /** What its scripts may ask beside this directory: sources of a Content-Security-Policy. */
  connect?: readonly string[] | undefined
  /** Whether its scripts run WebAssembly. */
  wasm?: boolean | undefined
}
