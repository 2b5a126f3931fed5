/** The page: connect, open, chat, close. What was opened is still there when the page is loaded anew, or twice. */
import { type ClientChannel, createDrainClient, type DrainClient, indexedDbStore } from '@drain/consumer'
import { type Address, createWalletClient } from 'viem'
import { ask, type Message } from './chat.ts'
import { settings } from './settings.ts'
import { connect, connectedAccount, isDeclined, transportOf, type Wallet, watchWallets } from './wallets.ts'

const sections = ['connecting', 'opening', 'chatting', 'closed'] as const
const history: Message[] = []
let client: DrainClient | undefined

part('payee').textContent = settings.origin
part('deposit').textContent = `${settings.deposit} USDC`
show('connecting')
watchWallets((wallet) => {
  const button = document.createElement('button')
  button.textContent = `Connect ${wallet.name}`
  button.onclick = run('Asking the wallet …', async () =>
    begin(wallet, await connect(wallet, settings.chainId)),
  )
  part('wallets').append(button)
  // A page that was connected before goes on where it was.
  void run('', async () => {
    const account = await connectedAccount(wallet)
    if (account && !client) await begin(wallet, account)
  })()
})

async function begin(wallet: Wallet, account: Address): Promise<void> {
  const { chainId, rpcUrl, contract, usdc, deposit, origin } = settings
  client = createDrainClient({
    walletClient: createWalletClient({ account, transport: transportOf(wallet), pollingInterval: 1_000 }),
    ...{ chainId, rpcUrl, contractAddress: contract, usdcAddress: usdc },
    gasless: true,
    store: indexedDbStore(),
    limits: { perRequest: '0.05', perChannel: deposit, perDay: deposit, providers: [origin] },
  })
  client.on('paid', ({ cost }) => {
    part('log').querySelector('li:last-child small')?.replaceChildren(`${cost} USDC`)
    void refresh()
  })
  part('account').textContent = account
  await refresh()
}

/** Shows where things stand: other tabs pay from the same channel. */
async function refresh(): Promise<void> {
  const channel = await openChannel()
  show(channel ? 'chatting' : 'opening')
  if (!channel) return
  part('locked').textContent = `${channel.deposit} USDC`
  part('spent').textContent = `${channel.charged} USDC`
  part('left').textContent = `${channel.remaining} USDC`
}

async function openChannel(): Promise<ClientChannel | undefined> {
  const channels = await client?.channels()
  return channels?.find(({ origin, state }) => origin === settings.origin && state === 'open')
}

part('open').onclick = run(
  'Your wallet asks for one signature …',
  async () => {
    const { origin, deposit } = settings
    await client?.openChannel({ origin, amount: deposit, gasless: true })
    await refresh()
    part('question').focus()
  },
  'You declined in the wallet. Nothing was signed, and nothing is locked.',
)

part<HTMLFormElement>('ask').onsubmit = run('', async () => {
  const input = part<HTMLInputElement>('question')
  const content = input.value.trim()
  if (!client || content === '') return
  input.value = ''
  write('question', content)
  const answer = write('answer')
  const question: Message = { role: 'user', content }
  for await (const piece of ask(client.fetch, settings, [...history, question])) answer.textContent += piece
  history.push(question, { role: 'assistant', content: answer.textContent })
  await refresh()
})

part('close').onclick = run(
  'The provider settles on chain …',
  async () => {
    const channel = await openChannel()
    if (!client || !channel) return
    const { finalAmount, refund, txHash } = await client.close(channel.channelId)
    part('refund').textContent = `${refund} USDC`
    part('kept').textContent = `${finalAmount} USDC`
    part('transaction').textContent = txHash
    show('closed', 'opening')
    part('closed-title').focus()
  },
  'The provider leaves it to your wallet to close, and you declined. The channel stays open.',
)

document.addEventListener('visibilitychange', () => {
  if (client && !document.hidden && part('closed').hidden) refresh().catch((error) => complain(error))
})

/** Does something that somebody waits for: one thing at a time, and what goes wrong is said. */
function run(progress: string, task: () => Promise<void>, declined = 'You declined in the wallet.') {
  return async (event?: Event) => {
    event?.preventDefault()
    part('problem').hidden = true
    part('progress').textContent = progress
    const focused = document.activeElement
    const buttons = [...document.querySelectorAll('button')].filter(({ disabled }) => !disabled)
    for (const button of buttons) button.disabled = true
    try {
      await task()
    } catch (error) {
      complain(error, declined)
    } finally {
      part('progress').textContent = ''
      for (const button of buttons) button.disabled = false
      // A button that is disabled loses the focus.
      if (document.activeElement === document.body && focused instanceof HTMLElement) focused.focus()
    }
  }
}

function complain(error: unknown, declined?: string): void {
  const text = error instanceof Error ? error.message : String(error)
  part('problem').textContent = (isDeclined(error) && declined) || text
  part('problem').hidden = false
}

/** Adds a message; returns where its text goes. What it cost comes beneath. */
function write(kind: 'question' | 'answer', text = ''): HTMLElement {
  const item = document.createElement('li')
  item.className = kind
  const words = document.createElement('span')
  words.textContent = text
  item.append(words, ...(kind === 'answer' ? [document.createElement('small')] : []))
  part('log').append(item)
  return words
}

function show(...visible: (typeof sections)[number][]): void {
  for (const id of sections) part(id).hidden = !visible.includes(id)
}

function part<element extends HTMLElement = HTMLElement>(id: string): element {
  const found = document.getElementById(id)
  if (!found) throw new Error(`The page has no #${id}.`)
  return found as element
}
