"""Any plain model in four bits while it loads, for Jackfield."""
