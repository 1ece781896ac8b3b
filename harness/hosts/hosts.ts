/**
 * Hosts with addresses of their own, on one machine: network namespaces around a bridge, between any two of which what the one
 * sends the other can be dropped. Must run in a network namespace of its own, as root (`hub.ts` sees to that); everything made
 * here goes with that namespace and its processes, however they end.
 */
import { type ChildProcess, execFileSync, spawn, type SpawnOptions } from "node:child_process"
import type { CommandLine } from "../cluster/node-process.ts"

export type Host = { readonly name: string; readonly ip: string; readonly holder: ChildProcess }

const subnet = "10.77.0"

export class Hosts {
  readonly all: readonly Host[]

  /** Names become interfaces: at most ten letters. */
  constructor(names: readonly string[]) {
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "hub", "type", "bridge")
    run("ip", "addr", "add", `${subnet}.254/24`, "dev", "hub")
    run("ip", "link", "set", "hub", "up")
    this.all = names.map((name, i) => this.#add(name, `${subnet}.${i + 1}`))
  }

  /** The host's process is `cat` on a pipe of ours: it ends when we do. */
  #add(name: string, ip: string): Host {
    const holder = spawn("unshare", ["--net", "cat"], { stdio: ["pipe", "ignore", "inherit"] })
    const host: Host = { name, ip, holder }
    const { pid } = holder
    if (pid === undefined) throw new Error("unshare could not be started")
    untilUnshared(pid)
    run("ip", "link", "add", `v-${name}`, "type", "veth", "peer", "name", "eth0", "netns", String(pid))
    run("ip", "link", "set", `v-${name}`, "master", "hub", "up")
    this.#inside(host, "ip", "link", "set", "lo", "up")
    this.#inside(host, "ip", "addr", "add", `${ip}/24`, "dev", "eth0")
    this.#inside(host, "ip", "link", "set", "eth0", "up")
    this.#inside(
      host,
      "nft",
      "add table inet cut; add set inet cut from { type ipv4_addr ; }; " +
        "add chain inet cut input { type filter hook input priority 0 ; policy accept ; }; " +
        "add rule inet cut input ip saddr @from drop",
    )
    return host
  }

  /** The command as this host runs it: the same process, in the host's network. */
  commandOn(host: Host, command: CommandLine): CommandLine {
    return { file: "nsenter", args: [`--net=/proc/${host.holder.pid}/ns/net`, command.file, ...command.args] }
  }

  spawnOn(host: Host, command: CommandLine, options: SpawnOptions): ChildProcess {
    const { file, args } = this.commandOn(host, command)
    return spawn(file, args, options)
  }

  /** From now on nothing that the first send reaches the others. */
  cut(from: readonly Host[], to: readonly Host[]): void {
    for (const host of to) {
      const others = from.filter(other => other !== host).map(({ ip }) => ip)
      if (others.length > 0) this.#inside(host, "nft", `add element inet cut from { ${others.join(", ")} }`)
    }
  }

  /** Nothing passes between the groups, either way. */
  part(...groups: readonly (readonly Host[])[]): void {
    for (const group of groups) for (const other of groups) if (other !== group) this.cut(group, other)
  }

  heal(): void {
    for (const host of this.all) this.#inside(host, "nft", "flush set inet cut from")
  }

  end(): void {
    for (const { holder } of this.all) holder.kill("SIGKILL")
  }

  #inside(host: Host, file: string, ...args: readonly string[]): void {
    run("nsenter", `--net=/proc/${host.holder.pid}/ns/net`, file, ...args)
  }
}

function run(file: string, ...args: readonly string[]): string {
  return execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
}

/** `unshare` has come far enough when its network is another than ours. */
function untilUnshared(pid: number): void {
  const own = run("readlink", "/proc/self/ns/net")
  for (let tries = 0; tries < 500; tries++) {
    try {
      if (run("readlink", `/proc/${pid}/ns/net`) !== own) return
    } catch {
      // Not there yet, or already gone: the last try says which.
    }
  }
  throw new Error("a network namespace did not come into being")
}
