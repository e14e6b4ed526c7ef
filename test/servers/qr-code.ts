import { createRequire } from 'node:module'
import type jsQR from 'jsqr'
import { PNG } from 'pngjs'

/** The module is CommonJS, and its types say otherwise. */
const decode = createRequire(import.meta.url)('jsqr') as typeof jsQR.default

/** What the QR code of a PNG image says. Fails where there is none that can be read. */
export function decodeQrCode(png: Uint8Array): string {
  const image = PNG.sync.read(Buffer.from(png))
  const found = decode(new Uint8ClampedArray(image.data), image.width, image.height)
  if (found === null) throw new Error(`no QR code in an image of ${image.width}x${image.height}`)
  return found.data
}
