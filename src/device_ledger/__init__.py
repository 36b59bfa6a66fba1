"""An event-sourced device registry for banks."""

__version__ = "0.1.0"
