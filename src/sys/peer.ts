// Who is at the other end of a unix socket.

import type { Socket } from "node:net";
import { FsError } from "../base/errors";
import { addon, type PeerCredentials } from "./addon";

/** Credentials of the process that connected, as the kernel recorded them (unix(7), SO_PEERCRED). */
export function peerOf(socket: Socket): PeerCredentials {
  // Node keeps the descriptor in the undocumented handle of the stream; there is no other way to it.
  const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd;
  if (fd === undefined || fd < 0) throw new FsError("EBADF", "cannot ask who is connected: the socket is closed");
  return addon().peerCredentials(fd);
}
