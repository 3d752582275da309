"""`jackfield bench`: what it measures, and how it reports it."""
