/**
 * What a node begins with: the snapshot of a planned stop, which makes it the member again that wrote it, or nothing. Says
 * in words why what is there is of no use to it.
 */
import { unpackView } from "../core/membership/view.ts"
import { protoMax, protoMin } from "../protocol/limits.ts"
import type { Address, View } from "../protocol/message.ts"
import { DataDirectory, problemOf, type SnapshotFound } from "./data-directory.ts"
import { realFiles } from "./file-system.ts"
import { makeDirectory } from "./make-directory.ts"
import type { ProcessTable } from "./process-table.ts"
import type { OpenSnapshot } from "./snapshot-file.ts"
import { StartFailure } from "./start-failure.ts"

export type Resumption =
  | { readonly kind: "resumes"; readonly path: string; readonly wallMs: number; readonly entries: number }
  | { readonly kind: "refused"; readonly text: string }

/** Undefined: the node was given none. */
export async function takenDirectory(
  data: string | undefined,
  processes: ProcessTable,
): Promise<DataDirectory | undefined> {
  if (data === undefined) return undefined
  const directory = new DataDirectory({ path: data, files: realFiles, processes })
  try {
    makeDirectory(data, { mode: 0o700 })
    const taken = directory.take()
    if (taken.kind === "taken") return directory
    throw new StartFailure(
      "data",
      `${data} is the directory of process ${taken.pid}, another node: give each node a --data of its own`,
    )
  } catch (error) {
    if (error instanceof StartFailure) throw error
    throw new StartFailure("data", `${data} cannot be used to keep data in: ${problemOf(error)}`)
  }
}

export type BeginningWith = {
  readonly resume: { readonly snapshot: OpenSnapshot; readonly view: View } | undefined
  readonly resumption: Resumption | undefined
}

/** What is made of a snapshot, or of none: the node that wrote it, again, or a new one. */
export async function beginningWith(
  found: SnapshotFound,
  of: {
    readonly directory: DataDirectory | undefined
    /** What others dial to reach this node. */
    readonly address: Address
    readonly role: "member" | "witness"
    /** "anew": it was to form a new cluster, or to go on with those that are back. */
    readonly formation: "careful" | "anew"
  },
): Promise<BeginningWith> {
  const { directory, formation } = of
  if (found.kind === "none") {
    const usedAtMs = directory?.usedAtMs()
    const text = `${directory?.snapshotPath}.used was in use since ${dateText(usedAtMs)}, by a start that did not get as far as to resume; nothing begins from it again, and this node joins empty`
    return { resume: undefined, resumption: usedAtMs === undefined ? undefined : { kind: "refused", text } }
  }
  const usable = found.kind === "found" ? viewOf(found.snapshot, of) : found.detail
  if (found.kind === "found" && typeof usable !== "string") {
    const { head, wallMs } = found.snapshot
    const path = directory?.snapshotPath ?? ""
    return {
      resume: { snapshot: found.snapshot, view: usable },
      resumption: { kind: "resumes", path, wallMs, entries: head.entries },
    }
  }
  const why = `${directory?.snapshotPath} cannot be used: ${usable}`
  // A new cluster is not what was meant, with all that this one held lying there.
  if (formation === "anew")
    throw new StartFailure("data", `${why}; to form a new, empty cluster, move it away or name another --data`)
  if (found.kind === "found") await found.snapshot.close()
  return { resume: undefined, resumption: { kind: "refused", text: `${why}; this node joins empty` } }
}

/** The view to resume from, or in words why this node cannot. */
function viewOf(
  { head }: OpenSnapshot,
  { address, role }: Pick<Parameters<typeof beginningWith>[1], "address" | "role">,
): View | string {
  const view = unpackView(head.view)
  if (typeof view === "string") return `its view makes no sense: ${view}`
  const { addr, id, witness } = head.self
  if (!view.stopped || !view.members.some(member => member.id === id)) return "it is not of a planned stop"
  if (addr !== address)
    return `it is of the node at ${addr}, and this one is at ${address}; the address must be the same`
  if (witness !== (role === "witness")) return `it is of a ${witness ? "witness" : "node that holds data"}`
  if (view.proto > protoMax || view.proto < protoMin)
    return `its cluster speaks protocol ${view.proto}, and this version ${protoMin} to ${protoMax}`
  return view
}

function dateText(wallMs: number | undefined): string {
  return wallMs === undefined ? "" : new Date(wallMs).toISOString()
}
