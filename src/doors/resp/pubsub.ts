/** Commands on channels: what is published, and who listens, anywhere in the cluster. */
import { after } from "../soon.ts"
import { wordAt } from "./arguments.ts"
import { type Command, noKeys, type OwnCommand } from "./command.ts"
import { CommandError } from "./refusals.ts"
import { array, bulk, integer } from "./reply.ts"
import { family } from "./subcommands.ts"

const flags = ["pubsub", "noscript", "loading", "stale"]

export const pubsubCommands: readonly Command[] = [
  listening("subscribe", -2, "Listens for messages published to channels."),
  listening("unsubscribe", -1, "Stops listening to messages posted to channels."),
  listening("psubscribe", -2, "Listens for messages published to channels that match one or more patterns."),
  listening("punsubscribe", -1, "Stops listening to messages published to channels that match one or more patterns."),
  {
    ...{ name: "publish", arity: 3, keys: noKeys, flags: ["pubsub", "loading", "stale", "fast"], group: "pubsub" },
    ...{ summary: "Posts a message to a channel.", since: "2.0.0" },
    isNews: true,
    run: ({ channels }, args) => after(channels.publish(wordAt(args, 0), wordAt(args, 1)), integer),
  },
  {
    ...{ name: "pubsub", arity: -2, keys: noKeys, flags: ["pubsub", "loading", "stale"], group: "pubsub" },
    ...{ summary: "Tells of channels and of who listens to them.", since: "2.8.0" },
    ...family("pubsub", {
      channels: {
        ...{ arity: -2, summary: "Returns the active channels." },
        run: ({ channels }, args) => {
          if (args.length > 1)
            throw new CommandError(
              "ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.",
            )
          return after(channels.channels(args[0]), names => array(names.map(name => bulk(Buffer.from(name, "latin1")))))
        },
      },
      numsub: {
        ...{ arity: -2, summary: "Returns a count of subscribers to channels." },
        run: ({ channels }, args) =>
          after(channels.subscribers(args), counts =>
            array(args.flatMap((name, i) => [bulk(name), integer(counts[i] ?? 0)])),
          ),
      },
      numpat: {
        ...{ arity: 2, summary: "Returns a count of unique pattern subscriptions." },
        run: ({ channels }) => after(channels.patterns(), names => integer(names.length)),
      },
    }),
  },
]

function listening(own: OwnCommand, arity: number, summary: string): Command {
  return {
    ...{ name: own, arity, keys: noKeys, flags, group: "pubsub", since: "2.0.0", summary, own },
    ...{ isAllowedWhileSubscribed: true },
  }
}
