"""The host in another process: its socket. One JSON object a line, one connection a call."""

from __future__ import annotations

import json
import os
import selectors
import socket
import threading
from typing import Any, Dict

from wharf._native import _quietly
from wharf._transport import OnReply, closed_fault, is_last
from wharf.messages import Fault

_CHUNK = 1 << 16


class _Call:
    def __init__(self, transport: SocketTransport, stream: socket.socket, demand: int, on_reply: OnReply) -> None:
        self.transport, self.stream, self.wanted, self.on_reply = transport, stream, demand, on_reply
        self.buffer = bytearray()
        self.reading = False
        self.over = False

    def demand(self, more: int) -> None:
        self.transport.change(lambda: self._demand(more))

    def _demand(self, more: int) -> None:
        self.wanted += more
        self.transport.deliver(self)

    def cancel(self) -> None:
        self.over = True
        self.transport.change(lambda: self.transport.end(self))


class SocketTransport:
    """The socket of a home, and the thread that reads all calls' connections."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._selector = selectors.DefaultSelector()
        self._wake, self._bell = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(self._wake, False)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._changes: list[Any] = []
        self._calls: set[_Call] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="wharf-replies", daemon=True)
        self._thread.start()

    def call(self, request: Dict[str, Any], demand: int, on_reply: OnReply) -> _Call:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.connect(self._path)
            stream.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            stream.close()
            raise Fault({
                "code": "socket-unreachable",
                "message": f"the process that owns the home doesn't answer at {self._path}: {error.strerror}",
                "hint": "open the home in this process, or start the process that owns it",
            }) from error
        stream.setblocking(False)
        call = _Call(self, stream, demand, on_reply)
        self.change(lambda: self._begin(call))
        return call

    def close(self, wait: float | None) -> bool:
        """Ends this side. The owner of the home goes on, and its runs with it: nothing is waited for."""
        with self._lock:
            if self._closed:
                return True
            self._closed = True
        self._ring()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        return True

    def change(self, work: Any) -> None:
        """Has the thread do something: calls are its own."""
        with self._lock:
            if self._closed:
                closed = True
            else:
                closed = False
                self._changes.append(work)
        if closed:
            return
        self._ring()

    def _ring(self) -> None:
        try:
            os.write(self._bell, b"!")
        except (BlockingIOError, OSError):
            pass  # It rings already.

    def _begin(self, call: _Call) -> None:
        self._calls.add(call)
        self.deliver(call)

    def deliver(self, call: _Call) -> None:
        """Hands out what was read and is wanted, and reads on only if more is."""
        while call in self._calls and call.wanted > 0:
            line, newline, rest = call.buffer.partition(b"\n")
            if not newline:
                break
            call.buffer = rest
            call.wanted -= 1
            try:
                reply = json.loads(line)
            except ValueError as error:
                reply = closed_fault(f"the owner of the home said something else: {error}")
            if is_last(reply):
                self.end(call)
            if not call.over or is_last(reply):
                _quietly(call.on_reply, reply)
        read = call in self._calls and call.wanted > 0
        if read and not call.reading:
            self._selector.register(call.stream, selectors.EVENT_READ, call)
        elif call.reading and not read and call in self._calls:
            self._selector.unregister(call.stream)
        call.reading = read

    def end(self, call: _Call) -> None:
        if call not in self._calls:
            return
        self._calls.discard(call)
        if call.reading:
            self._selector.unregister(call.stream)
            call.reading = False
        call.stream.close()

    def _read(self, call: _Call) -> None:
        try:
            data = call.stream.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            call.buffer += data
            self.deliver(call)
        else:
            self.end(call)
            _quietly(call.on_reply, closed_fault("the process that owns the home went away before it answered"))

    def _serve(self) -> None:
        while True:
            with self._lock:
                changes, self._changes = self._changes, []
                closed = self._closed
            for change in changes:
                change()
            if closed:
                break
            for key, _ in self._selector.select():
                if key.data is None:
                    try:
                        os.read(self._wake, _CHUNK)
                    except BlockingIOError:
                        pass
                elif key.data in self._calls:
                    self._read(key.data)
        for call in list(self._calls):
            self.end(call)
            _quietly(call.on_reply, closed_fault("the connection to the home was closed"))
        self._selector.close()
        os.close(self._wake)
        os.close(self._bell)
