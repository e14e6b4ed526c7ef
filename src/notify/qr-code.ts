import { toBuffer, toString } from 'qrcode'

/** Pixels of one module: a code of 45 modules is then about as wide as a phone's screen shows it. */
const SCALE = 6
/** Modules of white around it, as ISO/IEC 18004 asks for. */
const MARGIN = 4

/** A QR code as a PNG, black on white in any theme. Medium correction: about 15 % of it may be hidden. */
export function qrCodePng(text: string): Promise<Buffer> {
  return toBuffer(text, { type: 'png', errorCorrectionLevel: 'M', scale: SCALE, margin: MARGIN })
}

/** The same in half blocks, for a terminal. */
export function terminalQrCode(text: string): Promise<string> {
  return toString(text, { type: 'utf8', errorCorrectionLevel: 'L' })
}
