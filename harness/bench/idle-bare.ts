/**
 * The least that an idle member could cost: a process that sends and answers frames like beats, of their size and in
 * their rhythm, over the same libraries, and does nothing else. Started by `idle.ts`; ends with its standard input.
 */
import { Encoder } from "cbor-x"
import { WebSocket, WebSocketServer } from "ws"

const [index = 0, voterCount = 0, beatMs = 0, ...ports] = process.argv.slice(2).map(Number)
const cbor = new Encoder({ useRecords: false, tagUint8Array: false })
const header = [1, "0123456789abcdef", 1, "0123456789abcdef", "fedcba9876543210"]
const beatKind = 1
const answerKind = 2
let sent = 0

/** Connections to voters, by their place in `ports`. A pair of processes has one, dialed by the later of the two. */
const voters = new Map<number, WebSocket>()

function receive(socket: WebSocket, data: Buffer): void {
  const [, messages] = cbor.decode(data) as [unknown, number[][]] // written by the other copy of this file
  for (const [kind, n = 0, epoch = 0] of messages) if (kind === beatKind) send(socket, [answerKind, n, epoch])
}

function send(socket: WebSocket, message: number[]): void {
  if (socket.readyState === WebSocket.OPEN) socket.send(cbor.encode([header, [message]]))
}

function beat(): void {
  sent++
  for (const socket of voters.values()) send(socket, [beatKind, sent, 100, 1_234_567_890, sent - 1])
  setTimeout(beat, beatMs * (0.9 + 0.2 * Math.random()))
}

const server = new WebSocketServer({ host: "127.0.0.1", port: ports[index] ?? 0, perMessageDeflate: false })
server.on("connection", (socket, request) => {
  const from = Number(request.url?.slice(1))
  if (from < voterCount) voters.set(from, socket)
  socket.on("message", (data: Buffer) => receive(socket, data))
})

function dial(to: number): void {
  const socket = new WebSocket(`ws://127.0.0.1:${ports[to]}/${index}`, { perMessageDeflate: false })
  socket.on("open", () => voters.set(to, socket))
  socket.on("message", (data: Buffer) => receive(socket, data))
  // The other process is not there yet.
  socket.on("error", () => setTimeout(() => dial(to), 200))
}

for (let to = 0; to < Math.min(index, voterCount); to++) dial(to)
beat()
process.stdin.on("end", () => process.exit(0)).resume()
