"""Writes new plugin packages: `jackfield new KIND NAME`. The templates are the files under `templates/`."""
