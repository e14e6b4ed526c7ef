import { createRequire } from 'node:module'
import type jsQR from 'jsqr'
import { PNG } from 'pngjs'
import PostalMime from 'postal-mime'

/** The module is CommonJS, and its types say otherwise. */
const decode = createRequire(import.meta.url)('jsqr') as typeof jsQR.default

/** What the QR code of a PNG image says. Fails where there is none that can be read. */
export function decodeQrCode(png: Uint8Array): string {
  const image = PNG.sync.read(Buffer.from(png))
  const found = decode(new Uint8ClampedArray(image.data), image.width, image.height)
  if (found === null) throw new Error(`no QR code in an image of ${image.width}x${image.height}`)
  return found.data
}

/** The image that a mail shows by its content id, and what its QR code says. */
export async function qrCodeOfMail(raw: string): Promise<{ readonly contentId: string; readonly says: string }> {
  const { attachments } = await PostalMime.parse(raw)
  const image = attachments.find(({ mimeType, disposition }) => mimeType === 'image/png' && disposition === 'inline')
  if (image === undefined || typeof image.content === 'string')
    throw new Error('the mail holds no PNG image of its own')
  return { contentId: image.contentId ?? '', says: decodeQrCode(new Uint8Array(image.content)) }
}
