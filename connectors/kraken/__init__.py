"""Kraken Spot: every trade, a page of fifty at a time, newest first."""
