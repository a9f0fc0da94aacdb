#!/usr/bin/env python3
"""nbd-keep.py HOST PORT EXPORT /dev/nbdN [SECONDS]

Connects a network block device and keeps it connected, for swap: when the server is gone, requests wait for it for SECONDS (3600;
dead_conn_timeout) instead of failing, and they are sent again over a new connection as soon as it is back. It stays in the
foreground and locks its memory; SIGTERM disconnects. Linux 4.12 or later, with the module nbd loaded."""
import ctypes, os, select, signal, socket, struct, sys, time

# include/uapi/linux/nbd-netlink.h
CONNECT, DISCONNECT, RECONFIGURE = 1, 2, 3
INDEX, SIZE_BYTES, BLOCK_SIZE_BYTES, SERVER_FLAGS, SOCKETS, DEAD_CONN_TIMEOUT = 1, 2, 3, 5, 7, 8
NESTED = 0x8000


def attribute(kind, value):
    data = value if isinstance(value, bytes) else struct.pack("=Q", value)
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def u32(value):
    return struct.pack("=I", value)


def ask(family, command, attributes):
    """One message to a generic netlink family; the attributes of the answer, b"" for a mere acknowledgement."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as netlink:
        body = struct.pack("=BBH", command, 1, 0) + attributes
        netlink.send(struct.pack("=IHHII", 16 + len(body), family, 5, 1, 0) + body)  # NLM_F_REQUEST | NLM_F_ACK
        answer = netlink.recv(65536)
        if struct.unpack_from("=H", answer, 4)[0] == 2:  # NLMSG_ERROR
            error = -struct.unpack_from("=i", answer, 16)[0]
            if error:
                raise OSError(error, os.strerror(error))
            return b""
        return answer[20:]


def family_id(name):
    answer = ask(16, 3, attribute(2, name.encode() + b"\0"))  # CTRL_CMD_GETFAMILY
    while answer:
        length, kind = struct.unpack_from("=HH", answer)
        if kind == 1:
            return struct.unpack_from("=H", answer, 4)[0]
        answer = answer[(length + 3) & ~3:]
    raise OSError("no netlink family nbd: modprobe nbd")


def exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise OSError("the server closed the connection (does it have this export?)")
        data += part
    return data


def connect(host, port, export):
    """A connection after the handshake (fixed newstyle); the length of the export in bytes and its flags."""
    connection = socket.create_connection((host, port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if exactly(connection, 18)[:16] != b"NBDMAGICIHAVEOPT":
        raise OSError("not an NBD server")
    name = export.encode()
    connection.sendall(struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 1, len(name)) + name)  # NBD_OPT_EXPORT_NAME
    size, flags = struct.unpack(">QH", exactly(connection, 10))
    connection.settimeout(None)
    return connection, size, flags


def main():
    host, port, export, device = sys.argv[1:5]
    patience = int(sys.argv[5]) if len(sys.argv) > 5 else 3600
    index = u32(int(os.path.basename(device)[3:]))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(3) != 0:  # it must answer while the machine has no memory
        print("nbd-keep: cannot lock memory", file=sys.stderr)
    with open("/proc/self/oom_score_adj", "w") as file:
        try:
            file.write("-1000")
            file.flush()
        except OSError:
            print("nbd-keep: not protected from the OOM killer", file=sys.stderr)
    family = family_id("nbd")

    def stop(_signal, _frame):
        ask(family, DISCONNECT, attribute(INDEX, index))
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    connection, size, flags = connect(host, port, export)

    def sockets():
        return attribute(SOCKETS | NESTED, attribute(1 | NESTED, attribute(1, u32(connection.fileno()))))

    ask(family, CONNECT, attribute(INDEX, index) + attribute(SIZE_BYTES, size) + attribute(BLOCK_SIZE_BYTES, 4096)
        + attribute(SERVER_FLAGS, flags) + attribute(DEAD_CONN_TIMEOUT, patience) + sockets())
    print(f"nbd-keep: {device} is connected, {size} bytes", flush=True)
    while True:
        watch = select.poll()
        watch.register(connection, select.POLLRDHUP)
        watch.poll()
        print(f"nbd-keep: the server of {device} is gone, requests wait", flush=True)
        while True:
            try:
                again, size_now, _ = connect(host, port, export)
                if size_now != size:
                    raise OSError(f"the export has {size_now} bytes now, not {size}")
                break
            except OSError as error:
                print(f"nbd-keep: {error}", flush=True)
                time.sleep(1)
        connection.close()
        connection = again
        ask(family, RECONFIGURE, attribute(INDEX, index) + attribute(DEAD_CONN_TIMEOUT, patience) + sockets())
        print(f"nbd-keep: {device} is connected again", flush=True)


main()
