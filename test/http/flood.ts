import { connect, type Socket } from 'node:net'

/**
 * Somebody without the secret: `node flood.ts PORT`. Keeps 500 connections on which a request never ends, opened again
 * 100 ms after they were closed, and sends 1,000 requests with wrong secrets a second, a connection each. Prints `ready`
 * once all of that is under way; when its stdin ends, what it did as one JSON object.
 */
const HALF_OPEN = 500
const REOPEN_MS = 100
const TICK_MS = 10
const WRONG_PER_SECOND = 1000

const port = Number(process.argv[2])
const sockets = new Set<Socket>()
const done = { halfOpened: 0, wrongSent: 0, wrongAnswered: 0 }
let isEnding = false
let isReady = false
const beganMs = performance.now()

function open(bytes: string, onClose: (text: string) => void): void {
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
  sockets.add(socket)
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  socket.on('error', () => undefined)
  socket.on('close', () => {
    sockets.delete(socket)
    if (!isEnding) onClose(text)
  })
}

function openHalf(): void {
  done.halfOpened++
  open('POST /hooks/privacyidea/', () => setTimeout(openHalf, REOPEN_MS))
}

function sendWrong(): void {
  done.wrongSent++
  const path = `/hooks/privacyidea/wrong${done.wrongSent}/lock`
  open(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nserial=A`, (text) => {
    if (/^HTTP\/1\.1 (?:404|429) /.test(text)) done.wrongAnswered++
  })
}

for (let each = 0; each < HALF_OPEN; each++) openHalf()
const timer = setInterval(() => {
  const due = ((performance.now() - beganMs) / 1000) * WRONG_PER_SECOND
  while (done.wrongSent < due) sendWrong()
  if (!isReady && done.wrongSent > WRONG_PER_SECOND) console.log('ready')
  isReady = done.wrongSent > WRONG_PER_SECOND
}, TICK_MS)
process.stdin.resume()
process.stdin.once('end', () => {
  isEnding = true
  clearInterval(timer)
  for (const socket of sockets) socket.destroy()
  console.log(JSON.stringify({ ...done, seconds: (performance.now() - beganMs) / 1000 }))
})
