"""Names that are imported only."""

make_lift_score = make_cost_matrix_score = None
