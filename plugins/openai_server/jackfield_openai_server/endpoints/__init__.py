"""The paths of the server, with a module for each group."""
