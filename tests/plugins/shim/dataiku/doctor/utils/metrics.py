"""Names that are imported only."""

rmsle_score = mroc_auc_score = mean_absolute_percentage_error = log_loss = None
