"""What the recipe reads and writes."""

from dataiku.example import names

FLOW = {
    key: [{"fullName": name, "partitions": ["NP"]} for name in names(side)]
    for key, side in (("in", "inputs"), ("out", "outputs"))
}
