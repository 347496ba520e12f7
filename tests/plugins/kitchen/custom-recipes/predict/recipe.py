import dataiku
from dataiku.customrecipe import get_input_names_for_role, get_output_names_for_role

model = dataiku.Model(get_input_names_for_role("model")[0])
rows = dataiku.Dataset(get_input_names_for_role("rows")[0]).get_dataframe()
predicted = model.get_predictor().predict(rows, with_input_cols=True)
print("version", [each["versionId"] for each in model.list_versions() if each["active"]])
dataiku.Dataset(get_output_names_for_role("predicted")[0]).write_with_schema(predicted)
