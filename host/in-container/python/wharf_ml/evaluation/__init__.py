"""What a model is worth: metrics, curves, explanations, comparison and drift, as plain values that JSON can hold."""

from wharf_ml.evaluation.clusters import cluster
from wharf_ml.evaluation.comparison import compare
from wharf_ml.evaluation.drifts import drift, profile
from wharf_ml.evaluation.explanations import explain
from wharf_ml.evaluation.metrics import METRICS, metric
from wharf_ml.evaluation.split import evaluate
from wharf_ml.evaluation.threshold import choose_threshold

__all__ = ["METRICS", "choose_threshold", "cluster", "compare", "drift", "evaluate", "explain", "metric", "profile"]
