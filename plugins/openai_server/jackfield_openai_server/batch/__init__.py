"""`jackfield run-batch`: reads a file of requests and writes a file of answers, in the form of OpenAI's batches."""
