"""The host in this process: the C library."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any, Callable, Dict

from wharf.datasets import Border, DatasetStore, Server
from wharf._transport import OnReply, Reply, closed_fault, is_last
from wharf.messages import Fault

ABI_VERSION = 2
_REPLY, _NOTHING = 1, 0
_LOG = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
_LEVELS = {"ERROR": logging.ERROR, "WARN": logging.WARNING, "INFO": logging.INFO, "DEBUG": logging.DEBUG}

_ASKS = 256
"""Asks of datasets that are worked on at once: more than the 32 that may wait for containers."""

_library: ctypes.CDLL | None = None
_loading = threading.Lock()


def load_library() -> ctypes.CDLL:
    """The library: that of the variable WHARF_LIBRARY, else the one in this package."""
    global _library
    with _loading:
        if _library is None:
            path = os.environ.get("WHARF_LIBRARY") or str(Path(__file__).with_name("libwharf_ffi.so"))
            library = ctypes.CDLL(path)
            _declare(library)
            found = library.wharf_abi_version()
            if found != ABI_VERSION:
                raise ImportError(f"{path} has the interface {found}, and this package needs {ABI_VERSION}: install both of one version")
            _library = library
        return _library


def _declare(library: ctypes.CDLL) -> None:
    number, text = ctypes.c_uint64, ctypes.c_char_p
    # Texts that are ours to free are pointers here: as c_char_p they would be copied and lost.
    owned = ctypes.c_void_p
    functions: Dict[str, Any] = {
        "wharf_abi_version": (ctypes.c_uint32, []),
        "wharf_version": (text, []),
        "wharf_text_free": (None, [owned]),
        "wharf_host_open": (owned, [text, text, _LOG, ctypes.c_void_p, ctypes.POINTER(number)]),
        "wharf_host_call": (owned, [number, text, ctypes.c_uint32, ctypes.POINTER(number)]),
        "wharf_call_demand": (None, [number, number, ctypes.c_uint32]),
        "wharf_call_cancel": (None, [number, number]),
        "wharf_host_next": (ctypes.c_int32, [number, ctypes.c_int64, ctypes.POINTER(number), ctypes.POINTER(owned)]),
        "wharf_host_fd": (ctypes.c_int32, [number]),
        "wharf_data_read": (ctypes.c_int64, [number, number, ctypes.c_void_p, ctypes.c_size_t]),
        "wharf_data_write": (ctypes.c_int64, [number, number, text, ctypes.c_size_t]),
        "wharf_data_answer": (owned, [number, number, text]),
        "wharf_host_close": (ctypes.c_int32, [number, ctypes.c_int64]),
    }
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments


def library_version() -> str:
    """The version of the library that is loaded."""
    return load_library().wharf_version().decode()


def _taken(library: ctypes.CDLL, pointer: int | None) -> str | None:
    """A text that the library gave, as Python's own."""
    if not pointer:
        return None
    try:
        return ctypes.string_at(pointer).decode()
    finally:
        library.wharf_text_free(pointer)


def _check(library: ctypes.CDLL, pointer: int | None) -> None:
    fault = _taken(library, pointer)
    if fault is not None:
        raise Fault(json.loads(fault))


def _log(_context: Any, line: bytes) -> None:
    try:
        entry = json.loads(line)
        logger = logging.getLogger(entry.get("target", "wharf").replace("::", "."))
        fields = entry.get("fields", {})
        level = _LEVELS.get(entry.get("level"), logging.DEBUG)
        rest = {key: value for key, value in fields.items() if key != "message"}
        logger.log(level, "%s%s", fields.get("message", ""), f" {rest}" if rest else "")
    except Exception:  # Nothing may be thrown into the library.
        logging.getLogger("wharf").exception("a line of the library's log couldn't be read")


class _Call:
    def __init__(self, transport: NativeTransport, number: int) -> None:
        self._transport, self._number = transport, number

    def demand(self, more: int) -> None:
        self._transport.demand(self._number, more)

    def cancel(self) -> None:
        self._transport.cancel(self._number)


class NativeTransport:
    """A host of this process, and the thread that hands its replies out."""

    def __init__(self, home: str, options: Dict[str, Any], datasets: DatasetStore | None = None) -> None:
        self._library = load_library()
        self._log = _LOG(_log)
        self._calls: Dict[int, OnReply] = {}
        self._lock = threading.Lock()
        host = ctypes.c_uint64()
        _check(
            self._library,
            self._library.wharf_host_open(home.encode(), json.dumps(options).encode(), self._log, None, ctypes.byref(host)),
        )
        self._host = host.value
        self._thread = threading.Thread(target=self._deliver, name="wharf-replies", daemon=True)
        self._thread.start()
        if datasets is not None:
            self._serve(datasets)

    def _serve(self, datasets: DatasetStore) -> None:
        """Has a store answer what this host asks. At most so many asks are worked on at once."""
        host = self._host

        def read(ask: int, buffer: Any, capacity: int) -> int:
            into = (ctypes.c_char * capacity).from_buffer(buffer)
            count: int = self._library.wharf_data_read(host, ask, into, capacity)
            return count

        def write(ask: int, data: bytes) -> int:
            count: int = self._library.wharf_data_write(host, ask, data, len(data))
            return count

        def answer(ask: int, text: bytes) -> None:
            _check(self._library, self._library.wharf_data_answer(host, ask, text))

        server = Server(datasets, Border(read, write, answer))
        call: _Call | None = None
        begun = threading.Event()

        def done() -> None:
            begun.wait()
            if call is not None:
                call.demand(1)

        def take(reply: Reply) -> None:
            if not is_last(reply):
                server.take(reply["value"], done)

        call = self.call({"request": "serve-datasets"}, _ASKS, take)
        begun.set()

    def call(self, request: Dict[str, Any], demand: int, on_reply: OnReply) -> _Call:
        number = ctypes.c_uint64()
        # Locked until the number is known, so that no reply comes before its call.
        with self._lock:
            message = json.dumps(request).encode()
            _check(self._library, self._library.wharf_host_call(self._host, message, demand, ctypes.byref(number)))
            self._calls[number.value] = on_reply
        return _Call(self, number.value)

    def demand(self, call: int, more: int) -> None:
        self._library.wharf_call_demand(self._host, call, more)

    def cancel(self, call: int) -> None:
        with self._lock:
            self._calls.pop(call, None)
        self._library.wharf_call_cancel(self._host, call)

    def close(self, wait: float | None) -> bool:
        code: int = self._library.wharf_host_close(self._host, -1 if wait is None else int(wait * 1000))
        if threading.current_thread() is not self._thread:
            self._thread.join()
        return code != 1

    def _deliver(self) -> None:
        call, text = ctypes.c_uint64(), ctypes.c_void_p()
        while True:
            code = self._library.wharf_host_next(self._host, -1, ctypes.byref(call), ctypes.byref(text))
            if code == _NOTHING:
                continue
            if code != _REPLY:
                break
            reply: Reply = json.loads(_taken(self._library, text.value) or '"end"')
            with self._lock:
                on_reply = self._calls.pop(call.value, None) if is_last(reply) else self._calls.get(call.value)
            if on_reply is not None:
                _quietly(on_reply, reply)
        with self._lock:
            left, self._calls = list(self._calls.values()), {}
        for on_reply in left:
            _quietly(on_reply, closed_fault("the host was closed"))


def _quietly(on_reply: Callable[[Reply], None], reply: Reply) -> None:
    try:
        on_reply(reply)
    except Exception:
        logging.getLogger("wharf").exception("a reply couldn't be handed out")
