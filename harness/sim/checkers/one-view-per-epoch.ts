/** One decided view per epoch of a generation: whoever installs an epoch installs the same content. And a node's epochs only rise. */
import type { Epoch, NodeId } from "../../../src/protocol/message.ts"
import type { MakeChecker } from "../checker.ts"

export const oneViewPerEpoch: MakeChecker = cluster => {
  const hashes = new Map<string, { hash: number; by: string }>()
  const epochs = new Map<NodeId, Epoch>()
  const promise = "one decided view per epoch"
  return {
    event(process, event) {
      if (event.kind === "forked" || event.kind === "disputed")
        cluster.violate(promise, `${cluster.nameOf(process.id)} says that views are ${event.kind}`)
      const view = process.node.view
      if (event.kind !== "view-installed" || view === undefined) return
      const name = cluster.nameOf(process.id)
      if (view.epoch <= (epochs.get(process.id) ?? 0))
        cluster.violate(promise, `${name} goes back from epoch ${epochs.get(process.id)} to ${view.epoch}`)
      epochs.set(process.id, view.epoch)
      const key = `${view.generation} ${view.epoch}`
      const known = hashes.get(key)
      if (known === undefined) hashes.set(key, { hash: view.hash, by: name })
      else if (known.hash !== view.hash)
        cluster.violate(promise, `${name} and ${known.by} differ in epoch ${view.epoch}: ${view.hash}, ${known.hash}`)
    },
  }
}
