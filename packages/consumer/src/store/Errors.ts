import { DrainError } from '@drain/core'

/**
 * The store could not take a step: full, failing, closed or replaced under its user. It is most likely, but not certain, that
 * nothing was written.
 */
export class StoreUnavailableError extends DrainError {
  override readonly name = 'StoreUnavailableError'
  constructor(problem: string, options: { action?: string; cause?: unknown } = {}) {
    super('store_unavailable', `The client's store is out of reach: ${problem}.`, {
      action: options.action ?? 'Nothing is paid until it is back; check the disk.',
      details: options.cause instanceof Error ? options.cause.message : undefined,
      cause: options.cause,
    })
  }
}

/** The store's file, or database, can't be used. It was left as it is, and no other was put in its place. */
export class StoreFileError extends DrainError {
  override readonly name = 'StoreFileError'
  readonly path: string
  constructor(path: string, problem: string, options: { action: string; cause?: unknown }) {
    super('store_file', `The client's store ${path} ${problem}. It was left as it is.`, {
      ...options,
      details: options.cause instanceof Error ? options.cause.message : undefined,
    })
    this.path = path
  }
}

/** Another process, or another store in this one, has the file. */
export class StoreInUseError extends DrainError {
  override readonly name = 'StoreInUseError'
  readonly path: string
  /** The process that has it. */
  readonly pid: number
  constructor(path: string, holder: { pid: number; host: string; isHere: boolean; lock: string }) {
    const where = holder.isHere ? '' : ` on ${holder.host}`
    const remedy = holder.isHere ? '' : ` If that process has ended, remove ${holder.lock}.`
    super('store_in_use', `The client's store ${path} is in use by process ${holder.pid}${where}.`, {
      action: `A fileStore is for one process at a time: use sqliteStore to share one, or name another file.${remedy}`,
    })
    this.path = path
    this.pid = holder.pid
  }
}

/** A sealed text that can't be opened here. */
export class SealError extends DrainError {
  override readonly name = 'SealError'
  constructor(problem: string, cause?: unknown) {
    super('seal', `The session key can't be read: ${problem}.`, {
      action: 'Its channel can be closed with the wallet that opened it.',
      cause,
    })
  }
}
