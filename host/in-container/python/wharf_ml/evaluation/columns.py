"""Columns: of which kind their values are."""

import pandas as pd

#: Texts that are longer than this in the mean, and mostly different, are no categories.
_TEXT_LENGTH = 60
_SAID = {"categorical": "category", "number": "numeric", "datetime": "date"}


def kind_of(values, feature=None):
    """``numeric``, ``date``, ``category`` or ``text``: as the task says, else as the values are."""
    said = (feature or {}).get("type")
    said = _SAID.get(said, said)
    if pd.api.types.is_datetime64_any_dtype(values):
        return "date"
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if said == "numeric" and not numeric and not pd.api.types.is_bool_dtype(values):
        return "numeric" if pd.to_numeric(values.dropna(), errors="coerce").notna().any() else "category"
    if said in ("category", "text", "numeric"):
        return said
    if numeric:
        return "numeric"
    texts = values.dropna().iloc[:1000].astype(str)
    long = len(texts) and texts.str.len().mean() > _TEXT_LENGTH and texts.nunique() > len(texts) / 2
    return "text" if long else "category"
