"""The connection to the runner: HTTP/1.1 over its Unix socket, bodies streamed both ways."""

import http.client
import io
import json
import os
import socket
from urllib.parse import quote

#: How much is collected before it is sent or handed on.
PIECE = 256 * 1024


class DataikuException(Exception):
    """Something that the run refused or that couldn't be done; its text is one sentence for people.

    ``code`` is the stable code of the refusal, when there is one.
    """

    def __init__(self, message, code=None):
        super().__init__(message)
        self.code = code


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("runner")
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.connect(self._path)
        except OSError as error:
            self.sock.close()
            raise DataikuException("can't reach the runner of this run at %s: %s" % (self._path, error)) from error


def socket_path():
    """Where the runner listens."""
    path = os.environ.get("WHARF_SOCKET")
    if not path:
        raise DataikuException(
            "this code doesn't run in a run of wharf (WHARF_SOCKET isn't set), so it has no inputs and outputs"
        )
    return path


def encode(*elements):
    """A path of the protocol, each element percent-encoded."""
    return "/v1/" + "/".join(quote(element, safe="") for element in elements)


def request_json(method, path, body=None):
    """Sends a request with a small body and gives the JSON of the answer, or None when it is empty."""
    data = None if body is None else json.dumps(body).encode("utf-8")
    headers = {} if data is None else {"Content-Type": "application/json"}
    connection = _UnixConnection(socket_path())
    try:
        connection.request(method, path, body=data, headers=headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise DataikuException("the runner broke off %s %s: %r" % (method, path, error)) from error
    finally:
        connection.close()
    if response.status >= 400:
        raise _refusal(response.status, answer, method, path)
    return json.loads(answer.decode("utf-8")) if answer.strip() else None


def open_body(path, what):
    """Opens a GET and gives its body as a buffered binary stream.

    ``what`` names the data in the error of a body that breaks off, which is never taken for its end.
    """
    connection = _UnixConnection(socket_path())
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status >= 400:
            raise _refusal(response.status, response.read(), "GET", path)
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise DataikuException("the runner broke off GET %s: %r" % (path, error)) from error
    except BaseException:
        connection.close()
        raise
    return io.BufferedReader(_Body(connection, response, what), PIECE)


class _Body(io.RawIOBase):
    def __init__(self, connection, response, what):
        super().__init__()
        self._connection = connection
        self._response = response
        self._what = what
        self._received = 0
        self._over = False

    def readable(self):
        return True

    def readinto(self, buffer):
        if self._over:
            return 0
        try:
            count = self._response.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken() from error
        if count == 0 and len(buffer) > 0:
            # A body of known length that ends early looks like its end to http.client.
            if self._response.length:
                raise self._broken()
            self._over = True
            self._connection.close()
        self._received += count
        return count

    def _broken(self):
        return DataikuException("%s broke off after about %d bytes" % (self._what, self._received))

    def close(self):
        if not self.closed:
            self._response.close()
            self._connection.close()
        super().close()


class Upload(io.RawIOBase):
    """A PUT whose body is written piece by piece, in bounded memory.

    Only ``finish`` makes it whole. ``abort``, and forgetting it, break it off, and the host drops what it has.
    """

    def __init__(self, path, what, content_type="application/octet-stream"):
        super().__init__()
        self._path = path
        self._what = what
        self._pieces = []
        self._size = 0
        self._connection = _UnixConnection(socket_path())
        try:
            self._connection.putrequest("PUT", path, skip_accept_encoding=True)
            self._connection.putheader("Content-Type", content_type)
            self._connection.putheader("Transfer-Encoding", "chunked")
            self._connection.endheaders()
        except OSError as error:
            self._connection.close()
            raise DataikuException("%s couldn't be sent: %s" % (what, error)) from error

    def writable(self):
        return True

    def write(self, data):
        """Adds bytes to the body; blocks while the host is slower than this."""
        if self.closed:
            raise ValueError("%s is already closed" % self._what)
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else data
        if len(view) >= PIECE:
            # Sent as it is, before the caller can use its buffer again.
            self._send()
            self._send_chunk(view)
            return len(view)
        data = bytes(view)
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= PIECE:
            self._send()
        return len(data)

    def finish(self):
        """Ends the body and gives the host's answer: what it received."""
        self._send()
        try:
            self._connection.send(b"0\r\n\r\n")
        except OSError as error:
            raise self._broken(error) from error
        try:
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._end()
            raise DataikuException("%s broke off before the host confirmed it: %r" % (self._what, error)) from error
        self._end()
        if response.status >= 400:
            raise _refusal(response.status, answer, "PUT", self._path)
        return json.loads(answer.decode("utf-8")) if answer.strip() else {}

    def abort(self):
        """Breaks the body off, if it hasn't been finished: nothing of it counts then."""
        if not self.closed:
            self._end()

    def close(self):
        """The same as ``abort``."""
        self.abort()

    def _end(self):
        self._pieces = []
        self._size = 0
        self._connection.close()
        super().close()

    def _send(self):
        if not self._size:
            return
        pieces = self._pieces
        self._pieces = []
        self._size = 0
        self._send_chunk(b"".join(pieces))

    def _send_chunk(self, data):
        try:
            self._connection.send(b"%x\r\n" % len(data))
            self._connection.send(data)
            self._connection.send(b"\r\n")
        except OSError as error:
            raise self._broken(error) from error

    def _broken(self, error):
        # The host may have said why before it stopped listening.
        try:
            self._connection.sock.settimeout(5)
            response = self._connection.getresponse()
            answer = response.read()
            if response.status >= 400:
                return _refusal(response.status, answer, "PUT", self._path)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            self._end()
        return DataikuException("%s broke off: %s" % (self._what, error))


def _refusal(status, body, method, path):
    try:
        refusal = json.loads(body.decode("utf-8"))
        return DataikuException(refusal["message"], refusal.get("code"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return DataikuException("the runner answered %s %s with status %d" % (method, path, status))
