"""`jackfield bench serve`: puts load on any server with OpenAI's API, and measures how long its clients wait."""
