"""The `jackfield` program: one module a command, each a plugin of the kind `commands`."""
