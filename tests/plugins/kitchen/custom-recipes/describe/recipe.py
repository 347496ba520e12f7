import json
import os

import dataiku
import pandas as pd
from dataiku.customrecipe import *

from kitchen_lib.spices import season

config = get_recipe_config()
rows = [(name, json.dumps(value, sort_keys=True)) for name, value in sorted(config.items())]
rows.append(("region", get_plugin_config().get("region")))
rows.append(("resource", open(os.path.join(get_recipe_resource(), "spice.txt")).read().strip()))
rows.append(("season", season("salt")))
names = get_input_names_for_role("tables")
rows.append(("tables", ",".join(names)))
rows.append(("rows", str(sum(len(dataiku.Dataset(name).get_dataframe()) for name in names))))

folders = get_input_names_for_role("files")
copies = get_output_names_for_role("copies")
if folders and copies:
    source, target = dataiku.Folder(folders[0]), dataiku.Folder(copies[0])
    for path in source.list_paths_in_partition():
        with source.get_download_stream(path) as stream:
            target.upload_stream(path, stream)

report = pd.DataFrame(rows, columns=["name", "value"])
dataiku.Dataset(get_output_names_for_role("report")[0]).write_with_schema(report)
