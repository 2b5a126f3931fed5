/** What is wrong with the command line: told together with the usage. */
export class UsageError extends Error {}
