"""When: the flows, their tasks, the command line."""
