/**
 * `host:port` as people write it and as members carry it: names, IPv4, and IPv6, which is bracketed when a port
 * follows. Looks nothing up; whether anybody answers there is for whoever dials.
 */

export const defaultPort = 5555

export type HostPort = { readonly host: string; readonly port: number }

/** The problem is in words for whoever typed the text. Port 0 ("any free port") is for listening alone. */
export function parseAddress(
  text: string,
  options: { readonly defaultPort: number; readonly portZero: "allowed" | "refused" },
): HostPort | { readonly problem: string } {
  const { host, portText } = split(text)
  if (!isHost(host)) return { problem: "not an address; write host:port, 10.0.0.7:5555 or [::1]:5555" }
  if (portText === undefined) return { host, port: options.defaultPort }
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : Number.NaN
  if (port === 0 && options.portZero === "refused") return { problem: "port 0 cannot be dialed" }
  // Written so that NaN fails as well.
  if (!(port >= 0 && port <= 65_535)) return { problem: "the port must be a number from 1 to 65535" }
  return { host, port }
}

export function formatAddress({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
}

/** Whether only processes of this machine can dial it. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host)
}

/** "0.0.0.0" and "::" listen on every interface and are nobody's address. */
export function isUnspecified(host: string): boolean {
  return host === "0.0.0.0" || host === "::"
}

function split(text: string): { host: string; portText: string | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
  if (bracketed) return { host: bracketed[1] ?? "", portText: bracketed[2] }
  const colon = text.lastIndexOf(":")
  // Several colons without brackets: an IPv6 address alone.
  if (colon === -1 || text.indexOf(":") !== colon) return { host: text, portText: undefined }
  return { host: text.slice(0, colon), portText: text.slice(colon + 1) }
}

function isHost(host: string): boolean {
  if (host.length > 253) return false
  if (host.includes(":")) return /^[0-9a-fA-F:.]{2,45}(%[\w.-]+)?$/.test(host)
  // Underscores are no host names by the book, and are what compose files call their services.
  return /^[a-zA-Z0-9_]([a-zA-Z0-9_.-]*[a-zA-Z0-9_])?$/.test(host)
}
