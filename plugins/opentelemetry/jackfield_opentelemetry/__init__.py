"""Spans of OpenTelemetry for requests."""
