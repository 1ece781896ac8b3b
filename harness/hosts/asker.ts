/**
 * Asks one node by the bare protocol, each request once, and notes how it answered: a client would ask again, elsewhere, and
 * hide what is to be seen here. Runs on a host; prints a line for each answer:
 *
 *     {"key":"k","op":"get","call_ns":1,"return_ns":2,"reply":"value","detail":""}
 *
 *     node asker.ts ADDRESS KEY...        until its standard input ends; then what is unanswered has `reply` null
 */
import { decodeForClient, encodeClientFrame, packForNode } from "../../src/protocol/codec.ts"
import { clientPath, protoMax, protoMin } from "../../src/protocol/limits.ts"
import type { ClientToNode, Operation } from "../../src/protocol/message.ts"

const [address = "", ...keys] = process.argv.slice(2)
const everyMs = 150
const clientId = Array.from(crypto.getRandomValues(new Uint8Array(8)), byte => byte.toString(16).padStart(2, "0")).join(
  "",
)
type Asked = { readonly key: string; readonly op: string; readonly callNs: number }
const open = new Map<number, Asked>()
let n = 0

const socket = new WebSocket(`ws://${address}${clientPath}`)
socket.binaryType = "arraybuffer"
socket.addEventListener("open", () => {
  send({ kind: "client-hello", clientId, protoMin, protoMax })
  setInterval(ask, everyMs)
})
socket.addEventListener("message", ({ data }) => {
  const decoded = decodeForClient(new Uint8Array(data as ArrayBuffer)) // as was asked for above
  if (decoded.kind === "malformed") throw new Error(decoded.reason)
  for (const message of decoded.messages) {
    if (message.kind !== "reply") continue
    const asked = open.get(message.n)
    open.delete(message.n)
    if (asked === undefined) continue
    const detail = "reason" in message.reply ? message.reply.reason : ""
    tell(asked, message.reply.kind, detail)
  }
})
socket.addEventListener("close", () => process.exit(1))
process.stdin.on("data", () => {})
process.stdin.on("end", () => {
  for (const asked of open.values()) tell(asked, null, "")
  process.exit(0)
})

/** One read and one write of each key. */
function ask(): void {
  for (const key of keys)
    for (const operation of operations(key)) {
      n += 1
      open.set(n, { key, op: operation.op, callNs: nowNs() })
      send({
        kind: "request",
        attempt: 1,
        request: {
          ...{ clientId, n, firstEpoch: 1, operation, deadlineMs: 10_000 },
          ackedBelow: Math.min(n, ...open.keys()),
          key: new TextEncoder().encode(key),
        },
      })
    }
}

function operations(key: string): Operation[] {
  const value = new TextEncoder().encode(`asked ${key} ${n}`)
  return [{ op: "get" }, { op: "set", value, flags: 0, ttlMs: null, condition: null }]
}

function tell({ key, op, callNs }: Asked, reply: string | null, detail: string): void {
  const line = { key, op, call_ns: callNs, return_ns: reply === null ? null : nowNs(), reply, detail }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function send(message: ClientToNode): void {
  socket.send(Uint8Array.from(encodeClientFrame([packForNode(message)])))
}

/** The machine's monotonic clock, which all of its processes share. */
function nowNs(): number {
  return Number(process.hrtime.bigint())
}
