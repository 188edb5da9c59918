"""Observability of the service: logs, traces, metrics, drift."""
