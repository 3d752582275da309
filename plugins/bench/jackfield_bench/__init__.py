"""`jackfield bench`: its measurements and reports."""
