import { deepEqual, throws } from "node:assert/strict"
import { test } from "node:test"
import { UsageError } from "./failure.ts"
import { type NodeForm, type NodeSettings, nodeSettings } from "./node-settings.ts"

const empty: NodeForm = {
  listen: undefined,
  resp: undefined,
  join: undefined,
  advertise: undefined,
  advertiseClient: undefined,
  copies: undefined,
  shards: undefined,
  memory: undefined,
  eviction: undefined,
  name: undefined,
  zone: undefined,
  witness: false,
  bootstrap: false,
  orphanReset: undefined,
  data: undefined,
  hintFile: undefined,
  logLevel: undefined,
  json: false,
}

const given: { form: Partial<NodeForm>; settings: Partial<NodeSettings>; because: string }[] = [
  {
    form: {},
    settings: { listen: undefined, seeds: [], copies: undefined, formation: "careful", logFormat: "text" },
    because: "nothing is needed",
  },
  {
    form: { listen: "0.0.0.0" },
    settings: { listen: { host: "0.0.0.0", port: 5555 } },
    because: "the port has a default",
  },
  {
    form: { listen: "127.0.0.1:0" },
    settings: { listen: { host: "127.0.0.1", port: 0 } },
    because: "0 is any free port",
  },
  {
    form: { join: ["a", "[::1]:7"] },
    settings: { seeds: ["a:5555", "[::1]:7"] },
    because: "seeds may leave the port out",
  },
  {
    form: { join: ["a, b:1,,c"] },
    settings: { seeds: ["a:5555", "b:1", "c:5555"] },
    because: "a variable holds a list",
  },
  { form: { join: ["a", "a:5555"] }, settings: { seeds: ["a:5555"] }, because: "one seed twice is one seed" },
  {
    form: { listen: "0.0.0.0:7000", advertise: "cache-1" },
    settings: { advertise: "cache-1:7000" },
    because: "the advertised port is that listened on",
  },
  {
    form: { listen: "0.0.0.0:7000", advertiseClient: "example.org:80" },
    settings: { advertiseClient: "example.org:80" },
    because: "unless stated",
  },
  {
    form: { listen: "a:7", join: ["a:7"], bootstrap: true },
    settings: { seeds: ["a:7"], formation: "anew" },
    because: "its own address is no other seed",
  },
  { form: { shards: "4096" }, settings: { shards: 4_096 }, because: "large clusters want more" },
  { form: { copies: "3", zone: "east" }, settings: { copies: 3, zone: "east" }, because: "numbers are read" },
  { form: {}, settings: { zone: undefined, role: "member", orphanResetMs: undefined }, because: "all has defaults" },
  { form: { witness: true, join: ["a"] }, settings: { role: "witness" }, because: "a witness joins" },
  { form: { orphanReset: "5m" }, settings: { orphanResetMs: 300_000 }, because: "durations have units" },
  { form: { orphanReset: "never" }, settings: { orphanResetMs: Number.POSITIVE_INFINITY }, because: "rather refused" },
  { form: { eviction: "none" }, settings: { eviction: "none" }, because: "nothing is to be forgotten" },
  { form: { memory: "64MiB" }, settings: { memoryBytes: 64 * 1024 * 1024 }, because: "sizes have units" },
]
for (const { form, settings, because } of given) {
  test(`dcache node ${JSON.stringify(form)}: ${because}`, () => {
    const read = nodeSettings({ ...empty, ...form })
    deepEqual(Object.fromEntries(Object.keys(settings).map(name => [name, Reflect.get(read, name)])), settings)
  })
}

const refused: { form: Partial<NodeForm>; flag: string | undefined; because: string }[] = [
  { form: { listen: "nowhere:99999" }, flag: "--listen", because: "no such port" },
  { form: { join: ["a", "b:0"] }, flag: "--join", because: "nobody has port 0" },
  { form: { join: [""] }, flag: "--join", because: "a list of nobody is a variable that was not set" },
  { form: { advertise: "a:0" }, flag: "--advertise", because: "others must dial it" },
  { form: { shards: "1000" }, flag: "--shards", because: "arcs are halved until there are enough" },
  { form: { shards: "8192" }, flag: "--shards", because: "there are no more" },
  { form: { copies: "2.5" }, flag: "--copies", because: "copies are whole" },
  { form: { copies: "8" }, flag: "--copies", because: "more than seven are not kept" },
  { form: { eviction: "lfu" }, flag: "--eviction", because: "unknown rule" },
  { form: { memory: "1KiB" }, flag: "--memory", because: "too little" },
  { form: { name: "" }, flag: "--name", because: "a variable that was not set" },
  { form: { zone: " " }, flag: "--zone", because: "nobody could tell it from none" },
  { form: { name: "a\nb" }, flag: "--name", because: "a name is one line" },
  { form: { zone: "z".repeat(256) }, flag: "--zone", because: "too long" },
  { form: { logLevel: "loud" }, flag: "--log-level", because: "no level" },
  { form: { orphanReset: "1s" }, flag: "--orphan-reset", because: "nobody comes back so soon" },
  { form: { orphanReset: "soon" }, flag: "--orphan-reset", because: "no duration" },
  { form: { witness: true }, flag: undefined, because: "a witness cannot hold the data of a first node" },
  { form: { witness: true, listen: "a:7", join: ["a:7"] }, flag: undefined, because: "it is its own seed" },
  { form: { bootstrap: true, join: ["a"] }, flag: undefined, because: "form or join, not both" },
  { form: { listen: "127.0.0.1:7", resp: "127.0.0.1:7" }, flag: undefined, because: "one port cannot be both" },
]
for (const { form, flag, because } of refused) {
  test(`dcache node ${JSON.stringify(form).slice(0, 60)} is refused: ${because}`, () =>
    throws(
      () => nodeSettings({ ...empty, ...form }),
      error => error instanceof UsageError && error.option?.flag === flag,
    ))
}
