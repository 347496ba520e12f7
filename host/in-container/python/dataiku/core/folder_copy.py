"""A local copy of a managed folder, and the way of its changes back."""

import os
import shutil
import tempfile

from dataiku.core import at_exit
from dataiku.core.connection import PIECE, DataikuException, Upload, encode, open_body, request_json

_copies = {}


def local_copy(name, output, make=True):
    """The copy of that folder in this process; with ``make`` it is made when there is none."""
    key = (os.environ.get("WHARF_SOCKET"), name)
    if key not in _copies and make:
        _copies[key] = LocalCopy(name, output)
    return _copies.get(key)


def list_files(name):
    """The files of a folder: dicts with ``path`` (no slash in front), ``size`` and ``modified`` (milliseconds)."""
    return request_json("GET", encode("folders", name, "files")) or []


def file_path(name, path):
    """The path in the protocol of one file, from a path with or without a slash in front."""
    return encode("folders", name, "files", *elements(path))


def elements(path):
    """The elements of a path in a folder; raises for one that would leave it."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts or "." in parts or "\0" in path:
        raise DataikuException("%r isn't a path in a managed folder" % path, "bad-path")
    return parts


def send(name, path, stream):
    """Uploads a binary stream as one file; nothing of it counts unless all of it arrived."""
    if not elements(path):
        raise DataikuException("a file in the managed folder %s needs a name" % name, "bad-path")
    upload = Upload(file_path(name, path), "the upload of %s to folder %s" % (path, name))
    try:
        while True:
            piece = stream.read(PIECE)
            if not piece:
                break
            upload.write(piece.encode("utf-8") if isinstance(piece, str) else piece)
        upload.finish()
    finally:
        upload.abort()


class LocalCopy:
    """A directory with the files of a managed folder.

    For an output, files that were added or changed are uploaded by ``flush`` and when the process ends, and files
    that were removed are removed from the folder. Empty directories don't exist in a managed folder.
    """

    def __init__(self, name, output):
        self.name = name
        self.output = output
        self.path = tempfile.mkdtemp(prefix="folder-")
        self._known = {}
        try:
            for info in list_files(name):
                self._fetch(info)
        except BaseException:
            shutil.rmtree(self.path, ignore_errors=True)
            raise
        if output:
            at_exit.send_at_exit(self, "flush")

    def flush(self):
        """Sends what changed since the last time."""
        if not self.output:
            return
        found = {}
        for directory, directories, files in os.walk(self.path):
            for entry in directories:
                if os.path.islink(os.path.join(directory, entry)):
                    raise DataikuException(
                        "%s in the copy of folder %s is a link to a directory, which can't be uploaded: copy the files"
                        % (entry, self.name)
                    )
            for entry in files:
                local = os.path.join(directory, entry)
                if not os.path.isfile(local):
                    raise DataikuException(
                        "%s in the copy of folder %s isn't a file, so it can't be uploaded: remove it" % (entry, self.name)
                    )
                found[os.path.relpath(local, self.path).replace(os.sep, "/")] = local
        for path, local in sorted(found.items()):
            stamp = _stamp(local)
            if self._known.get(path) != stamp:
                with open(local, "rb") as stream:
                    send(self.name, path, stream)
                self._known[path] = stamp
        for path in sorted(set(self._known) - set(found)):
            request_json("DELETE", file_path(self.name, path))
            del self._known[path]

    def put(self, path, stream):
        """Writes a file into the copy and sends it."""
        local = self._local(path)
        with open(local, "wb") as out:
            while True:
                piece = stream.read(PIECE)
                if not piece:
                    break
                out.write(piece.encode("utf-8") if isinstance(piece, str) else piece)
        self.flush()

    def remove(self, path):
        """Removes a file from the copy and from the folder."""
        local = os.path.join(self.path, *elements(path))
        if os.path.lexists(local):
            os.remove(local)
        self.flush()

    def _fetch(self, info):
        local = self._local(info["path"])
        what = "the download of %s from folder %s" % (info["path"], self.name)
        with open_body(file_path(self.name, info["path"]), what) as body, open(local, "wb") as out:
            shutil.copyfileobj(body, out, PIECE)
        seconds = (info.get("modified") or 0) / 1000
        os.utime(local, (seconds, seconds))
        self._known["/".join(elements(info["path"]))] = _stamp(local)

    def _local(self, path):
        local = os.path.join(self.path, *elements(path))
        os.makedirs(os.path.dirname(local), exist_ok=True)
        return local


def _stamp(local):
    status = os.stat(local)
    return status.st_size, status.st_mtime_ns, status.st_ino
