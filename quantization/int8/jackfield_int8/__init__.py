"""Any plain model in eight bits while it loads, for Jackfield."""
