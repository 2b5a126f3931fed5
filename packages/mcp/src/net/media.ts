/** What bytes are, by how they begin: what a server says of them is only its word. */
export type Media = { kind: 'image' | 'audio'; mimeType: string }

/** One of the few kinds that clients show; `undefined` for all others. */
export function mediaOf(bytes: Uint8Array): Media | undefined {
  const begins = (signs: string, at = 0) =>
    Buffer.from(bytes.subarray(at, at + signs.length)).toString('latin1') === signs
  if (begins('\x89PNG')) return image('png')
  if (begins('\xff\xd8\xff')) return image('jpeg')
  if (begins('GIF87a') || begins('GIF89a')) return image('gif')
  if (begins('RIFF') && begins('WEBP', 8)) return image('webp')
  if (begins('RIFF') && begins('WAVE', 8)) return audio('wav')
  if (begins('OggS')) return audio('ogg')
  if (begins('ID3') || isFrame(bytes)) return audio('mpeg')
  return undefined
}

/** The first frame of an MP3 without a tag: MPEG 1, 2 or 2.5, layer III, of a bit rate and a sample rate that there are. */
function isFrame([sync = 0, version = 0, rates = 0]: Uint8Array): boolean {
  const isLayer3 = sync === 0xff && (version & 0xe6) === 0xe2 && (version & 0x18) !== 0x08
  return isLayer3 && (rates & 0xf0) !== 0xf0 && (rates & 0x0c) !== 0x0c
}

function image(name: string): Media {
  return { kind: 'image', mimeType: `image/${name}` }
}

function audio(name: string): Media {
  return { kind: 'audio', mimeType: `audio/${name}` }
}
