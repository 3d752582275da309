"""What `jackfield bench` measures, and how it reports it."""
