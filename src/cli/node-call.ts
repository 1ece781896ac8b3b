/**
 * One question to one node, over a connection of its own. The client proper asks whichever node leads a key and needs a
 * cluster for it; here it matters who answers, and a node that waits for its cluster must be able to answer as well.
 */
import { decodeForClient, encodeClientFrame, packForNode } from "../protocol/codec.ts"
import { clientPath, protoMax, protoMin } from "../protocol/limits.ts"
import type { Address, ClientToNode, NodeToClient } from "../protocol/message.ts"

export type CallEnd<R> =
  | { readonly kind: "answered"; readonly answer: R }
  /** It was not asked: nobody is there, or nobody who speaks this protocol. */
  | { readonly kind: "unreachable" }
  /** It was asked, and what came of it is not known. */
  | { readonly kind: "silent" }

export type Question<R> = {
  readonly message: ClientToNode
  /** Undefined: this is something else that the node says. */
  readonly answerIn: (message: NodeToClient) => R | undefined
}

/** Never rejects. */
export function askNode<R>(address: Address, question: Question<R>, timeoutMs: number): Promise<CallEnd<R>> {
  return new Promise(resolve => {
    if (!URL.canParse(`ws://${address}/`)) return resolve({ kind: "unreachable" })
    let end: CallEnd<R> = { kind: "unreachable" }
    const socket = new WebSocket(`ws://${address}${clientPath}`)
    socket.binaryType = "arraybuffer"
    const settle = () => {
      clearTimeout(timer)
      socket.close()
      resolve(end)
    }
    const timer = setTimeout(settle, timeoutMs)
    socket.addEventListener("open", () => {
      const clientId = randomId()
      const messages: ClientToNode[] = [{ kind: "client-hello", clientId, protoMin, protoMax }, question.message]
      // Lives on a buffer of its own: the socket takes no views onto shared memory.
      socket.send(Uint8Array.from(encodeClientFrame(messages.map(packForNode))))
      end = { kind: "silent" }
    })
    socket.addEventListener("message", ({ data }) => {
      const decoded = data instanceof ArrayBuffer ? decodeForClient(new Uint8Array(data)) : undefined
      if (decoded?.kind !== "messages") return settle()
      for (const message of decoded.messages) {
        const answer = question.answerIn(message)
        if (answer === undefined) continue
        end = { kind: "answered", answer }
        return settle()
      }
    })
    socket.addEventListener("error", settle)
    socket.addEventListener("close", settle)
  })
}

function randomId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString("hex")
}
