"""Interactive Brokers' Client Portal gateway: fills of the last seven days, minutes old, behind a session with two tiers."""
