"""Where everything rests: the landing zone and the DuckDB file. No HTTP, and no broker by name."""
