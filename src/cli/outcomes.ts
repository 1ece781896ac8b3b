/** What is said, and what the exit status is, when an operation has no result. The codes are the client's closed union. */
import { unreachable } from "../base/assert.ts"
import type { Failed } from "../client/call.ts"
import { maxKeyBytes, maxValueBytes } from "../protocol/limits.ts"
import { formatSize } from "../base/size.ts"
import { type ExitCode, exitCodes } from "./exit-codes.ts"
import { CommandFailure } from "./failure.ts"

/** `nodes`: whom the command was told to ask, for the message. */
export function commandFailure(failed: Failed, nodes: readonly string[]): CommandFailure {
  // Whatever went wrong, the first thing to know is that the write may stand.
  if (failed.mayHaveHappened === "unknown") {
    return new CommandFailure(
      exitCodes.unknown,
      `no answer (${failed.code}): it may have taken effect or not; look at the key before doing it again`,
    )
  }
  const [exitCode, message] = meaningOf(failed.code, nodes)
  return new CommandFailure(exitCode, message)
}

function meaningOf(code: Failed["code"], nodes: readonly string[]): readonly [ExitCode, string] {
  switch (code) {
    case "unreachable":
      return [exitCodes.unreachable, nobodyAnswers(nodes)]
    case "timeout":
      return [
        exitCodes.unreachable,
        "no answer in time; ask dcache status how the cluster is, or allow more with --timeout",
      ]
    case "joining":
      return [exitCodes.unreachable, `${nodes.join(", ")}: not a member of a cluster yet; try again when it has joined`]
    case "stopped":
      return [
        exitCodes.unreachable,
        `${nodes.join(", ")}: the whole cluster is stopped; it serves again when all of its nodes have been started again`,
      ]
    case "wrong-cluster":
      return [exitCodes.unreachable, `${nodes.join(", ")}: these nodes belong to different clusters; name nodes of one`]
    case "busy":
    case "too-many-calls":
      return [exitCodes.refused, "refused, busy: the cluster has more to do than it can hold; try again in a moment"]
    case "full":
      return [
        exitCodes.refused,
        "refused, full: the memory for this key's shard is used up; delete keys, add a node, or give nodes more with --memory",
      ]
    case "minority":
      return [
        exitCodes.refused,
        "refused, minority: the nodes that answer are cut off from most of the cluster; dcache status shows whom they miss",
      ]
    case "orphan":
      return [exitCodes.refused, "refused: every node that held this key is gone; try again when one has returned"]
    case "forked":
      return [exitCodes.refused, "refused: this node disagrees with the others about the cluster; restart it"]
    case "key-too-long":
      return [exitCodes.refused, keyTooLong]
    case "value-too-large":
      return [exitCodes.refused, valueTooLarge]
    case "keys-apart":
    case "group-too-large":
    case "bad-request":
      return [exitCodes.refused, "refused: the node does not understand this request; is it of another version?"]
    case "duplicate":
      return [exitCodes.unknown, "the operation was sent twice and what it did is no longer known; look at the key"]
    case "cancelled":
      return [exitCodes.interrupted, "cancelled"]
    case "closed":
      return [exitCodes.internal, "the client was closed before the answer came"]
    default:
      return unreachable(code)
  }
}

export const keyTooLong = `refused: the key is longer than ${maxKeyBytes} bytes, the most that a key may have`
export const valueTooLarge = `refused: the value is larger than ${formatSize(maxValueBytes)}, the most that a value may have; split it`

export function nobodyAnswers(nodes: readonly string[]): string {
  return `nobody answers at ${nodes.join(", ")}; start a node there with dcache node, or name another with --node`
}
