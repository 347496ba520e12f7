"""Reads three files and the beginning of a large one, and says how many bytes this container got for that."""

import dataiku
from dataiku.customrecipe import get_input_names_for_role, get_output_names_for_role


def received():
    with open("/proc/net/dev") as stream:
        lines = [line.split() for line in stream if ":" in line]
    return sum(int(words[1]) for words in lines if words[0] != "lo:")


files = dataiku.Folder(get_input_names_for_role("files")[0])
some = dataiku.Folder(get_output_names_for_role("some")[0])
before = received()
paths = files.list_paths_in_partition()
small = [path for path in paths if path != "/large.bin"][:3]
print("files", len(paths), "bytes", sum(files.get_path_details(path)["size"] for path in small + ["/large.bin"]))
for path in small:
    with files.get_download_stream(path) as stream:
        some.upload_stream(path, stream)
with files.get_download_stream("/large.bin") as stream:
    beginning = stream.read(1 << 20)
print("read", len(beginning), "received", received() - before)

try:
    some.upload_data(small[0].upper(), b"another")
except dataiku.DataikuException as error:
    print("refused:", error)
