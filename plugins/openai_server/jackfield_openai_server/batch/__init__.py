"""`jackfield run-batch`: a file of requests in, a file of answers out, in the form of OpenAI's batches."""
