"""The operator: watches studies, runs one loop for each, and keeps their status."""
