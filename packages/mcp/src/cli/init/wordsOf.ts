/** What `init` says to people about wallets. */
import { readMcpSettings } from '../../settings.ts'
import type { Wallet } from './wallet.ts'

type Env = Record<string, string | undefined>

const chains: Record<number, { name: string; coin: string }> = {
  137: { name: 'Polygon', coin: 'POL' },
  80002: { name: 'Polygon Amoy, a test network', coin: 'POL' },
}

/** Whom to send money, and which. @param env What the server will have. */
export function fundingText(address: string, env: Env): string {
  const { chainId, token } = readMcpSettings(env).deployment
  const { name, coin } = chains[chainId] ?? { name: `chain ${chainId}`, coin: 'of the chain’s own coin' }
  return `Address to fund: ${address}
  Send it USDC on ${name} (the token ${token}), as much as an agent may spend,
  and a little ${coin} for transaction fees. What you send on another chain does not arrive.`
}

/** What lies where, and whom the encryption stops. */
export function walletText({ keystore, passwordFile, address, isNew }: Wallet): string {
  const owner = address ?? 'its address is known once it can be opened'
  if (!passwordFile) {
    return `Wallet: ${keystore} (${owner})
  An MCP client can't type its password. Write it into a file that only you can read, set DRAIN_KEYSTORE_PASSWORD_FILE
  to that file, and run this again. Until then the server can look around, but not pay.`
  }
  return `${isNew ? 'New wallet' : 'Wallet that was there already'}: ${owner}
  key       ${keystore} (encrypted)
  password  ${passwordFile}
  The password stands beside the key because an MCP client can't type one. That protects a copy of the key's file alone,
  as in a backup. It does not protect from programs that run as you: they can read both files, and spend what is there.
  Keep little in this wallet, and a copy of both files in a safe place: without them its money is lost.`
}

export function plannedWalletText({ keystore, passwordFile }: Wallet): string {
  return `A new wallet would be made: its key in ${keystore}, its password in ${passwordFile}.`
}

/** Where a key would come from. @param found What the entry has already. @param where The entry. */
export function keylessText(env: Env, found: Env, command: string, where: string): string {
  if (found.DRAIN_KEYSTORE || found.DRAIN_PRIVATE_KEY) return `The wallet stays the one that ${where} names.`
  const remedy = `Make a wallet in an encrypted file: ${command} --key new
  Or put a key of your own into the "env" of ${where}: DRAIN_KEYSTORE with DRAIN_KEYSTORE_PASSWORD_FILE,
  or, readable for every program that runs as you, DRAIN_PRIVATE_KEY.`
  if (env.DRAIN_PRIVATE_KEY)
    return `DRAIN_PRIVATE_KEY is set here, and was not copied: a plain key is not written into files.\n  ${remedy}`
  return `There is no key yet: the server can look around, but not pay.\n  ${remedy}`
}
