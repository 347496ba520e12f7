"""A managed folder that is a local directory."""

import io
import json
import mimetypes
import pathlib
import shutil

from dataiku.example import EXAMPLE, find


class Folder:
    def __init__(self, lookup, project_key=None, ignore_flow=False):
        self.path, self.written = find(lookup)
        self.short_name = self.name = lookup.split(".")[-1] if EXAMPLE["project"] else lookup
        self.project_key = EXAMPLE["project"]
        self.full_name = lookup
        self.read_partitions = ["NP"]

    def _at(self, path):
        return self.path / path.strip("/")

    def get_name(self):
        return self.short_name

    get_id = get_name

    def get_path(self):
        return str(self.path)

    def file_path(self, path):
        return str(self._at(path))

    def get_info(self, sensitive_info=False):
        info = {"id": self.short_name, "name": self.short_name, "projectKey": self.project_key, "type": "container"}
        return dict(info, directoryBasedPartitioning=False, accessInfo={})

    def is_partitioning_directory_based(self):
        return False

    def list_partitions(self):
        return ["NP"]

    def list_paths_in_partition(self, partition=""):
        return sorted("/" + str(p.relative_to(self.path)) for p in self.path.rglob("*") if p.is_file())

    def get_path_details(self, path="/"):
        at = self._at(path)
        parts = [part for part in path.split("/") if part]
        children = sorted(at.iterdir()) if at.is_dir() else []
        return {
            "exists": at.exists(),
            "directory": at.is_dir(),
            "fullPath": "/" + "/".join(parts),
            "name": parts[-1] if parts else "/",
            "pathElts": parts,
            "size": at.stat().st_size if at.is_file() else 0,
            "lastModified": int(at.stat().st_mtime * 1000) if at.exists() else 0,
            "mimeType": "application/xml" if path.endswith(".xml") else mimetypes.guess_type(path)[0],
            "children": [self.get_path_details("/".join(parts + [child.name])) for child in children],
        }

    def get_download_stream(self, path):
        return open(self._at(path), "rb")

    def read_json(self, path):
        return json.loads(self._at(path).read_text(encoding="utf-8"))

    def get_writer(self, path):
        at = self._at(path)
        at.parent.mkdir(parents=True, exist_ok=True)
        return _Writer(at)

    def upload_stream(self, path, stream):
        with self.get_writer(path) as writer:
            shutil.copyfileobj(stream, writer)

    def upload_data(self, path, data):
        self.upload_stream(path, io.BytesIO(data.encode("utf-8") if isinstance(data, str) else data))

    def upload_file(self, path, file_path):
        with open(file_path, "rb") as stream:
            self.upload_stream(path, stream)

    def write_json(self, path, value):
        self.upload_data(path, json.dumps(value))

    def delete_path(self, path):
        at = self._at(path)
        shutil.rmtree(at) if at.is_dir() else at.unlink()

    clear_path = delete_path

    def clear(self):
        for at in self.path.iterdir():
            self.delete_path(at.name)

    def clear_partition(self, partition):
        self.clear()


class _Writer:
    def __init__(self, at):
        self.stream = open(at, "wb")

    def write(self, data):
        return self.stream.write(data.encode("utf-8") if isinstance(data, str) else data)

    def close(self):
        self.stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
