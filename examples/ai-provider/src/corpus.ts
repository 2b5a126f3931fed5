/** What the local generator has read. Every word of it is one token of o200k, which its test checks. */
export const corpus = `
A payment channel is a promise between two people. The first one puts some money into a contract and the second one does
the work. For every request the first one signs a small note, and each note says how much is paid so far. Nobody has to
wait for a block. The second one keeps the best note and shows it to the chain when the day is over.

The price of a word is small. A chain is slow and a note is fast, so the notes do the work and the chain keeps the peace.
When the work is done, the contract pays for the words that were sent and returns the rest. That is all there is to it.

A good machine reads the question, thinks about the answer and counts the words. A good market tells the price before the
work begins. The machine can pay for the answer and the market can pay for the machine. Every day they open a new channel
and close the old one.

Some people like long answers and some people like short answers. A short answer is often the best one, but a long answer
can tell the story of the sea, the city and the road. The road goes from the city to the sea. The sea is deep and the
night is clear. In the morning the light comes back and the people of the city open the market again.

The rules are simple. Read the price, sign the note, send the request and keep the change. If the answer is late, ask
again. If the answer is wrong, ask another machine. There is always another machine on the road to the sea.
`
