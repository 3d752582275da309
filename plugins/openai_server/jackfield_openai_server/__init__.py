"""An OpenAI-compatible server. HTTP and text are handled in this process, the engine runs in one of its own."""
