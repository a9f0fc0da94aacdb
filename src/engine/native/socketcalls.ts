// The addon's calls on the socket to the data plane, as src/dataplane asks for them.

import type { SocketCalls } from "../../dataplane/channel";
import { addon } from "../../sys/addon";

export function socketCalls(fd: number): SocketCalls {
  const native = addon();
  return {
    receive: (buffer, lengths) => native.recvMessages(fd, buffer, lengths),
    send: (messages) => {
      if (messages.length === 1) native.sendMessage(fd, messages[0]!);
      else native.sendMessages(fd, messages);
    },
    watch: (readable) => native.watch(fd, readable),
    unwatch: () => native.unwatch(fd),
  };
}
