"""The wire between a satellite and its Backend, as a TCP relay that can be cut, stalled, or made to
swallow what the Backend answers. Standard library only."""

import socket
import threading

WAYS = ("cut", "stalled", "deaf")


class Wire:
    """Relays every connection to `port` of this machine on to `target_port`.

    whole     bytes pass
    cut       connections end, and none is made
    stalled   nothing passes, and nobody is told; what was under way arrives when it is whole again
    deaf      requests arrive, answers do not
    """

    def __init__(self, port, target_port):
        self.target_port, self.mode = target_port, "whole"
        self.changed, self.open = threading.Condition(), set()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()

    def be(self, mode):
        with self.changed:
            before, self.mode = self.mode, mode
            self.changed.notify_all()
            ended = list(self.open) if mode == "cut" or before == "deaf" else []
        for one in ended:
            hang_up(one)

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def relay(self, client):
        if self.mode == "cut":
            return hang_up(client)
        try:
            backend = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
        except OSError:
            return hang_up(client)
        for end in (client, backend):
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.changed:
            self.open |= {client, backend}
        there = threading.Thread(target=self.pump, args=(client, backend, False), daemon=True)
        there.start()
        self.pump(backend, client, True)
        there.join()
        with self.changed:
            self.open -= {client, backend}
        client.close()
        backend.close()

    def pump(self, source, target, is_answer):
        try:
            while data := source.recv(65536):
                with self.changed:
                    self.changed.wait_for(lambda: self.mode != "stalled")
                    mode = self.mode
                if mode == "deaf" and is_answer:
                    continue
                target.sendall(data)
        except OSError:
            pass
        hang_up(source)
        hang_up(target)


def hang_up(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        end.close()
