/** `dcache node`: runs a node until it is told to leave. */
import { Command, Option } from "clipanion"
import { exitWithParent } from "../../host/parent-watch.ts"
import { nodeSettings } from "../node-settings.ts"

export class NodeCommand extends Command {
  static override paths = [["node"]]
  static override usage = Command.Usage({
    description: "run a node: form a cluster, or join one through any of its members",
    details: `
Without --join it forms a new cluster. With --join it never does: it goes on trying, and says whom it tries. Ctrl-C or
SIGTERM hands its data over and leaves; a second one stops at once.

Memory unless stated: a quarter of the machine, or of the container's limit if that is less; a sixteenth when the
default port was taken, because then nodes share the machine. Entries and their copies get what the process itself leaves of it.

With eviction a read answers the latest value that was acknowledged, or that there is none, and never an older one. For what must
not be forgotten, locks and counters, there is --eviction none.`,
    examples: [
      ["A first node, on this machine alone", "dcache node"],
      ["A second one beside it, on the next free port", "dcache node --join 127.0.0.1:5555"],
      ["A node for other machines", "dcache node --listen 0.0.0.0:5555 --advertise cache-1.example.org"],
      ["A third vote for two nodes on two machines", "dcache node --witness --join cache-1 --listen 0.0.0.0"],
      ["In a data center, with other copies elsewhere", "dcache node --zone east --join cache-1"],
      ["Also where Redis' clients look first", "dcache node --resp 127.0.0.1:6379"],
      ["For locks and counters, which must not be forgotten", "dcache node --eviction none --memory 2GiB"],
      ["Keeping what it holds over dcache shutdown", "dcache node --data /var/lib/dcache"],
      ["The same in a container", "DCACHE_LISTEN=0.0.0.0 DCACHE_JOIN=cache-1,cache-2 dcache node"],
    ],
  })

  listen = Option.String("--listen", {
    description: "<HOST:PORT> where to listen; default 127.0.0.1:5555 or the next free port, or towards the first seed",
  })
  resp = Option.String("--resp", {
    description: "<HOST[:PORT]> one more port, for Redis' clients alone; they may use the node's own port as well",
  })
  join = Option.Array("--join", {
    description: "<HOST[:PORT]> a member of the cluster to join; repeatable, or a list between commas; one is enough",
  })
  advertise = Option.String("--advertise", {
    description: "<HOST[:PORT]> what other nodes dial; default: where it listens",
  })
  advertiseClient = Option.String("--advertise-client", {
    description: "<HOST[:PORT]> what clients dial; default: what other nodes dial",
  })
  copies = Option.String("--copies", {
    description: "<N> copies of each entry, 1 to 7; a new cluster has 2, a joiner takes what the cluster has",
  })
  shards = Option.String("--shards", {
    description:
      "<N> arcs that a new cluster divides its keys into, a power of two; default 1024; 4096 for more than about 50 nodes",
  })
  memory = Option.String("--memory", { description: "<SIZE> for the whole process, like 512MiB; default: see below" })
  eviction = Option.String("--eviction", {
    description:
      "<RULE> when memory ends: s3fifo forgets what is used least, lru what was used longest ago, none nothing, and writes are refused; default s3fifo; none on all nodes or on no one",
  })
  name = Option.String("--name", { description: "<NAME> shown in dcache status; default: host name and port" })
  zone = Option.String("--zone", {
    description:
      "<NAME> what fails together: copies stand in different zones while there are enough; default: the host",
  })
  witness = Option.Boolean("--witness", false, {
    description: "vote and hold no data: with it, a cluster of two nodes survives the loss of either",
  })
  bootstrap = Option.Boolean("--bootstrap", false, {
    description:
      "form a new cluster although the hint file tells of an earlier one; should that live, there are two, and they never merge. With data of a planned stop: go on without the members that do not come back",
  })
  orphanReset = Option.String("--orphan-reset", {
    description:
      "<DURATION> when all holders of a key are gone: how long to wait for one before its shard begins anew, empty; or never; default 60s; say the same on all nodes",
  })
  data = Option.String("--data", {
    description:
      "<DIR> of this node alone: where it keeps what it holds while the whole cluster is stopped (dcache shutdown); default: nowhere",
  })
  hintFile = Option.String("--hint-file", {
    description: "<FILE> remembers the other members' addresses, no data; none: no such file; default: one per address",
  })
  logLevel = Option.String("--log-level", {
    description: "<LEVEL> debug, info, warn or error; default info, warn on a terminal",
  })
  json = Option.Boolean("--json", false, { description: "say everything as JSON, one event a line" })

  override async execute(): Promise<number> {
    exitWithParent(this.context.env)
    const settings = nodeSettings(this)
    const { runNode } = await import("../node-run.ts")
    return runNode(settings, this.context)
  }
}
