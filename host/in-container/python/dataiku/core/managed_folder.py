"""Managed folders: files by path, as streams, or as a whole in a local directory."""

import io
import json
import mimetypes
import os

from dataiku.core import at_exit
from dataiku.core.connection import DataikuException, Upload, open_body, request_json
from dataiku.core.context import default_project_key, full_name, is_output, require_output, resolve
from dataiku.core.folder_copy import elements, file_path, list_files, local_copy, send
from dataiku.core.unavailable import METRICS, refuse
from dataiku.core.unknown import Known


class ManagedFolderWriter(io.RawIOBase):
    """Writes one file of a managed folder, in bounded memory.

    Use it in a ``with`` block: an exception in the block breaks the writing off, and nothing of it counts. One that
    isn't closed is closed when the process ends.
    """

    def __init__(self, name, path):
        super().__init__()
        if not elements(path):
            raise DataikuException("a file in the managed folder %s needs a name" % name, "bad-path")
        self._upload = Upload(file_path(name, path), "the writing of %s to folder %s" % (path, name))
        at_exit.send_at_exit(self, "close")

    def writable(self):
        """Always."""
        return True

    def write(self, data):
        """Adds bytes, or text as UTF-8."""
        return self._upload.write(data.encode("utf-8") if isinstance(data, str) else data)

    def close(self):
        """Ends the file; only then does it count. Closing twice is no error."""
        if not self.closed:
            at_exit.forget(self)
            super().close()
            self._upload.finish()

    def __exit__(self, kind, value, traceback):
        if kind is None:
            self.close()
        elif not self.closed:
            at_exit.forget(self)
            super().close()
            self._upload.abort()


class Folder:
    """A managed folder that is an input or an output of the run, by its name with or without the project's key.

    Nothing is asked of the host before the first use. Paths begin at the folder, with or without a slash in front.
    """

    def __init__(self, lookup, project_key=None, ignore_flow=False):
        self._asked = lookup
        self._project_key = project_key
        self._resolved = None
        self._listed = None
        self.ignore_flow = ignore_flow
        # There are no partitions here, which DSS spells so.
        self.read_partitions = ["NP"]

    @property
    def short_name(self):
        """Name without the project's key."""
        if self._resolved is None:
            self._resolved = resolve(self._asked, self._project_key, "folder")
        return self._resolved

    @property
    def name(self):
        """The same as ``get_name()``."""
        return self.short_name

    @property
    def full_name(self):
        """Name with the project's key in front, when there is a project."""
        return full_name(self.short_name)

    @property
    def project_key(self):
        """Key of the project; empty when the run belongs to none."""
        return default_project_key()

    def __repr__(self):
        return "Folder(%r)" % self._asked

    def get_name(self):
        """Name of the folder."""
        return self.short_name

    def get_id(self):
        """Identifier of the folder, which here is its name."""
        return self.short_name

    def get_info(self, sensitive_info=False):
        """What the run knows of the folder. Where its files are is not among it."""
        what, hint = "the folder " + self.short_name, "get_path() gives a copy of it, the other methods single files"
        return Known(
            {
                "id": self.short_name,
                "projectKey": self.project_key,
                "name": self.short_name,
                "type": "container",
                "directoryBasedPartitioning": False,
                "accessInfo": Known({}, what, hint),
            },
            what,
            hint,
        )

    def get_path(self):
        """A local directory with a copy of the whole folder, made at the first call.

        The copy is as large as the folder: use ``get_download_stream`` for a few files of many. In an output, what is
        added, changed or removed in the directory is sent back by ``flush()``, by every other method of this
        class, and when the process ends; a failure there fails the run. In an input, changes go nowhere.
        """
        return local_copy(self.short_name, self._is_output()).path

    def file_path(self, path):
        """Local path of one file: a copy of the whole folder is made for it, as by ``get_path()``."""
        return os.path.join(self.get_path(), *elements(path))

    def flush(self):
        """Sends what changed in the directory of ``get_path()``. Not a function of DSS."""
        copy = local_copy(self.short_name, self._is_output(), make=False)
        if copy is not None:
            copy.flush()

    def list_paths_in_partition(self, partition=""):
        """Paths of all files, each with a slash in front, in order."""
        _whole_folder(partition)
        self.flush()
        return sorted("/" + info["path"] for info in self._files(fresh=True))

    def list_partitions(self):
        """Always ``["NP"]``: folders aren't partitioned here."""
        return ["NP"]

    def is_partitioning_directory_based(self):
        """Always False: folders aren't partitioned here."""
        return False

    def get_partition_info(self, partition):
        """Not available: folders aren't partitioned here."""
        refuse("Folder.get_partition_info", "folders aren't partitioned here")

    def get_partition_folder(self, partition):
        """Not available: folders aren't partitioned here."""
        refuse("Folder.get_partition_folder", "folders aren't partitioned here")

    def get_path_details(self, path="/"):
        """What is at a path: whether it exists, whether it is a directory, its size, its time, its children."""
        self.flush()
        parts = elements(path)
        return _details(parts, [(elements(info["path"]), info) for info in self._files()])

    def get_download_stream(self, path):
        """Opens a file for reading: a binary stream, to be used in a ``with`` block."""
        self.flush()
        what = "the download of %s from folder %s" % (path, self.short_name)
        return open_body(file_path(self.short_name, path), what)

    def read_json(self, path):
        """Value in a JSON file."""
        with self.get_download_stream(path) as stream:
            return json.loads(stream.read().decode("utf-8"))

    def upload_stream(self, path, f):
        """Writes a file from a binary (or text) stream, to its end."""
        self._require_output()
        copy = local_copy(self.short_name, True, make=False)
        if copy is not None:
            copy.put(path, f)
        else:
            send(self.short_name, path, f)

    def upload_file(self, path, file_path):
        """Writes a file from a local file."""
        with open(file_path, "rb") as stream:
            self.upload_stream(path, stream)

    def upload_data(self, path, data):
        """Writes a file from bytes, or from text as UTF-8."""
        self.upload_stream(path, io.BytesIO(data.encode("utf-8") if isinstance(data, str) else data))

    def write_json(self, path, obj):
        """Writes a file with a value as JSON."""
        self.upload_data(path, json.dumps(obj).encode("utf-8"))

    def get_writer(self, path):
        """A ``ManagedFolderWriter`` for one file.

        A directory that ``get_path()`` gave doesn't get what is written here.
        """
        self._require_output()
        return ManagedFolderWriter(self.short_name, path)

    def delete_path(self, path):
        """Removes a file, or everything in a directory."""
        self.clear_path(path)

    def clear_path(self, path):
        """Removes a file, or everything in a directory."""
        self._require_output()
        self.flush()
        parts = elements(path)
        if not parts:
            self.clear()
            return
        found = [info["path"] for info in list_files(self.short_name) if elements(info["path"])[: len(parts)] == parts]
        # A path that isn't there is for the host to say.
        self._remove(found or [path])

    def clear(self):
        """Removes all files."""
        self._require_output()
        self.flush()
        self._remove([info["path"] for info in list_files(self.short_name)])

    def clear_partition(self, partition):
        """The same as ``clear()``, for the one partition that there is."""
        _whole_folder(partition)
        self.clear()

    def get_last_metric_values(self, partition=""):
        """Not available in a container."""
        refuse("Folder.get_last_metric_values", METRICS)

    def get_metric_history(self, metric_lookup, partition=""):
        """Not available in a container."""
        refuse("Folder.get_metric_history", METRICS)

    def save_external_metric_values(self, values_dict, partition=""):
        """Not available in a container."""
        refuse("Folder.save_external_metric_values", METRICS)

    def _files(self, fresh=False):
        """All files. Recipes ask for the details of one after the other, so an input is listed once for all of them."""
        if fresh or self._listed is None or self._is_output():
            self._listed = list_files(self.short_name)
        return self._listed

    def _is_output(self):
        return is_output(self.short_name, "folder")

    def _require_output(self):
        require_output(self.short_name, "folder")

    def _remove(self, paths):
        copy = local_copy(self.short_name, True, make=False)
        for path in paths:
            if copy is not None:
                copy.remove(path)
            else:
                request_json("DELETE", file_path(self.short_name, path))


def _whole_folder(partition):
    if partition not in ("", None, "NP"):
        raise DataikuException("folders aren't partitioned here: there is no partition %r" % partition, "not-available")


def _media_type(name):
    # Python's own tables and an image's /etc/mime.types differ about XML.
    if name.lower().endswith(".xml"):
        return "application/xml"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _details(parts, files):
    """What ``get_path_details`` says of the path with these elements."""
    details = {
        "exists": False,
        "directory": False,
        "fullPath": "/" + "/".join(parts),
        "name": parts[-1] if parts else "/",
        "pathElts": list(parts),
        "size": 0,
        "lastModified": 0,
    }
    below = [(path, info) for path, info in files if path[: len(parts)] == parts]
    exact = [info for path, info in below if len(path) == len(parts)]
    if exact:
        details.update(exists=True, size=exact[0]["size"], lastModified=exact[0]["modified"])
        details["mimeType"] = _media_type(parts[-1])
    elif below or not parts:
        names = sorted({path[len(parts)] for path, _ in below})
        details.update(
            exists=True,
            directory=True,
            size=sum(info["size"] for _, info in below),
            lastModified=max([info["modified"] for _, info in below] or [0]),
            children=[_details(parts + [name], below) for name in names],
        )
    return details
