/** From the options of `dcache node` to what a node needs to know. Pure: tries no port and looks up no name. */
import { defaultPort, formatAddress, type HostPort } from "../base/address.ts"
import type { Address, Eviction } from "../protocol/message.ts"
import { type LogLevel, logLevels } from "../host/log.ts"
import { maxNameChars } from "../protocol/limits.ts"
import { UsageError } from "./failure.ts"
import { smallestMemoryBytes } from "./memory.ts"
import { address, duration, type Given, listed, listenAddress, oneOf, size, wholeNumber } from "./values.ts"

export type NodeForm = {
  readonly listen: string | undefined
  readonly resp: string | undefined
  readonly join: readonly string[] | undefined
  readonly advertise: string | undefined
  readonly advertiseClient: string | undefined
  readonly copies: string | undefined
  readonly shards: string | undefined
  readonly memory: string | undefined
  readonly eviction: string | undefined
  readonly name: string | undefined
  readonly zone: string | undefined
  readonly witness: boolean
  readonly bootstrap: boolean
  readonly orphanReset: string | undefined
  readonly data: string | undefined
  readonly hintFile: string | undefined
  readonly logLevel: string | undefined
  readonly json: boolean
}

export type NodeSettings = {
  /** Undefined: none was asked for. */
  readonly listen: HostPort | undefined
  /** A port for Redis' protocol alone; undefined: none but the one port of all. */
  readonly resp: HostPort | undefined
  readonly seeds: readonly Address[]
  readonly advertise: Address | undefined
  readonly advertiseClient: Address | undefined
  /** Undefined: the default for a new cluster, whatever it has for a joiner. */
  readonly copies: number | undefined
  /** Of a new cluster; undefined: the default. */
  readonly shards: number | undefined
  /** Of the whole process. */
  readonly memoryBytes: number | undefined
  /** Undefined: the default. */
  readonly eviction: Eviction | undefined
  readonly name: string | undefined
  /** Undefined: the name of the host. */
  readonly zone: string | undefined
  /** A witness votes and holds no data. */
  readonly role: "member" | "witness"
  /** Undefined: the default; Infinity: never. */
  readonly orphanResetMs: number | undefined
  /** "anew": form a cluster although a hint file tells of an earlier one. */
  readonly formation: "careful" | "anew"
  readonly hintFile: string | undefined
  /** Directory for what it holds over a planned stop; undefined: then that is lost. */
  readonly data: string | undefined
  /** Undefined: as much as suits where it is written. */
  readonly logLevel: LogLevel | undefined
  readonly logFormat: "json" | "text"
}

/** Most copies that a cluster may keep; `configProblem` says the same of a configuration. */
const maxCopies = 7
/** Where Redis listens, and hence where its clients look first. */
const defaultRespPort = 6_379
/** Shorter, and a node that is restarted could not come back in time; a cluster that waits longer waits for good. */
const orphanResetBounds = { minMs: 5_000, maxMs: 7 * 24 * 3_600_000 }

const evictions = ["s3fifo", "lru", "none"] as const satisfies readonly Eviction[]

const shardBounds = { min: 64, max: 4_096 }

export function nodeSettings(form: NodeForm): NodeSettings {
  const listen =
    form.listen === undefined ? undefined : listenAddress({ flag: "--listen", text: form.listen }, defaultPort)
  const seeds = listed("--join", form.join).map(given => formatAddress(address(given, defaultPort)))
  // A port that is left out is the one listened on: who publishes another says so.
  const ownPort = listen && listen.port !== 0 ? listen.port : defaultPort
  const advertise = advertised("--advertise", form.advertise, ownPort)
  const settings: NodeSettings = {
    listen,
    resp: form.resp === undefined ? undefined : listenAddress({ flag: "--resp", text: form.resp }, defaultRespPort),
    seeds: [...new Set(seeds)],
    advertise,
    advertiseClient: advertised("--advertise-client", form.advertiseClient, ownPort),
    shards: form.shards === undefined ? undefined : shardsOf({ flag: "--shards", text: form.shards }),
    copies:
      form.copies === undefined
        ? undefined
        : wholeNumber({ flag: "--copies", text: form.copies }, { min: 1, max: maxCopies }),
    memoryBytes: form.memory === undefined ? undefined : memorySize({ flag: "--memory", text: form.memory }),
    eviction: form.eviction === undefined ? undefined : oneOf({ flag: "--eviction", text: form.eviction }, evictions),
    name: form.name === undefined ? undefined : label({ flag: "--name", text: form.name }),
    zone: form.zone === undefined ? undefined : label({ flag: "--zone", text: form.zone }),
    role: form.witness ? "witness" : "member",
    orphanResetMs:
      form.orphanReset === undefined ? undefined : orphanReset({ flag: "--orphan-reset", text: form.orphanReset }),
    formation: form.bootstrap ? "anew" : "careful",
    hintFile: form.hintFile,
    data: form.data === undefined ? undefined : dataDirectory({ flag: "--data", text: form.data }),
    logLevel: form.logLevel === undefined ? undefined : oneOf({ flag: "--log-level", text: form.logLevel }, logLevels),
    logFormat: form.json ? "json" : "text",
  }
  const { resp } = settings
  if (resp !== undefined && listen !== undefined && resp.port !== 0 && formatAddress(resp) === formatAddress(listen))
    throw new UsageError("--resp is for another port than --listen, where Redis' clients are answered in any case")
  const own = [listen && formatAddress(listen), advertise]
  if (form.bootstrap && settings.seeds.some(seed => !own.includes(seed))) {
    throw new UsageError("--bootstrap forms a new cluster and --join enters one: give one of them")
  }
  if (form.witness && settings.seeds.every(seed => own.includes(seed)))
    throw new UsageError("--witness needs --join: it holds no data, so it cannot be the first node of a cluster")
  return settings
}

function advertised(flag: string, text: string | undefined, ownPort: number): Address | undefined {
  return text === undefined ? undefined : formatAddress(address({ flag, text }, ownPort))
}

/** Of a whole process. */
export function memorySize(given: Given): number {
  const bytes = size(given)
  if (bytes < smallestMemoryBytes) throw new UsageError("must be 16MiB or more", given)
  return bytes
}

function dataDirectory(given: Given): string {
  if (given.text.trim() === "") throw new UsageError("is empty; name a directory", { ...given, text: '""' })
  return given.text
}

/** Infinity: never. */
function orphanReset(given: Given): number {
  return given.text === "never" ? Number.POSITIVE_INFINITY : duration(given, orphanResetBounds)
}

/** Names and zones appear in tables and logs: short, and without anything that moves a cursor. */
function label(given: Given): string {
  if (given.text.trim() === "")
    throw new UsageError("is empty; leave the option out or name something", { ...given, text: '""' })
  if (given.text.length > maxNameChars) throw new UsageError(`must be at most ${maxNameChars} characters`, given)
  if (/[\p{Cc}\p{Cf}]/u.test(given.text)) throw new UsageError("must not contain control characters", given)
  return given.text
}

function shardsOf(given: Given): number {
  const shards = wholeNumber(given, shardBounds)
  if (Number.isInteger(Math.log2(shards))) return shards
  throw new UsageError("must be a power of two, like 1024 or 4096", given)
}
