"""Which plugins there are, which of them are used, and why."""
