"""An OpenAI-compatible server: HTTP and text in this process, the engine in one of its own."""
