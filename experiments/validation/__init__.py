"""Simulations that check the estimators on populations of known truth."""
