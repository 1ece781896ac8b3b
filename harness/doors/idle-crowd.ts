/**
 * Ten thousand clients that say who they are and then nothing, but that they live. In a process of its own, so that its memory and its time
 * are not the test's. Prints how many stand, every time that changes; ends with its standard input.
 *
 *     node idle-crowd.ts ADDRESS COUNT
 */
import { encodeClientFrame, packForNode } from "../../src/protocol/codec.ts"
import { protoMax, protoMin } from "../../src/protocol/limits.ts"
import { RawStream, rawFrame } from "../contract/raw-stream.ts"

const [address = "", count = "0"] = process.argv.slice(2)
const hello = rawFrame(
  encodeClientFrame([packForNode({ kind: "client-hello", clientId: "00000000000000aa", protoMin, protoMax })]),
)
const atOnce = 100
const crowd: RawStream[] = []
let told = -1

setInterval(() => {
  const standing = crowd.filter(({ isEnded }) => !isEnded).length
  if (standing !== told) process.stdout.write(`${standing}\n`)
  told = standing
}, 200)
process.stdin.on("data", () => {})
process.stdin.on("end", () => process.exit(0))

for (let made = 0; made < Number(count); made += atOnce) {
  const streams = await Promise.allSettled(Array.from({ length: atOnce }, () => RawStream.upgraded(address, "/client")))
  for (const result of streams) {
    if (result.status === "rejected") continue
    result.value.answerPings()
    result.value.write(hello)
    crowd.push(result.value)
  }
}
