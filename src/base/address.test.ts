import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { formatAddress, isLoopback, parseAddress } from "./address.ts"

const cases = [
  { text: "10.0.0.7:5556", is: { host: "10.0.0.7", port: 5556 }, because: "host and port" },
  { text: "cache-1", is: { host: "cache-1", port: 5555 }, because: "a name alone has the default port" },
  { text: "my_service:1", is: { host: "my_service", port: 1 }, because: "compose services have underscores" },
  { text: "[::1]:7", is: { host: "::1", port: 7 }, because: "brackets keep the port apart" },
  { text: "[::1]", is: { host: "::1", port: 5555 }, because: "brackets need no port" },
  { text: "fe80::1%eth0", is: { host: "fe80::1%eth0", port: 5555 }, because: "several colons are IPv6 alone" },
]
for (const { text, is, because } of cases) {
  test(`parseAddress(${text}): ${because}`, () =>
    deepEqual(parseAddress(text, { defaultPort: 5555, portZero: "refused" }), is))
}

for (const text of ["", ":5555", "a:b", "a:70000", "a:-1", "a:0", "a b", "http://a:1", "[::1]x", "[]:1", "a:", "-a"]) {
  test(`parseAddress(${JSON.stringify(text)}) is a problem in words`, () => {
    ok("problem" in parseAddress(text, { defaultPort: 5555, portZero: "refused" }))
  })
}

test("port 0 is for listening", () => {
  deepEqual(parseAddress("::1", { defaultPort: 0, portZero: "allowed" }), { host: "::1", port: 0 })
  deepEqual(parseAddress("a:0", { defaultPort: 1, portZero: "allowed" }), { host: "a", port: 0 })
})

test("formatAddress brackets IPv6 and nothing else", () => {
  equal(formatAddress({ host: "::1", port: 1 }), "[::1]:1")
  equal(formatAddress({ host: "a", port: 1 }), "a:1")
})

test("loopback is this machine's alone", () => {
  deepEqual(["localhost", "127.8.0.1", "::1", "0.0.0.0", "10.0.0.1", "127.example.com"].map(isLoopback), [
    true,
    true,
    true,
    false,
    false,
    false,
  ])
})
