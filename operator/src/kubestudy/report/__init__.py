"""The report: one HTML file about a study, by Optuna's own plots."""
