/** What every page needs to know of the directory that it is in. */
export type Site = {
  /** Where the public reaches it, without a slash at the end. */
  origin: string
  /** The address of a file of the assets, with its version; `undefined` where there is none of that name. */
  asset(name: string): string | undefined
}
