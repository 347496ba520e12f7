"""In-memory machine learning in containers: training, retraining and scoring with scikit-learn's estimators.

Nothing heavy is imported here: `python3 -m wharf_ml` sets the number of threads before numpy is loaded.
"""

#: Version of the saved model's layout.
FORMAT = 1
